"""`barrack run`, and the short ways to the flows that people start by hand."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.live import Live
from rich.text import Text

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.accounts import has_key
from barrack_tasks.cli.answers import ReportShown, RowShown
from barrack_tasks.cli.failing import WrongWordsError, in_one_line
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.leaving import aware_of_its_server, interruption
from barrack_tasks.cli.running import WIDTH, flags_of, given_by, help_of, jsonable, parameters_of
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import Server, known_server, spoken_with
from barrack_tasks.cli.up import BLOCK
from barrack_tasks.plans.names import nearest
from barrack_tasks.plans.report import Report, effect_of, money

if TYPE_CHECKING:
    from collections.abc import Mapping

run_app = App(name="run", help_flags=[], help="Run a flow now, in this process.")
_HELP = ("--help", "-h")
_OWN = {"--json", "--watch", "--no-watch"}
_MOST_LINES = 40
_OF_A_TEMPORARY_SERVER = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # a busy machine takes a minute
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}


@run_app.default
def run(*words: Annotated[str, Parameter(allow_leading_hyphen=True, negative="")]) -> int:
    """Run a flow now, in this process, and show what it did.

    Each parameter of the flow is a flag: `barrack run hibernate --select train-* --dry-run`. A
    value with parts is JSON or YAML. `barrack run FLOW --help` lists the flags of a flow. Ends 0
    when all is done, 1 when something failed, and 2 when what was given cannot be meant.

    Parameters
    ----------
    words
        The flow, its parameters, and --json for JSON, --watch to see on a terminal or in a pipe
        what each instance is doing (on a terminal it is shown unless you say --no-watch).
    """
    from barrack_tasks import flows

    screen = Screen()
    name, *rest = words or ("--help",)
    if name in _HELP:
        screen.print("Usage: barrack run FLOW [NAMES...] [FLAGS]")
        for line in wrap(f"Flows: {', '.join(flows.__all__)}", WIDTH):
            screen.print(line)
        screen.print("`barrack run FLOW --help` lists the flags of a flow.")
        return 0 if words else 2
    flow = name.replace("-", "_")
    if flow not in flows.__all__:
        raise WrongWordsError(f"there is no flow {name!r}; {nearest(flow, flows.__all__)}")
    function = getattr(flows, flow).fn
    if any(word in _HELP for word in rest):
        for line in help_of(flow, function):
            screen.print(line)
        return 0
    own = {word for word in rest if word in _OWN}
    flags = flags_of(function)
    given = given_by([word for word in rest if word not in _OWN], flags)
    watch = True if "--watch" in own else (False if "--no-watch" in own else None)
    return run_flow(flow, parameters_of(flags, given), "--json" in own, is_watched(watch))


def hibernate(
    names: list[str],
    /,
    *,
    snapshot: bool = False,
    dry_run: bool = False,
    credentials: str | None = None,
    watch: bool | None = None,
    json: AsJson = False,
) -> int:
    """Hibernate instances: the short way to `barrack run hibernate`.

    Parameters
    ----------
    names
        Names, globs and ids of instances.
    snapshot
        Take a snapshot first, and hibernate only once it is ready.
    dry_run
        Show what would be done, and change nothing.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    watch
        Show what each instance is doing; on a terminal it is shown anyway.
    json
        Show JSON instead of a table.
    """
    given = {"select": names, "snapshot": snapshot, "dry_run": dry_run, "credentials": credentials}
    return run_flow("hibernate", given, json, is_watched(watch))


def restore(
    names: list[str],
    /,
    *,
    dry_run: bool = False,
    credentials: str | None = None,
    watch: bool | None = None,
    json: AsJson = False,
) -> int:
    """Bring hibernated instances back: the short way to `barrack run restore`.

    Parameters
    ----------
    names
        Names, globs and ids of instances.
    dry_run
        Show what would be done, and change nothing.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    watch
        Show what each instance is doing; on a terminal it is shown anyway.
    json
        Show JSON instead of a table.
    """
    given = {"select": names, "dry_run": dry_run, "credentials": credentials}
    return run_flow("restore", given, json, is_watched(watch))


def is_watched(watch: bool | None) -> bool:
    """Whether progress is shown: where it is not said, on a terminal."""
    return sys.stderr.isatty() if watch is None else watch


class InterruptedWork(KeyboardInterrupt):
    """Somebody ended a flow; `at_work` names the instances that it was not done with."""

    def __init__(self, at_work: tuple[str, ...]) -> None:
        super().__init__()
        self.at_work = at_work


@contextmanager
def ready_for_flows(told: Screen) -> Iterator[Server]:
    """The Prefect server that flows of this process use: the one that is known, or a temporary one.

    Args:
        told: where it is said that a temporary one is started, which takes a while.

    Raises:
        ServerAwayError: a server is known, and it does not answer.
    """
    with known_server() as server, spoken_with({} if server.url else _OF_A_TEMPORARY_SERVER):
        if server.url is None:
            told.print("No Prefect server is known, so a temporary one is started ...", style="dim")
        elif not server.answers:
            raise server.away()
        yield server
        if server.url is None:
            # As the process ends, Prefect logs that the server of it is stopped: that is no news.
            logging.getLogger("prefect").setLevel(logging.WARNING)


def account_for_flows(given: str | None, server: Server) -> str | None:
    """The `credentials` of a flow: what is given, the environment's account, or that of `up`.

    Raises:
        BarrackConfigurationError: no account is known.
    """
    if given is not None or has_key():
        return given
    if server.answers:
        return BLOCK
    raise BarrackConfigurationError(
        "no account is known; set BARRACK_API_KEY to your key (dashboard, API Keys page), or pass "
        "--credentials with the name of a saved block"
    )


def call_flow(name: str, parameters: Mapping[str, Any], watch: bool = False) -> Any:
    """Call a flow of this library, with Prefect's log kept from the screen.

    Args:
        name: of its function, such as `hibernate`.
        parameters: what it is called with.
        watch: show what each instance is doing, as the error output.

    Raises:
        ServerAwayError: a server is known, and it does not answer.
        BarrackConfigurationError: no account is known.
        InterruptedWork: somebody pressed Ctrl-C.
        Exception: what the flow raises.
    """
    told = Screen(stderr=True)
    with ready_for_flows(told) as server:
        given = dict(parameters)
        account = account_for_flows(given.pop("credentials", None), server)
        if account is not None:
            given["credentials"] = account
        return call_flow_there(name, given, told, watch)


def call_flow_there(name: str, given: Mapping[str, Any], told: Screen, watch: bool = False) -> Any:
    """Call a flow where a server is `ready_for_flows` already; otherwise as `call_flow`."""
    from barrack_tasks import flows
    from barrack_tasks.server.live import hidden

    with (
        hidden(),
        _quiet(),
        _progress(told, watch) as lines,
        aware_of_its_server(told, lambda: lines.at_work),
    ):
        try:
            return getattr(flows, name)(**given)
        except KeyboardInterrupt:
            raise InterruptedWork(lines.at_work) from None


def run_flow(name: str, parameters: Mapping[str, Any], as_json: bool, watch: bool) -> int:
    """Run a flow of this library in this process, and show its report.

    Args:
        name: of its function, such as `hibernate`.
        parameters: what it is called with.
        as_json: show JSON instead of a table.
        watch: show what each instance is doing, as the error output.

    Returns:
        0 if all is done, 1 if something failed, 130 if it was interrupted.

    Raises:
        Exception: what was given cannot be meant, or the cloud failed.
    """
    told = Screen(stderr=True)
    try:
        result = call_flow(name, parameters, watch)
    except InterruptedWork as error:
        told.print(f"barrack: {interruption(error.at_work)}", style="yellow")
        return 130
    except Exception as error:
        report = getattr(error, "report", None)
        if report is None:
            raise
        _show(name, report, as_json)
        told.print(f"barrack: {in_one_line(str(error))}", style="red")
        return 1
    _show(name, result, as_json)
    return 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Prefect's log from the screen: what a person needs of it is shown in another way."""
    from prefect.logging.configuration import setup_logging
    from prefect.logging.handlers import PrefectConsoleHandler

    setup_logging()  # a run would do it, and add handlers that are not here yet
    loggers = [logging.root, *map(logging.getLogger, [*logging.root.manager.loggerDict])]
    handlers = [h for one in loggers for h in one.handlers if isinstance(h, PrefectConsoleHandler)]
    for handler in handlers:
        handler.addFilter(_nothing)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


