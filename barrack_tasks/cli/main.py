"""`barrack`, and how its commands end: with output, or with one sentence and a code."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Any, get_args

import httpx
from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnusedCliTokensError,
    ValidationError,
)

from barrack_tasks.api.version import VERSION
from barrack_tasks.cli.adopt import adopt
from barrack_tasks.cli.alert_on_failure import alert_on_failure
from barrack_tasks.cli.arm import arm, disarm
from barrack_tasks.cli.check import check, schema
from barrack_tasks.cli.completion import completer, completion
from barrack_tasks.cli.costs import costs
from barrack_tasks.cli.dialects import dialect_app
from barrack_tasks.cli.doctor import doctor
from barrack_tasks.cli.export import deployments_app
from barrack_tasks.cli.failing import code_of, in_one_line, said_of, without_full_stop
from barrack_tasks.cli.init import init
from barrack_tasks.cli.learn import learn
from barrack_tasks.cli.lease import lease_app
from barrack_tasks.cli.leaving import ends_without_a_server
from barrack_tasks.cli.ls import ls, show
from barrack_tasks.cli.notify import notify_app
from barrack_tasks.cli.owner import owner_app
from barrack_tasks.cli.panic import panic
from barrack_tasks.cli.plan import apply, plan, two_means_differs
from barrack_tasks.cli.run import hibernate, restore, run_app
from barrack_tasks.cli.runs import events, logs
from barrack_tasks.cli.schedule import schedule_app
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import about, code_about
from barrack_tasks.cli.snapshot import snapshot
from barrack_tasks.cli.status import status
from barrack_tasks.cli.up import down, up
from barrack_tasks.cli.wake import ssh, wake
from barrack_tasks.cli.watch import watch
from barrack_tasks.plans.plain_words import plainly

app = App(
    name="barrack",
    help="Guard, schedule and restore GPU machines at Barrack (barrack.ai).",
    version=VERSION,
)
app.command(ls)
app.command(show)
app.command(status)
app.command(watch)
app.command(costs)
app.command(run_app)
app.command(snapshot)
app.command(hibernate)
app.command(restore)
app.command(logs)
app.command(events)
app.command(notify_app)
app.command(up)
app.command(down)
app.command(init)
app.command(check)
app.command(plan)
app.command(apply)
app.command(schema)
app.command(arm)
app.command(disarm)
app.command(alert_on_failure)
app.command(adopt)
app.command(doctor)
app.command(learn)
app.command(panic)
app.command(lease_app)
app.command(owner_app)
app.command(wake)
app.command(ssh)
app.command(schedule_app)
app.command(dialect_app)
app.command(deployments_app)
app.command(completion)
app.command(completer(app), name="complete", show=False)


_OF_SENDERS = (
    "APILogWorker",
    "EventsWorker",
    "prefect._internal.concurrency",
    "prefect.events.clients",
)


def _is_news(record: logging.LogRecord) -> bool:
    return False


@ends_without_a_server
@two_means_differs
def main() -> None:
    """Entry point of the command line. Exits 0 if all is well, 1 if not, 2 on bad input."""
    if sys.platform == "win32":
        _end(
            "Windows is not supported; run barrack in the Windows Subsystem for Linux (WSL), on "
            "Linux or on macOS",
            2,
        )
    # Prefect sends an event for each block that was read, and a command that ends soon waits for
    # them: that is no news, and would stand below what the command says. Nor is what its websockets
    # and its sender of log lines say when a server goes away: the command itself says so in one
    # sentence.
    for name in _OF_SENDERS:
        # A filter, for Prefect takes back the levels of loggers when it is loaded.
        logging.getLogger(name).addFilter(_is_news)
    logging.raiseExceptions = False
    try:
        result = app(
            sys.argv[1:],
            result_action="return_value",
            exit_on_error=False,
            print_error=False,
        )
    except CycloptsError as error:
        _end(_said_of_words(error), 2)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The API's client raises its own errors, so this is the Prefect server's, whose errors of
        # HTTP are those of httpx: nothing of Prefect is needed to know them.
        _end(about(error), code_about(error))
    except BrokenPipeError:
        # Whoever read the output reads no more of it, as `head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        _end("interrupted; what was already requested continues at Barrack", 130)
    except Exception as error:
        code = code_of(error)
        if code is None:
            raise
        _end(said_of(error), code)
    sys.exit(result if isinstance(result, int) else 0)


def _end(sentence: str, code: int) -> None:
    said = without_full_stop(plainly(in_one_line(sentence)).replace("?.", "?"))
    Screen(stderr=True).print(f"barrack: {said}", style="red")
    sys.exit(code)


def _said_of_words(error: CycloptsError) -> str:
    """What is wrong with the words of a command, and where help is."""
    end = "; "
    match error:
        case UnusedCliTokensError(unused_tokens=[first, *_]):
            said = f"{first!r} is one word too many"
        case MissingArgumentError(argument=argument, keyword=keyword) if argument is not None:
            given = keyword or argument.name
            said = f"{given} needs a value" if keyword else f"{given} is missing"
        case CoercionError(token=token, argument=argument) if token is not None:
            given = token.keyword or (argument.name if argument is not None else "a value")
            said = f"{given} must be {_kind_of(error)}, and {token.value!r} is not"
        case ValidationError(argument=argument) if argument is not None and argument.tokens:
            must = error.exception_message.removeprefix("It ").rstrip(".")
            said = f"{argument.name} {must}, and is {argument.tokens[-1].value}"
        case _:
            text = str(error).partition(" Available commands:")[0]
            said, end = _as_a_sentence(text), " " if text.endswith("?") else end
    names = [name for name in (error.command_chain or ()) if name]
    where = " ".join(["barrack", *names, "--help"])
    return f"{said}{end}`{where}` shows what there is"


_KINDS = {int: "a whole number", float: "a number", bool: "yes or no", Path: "the path of a file"}


def _kind_of(error: CoercionError) -> str:
    """What a value must be, in the words of a person."""
    choices = [str(one) for one in get_args(error.target_type) if isinstance(one, str)]
    if choices:
        return f"one of {', '.join(choices)}"
    kind: Any = error.target_type
    return _KINDS.get(kind, "of another kind")


def _as_a_sentence(text: str) -> str:
    """What was found wrong, as the beginning of a sentence: several are joined."""
    parts = [part.strip() for part in re.split(r"(?<=[.?]) (?=[A-Z])", in_one_line(text))]
    joined = "; ".join(f"{part[:1].lower()}{part[1:]}".rstrip(".") for part in parts)
    return joined.replace('"', "'").replace(": --", " --")
