"""See the end of the prepaid balance coming, tell people once, and act in the user's order."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator

from barrack_tasks.controllers.money.balance import BalanceWatch
from barrack_tasks.controllers.money.funds import read_funds
from barrack_tasks.controllers.rest import Resting, rest
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans import Selector
from barrack_tasks.plans.durations import PositiveSpan, Span
from barrack_tasks.plans.money.balance import BalanceReport, report_of
from barrack_tasks.plans.money.shedding import Shedding
from barrack_tasks.plans.money.thresholds import Threshold, check_may_act, read_thresholds
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.selection import selector_of
from barrack_tasks.runtime.alerts import scope_of, this_deployment, untold
from barrack_tasks.runtime.parameters import (
    Credentials,
    Notify,
    Protect,
    Select,
    Timeout,
    span_of,
)

Thresholds = Annotated[list[Threshold], BeforeValidator(read_thresholds)]
"""A list of thresholds, typed or as dicts, from the highest line to the lowest."""
DEFAULT = [Threshold(runway=timedelta(hours=hours)) for hours in (72, 24, 2)]
"""Alerts at 72, 24 and 2 hours before the end."""


@barrack_flow(name="watch_balance")
def watch_balance(
    thresholds: Thresholds = DEFAULT,
    select: Select | None = None,
    priority: list[str] = [],  # noqa: B006
    order: Literal["cheapest", "dearest"] = "cheapest",
    remind: PositiveSpan | None = None,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=30),
    patience: Span = timedelta(minutes=2),
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
    check_may_act(thresholds, select)
    span = span_of(timeout)
    selector = None if select is None else selector_of(select)
    aim = "" if selector is None else selector.model_dump_json()
    lines = (t.model_dump_json() for t in thresholds)
    scope = scope_of([*lines, aim, *this_deployment()], notify)
    alarms = run.alarms("balance", scope, remind)
    with run.alone("balance", scope) as is_alone:
        if not is_alone:
            note = "another run watches this balance at this moment"
            return run.stand_aside(BalanceReport(flow=run.flow, rows=(), notes=(note,)))
        with run.telling_if_blind(alarms):
            funds = read_funds(run.account)
        watch = BalanceWatch(run, funds, thresholds, selector, Shedding(tuple(priority), order))
        told = watch.tell(alarms)
    view = watch.view
    chosen = Selector(ids=tuple(i.id for i in view.chosen))
    resting = Resting(
        chosen, Manner(shutoff="hibernate"), view.snapshot, span, patience, unable=watch.unable
    )
    rows = rest(run, resting, sorted(chosen.ids), view.snapshot) if view.chosen else ()
    if dry_run:
        would = tuple(reading.text for reading in view.readings if reading.is_over)
        return run.conclude(report_of(view, rows=rows, dry_run=True, told=would))
    unheard = untold(told, run.notifiers, alarms.undelivered)
    sentences = tuple(message.text for message in told)
    report = report_of(view, rows=rows, told=sentences, notes=unheard)
    run.conclude_told(report, told, alarms)
    watch.check_judged()
    return report
