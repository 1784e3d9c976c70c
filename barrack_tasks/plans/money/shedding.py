"""Which instances are put to rest when money runs short, the cheapest loss first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from barrack_tasks.api.models import Balance, UserVM, VMStatus
from barrack_tasks.plans.money.burn import Burn, runway
from barrack_tasks.plans.money.thresholds import Threshold
from barrack_tasks.plans.power.drive import hardware_of, is_up
from barrack_tasks.plans.prices import HIBERNATED_HOURLY
from barrack_tasks.plans.selection import matches

Order = Literal["cheapest", "dearest"]
_MOST_NAMED = 5


@dataclass(frozen=True)
class Shedding:
    """How to choose.

    `priority` are names, globs and ids: what matches the first goes first, what matches none
    goes last. Among equals those that are SHUTOFF go first, for they are paid in full and do
    nothing; then by price, the cheapest or the dearest first.
    """

    priority: tuple[str, ...] = ()
    order: Order = "cheapest"


def candidates(
    instances: Iterable[UserVM],
    protected: Collection[str],
    unable: Collection[tuple[str, int]],
    how: Shedding,
) -> list[UserVM]:
    """Those that could be put to rest, in the order in which they would be."""
    able = [i for i in _paid_in_full(instances, protected) if hardware_of(i) not in unable]
    sign = 1 if how.order == "cheapest" else -1

    def loss(instance: UserVM) -> tuple[int, bool, Decimal, str]:
        price = instance.hourly_price or Decimal(0)
        is_up_now = instance.status is not VMStatus.SHUTOFF
        return _rank(instance, how.priority), is_up_now, sign * price, instance.name

    return sorted(able, key=loss)


def stuck(
    instances: Iterable[UserVM],
    protected: Collection[str],
    unable: Collection[tuple[str, int]],
) -> list[UserVM]:
    """Those that are paid in full and cannot be put to rest, for their flavor cannot hibernate."""
    return [i for i in _paid_in_full(instances, protected) if hardware_of(i) in unable]


def about_stuck(instances: Sequence[UserVM]) -> tuple[str, ...]:
    """One sentence about those that cannot be put to rest; none, if there are none."""
    if not instances:
        return ()
    names = ", ".join(i.name for i in instances[:_MOST_NAMED])
    more = len(instances) - _MOST_NAMED
    also = f" and {more} more" if more > 0 else ""
    return (f"cannot be hibernated, for their flavor cannot, and go on costing: {names}{also}",)


def _paid_in_full(instances: Iterable[UserVM], protected: Collection[str]) -> list[UserVM]:
    return [
        i
        for i in instances
        if i.id not in protected and (is_up(i.status) or i.status is VMStatus.SHUTOFF)
    ]


def enough_for(
    ordered: Sequence[UserVM], burn: Burn, balance: Balance, goal: timedelta
) -> list[UserVM]:
    """So many of them, from the first on, that the balance lasts for `goal`; all, if it cannot."""

    def is_enough(hourly: Decimal) -> bool:
        lasts = runway(balance.amount, hourly)
        return lasts is None or lasts >= goal

    return _until(is_enough, ordered, burn, balance)


def enough_to_burn_less(
    ordered: Sequence[UserVM], burn: Burn, balance: Balance, most_hourly: Decimal
) -> list[UserVM]:
    """So many of them, from the first on, that no more than `most_hourly` burns."""
    return _until(lambda hourly: hourly <= most_hourly, ordered, burn, balance)


def _until(
    is_enough: Callable[[Decimal], bool],
    ordered: Sequence[UserVM],
    burn: Burn,
    balance: Balance,
) -> list[UserVM]:
    """So many of them, from the first on, that the burn without them is little enough."""
    asleep = HIBERNATED_HOURLY.get(balance.currency, Decimal(0))
    costs = {c.id: c.hourly or Decimal(0) for c in burn.costs if c.kind == "instance"}
    hourly = burn.hourly
    chosen: list[UserVM] = []
    for instance in ordered:
        if is_enough(hourly):
            break
        hourly += asleep - costs.get(instance.id, asleep)
        chosen.append(instance)
    return chosen


def acting_of(thresholds: Iterable[Threshold]) -> list[Threshold]:
    """The lines that put instances to rest."""
    return [t for t in thresholds if {"hibernate", "hibernate_all"} & set(t.actions)]


def whom_to_rest(
    thresholds: Iterable[Threshold], ordered: Sequence[UserVM], burn: Burn, balance: Balance
) -> tuple[list[UserVM], bool]:
    """Whom the lines that are crossed put to rest, and whether a snapshot comes first.

    The gravest counts: everything, if one says so, and else enough for the longest goal. A
    snapshot comes first only if every line that puts to rest asks for one.
    """
    acting = acting_of(thresholds)
    if not acting:
        return [], False
    snapshot = all(t.snapshot for t in acting)
    if any("hibernate_all" in t.actions for t in acting):
        return list(ordered), snapshot
    goal = max(t.goal for t in acting)
    return enough_for(ordered, burn, balance, goal), snapshot


def _rank(instance: UserVM, priority: Sequence[str]) -> int:
    ranks = (n for n, pattern in enumerate(priority) if matches(instance, [pattern]))
    return next(ranks, len(priority))
