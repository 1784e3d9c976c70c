"""What people do with an account, in a process of its own; the key comes in on standard input.

It is started by `test_where_the_key_is.py`, with an address, the name of a block, and a file into
which goes what was shown: texts by the place where they were seen.
"""

from __future__ import annotations

import base64
import faulthandler
import io
import json
import logging
import pickle
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ERRORS: dict[str, dict[str, Any]] = {
    "BarrackAuthenticationError": {"kind": "status", "status": 401},
    "BarrackInsufficientCreditsError": {"kind": "status", "status": 402},
    "BarrackNotFoundError": {"kind": "status", "status": 404},
    "BarrackConflictError": {"kind": "status", "status": 409},
    "BarrackValidationError": {"kind": "status", "status": 422},
    "BarrackRateLimitedError": {"kind": "status", "status": 429},
    "BarrackServerError": {"kind": "status", "status": 500},
    "BarrackResponseError": {"kind": "malformed"},
    "BarrackTransportError": {"kind": "reset_before"},
}
"""What goes wrong, by the error that tells it."""


def main(control: str, name: str, out: str) -> None:
    """Go through all of it."""
    faulthandler.dump_traceback_later(90, exit=True)
    import httpx
    from prefect import flow

    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    for logger in ("httpx", "httpcore", "barrack_tasks", "prefect"):
        logging.getLogger(logger).setLevel(logging.DEBUG)

    import barrack_tasks.api.client as client_module
    from barrack_tasks import BarrackCredentials, list_instances
    from barrack_tasks.api.transport.caller import RetryPolicy
    from flows.hibernate import hibernate
    from flows.watch_account import watch_account

    client_module.RetryPolicy = lambda: RetryPolicy(attempts=1, deadline=1, first_wait=0.05)
    told: dict[str, list[str]] = {"errors": [], "tracebacks": [], "shown": [], "pickles": []}
    wrong = [{"credentials": "KEY"}, {"credentials": {"api_key": "KEY"}}, {"credentials": ["KEY"]}]
    key = sys.stdin.read().strip()
    account = BarrackCredentials(api_key=key, base_url=control)
    account.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    for shape in wrong:
        filled = json.loads(json.dumps(shape).replace("KEY", key))
        with suppress(ValueError):
            BarrackCredentials(api_key=filled)
        try:
            watch_account(**filled)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            told["errors"].append(f"{error!r} {error}")
        del filled
    del key
    told["shown"] += shown(account)
    told["pickles"].append(base64.b64encode(pickle.dumps(account)).decode())

    hibernate(select=["*"], credentials=name)
    watch_account(credentials=account)
    list_instances.delay(name)
    list_instances.delay(account)

    @flow(persist_result=True)
    def look(credentials: str) -> Any:
        return list_instances.submit(credentials).result()

    look(name)

    def failing(act: Callable[[], Any], wanted: str) -> None:
        try:
            act()
        except Exception as error:
            if type(error).__name__ != wanted:
                raise
            told["errors"].append(f"{error!r} {error} {vars(error)}")
            told["tracebacks"] += crash_dumps(error)
            told["pickles"].append(base64.b64encode(pickle.dumps(error)).decode())
        else:
            raise AssertionError(f"no {wanted}")

    root = control.rpartition("/v1")[0]
    for wanted, fault in ERRORS.items():
        rule = {"operation": "list_instances", "count": None, **fault}
        httpx.post(f"{root}/_sandbox/faults", json=rule).raise_for_status()
        failing(lambda: list_instances.fn(account), wanted)
        if fault.get("status") == 401:
            failing(lambda: look(name), wanted)
        httpx.delete(f"{root}/_sandbox/faults").raise_for_status()
    dead = BarrackCredentials(api_key=account.api_key, base_url="http://127.0.0.1:9/v1")
    failing(lambda: list_instances.fn(dead), "BarrackTransportError")
    Path(out).write_text(json.dumps({k: "\n".join(v) for k, v in told.items()}))


def shown(account: Any) -> list[str]:
    """All the ways in which an account is displayed."""
    from rich.console import Console
    from rich.pretty import pretty_repr

    screen = Console(file=io.StringIO(), width=200, record=True)
    screen.print(account, vars(account), account.get_client(), account.get_client()._exchange)
    client = account.get_client()
    found = [
        screen.export_html(),
        pretty_repr(account),
        repr(account),
        str(account),
        f"{account:>300}" if type(account).__format__ is not object.__format__ else f"{account}",
        str(vars(account)),
        str(account.__dict__),
        str(account.__pydantic_private__),
        account.model_dump_json(),
        str(account.model_dump()),
        str(account.model_dump(mode="json")),
        repr(client),
        str(vars(client)),
        str(vars(client._exchange)),
        str(list(account.__rich_repr__())),
    ]
    ways = ("_repr_html_", "_repr_markdown_", "_repr_mimebundle_", "_repr_pretty_", "_repr_json_")
    return found + [str(getattr(account, way)()) for way in ways if hasattr(account, way)]


def crash_dumps(error: BaseException) -> list[str]:
    """A traceback as those print it who print all variables."""
    from rich.console import Console
    from rich.traceback import Traceback

    screen = Console(file=io.StringIO(), width=250, record=True)
    # Without this script's own frame, which has all that was printed of errors before.
    trace = error.__traceback__ and error.__traceback__.tb_next
    assert trace is not None
    how: dict[str, Any] = {
        "show_locals": True,
        "locals_max_string": 10_000,
        "locals_max_length": 99,
    }
    screen.print(Traceback.from_exception(type(error), error, trace, **how))
    whole = traceback.TracebackException(type(error), error, trace, capture_locals=True)
    return [screen.export_text(), "".join(whole.format())]


if __name__ == "__main__":
    main(*sys.argv[1:])
