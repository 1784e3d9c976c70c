"""What a timetable will do in the time to come, and what it saves."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.power.drive import hardware_of, is_down
from barrack_tasks.plans.power.evidence import Known
from barrack_tasks.plans.power.schedule import Policy, Rule, Verdict, judge, rule_for
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.steps import Reason
from barrack_tasks.plans.timetable import Boundary, Timetable, Wish

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Forecast:
    """What lies ahead of one instance. Costs are None where its price is not known."""

    instance: UserVM
    timetable: Timetable
    boundaries: tuple[Boundary, ...]
    verdict: Verdict
    """What `follow_schedule` would do with it now, and why."""
    on: timedelta
    """How long it is billed in full: it is up, or it is left as it is, or cannot hibernate."""
    cost_always: Decimal | None
    cost_with: Decimal | None

    @property
    def saving(self) -> Decimal | None:
        """What the timetable saves."""
        if self.cost_always is None or self.cost_with is None:
            return None
        return self.cost_always - self.cost_with


def forecast(
    instances: Iterable[UserVM],
    policy: Policy,
    start: datetime,
    end: datetime,
    known: Known | None = None,
    unable: frozenset[tuple[str, int]] = frozenset(),
    protect: Collection[str] = (),
) -> list[Forecast]:
    """What lies ahead of each instance that a rule means, if nobody interferes.

    It agrees with what is done: what `follow_schedule` would leave as it is now is left so until
    its next boundary, and what cannot hibernate saves nothing.

    Args:
        instances: as they are at the start.
        policy: the rules.
        start: of the time to come.
        end: of it.
        known: what is known of the instances; nothing, if they are seen for the first time.
        unable: flavors, as GPU model and count, that cannot hibernate.
        protect: names, globs and ids that are never touched.
    """
    found = []
    for instance in instances:
        rule = rule_for(instance, policy)
        if rule is None:
            continue
        verdict = judge(instance, rule, known or Known(), policy, start)
        if is_protected(protect, instance.id, instance.name):
            verdict = replace(verdict, goal=None, why="protected", reason=Reason.PROTECTED)
        on = _billed_in_full(instance, rule, verdict, start, end, unable)
        always, with_it = _costs(instance, on, end - start)
        boundaries = tuple(rule.timetable.boundaries(start, end))
        found.append(Forecast(instance, rule.timetable, boundaries, verdict, on, always, with_it))
    return found


def _billed_in_full(
    instance: UserVM,
    rule: Rule,
    verdict: Verdict,
    start: datetime,
    end: datetime,
    unable: frozenset[tuple[str, int]],
) -> timedelta:
    if verdict.reason is Reason.PROTECTED:
        return timedelta(0) if is_down(instance.status) else end - start
    stays_up = hardware_of(instance) in unable
    if stays_up and not is_down(instance.status):
        return end - start  # it is left running, or stopped, which is billed in full as well
    until = min(end, verdict.next_change or end)
    is_left = verdict.goal != "up" and rule.shutoff == "leave"
    if instance.status is VMStatus.SHUTOFF and is_left:
        until = _next_up(rule.timetable, start, end)
        first = until - start
    elif verdict.goal is not None:
        first = until - start if verdict.goal == "up" else timedelta(0)
    else:
        first = timedelta(0) if is_down(instance.status) else until - start
    if stays_up:  # once it is up again, it stays so
        up = until if first else _next_up(rule.timetable, until, end)
        return first + (end - up)
    return first + rule.timetable.duration_on(until, end)


def _next_up(timetable: Timetable, start: datetime, end: datetime) -> datetime:
    ups = (b.moment for b in timetable.boundaries(start, end) if b.wish is Wish.UP)
    return next(ups, end)


def _costs(
    instance: UserVM, on: timedelta, span: timedelta
) -> tuple[Decimal | None, Decimal | None]:
    up = hourly_cost(instance, VMStatus.ACTIVE)
    down = hourly_cost(instance, VMStatus.HIBERNATED)
    if up is None or down is None:
        return None, None
    always = (up * _hours(span)).quantize(_CENT)
    return always, (up * _hours(on) + down * _hours(span - on)).quantize(_CENT)


def _hours(span: timedelta) -> Decimal:
    return Decimal(int(span.total_seconds())) / 3600