class _Lines(logging.Handler):
    """What each instance is doing, from the records that tell it: a line an instance."""

    def __init__(self, screen: Screen, watch: bool) -> None:
        super().__init__(logging.INFO)
        self._screen, self._watch = screen, watch
        self._doing: dict[str, str] = {}
        self._ended: set[str] = set()
        self._guard = threading.Lock()
        is_live = watch and screen.is_terminal
        self.live = Live(console=screen, transient=True) if is_live else None

    @property
    def at_work(self) -> tuple[str, ...]:
        """The instances that the flow is not done with, so far as it began with them."""
        return tuple(name for name in self._doing if name not in self._ended)

    def emit(self, record: logging.LogRecord) -> None:
        names = getattr(record, "barrack_names", ())
        doing = getattr(record, "barrack_doing", "")
        with self._guard:
            self._doing |= dict.fromkeys(names, doing)
            if getattr(record, "barrack_ended", False):
                self._ended |= set(names)
            if not self._watch:
                return
            if self.live is not None:
                self.live.update(self._picture())
            for name in names if self.live is None else ():
                self._screen.print(f"{name}: {doing}")
            if not names and record.levelno == logging.WARNING:
                self._screen.print(record.getMessage(), style="yellow")

    def _picture(self) -> Text:
        """The newest line of each instance, of so many as a screen can hold."""
        rows = [one_line(f"{name}: {doing}") for name, doing in self._doing.items()]
        more = len(rows) - _MOST_LINES
        shown = [*rows[-_MOST_LINES:], *([f"and {more} more"] if more > 0 else [])]
        return Text("\n".join(shown), no_wrap=True, overflow="ellipsis")


