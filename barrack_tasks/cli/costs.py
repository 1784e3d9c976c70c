"""`barrack costs`: what everything costs now, and what it has cost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from barrack_tasks.cli.accounts import account_named
from barrack_tasks.cli.answers import CostShown, CostsShown
from barrack_tasks.cli.inputs import AsJson, between
from barrack_tasks.cli.run import call_flow_there
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.money.burn import Cost, runway
from barrack_tasks.plans.report import money

if TYPE_CHECKING:
    from barrack_tasks.controllers.money.funds import Funds
    from barrack_tasks.plans.money.cost_report import CostReport
    from barrack_tasks.server.credentials import BarrackCredentials


def costs(
    *,
    days: Annotated[int, between(1, 366)] = 30,
    zone: str = "UTC",
    credentials: str | None = None,
    json: AsJson = False,
) -> int:
    """Show what everything costs an hour, what it has cost, and what the month comes to.

    Runs the flow report_costs, which has the same by day, region and GPU model. Without a Prefect
    server it counts only what is there now, since nothing remembers what is gone.

    Parameters
    ----------
    days
        How many days back, besides the present one.
    zone
        Whose days and months count, such as Europe/Berlin.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    json
        Show JSON instead of a table.
    """
    told = Screen(stderr=True)
    with known_server() as server:
        from barrack_tasks.controllers.money.funds import read_funds

        if server.url is not None and not server.answers:
            raise server.away()
        account = account_named(credentials, server.answers)
        funds = read_funds(account)
        if server.answers:
            given = {"days": days, "zone": zone, "credentials": account}
            report: CostReport = call_flow_there("report_costs", given, told)
        else:
            report = _report_without_server(account, funds, days, zone)
            told.print(
                "No Prefect server is known. It would remember what was deleted, so only what "
                "exists now is counted.",
                style="dim",
            )
    answer = _shown(report, funds, days)
    if json:
        Screen().print_json(answer)
    else:
        _show(Screen(), answer)
    return 0


def _report_without_server(
    account: BarrackCredentials, funds: Funds, days: int, zone: str
) -> CostReport:
    from barrack_tasks.controllers.money.bills import bill_of_what_is_there
    from barrack_tasks.plans.money.bill import days_back
    from barrack_tasks.plans.money.budgets import period_of
    from barrack_tasks.plans.money.cost_report import CostReport
    from barrack_tasks.plans.timetable.zone_names import zone_of

    zone = zone_of(zone).key
    month, first = period_of("month", funds.at, zone), days_back(funds.at, days, zone)
    whole = bill_of_what_is_there(account, funds, min(first, month.start), funds.at, zone)
    return CostReport.of(whole, first, month, funds.at, funds.burn())


def _shown(report: CostReport, funds: Funds, days: int) -> CostsShown:
    burn = funds.burn()
    spent: dict[tuple[str, str], Decimal] = {}
    names: dict[tuple[str, str], str] = {}
    for charge in report.bill.charges:
        key = (charge.thing.kind, charge.thing.id)
        names[key] = charge.thing.name
        spent[key] = spent.get(key, Decimal(0)) + charge.cost
    now: dict[tuple[str, str], Cost] = {(cost.kind, cost.id): cost for cost in burn.costs}
    things = [
        CostShown(
            kind=key[0],
            name=now[key].name if key in now else names[key],
            state=now[key].state if key in now else "gone",
            hourly=now[key].hourly if key in now else Decimal(0),
            spent=spent.get(key, Decimal(0)),
        )
        for key in dict.fromkeys([*now, *spent])
    ]
    things.sort(key=lambda t: (t.hourly is not None, -(t.hourly or 0), -(t.spent or 0), t.name))
    lasts = runway(funds.balance.amount, burn.hourly)
    return CostsShown(
        days=days,
        currency=str(funds.balance.currency),
        balance=funds.balance.amount,
        hourly=burn.hourly,
        runway_seconds=None if lasts is None else lasts.total_seconds(),
        spent=report.bill.total,
        month_so_far=report.month_so_far,
        month_forecast=report.month_forecast,
        saved_by_hibernation=report.bill.saved_by_hibernation,
        things=tuple(things),
        unread=(*report.bill.missing, *report.unpriced),
    )


def _show(screen: Screen, answer: CostsShown) -> None:
    def amount(value: Decimal | None) -> str:
        return money(value, answer.currency)

    rows = [
        (one.name, one.kind, one.state, amount(one.hourly), amount(one.spent))
        for one in answer.things
    ]
    if rows:
        screen.print_rows("", ("what", "kind", "state", "an hour", "spent"), rows)
        screen.print()
    lasts = answer.runway_seconds
    runs_out = said(None if lasts is None else timedelta(seconds=lasts))
    for name, value in (
        ("Burn now", f"{amount(answer.hourly)} an hour"),
        ("Balance", f"{amount(answer.balance)}, which lasts {runs_out}"),
        (f"Spent in {answer.days} days", amount(answer.spent)),
        ("This month so far", amount(answer.month_so_far)),
        ("This month, if nothing changes", amount(answer.month_forecast)),
        ("Saved by hibernation", amount(answer.saved_by_hibernation)),
    ):
        screen.print(f"{name + ':':32} {value}")
    for sentence in answer.unread:
        screen.print(f"Could not be read: {sentence}", style="yellow")
