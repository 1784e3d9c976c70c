"""`barrack status`: what runs, what it costs, and what watches over it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from barrack_tasks.api import BarrackConfigurationError, BarrackError
from barrack_tasks.cli.servers import known_server
from barrack_tasks.cli.up import BLOCK
from barrack_tasks.plans.money.burn import runway
from barrack_tasks.plans.money.spans import said
from barrack_tasks.plans.report import money

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from barrack_tasks.credentials import BarrackCredentials

_ARMED = {"True": "no: dry run", "False": "ARMED"}


def status(*, credentials: str | None = None) -> int:
    """Instances, burn and runway; guards and whether they are armed; last runs and next ones.

    Parameters
    ----------
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    """
    console = Console(highlight=False)
    with known_server() as server:
        fine = _show_account(console, credentials, server.answers)
        if not server.answers:
            console.print(f"\n{server.absence}", soft_wrap=True)
            return 1
        _show_guards(console, str(server.url))
        _show_unowned(console)
    return 0 if fine else 1


def _account(name: str | None, there: bool) -> BarrackCredentials:
    from barrack_tasks.credentials import BarrackCredentials

    if name is not None:
        return BarrackCredentials.resolve(name)
    try:
        return BarrackCredentials.from_environment()
    except BarrackConfigurationError:
        if not there:
            raise
        return BarrackCredentials.resolve(BLOCK)


def _show_account(console: Console, name: str | None, there: bool) -> bool:
    from barrack_tasks.funds import read_funds

    try:
        funds = read_funds.fn(_account(name, there))
    except BarrackError as error:
        console.print(f"Account: {error}", style="red", markup=False, soft_wrap=True)
        return False
    burn = funds.burn()
    currency = str(funds.balance.currency)
    counts = Counter(str(i.status) for i in funds.instances)
    states = ", ".join(f"{n} {word}" for word, n in counts.most_common()) or "none"
    console.print(f"Instances: {states}")
    console.print(f"Balance:   {money(funds.balance.amount, currency)}")
    console.print(f"Burn:      {money(burn.hourly, currency)} an hour")
    console.print(f"Runway:    {said(runway(funds.balance.amount, burn.hourly))}")
    return True


def _show_guards(console: Console, url: str) -> None:
    from prefect.client.orchestration import get_client

    from barrack_tasks.deploying import read_deployed

    now = datetime.now(UTC)
    table = Table(title=f"Deployments at {url.removesuffix('/api')}", title_justify="left")
    for column in ("deployment", "armed", "schedule", "last run", "next run"):
        table.add_column(column, overflow="fold")
    with get_client(sync_client=True) as client:
        for one in read_deployed(client):
            armed = _ARMED.get(str(one.parameters.get("dry_run")), "-")
            is_on = any(s["active"] for s in one.schedules) and not one.paused
            last, upcoming = _runs_of(client, one.id, now)
            schedule = ("on" if is_on else "off") if one.schedules else "on demand"
            table.add_row(one.full_name, armed, schedule, last, upcoming)
    console.print()
    console.print(table)


def _show_unowned(console: Console) -> None:
    from barrack_tasks.adopting import told_of_unowned

    for sentence in told_of_unowned():
        console.print(sentence, style="yellow", markup=False, soft_wrap=True)


def _runs_of(client: SyncPrefectClient, deployment: str, now: datetime) -> tuple[str, str]:
    """The last run that began and the next that is due, as text."""
    about = {"deployments": {"id": {"any_": [deployment]}}, "limit": 1}

    def first(which: dict[str, Any], order: str) -> dict[str, Any] | None:
        body = {**about, "flow_runs": which, "sort": order}
        found: list[dict[str, Any]] = client.request("POST", "/flow_runs/filter", json=body).json()
        return found[0] if found else None

    # Prefect counts a run that waits by when it is due, if it is not told otherwise.
    has_begun = {"before_": now.isoformat(), "is_null_": False}
    begun = first({"start_time": has_begun}, "START_TIME_DESC")
    due = first({"state": {"type": {"any_": ["SCHEDULED"]}}}, "EXPECTED_START_TIME_ASC")
    last = f"{begun['state']['name']}, {_ago(begun['start_time'], now)} ago" if begun else "never"
    return last, f"in {_ago(due['expected_start_time'], now)}" if due else "-"


def _ago(moment: str, now: datetime) -> str:
    return said(max(timedelta(0), abs(now - datetime.fromisoformat(moment))))