@contextmanager
def _progress(screen: Screen, watch: bool) -> Iterator[_Lines]:
    handler = _Lines(screen, watch)
    logger = logging.getLogger("prefect.flow_runs")
    logger.addHandler(handler)
    try:
        with handler.live or nullcontext():
            yield handler
    finally:
        logger.removeHandler(handler)


def shown_of(name: str, result: Any) -> ReportShown:
    """What a flow returned, as `--json` shows it."""
    if not isinstance(result, Report):
        ok = getattr(result, "ok", True)
        return ReportShown(
            flow=name, dry_run=False, ok=ok, rows=(), notes=(), told=(), result=jsonable(result)
        )
    rows = tuple(
        RowShown(
            id=row.instance_id,
            name=row.instance,
            was=row.was,
            did=row.did,
            now=row.now,
            outcome=row.outcome,
            why=row.why,
            snapshot=row.snapshot,
            hourly_before=row.hourly_before,
            hourly_now=row.hourly_now,
            currency=row.currency,
        )
        for row in result.rows
    )
    return ReportShown(
        flow=name,
        dry_run=result.dry_run,
        ok=result.ok,
        rows=rows,
        notes=result.notes,
        told=result.told,
    )


def _show(name: str, result: Any, as_json: bool) -> None:
    screen = Screen()
    if as_json:
        screen.print_json(shown_of(name, result))
        return
    if not isinstance(result, Report):
        text = getattr(result, "markdown", None)
        for line in (text() if callable(text) else str(result)).splitlines():
            screen.print(line)
        return
    if not result.rows:
        screen.print("Nothing needed to be done.")
    else:
        screen.print_rows("", *_cells(result))
        screen.print(_conclusion(result))
    for sentence in (*result.notes, *result.told):
        screen.print(sentence, style="yellow")


def _cells(report: Report) -> tuple[list[str], list[list[str]]]:
    """Columns and cells of a report, without the columns that say nothing."""
    columns = ("instance", "was", "done", "now", "an hour", "snapshot", "why")
    rows = []
    for row in report.rows:
        before, after = money(row.hourly_before, None), money(row.hourly_now, row.currency)
        is_same = row.hourly_before == row.hourly_now
        rows.append(
            (
                row.instance,
                row.was,
                f"{row.outcome}: {', '.join(row.did)}" if row.did else row.outcome,
                "" if report.dry_run or row.now == row.was else row.now,
                after if is_same else f"{before} -> {after}",
                row.snapshot or "",
                row.why,
            )
        )
    used = [n for n in range(len(columns)) if any(row[n] not in ("", "?") for row in rows)]
    return [columns[n] for n in used], [[row[n] for n in used] for row in rows]


def _conclusion(report: Report) -> str:
    change, unknown = effect_of(report)
    failed = f", {len(report.failed)} failed" if report.failed else ""
    noun = re.sub(r"s\b", "", report.noun, count=1) if len(report.rows) == 1 else report.noun
    what = f"{len(report.rows)} {noun}{failed}"
    if not change and not unknown:
        effect = "the cost an hour stays as it is"
    else:
        more = "more" if change >= 0 else "less"
        effect = f"{money(abs(change), report.currency)} an hour {more}"
        effect += f", not counting {unknown} of unknown price" if unknown else ""
    dry = "Dry run, nothing was changed: " if report.dry_run else ""
    return f"{dry}{what}; {effect}."
