"""Keep spending within budgets an hour, a day and a month."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator

from barrack_tasks.controllers.money.budgets import Budgeting
from barrack_tasks.controllers.money.funds import read_funds
from barrack_tasks.controllers.rest import Resting, rest
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans import Selector
from barrack_tasks.plans.durations import PositiveSpan, Span
from barrack_tasks.plans.money.budgets import Budget, BudgetReport, read_budgets
from barrack_tasks.plans.money.shedding import Shedding
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.timetable.zone_names import Zone, zone_of
from barrack_tasks.runtime.alerts import scope_of, this_deployment, untold
from barrack_tasks.runtime.parameters import Credentials, Notify, Protect, Timeout, span_of

Budgets = Annotated[list[Budget], BeforeValidator(read_budgets)]
"""A list of budgets, typed or as dicts."""


@barrack_flow(name="enforce_budget")
def enforce_budget(
    budgets: Budgets,
    zone: Zone = "UTC",
    priority: list[str] = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    order: Literal["cheapest", "dearest"] = "cheapest",
    snapshot: bool = False,
    enforce_at_once: bool = False,
    remind: PositiveSpan | None = None,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=30),
    patience: Span = timedelta(minutes=2),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006
    credentials: Credentials = None,
) -> BudgetReport:
    """Keep spending within budgets: tell people above a soft limit, hibernate above a hard one.

    Spending is read from billing records, so a restart forgets nothing. Run it every few minutes.

    Args:
        budgets: `Budget(per=, soft=, hard=, names=)` or dicts.
        zone: whose days and months count.
        priority: names and globs; what matches the first is hibernated first, the rest last.
        order: among equals, whether the cheapest or the dearest goes first.
        snapshot: take a snapshot before each hibernation.
        enforce_at_once: let a new hard limit act although more than it is spent already.
        remind: tell again after so long, while a limit is exceeded.
        notify: names of notification blocks.
        timeout: for one instance: seconds, a timedelta or `"10m"`.
        patience: how long the run waits for what it asked for: a timedelta or `"2 min"`. What is
            on its way then, or stuck, is left to the next run, which must not come too late.
        dry_run: show what would be told and done; nothing is sent, changed or remembered.
        protect: names, globs and ids that are never touched; added to the account's own list.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with how each budget stands, and one row for each instance put to rest.

    Raises:
        ParameterTypeError: a budget cannot be read.
        ValueError: no such zone; or a new hard limit is below what already runs: that was told,
            and all other limits were kept.
        SelectionError: a list names what does not exist, and a person called; on a schedule that
            is told, and the rest is done.
        BarrackConfigurationError: a notifier does not exist.
        BarrackError: the balance cannot be read; that was told. What else cannot is told and noted,
            and what is spent as far as it can be read counts.
        WorkFailed: some instances could not be put to rest; carries the report.

    Example:
        >>> enforce_budget([{"per": "month", "soft": 800, "hard": 1000}], zone="Europe/Berlin")
    """
    run = Run.begin("enforce_budget", credentials, notify, protect, dry_run)
    zone = zone_of(zone).key
    span = span_of(timeout)
    limits = (b.model_dump_json() for b in budgets)
    scope = scope_of([*limits, zone, *this_deployment()], notify)
    alarms = run.alarms("budget", scope, remind)
    with run.alone("budget", scope) as is_alone:
        if not is_alone:
            note = "another run watches these budgets at this moment"
            return run.stand_aside(BudgetReport(flow=run.flow, rows=(), notes=(note,)))
        with run.telling_if_blind(alarms):
            funds = read_funds(run.account)
            how = Shedding(tuple(priority), order)
            view = Budgeting.of(run, funds, budgets, zone, how, enforce_at_once)
        told = view.tell(run, alarms, funds)
    selector = Selector(ids=tuple(i.id for i in view.chosen))
    resting = Resting(
        selector, Manner(shutoff="hibernate"), snapshot, span, patience, unable=view.unable
    )
    rows = rest(run, resting, sorted(selector.ids), snapshot) if view.chosen else ()
    unheard = untold(told, run.notifiers, alarms.undelivered)
    report = run.conclude_told(view.report(run, rows, told, unheard), told, alarms)
    view.check_refused()
    return report
