"""What a timetable will do in the time to come, and what it saves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.costs import hourly_cost
from barrack_tasks.plans.schedule import Policy, rule_for
from barrack_tasks.plans.timetable import Boundary, Timetable

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Forecast:
    """What lies ahead of one instance. Costs are None where its price is not known."""

    instance: UserVM
    timetable: Timetable
    boundaries: tuple[Boundary, ...]
    on: timedelta
    cost_always: Decimal | None
    cost_with: Decimal | None

    @property
    def saving(self) -> Decimal | None:
        """What the timetable saves."""
        if self.cost_always is None or self.cost_with is None:
            return None
        return self.cost_always - self.cost_with


def forecast(
    instances: Iterable[UserVM], policy: Policy, start: datetime, end: datetime
) -> list[Forecast]:
    """What lies ahead of each instance that a rule means, if nobody interferes."""
    found = []
    for instance in instances:
        rule = rule_for(instance, policy)
        if rule is None:
            continue
        on = rule.timetable.duration_on(start, end)
        always, with_it = _costs(instance, on, end - start)
        boundaries = tuple(rule.timetable.boundaries(start, end))
        found.append(Forecast(instance, rule.timetable, boundaries, on, always, with_it))
    return found


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
