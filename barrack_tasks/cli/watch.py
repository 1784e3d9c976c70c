"""`barrack watch`: the fleet, what it burns, how long that lasts, and what runs next."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from rich.live import Live
from rich.text import Text

from barrack_tasks.api import BarrackError
from barrack_tasks.cli.accounts import account_named
from barrack_tasks.cli.answers import DueShown, RunShown, WatchShown
from barrack_tasks.cli.inputs import AsJson, between
from barrack_tasks.cli.listing import SPARE, cells_of, dearest_first, instance_shown
from barrack_tasks.cli.runs import Follow
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.cli.status import account_shown, money_lines
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.money.burn import Tariff
from barrack_tasks.plans.names import PREFIX

if TYPE_CHECKING:
    from barrack_tasks.server.credentials import BarrackCredentials

_MOST = 5


def watch(
    *,
    every: Annotated[float, between(1, 3600)] = 5.0,
    follow: Follow = False,
    credentials: str | None = None,
    json: AsJson = False,
) -> int:
    """Show the fleet, what it burns, how long that lasts, what is at work and what runs next.

    On a terminal it goes on until you press Ctrl-C; in a pipe it shows this once.

    Parameters
    ----------
    every
        Seconds between two looks.
    follow
        Go on in a pipe, too.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    json
        Show each look as one line of JSON.
    """
    screen = Screen()
    goes_on = follow or screen.is_terminal
    with known_server() as server:
        account = account_named(credentials, server.answers)
        while json or not screen.is_terminal:
            if json:
                screen.print_json_line(_shown(account, server.answers))
            else:
                _show(screen, account, server.answers)
            if not goes_on:
                return 0
            time.sleep(every)
        with Live(_picture(screen, account, server.answers), console=screen, screen=True) as live:
            while True:
                time.sleep(every)
                live.update(_picture(screen, account, server.answers))


def _picture(screen: Screen, account: BarrackCredentials, there: bool) -> Text:
    with screen.capture() as shown:
        # It stands above, since what has no room on the screen is cut below.
        screen.print(f"{datetime.now(UTC):%H:%M:%S} UTC, Ctrl-C ends this", style="dim")
        screen.print()
        try:
            _show(screen, account, there)
        except BarrackError as error:
            screen.print(str(error), style="red")
    return Text.from_ansi(shown.get())


def _shown(account: BarrackCredentials, there: bool) -> WatchShown:
    """A look, as `--json` shows it; what cannot be read then is the next time."""
    from barrack_tasks.controllers.money.funds import read_funds

    try:
        funds = read_funds(account)
    except BarrackError as error:
        at = datetime.now(UTC)
        return WatchShown(at=at, account=None, instances=(), runs=(), due=(), problem=str(error))
    runs, due = _read_runs() if there else ([], [])
    return WatchShown(
        at=funds.at,
        account=account_shown(funds),
        instances=tuple(dearest_first(instance_shown(i, Tariff()) for i in funds.instances)),
        runs=tuple(runs),
        due=tuple(DueShown(deployment=name, at=at) for name, at in due),
        problem=None,
    )


def _show(screen: Screen, account: BarrackCredentials, there: bool) -> None:
    from barrack_tasks.controllers.money.funds import read_funds

    funds = read_funds(account)
    for line in money_lines(account_shown(funds)):
        screen.print(line)
    screen.print()
    rows = dearest_first(instance_shown(one, Tariff()) for one in funds.instances)
    if rows:
        columns, cells = cells_of(rows, funds.at)
        screen.print_rows("", columns, cells, [name for name in SPARE if name in columns])
    else:
        screen.print("There are no instances.")
    for missing in funds.missing:
        screen.print(f"Could not be read: {missing}", style="yellow")
    if there:
        _show_runs(screen)


def _read_runs() -> tuple[list[RunShown], list[tuple[str, datetime]]]:
    from prefect.client.orchestration import get_client

    from barrack_tasks.cli.prefect_lists import read_due, read_runs

    with get_client(sync_client=True) as client:
        return read_runs(client, _MOST), read_due(client, _MOST)


def _show_runs(screen: Screen) -> None:
    now = datetime.now(UTC)
    runs, due = _read_runs()
    if runs:
        screen.print()
        cells = [(one.name, one.state, one.flow.removeprefix(PREFIX), one.why) for one in runs]
        screen.print_rows("Last runs", ("run", "state", "flow", "why"), cells)
    if due:
        screen.print()
        times = [
            (
                name.rpartition("/")[2],
                f"in {said(at - now)}" if at > now else f"due {said(now - at)} ago",
            )
            for name, at in due
        ]
        screen.print_rows("Runs next", ("deployment", "when"), times)
