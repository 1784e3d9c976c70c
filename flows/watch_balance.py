"""See the end of the prepaid balance coming, tell people once, and act in the user's order."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from barrack_tasks.api import BarrackError
from barrack_tasks.controllers.money.bills import everything
from barrack_tasks.controllers.money.funds import read_funds, read_samples, write_samples
from barrack_tasks.controllers.reports import conclude, stand_aside
from barrack_tasks.controllers.rest import Resting, rest
from barrack_tasks.controllers.run import Run
from barrack_tasks.credentials import Credentials
from barrack_tasks.plans import Selector
from barrack_tasks.plans.durations import PositiveSpan, Span
from barrack_tasks.plans.money.balance import (
    BalanceReport,
    outlook,
    report_of,
    unreadable,
)
from barrack_tasks.plans.money.burn import Sample, about_debits, other_hourly, with_sample
from barrack_tasks.plans.money.shedding import Shedding
from barrack_tasks.plans.money.thresholds import (
    Threshold,
    check_may_act,
    check_thresholds,
    read_thresholds,
)
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.selection import selected_that_exist, selector_of
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
from barrack_tasks.runtime.parameters import Protect, Select, Timeout, span_of
from barrack_tasks.tasks.base import barrack_flow

Thresholds = Annotated[list[Threshold], BeforeValidator(read_thresholds)]
"""A list of thresholds, typed or as dicts, from the highest line to the lowest."""
DEFAULT = [Threshold(runway=timedelta(hours=hours)) for hours in (72, 24, 2)]
"""Alerts at 72, 24 and 2 hours before the end."""


@barrack_flow(name="watch_balance")
def watch_balance(
    thresholds: Thresholds = DEFAULT,
    select: Select | None = None,
    priority: Annotated[
        list[str], Field(description="Names and globs; the first are hibernated first.")
    ] = [],  # noqa: B006
    order: Literal["cheapest", "dearest"] = "cheapest",
    remind: Annotated[
        PositiveSpan | None,
        Field(description="Tell again after so long while a line stays crossed."),
    ] = None,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=30),
    patience: Annotated[
        Span, Field(description="How long to wait; the rest is left to the next run.")
    ] = timedelta(minutes=2),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006
    credentials: Credentials = None,
) -> BalanceReport:
    """Watch the balance: tell people once a crossing, and hibernate what the lines say.

    Run it every few minutes. Each line is told once when it is crossed and once when it is over,
    over restarts and top-ups. While a line with an action is crossed, each run sees to it that
    the action holds: an instance that somebody restores meanwhile is hibernated again.

    Args:
        thresholds: `Threshold(amount= or runway=, actions=)` or dicts, the highest line first.
        select: the instances that may be hibernated; needed if a line hibernates.
        priority: names and globs; what matches the first is hibernated first, the rest last.
        order: among equals, whether the cheapest or the dearest goes first.
        remind: tell again after so long, while a line stays crossed: a timedelta or `"12h"`.
        notify: names of notification blocks.
        timeout: for one instance: seconds, a timedelta or `"10m"`.
        patience: how long the run waits for what it asked for: a timedelta or `"2 min"`. What is
            on its way then, or stuck, is left to the next run, which must not come too late.
        dry_run: show what would be told and done; nothing is sent, changed or remembered.
        protect: names, globs and ids that are never touched; added to the account's own list.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with the balance, the burn an hour, how long it lasts, what was told, and one
        row for each instance that was put to rest.

    Raises:
        ParameterTypeError: a threshold cannot be read.
        ValueError: thresholds in another currency or in the wrong order; nothing was done.
        SelectionError: a list names what does not exist, and a person called; on a schedule that
            is told, and the rest is done.
        BarrackConfigurationError: a notifier does not exist; nothing was done.
        BarrackError: the balance cannot be read, or what a line needs; that was told, and the
            lines that do not need it were kept.
        WorkFailed: some instances could not be put to rest; carries the report.

    Example:
        >>> watch_balance(
        ...     thresholds=[
        ...         {"runway": "72h"},
        ...         {"runway": "24h", "actions": ["alert", "hibernate"], "until": "48h"},
        ...     ],
        ...     select=["*"], priority=["scratch-*"], notify=["team-slack"],
        ... )
    """
    run = Run.begin("watch_balance", credentials, notify, protect, dry_run)
    log, account, notifiers = run.log, run.account, run.notifiers
    check_may_act(thresholds, select)
    span = span_of(timeout)
    aim = "" if select is None else selector_of(select).model_dump_json()
    lines = (t.model_dump_json() for t in thresholds)
    scope = scope_of([*lines, aim, *this_deployment()], notify)
    alarms = Alarms("balance", account.account, notifiers, remind, log, scope)
    with alone(account.account, "balance", scope) as is_alone:
        if not is_alone:
            note = "another run watches this balance at this moment"
            return stand_aside(BalanceReport(flow="watch_balance", rows=(), notes=(note,)))
        try:
            funds = read_funds(account)
        except BarrackError as error:
            if not dry_run:
                alarms.raise_for([unreadable(str(error))], now(), complete=False)
            raise
        check_thresholds(thresholds, funds.balance)
        in_vain = []
        if funds.is_read("instance"):
            in_vain = lists_in_vain(
                funds.instances,
                account,
                protect,
                select=None if select is None else selector_of(select),
                priority=priority,
            )
        unmet = check_lists("watch_balance", account.account, in_vain, notifiers, log, dry_run)
        before = seen = read_samples(account.account)
        if not funds.unread:  # a burn that is not known explains nothing
            sample = Sample(funds.at, funds.balance.amount, funds.burn().hourly)
            seen = with_sample(seen, sample)
        never = run.never
        selected = selected_that_exist(select, funds.instances)
        unable = flavors_that_cannot_hibernate(account) if selected else frozenset()
        view = outlook(
            thresholds,
            funds.balance,
            funds.burn(other_hourly(seen)),
            selected,
            {i.id for i in selected if is_protected(never, i.id, i.name)},
            unable,
            Shedding(tuple(priority), order),
            (*unmet, *about_debits(seen, str(funds.balance.currency))),
            funds.unread,
        )
        if not dry_run:
            # What is there is noted, so that it stays on later bills when it is gone.
            everything(account, funds, funds.at)
            told = alarms.raise_for(view.readings, now(), view.details)
            write_samples(account.account, before, seen)
    chosen = Selector(ids=tuple(i.id for i in view.chosen))
    resting = Resting(chosen, Manner(shutoff="hibernate"), view.snapshot, span, patience)
    rows = rest(run, resting, sorted(chosen.ids), view.snapshot) if view.chosen else ()
    if dry_run:
        would = tuple(reading.text for reading in view.readings if reading.is_over)
        return conclude(report_of(view, rows=rows, dry_run=True, told=would))
    report = conclude(
        report_of(
            view,
            rows=rows,
            told=tuple(m.text for m in told),
            notes=untold(told, notifiers, alarms.undelivered),
        )
    )
    NobodyTold.check(told, notifiers, alarms.undelivered)
    if view.unjudged:
        raise next(iter(funds.unread.values()))
    return report
