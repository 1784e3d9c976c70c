"""What was spent on what, what hibernation saved, and what the month will come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from barrack_tasks.controllers.money.bills import check_file, read_bill, save
from barrack_tasks.controllers.money.funds import read_funds
from barrack_tasks.controllers.owners import known_owners
from barrack_tasks.controllers.reports import keep
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans.money.advice import advice_of
from barrack_tasks.plans.money.bill import days_back
from barrack_tasks.plans.money.budgets import period_of
from barrack_tasks.plans.money.cost_report import CHART_TITLE, CostReport
from barrack_tasks.plans.power.schedule import Rule, read_rules_if_any
from barrack_tasks.plans.timetable.zone_names import Zone, zone_of
from barrack_tasks.runtime.charts import stacked_bars
from barrack_tasks.runtime.parameters import Credentials, Notify


@barrack_flow(name="report_costs")
def report_costs(
    days: Annotated[int, Field(ge=1, le=366)] = 30,
    zone: Zone = "UTC",
    save_to: Path | None = None,
    rules: Annotated[list[Rule], BeforeValidator(read_rules_if_any)] = [],  # noqa: B006 - for the form
    notify: Notify = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    credentials: Credentials = None,
) -> CostReport:
    """Report what was spent by instance, GPU model, region, state, owner, team and day.

    Changes nothing. Owners and teams are those of `barrack owner` and of leases, where there are
    any.

    The report is kept as the artifact `costs`, with a chart. It compares the last seven days with
    the seven before if `days` is 14 or more, and says what could have been saved. What is gone is
    part of it if this library saw it while it was there: the API has no list of what was deleted.

    Args:
        days: how many days back, besides the present one.
        zone: whose days and months count.
        save_to: a file for the records, as CSV or JSON by its ending.
        rules: as `follow_schedule` takes them: then the report says what ran outside them.
        notify: names of notification blocks that the sum is sent to, with the chart in mails.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        The bill: totals, `records()` for a DataFrame, `csv()`, `json()`.

    Raises:
        ValueError: no such zone, or a file with another ending.
        BarrackError: the balance cannot be read. What else cannot is named in the report.

    Example:
        >>> pandas.DataFrame(report_costs(days=7).records())
    """
    run = Run.begin("report_costs", credentials, notify)
    zone = zone_of(zone).key
    check_file(save_to)
    funds = read_funds(run.account)
    month = period_of("month", funds.at, zone)
    first = days_back(funds.at, days, zone)
    whole = read_bill(run.account, funds, min(first, month.start), funds.at, zone)
    advice = advice_of(whole.from_moment(first), funds.instances, rules)
    report = CostReport.of(whole, first, month, funds.at, funds.burn(), advice)
    owners, leases = known_owners(run.account.account)
    report = replace(report, owners=tuple(owners), leases=tuple(leases))
    for name in whole.missing:
        run.log.warning("its bill could not be read: %s", name)
    by_day = report.bill.by_day_and("state")
    report = replace(
        report, picture=stacked_bars(CHART_TITLE, by_day, report.bill.currency) if by_day else ""
    )
    if save_to is not None:
        save(report, save_to)
    page = report.page()
    run.tell(f"Barrack: {page.title}", [page.summary, *report.advice], picture=report.picture)
    keep("costs", run.account.account, report.artifact(), "What was spent", post=run.post)
    return report
