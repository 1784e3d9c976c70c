"""Keep spending within budgets an hour, a day and a month."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from barrack_tasks.api import BarrackError
from barrack_tasks.controllers.money.bills import instances_seen
from barrack_tasks.controllers.money.budgets import known_budgets, read_standings, remember_budgets
from barrack_tasks.controllers.money.funds import read_funds
from barrack_tasks.controllers.reports import conclude, stand_aside
from barrack_tasks.controllers.rest import Resting, rest
from barrack_tasks.controllers.run import Run
from barrack_tasks.credentials import Credentials
from barrack_tasks.plans import Selector
from barrack_tasks.plans.alerts import Message
from barrack_tasks.plans.durations import PositiveSpan, Span
from barrack_tasks.plans.money.balance import unpriced, unreadable
from barrack_tasks.plans.money.budgets import (
    Budget,
    BudgetReport,
    about_refused,
    burn_watched,
    cells_of,
    notes_on_budgets,
    read_budgets,
    readings_of,
    refused_of,
    whom_budgets_rest,
)
from barrack_tasks.plans.money.shedding import Shedding, named
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.selection import Called, named_in_vain
from barrack_tasks.plans.timetable.zones import zone_of
from barrack_tasks.runtime.alerts import (
    Alarms,
    NobodyTold,
    alone,
    scope_of,
    this_deployment,
    untold,
)
from barrack_tasks.runtime.lists import check_lists, lists_in_vain
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.notify import Notify
from barrack_tasks.runtime.observe import flavors_that_cannot_hibernate
from barrack_tasks.runtime.parameters import Protect, Timeout, span_of
from barrack_tasks.tasks.base import barrack_flow

Budgets = Annotated[list[Budget], BeforeValidator(read_budgets)]
"""A list of budgets, typed or as dicts."""


@barrack_flow(name="enforce_budget")
def enforce_budget(
    budgets: Budgets,
    zone: Annotated[str, Field(description="Whose days and months count.")] = "UTC",
    priority: Annotated[
        list[str], Field(description="Names and globs; the first are hibernated first.")
    ] = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    order: Literal["cheapest", "dearest"] = "cheapest",
    snapshot: bool = False,
    enforce_at_once: bool = False,
    remind: Annotated[
        PositiveSpan | None,
        Field(description="Tell again after so long while a limit is exceeded."),
    ] = None,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=30),
    patience: Annotated[
        Span, Field(description="How long to wait; the rest is left to the next run.")
    ] = timedelta(minutes=2),
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
    log, account, notifiers = run.log, run.account, run.notifiers
    zone_of(zone)
    span = span_of(timeout)
    limits = (b.model_dump_json() for b in budgets)
    scope = scope_of([*limits, zone, *this_deployment()], notify)
    alarms = Alarms("budget", account.account, notifiers, remind, log, scope)
    with alone(account.account, "budget", scope) as is_alone:
        if not is_alone:
            note = "another run watches these budgets at this moment"
            return stand_aside(BudgetReport(flow="enforce_budget", rows=(), notes=(note,)))
        try:
            funds = read_funds(account)
            standings, missing = read_standings(account, funds, budgets, zone)
        except BarrackError as error:
            if not dry_run:
                alarms.raise_for([unreadable(str(error))], now(), complete=False)
            raise
        currency = str(funds.balance.currency)
        known = known_budgets(account.account)
        refused = [] if enforce_at_once else refused_of(standings, known)
        kept = [stand for stand in standings if stand not in refused]
        in_vain = []
        if funds.is_read("instance"):
            in_vain = lists_in_vain(funds.instances, account, protect, priority=priority)
            things: list[Called] = [*funds.instances, *instances_seen(account.account)]
            for budget in budgets:
                in_vain += named_in_vain("budgets: names", budget.names, things)
        unmet = check_lists("enforce_budget", account.account, in_vain, notifiers, log, dry_run)
        protected = {i.id for i in funds.instances if is_protected(run.never, i.id, i.name)}
        unable = flavors_that_cannot_hibernate(account)
        aimed = (kept, funds.instances, protected, unable)
        how = Shedding(tuple(priority), order)
        chosen = whom_budgets_rest(*aimed, how, funds.balance.currency)
        refusals = [about_refused(stand, currency) for stand in refused]
        notes = notes_on_budgets(*aimed)
        readings = [
            unreadable(*missing),
            unpriced(burn_watched(standings), currency),
            *(
                reading
                for stand in standings
                for reading in readings_of(stand, currency, not missing, stand in refused)
            ),
        ]
        would = tuple(reading.text for reading in readings if reading.is_over)
        told: tuple[Message, ...] = ()
        if not dry_run:
            going = f"Going to hibernate {named(chosen, burn_watched(kept))}."
            details = [going] if chosen else []
            details += [f"{note[0].upper()}{note[1:]}." for note in notes]
            told = alarms.raise_for(readings, now(), details)
            remember_budgets(account.account, (stand.budget for stand in kept), funds.at)
    selector = Selector(ids=tuple(i.id for i in chosen))
    resting = Resting(selector, Manner(shutoff="hibernate"), snapshot, span, patience)
    rows = rest(run, resting, sorted(selector.ids), snapshot) if chosen else ()
    report = conclude(
        BudgetReport(
            flow="enforce_budget",
            dry_run=dry_run,
            rows=rows,
            budgets=tuple(cells_of(stand, currency) for stand in standings),
            told=would if dry_run else tuple(m.text for m in told),
            notes=(
                *unmet,
                *missing,
                *refusals,
                *notes,
                *untold(told, notifiers, alarms.undelivered),
            ),
        )
    )
    NobodyTold.check(told, notifiers, alarms.undelivered)
    if refused:
        raise ValueError("; ".join(refusals))
    return report
