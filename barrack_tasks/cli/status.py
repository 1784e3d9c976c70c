"""`barrack status`: what runs, what it costs, and what watches over it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from barrack_tasks.api import BarrackError
from barrack_tasks.cli.accounts import account_named
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.money.burn import runway
from barrack_tasks.plans.report import money

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_ARMED = {"True": "no: dry run", "False": "ARMED"}
_LONG = timedelta(hours=1)
"""A run that is at work for longer is shown as one that hangs."""


def status(*, credentials: str | None = None) -> int:
    """Show instances, burn and runway, which guards are armed, and which hang or fail and why.

    Parameters
    ----------
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    """
    screen = Screen()
    with known_server() as server:
        fine = _show_account(screen, credentials, server.answers)
        if not server.answers:
            screen.print(f"\n{server.absence}")
            return 1
        _show_guards(screen, str(server.url))
        _show_unowned(screen)
    return 0 if fine else 1


def _show_account(screen: Screen, name: str | None, there: bool) -> bool:
    from barrack_tasks.controllers.money.funds import read_funds

    try:
        funds = read_funds(account_named(name, there))
    except BarrackError as error:
        screen.print(f"Account: {error}", style="red")
        return False
    burn = funds.burn()
    currency = str(funds.balance.currency)
    counts = Counter(str(i.status) for i in funds.instances)
    states = ", ".join(f"{n} {word}" for word, n in counts.most_common()) or "none"
    screen.print(f"Instances: {states}")
    screen.print(f"Balance:   {money(funds.balance.amount, currency)}")
    screen.print(f"Burn:      {money(burn.hourly, currency)} an hour")
    screen.print(f"Runway:    {said(runway(funds.balance.amount, burn.hourly))}")
    for missing in funds.missing:
        screen.print(f"Unread:    {missing}", style="yellow")
    return True


def _show_guards(screen: Screen, url: str) -> None:
    from prefect.client.orchestration import get_client

    from barrack_tasks.cli.deployments import read_deployed
    from barrack_tasks.runtime.health import blind_guards, hanging, how_it_ended

    now = datetime.now(UTC)
    columns = ("deployment", "armed", "schedule", "last completed", "next run")
    rows: list[tuple[str, ...]] = []
    troubles: list[str] = []
    with get_client(sync_client=True) as client:
        for one in read_deployed(client):
            armed = _ARMED.get(str(one.parameters.get("dry_run")), "-")
            is_on = any(s["active"] for s in one.schedules) and not one.paused
            schedule = ("on" if is_on else "off") if one.schedules else "on demand"
            completed, upcoming = _runs_of(client, one.id, now)
            rows.append((one.full_name, armed, schedule, completed, upcoming))
            about = [*hanging(client, one.id, now, _LONG), how_it_ended(client, one.id)]
            troubles += [f"{one.full_name}: {text}" for text in about if text]
        blind = [one.text for one in blind_guards(client)]
    screen.print()
    screen.print_rows(f"Deployments at {url.removesuffix('/api')}", columns, rows)
    for text in troubles:
        screen.print(text, style="yellow")
    for text in blind:
        screen.print(f"BLIND: {text}", style="red")


def _show_unowned(screen: Screen) -> None:
    from barrack_tasks.controllers.adoption import told_of_unowned

    for sentence in told_of_unowned():
        screen.print(sentence, style="yellow")


def _runs_of(client: SyncPrefectClient, deployment: str, now: datetime) -> tuple[str, str]:
    """When a run last completed, and when the next one is due, as text."""
    from barrack_tasks.runtime.health import COMPLETED, runs_of

    did = {"state": {"name": {"any_": [COMPLETED]}}}
    waits = {"state": {"type": {"any_": ["SCHEDULED"]}}}
    completed = runs_of(client, [deployment], did, "END_TIME_DESC", 1)
    due = runs_of(client, [deployment], waits, "EXPECTED_START_TIME_ASC", 1)
    return (
        f"{_span(completed[0]['end_time'], now)} ago" if completed else "never",
        _due(due[0]["expected_start_time"], now) if due else "-",
    )


def _due(moment: str, now: datetime) -> str:
    is_late = datetime.fromisoformat(moment) < now
    return f"due {_span(moment, now)} ago" if is_late else f"in {_span(moment, now)}"


def _span(moment: str, now: datetime) -> str:
    return said(abs(now - datetime.fromisoformat(moment)))
