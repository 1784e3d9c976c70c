"""What an account did before anybody looks at it: people used its fleet, day by day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from barrack_tasks.api.models import VMStatus
from barrack_tasks.api.models.times import read_positive
from barrack_tasks.sandbox.cloud.clock import SECOND, to_micros
from barrack_tasks.sandbox.cloud.machine import Machine
from barrack_tasks.sandbox.cloud.world import CloudState

LONGEST = timedelta(days=366)
_FORGOTTEN = 0.15
"""How many evenings of a hundred nobody remembers to put a machine to rest."""
_PLENTY = Decimal(10**12)


def span_of_days(value: timedelta | str) -> timedelta:
    """How long a history is, such as `90d`.

    Raises:
        ValueError: it is no duration, or longer than 366 days.

    Example:
        >>> span_of_days("90d").days
        90
    """
    with suppress(ValueError):
        span = read_positive(value)
        if span <= LONGEST:
            return span
    raise ValueError(
        f"{value!r} is not a history; write a number of days between 1 and {LONGEST.days}, "
        "such as 90d"
    )


def live_through(world: CloudState, span: timedelta, seed: int = 0) -> None:
    """Put the clock forward by a span in which people used the instances, and were billed for it.

    Of three instances, the first works from Monday to Friday by day, the second from Monday to
    Friday without a break, and the third always. Some evenings somebody forgets the first one.
    Afterwards all is as it was: each instance in its state, and the balance too.
    """
    speed, credit = world.clock.speed, world.balance()
    before = {machine.id: machine.status for machine in world.machines.all()}
    world.clock.set_speed(0)
    world.meter.add_credit(_PLENTY)
    begin = world.clock.now()
    rng = random.Random(seed)
    changes = sorted(
        (moment, machine.id, is_up)
        for number, machine in enumerate(world.machines.all())
        for moment, is_up in _habit(number, begin, begin + span, rng)
    )
    for moment, id_, is_up in changes:
        _wait_until(world, moment)
        _put(world, id_, VMStatus.ACTIVE if is_up else _at_rest(world.machines.get(id_)))
    _wait_until(world, begin + span)
    for id_, status in before.items():
        _put(world, id_, status)
    world.meter.add_credit(credit - world.balance())
    world.clock.set_speed(speed)


def _wait_until(world: CloudState, moment: datetime) -> None:
    world.clock.advance((to_micros(moment) - world.clock.micros()) / SECOND)
    world.settle()


def _put(world: CloudState, id_: str, status: VMStatus) -> None:
    if world.machines.get(id_).status is not status:
        world.machines.force(id_, str(status))


def _at_rest(machine: Machine) -> VMStatus:
    return VMStatus.HIBERNATED if machine.can_hibernate else VMStatus.SHUTOFF


def _habit(
    number: int, begin: datetime, end: datetime, rng: random.Random
) -> Iterator[tuple[datetime, bool]]:
    """When an instance is brought up and put to rest: by day, by the week, or never."""
    day = datetime(begin.year, begin.month, begin.day, tzinfo=UTC)
    while day < end:
        monday, friday = day.weekday() == 0, day.weekday() == 4
        morning = day + timedelta(minutes=rng.randint(7 * 60, 9 * 60))
        evening = day + timedelta(minutes=rng.randint(17 * 60, 20 * 60))
        is_forgotten = rng.random() < _FORGOTTEN
        by_day = number % 3 == 0 and day.weekday() < 5
        by_week = number % 3 == 1
        if (by_day or (by_week and monday)) and begin < morning < end:
            yield morning, True
        if ((by_day and not is_forgotten) or (by_week and friday)) and begin < evening < end:
            yield evening, False
        day += timedelta(days=1)
