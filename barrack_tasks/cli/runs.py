"""`barrack logs` and `barrack events`: what runs said, and what this library has seen and done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from barrack_tasks.cli.answers import EventShown, LogShown
from barrack_tasks.cli.failing import WrongWordsError
from barrack_tasks.cli.inputs import AsJson, between
from barrack_tasks.cli.screen import Screen
from barrack_tasks.plans.durations import read_positive

_EVERY = 2.0
_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red", "DEBUG": "dim"}
_MOST = 50
Follow = Annotated[bool, Parameter(name=["--follow", "-f"], negative="")]


def logs(run: str, /, *, follow: Follow = False, json: AsJson = False) -> int:
    """Show the log of a run.

    Parameters
    ----------
    run
        Its name or id, as `barrack ls runs` shows it.
    follow
        Go on as lines come, until the run has ended.
    json
        Show JSON; with --follow, one line of JSON for each line.
    """
    from barrack_tasks.cli.prefect_lists import read_logs, run_called, server_client

    screen = Screen()
    with server_client() as client:
        one = run_called(client, run)
        lines = read_logs(client, one.id)
        if json and not follow:
            screen.print_json(lines, list[LogShown])
            return 0
        _show_lines(screen, lines, json)
        count = len(lines)
        while follow and one.state in ("Running", "Pending", "Cancelling", "Paused"):
            time.sleep(_EVERY)
            one = run_called(client, one.id)
            lines = read_logs(client, one.id, count)
            count += len(lines)
            _show_lines(screen, lines, json)
    return 0


def _show_lines(screen: Screen, lines: Sequence[LogShown], as_json: bool) -> None:
    for line in lines:
        if as_json:
            screen.print_json_line(line)
        else:
            when = f"{line.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
            screen.print(f"{when}  {line.level:8}  {line.text}", style=_STYLES.get(line.level, ""))


def events(
    *,
    since: str = "1h",
    limit: Annotated[int, between(1, _MOST), Parameter(name=["--limit", "-n"])] = _MOST,
    follow: Follow = False,
    json: AsJson = False,
) -> int:
    """Show what this library has seen and done: its events, the oldest first.

    Parameters
    ----------
    since
        So far back, such as 30m or 2d.
    limit
        At most so many, the newest.
    follow
        Go on as events come, until you press Ctrl-C.
    json
        Show JSON; with --follow, one line of JSON for each event.
    """
    from barrack_tasks.cli.prefect_lists import read_events, server_client

    try:
        start = datetime.now(UTC) - read_positive(since)
    except ValueError as error:
        raise WrongWordsError(f"--since: {error}") from None
    screen = Screen()
    with server_client() as client:
        found = read_events(client, start, limit)
        if json and not follow:
            screen.print_json(found, list[EventShown])
            return 0
        if not found and not follow:
            screen.print(f"There was no event within {since}.")
            return 0
        if follow and not json and screen.is_terminal:
            screen.print("Events are shown as they come; Ctrl-C ends this.", style="dim")
        seen: set[str] = set()
        while True:
            fresh = [one for one in found if one.id not in seen]
            seen |= {one.id for one in fresh}
            _show_events(screen, fresh, json)
            if not follow:
                return 0
            time.sleep(_EVERY)
            found = read_events(client, start, _MOST)


def _show_events(screen: Screen, found: Sequence[EventShown], as_json: bool) -> None:
    for one in found:
        if as_json:
            screen.print_json_line(one)
            continue
        about = ", ".join(f"{key} {value}" for key, value in one.payload.items() if value)
        when = f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        name = one.name or one.resource
        screen.print(f"{when}  {one.event}  {name}{f'  ({about})' if about else ''}")
