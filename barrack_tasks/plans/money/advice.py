"""What a bill shows that could have been saved, as sentences that name what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.money.bill import ZERO, Bill, Charge
from barrack_tasks.plans.power.schedule import Policy, Rule, rule_for
from barrack_tasks.plans.report import money
from barrack_tasks.plans.timetable import Timetable

_AT_FULL_RATE = (str(VMStatus.ACTIVE), str(VMStatus.SHUTOFF))
_MOST = 5
"""Sentences about one kind of thing; the dearest come first."""


@dataclass(frozen=True)
class Avoidable:
    """What one instance cost without need, and for how long."""

    name: str
    span: timedelta
    cost: Decimal


def outside_timetables(
    bill: Bill, instances: Iterable[UserVM], rules: Sequence[Rule]
) -> list[Avoidable]:
    """What instances cost at the full rate outside the times in which their timetable wants them.

    Args:
        bill: the bill.
        instances: of the account, as they are now; what is gone is judged by what the bill knows.
        rules: as `follow_schedule` takes them; the first that means an instance counts.

    Returns:
        One entry an instance, the dearest first.
    """
    there = {i.id: i for i in instances}
    policy = Policy(tuple(rules))
    found: dict[str, Avoidable] = {}
    for charge in _at_full_rate(bill, _AT_FULL_RATE):
        thing = charge.thing
        instance = there.get(thing.id) or UserVM(id=thing.id, name=thing.name, status="DELETED")
        rule = rule_for(instance, policy)
        if rule is None:
            continue
        for start, end in _gaps(rule.timetable, charge.start, charge.end):
            part = charge.within(start, end)
            if part is not None and part.cost > 0:
                before = found.get(thing.id) or Avoidable(thing.name, timedelta(0), ZERO)
                found[thing.id] = Avoidable(
                    thing.name, before.span + (end - start), before.cost + part.cost
                )
    return _dearest(found)


def stopped(bill: Bill) -> list[Avoidable]:
    """What instances cost while they were SHUTOFF, which is billed in full; the dearest first."""
    found: dict[str, Avoidable] = {}
    for charge in _at_full_rate(bill, (str(VMStatus.SHUTOFF),)):
        thing = charge.thing
        before = found.get(thing.id) or Avoidable(thing.name, timedelta(0), ZERO)
        span = before.span + (charge.end - charge.start)
        found[thing.id] = Avoidable(thing.name, span, before.cost + charge.cost)
    return _dearest(found)


def advice_of(bill: Bill, instances: Iterable[UserVM], rules: Sequence[Rule]) -> tuple[str, ...]:
    """Sentences about what could have been saved, and what to do; see `outside_timetables`.

    Example:
        >>> advice_of(bill, instances, rules)[0]
        'beta ran 61 h outside its timetable, which cost 74.00 USD: let follow_schedule put it to \\
rest, or widen its timetable.'
    """
    outside = (
        f"{one.name} ran {_hours(one.span)} outside its timetable, which cost "
        f"{money(one.cost, bill.currency)}: let follow_schedule put it to rest, or widen its "
        "timetable."
        for one in outside_timetables(bill, instances, rules)[:_MOST]
    )
    shut = (
        f"{one.name} was SHUTOFF for {_hours(one.span)} and billed in full, which cost "
        f"{money(one.cost, bill.currency)}: hibernate it instead of stopping it."
        for one in stopped(bill)[:_MOST]
    )
    return (*outside, *shut)


def _hours(span: timedelta) -> str:
    """A stretch of time to the nearest hour, however many days that is; short ones as usual."""
    hours = round(span / timedelta(hours=1))
    return f"{hours} h" if hours >= _FEW else said(span)


_FEW = 2


def _at_full_rate(bill: Bill, states: Sequence[str]) -> Iterator[Charge]:
    return (c for c in bill.charges if c.thing.kind == "instance" and c.state in states)


def _dearest(found: Mapping[str, Avoidable]) -> list[Avoidable]:
    return sorted(found.values(), key=lambda one: (-one.cost, one.name))


def _gaps(
    timetable: Timetable, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """The stretches between two moments in which a timetable wants an instance down."""
    at = start
    for window in timetable.windows(start, end) if start < end else ():
        if at < window.start:
            yield at, window.start
        at = max(at, window.end)
    if at < end:
        yield at, end
