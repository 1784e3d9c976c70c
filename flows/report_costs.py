"""What was spent on what, what hibernation saved, and what the month will come to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from barrack_tasks.controllers.money.bills import check_file, read_bill, save
from barrack_tasks.controllers.money.funds import read_funds
from barrack_tasks.controllers.reports import keep
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans.money.bill import days_back
from barrack_tasks.plans.money.budgets import period_of
from barrack_tasks.plans.money.cost_report import CostReport
from barrack_tasks.plans.timetable.zones import zone_of
from barrack_tasks.runtime.charts import as_image, stacked_bars
from barrack_tasks.runtime.parameters import Credentials


@barrack_flow(name="report_costs")
def report_costs(
    days: Annotated[int, Field(ge=1, le=366)] = 30,
    zone: str = "UTC",
    save_to: Path | None = None,
    credentials: Credentials = None,
) -> CostReport:
    """Report what was spent by instance, GPU model, region, state and day. Changes nothing.

    The report is kept as the artifact `costs`, with a chart. What is gone is part of it if this
    library saw it while it was there: the API has no list of what was deleted.

    Args:
        days: how many days back, besides the present one.
        zone: whose days and months count.
        save_to: a file for the records, as CSV or JSON by its ending.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        The bill: totals, `records()` for a DataFrame, `csv()`, `json()`.

    Raises:
        ValueError: no such zone, or a file with another ending.
        BarrackError: the balance cannot be read. What else cannot is named in the report.

    Example:
        >>> pandas.DataFrame(report_costs(days=7).records())
    """
    run = Run.begin("report_costs", credentials)
    zone_of(zone)
    check_file(save_to)
    funds = read_funds(run.account)
    month = period_of("month", funds.at, zone)
    first = days_back(funds.at, days, zone)
    whole = read_bill(run.account, funds, min(first, month.start), funds.at, zone)
    report = CostReport.of(whole, first, month, funds.at, funds.burn())
    for name in whole.missing:
        run.log.warning("its bill could not be read: %s", name)
    title, by_day = "Spent by day and state", report.bill.by_day_and("state")
    chart = as_image(stacked_bars(title, by_day, report.bill.currency), title)
    keep("costs", run.account.account, report.markdown(chart), "What was spent")
    if save_to is not None:
        save(report, save_to)
    return report
