"""Which instances are put to rest when money runs short, the cheapest loss first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from barrack_tasks.api.models import Balance, CurrencyEnum, UserVM, VMStatus
from barrack_tasks.plans.money.burn import Burn, runway
from barrack_tasks.plans.money.thresholds import Threshold
from barrack_tasks.plans.power.drive import hardware_of, is_up
from barrack_tasks.plans.prices import HIBERNATED_HOURLY
from barrack_tasks.plans.selection import matches

Order = Literal["cheapest", "dearest"]
MOST_NAMED = 5


@dataclass(frozen=True)
class Shedding:
    """How to choose.

    `priority` are names, globs and ids: what matches the first goes first, what matches none
    goes last. Among equals those that are SHUTOFF go first, for they are paid in full and do
    nothing; then by price, the cheapest or the dearest first, and what has no known price last.
    """

    priority: tuple[str, ...] = ()
    order: Order = "cheapest"


def candidates(
    instances: Iterable[UserVM],
    protected: Collection[str],
    unable: Collection[tuple[str, int]],
    how: Shedding,
    burn: Burn,
    limits: Mapping[str, int] | None = None,
) -> list[UserVM]:
    """Those that could be put to rest, in the order in which they would be.

    Args:
        instances: all that may be.
        protected: ids of those that must not.
        unable: flavors that cannot hibernate.
        how: who goes first.
        burn: what each costs, which is its price.
        limits: how many limits an instance is about, by id: of those that are equal in all else,
            the one that serves the most goes first.
    """
    able = [i for i in _paid_in_full(instances, protected) if hardware_of(i) not in unable]
    prices = burn.of_instances
    sign = 1 if how.order == "cheapest" else -1

    def loss(instance: UserVM) -> tuple[int, bool, bool, Decimal, int, str]:
        price = prices.get(instance.id)
        is_up_now = instance.status is not VMStatus.SHUTOFF
        rank = _rank(instance, how.priority)
        cost = sign * (price or Decimal(0))
        served = (limits or {}).get(instance.id, 0)
        return rank, price is None, is_up_now, cost, -served, instance.name

    return sorted(able, key=loss)


def stuck(
    instances: Iterable[UserVM],
    protected: Collection[str],
    unable: Collection[tuple[str, int]],
) -> list[UserVM]:
    """Those that are paid in full and cannot be put to rest, for their flavor cannot hibernate."""
    return [i for i in _paid_in_full(instances, protected) if hardware_of(i) in unable]


def about_stuck(instances: Sequence[UserVM], burn: Burn) -> tuple[str, ...]:
    """One sentence about those that cannot be put to rest; none, if there are none."""
    if not instances:
        return ()
    names = named(instances, burn)
    return (f"these cannot be hibernated, for their flavor cannot, and go on costing: {names}",)


def about_unpriced(instances: Iterable[UserVM], burn: Burn) -> tuple[str, ...]:
    """One sentence about those of which the price is not known; none, if there are none."""
    prices = burn.of_instances
    unknown = [i for i in instances if prices.get(i.id) is None]
    if not unknown:
        return ()
    return (f"these have no known price, so they are put to rest last: {named(unknown, burn)}",)


def as_sentence(note: str) -> str:
    """A note as a sentence of a message, of which no word is written otherwise than it is.

    Example:
        >>> as_sentence("train-1 has no known price")
        'Note: train-1 has no known price.'
    """
    return f"Note: {note.rstrip('.')}."


def named(instances: Sequence[UserVM], burn: Burn) -> str:
    """The names of all, or of the five dearest and how many more there are.

    Example:
        >>> named([], Burn(()))
        ''
    """
    prices = burn.of_instances
    dearest = sorted(instances, key=lambda i: (-(prices.get(i.id) or 0), i.name))[:MOST_NAMED]
    shown = {i.id for i in dearest}
    names = ", ".join(i.name for i in instances if i.id in shown)
    more = len(instances) - len(dearest)
    return f"{names} and {more} more" if more else names


def _paid_in_full(instances: Iterable[UserVM], protected: Collection[str]) -> list[UserVM]:
    return [
        i
        for i in instances
        if i.id not in protected and (is_up(i.status) or i.status is VMStatus.SHUTOFF)
    ]


@dataclass(frozen=True)
class Limit:
    """What may burn an hour: of everything, or of some instances.

    `hourly` is what burns now, and `is_met` tells whether so much may. `ids` are the instances
    that it is about; None are all.
    """

    hourly: Decimal
    is_met: Callable[[Decimal], bool]
    ids: Collection[str] | None = None


def limit_to_last(burn: Burn, balance: Balance, goal: timedelta) -> Limit:
    """The limit that a balance is to last for `goal`."""

    def is_met(hourly: Decimal) -> bool:
        lasts = runway(balance.amount, hourly)
        return lasts is None or lasts >= goal

    return Limit(burn.hourly, is_met)


def whom_limits_rest(
    limits: Sequence[Limit],
    ordered: Sequence[UserVM],
    burn: Burn,
    currency: CurrencyEnum,
    anyway: Collection[str] = (),
) -> list[UserVM]:
    """Whom some limits together put to rest: of these none could be left out.

    Instances are taken from the first on, if they are part of a limit that is not met yet, until
    all limits are. Then, the last first, whoever is not needed beside the others is let off: so
    one large instance at the end frees all small ones before it. No other choice is looked for;
    there may be one of fewer instances. Where all together do not suffice for a limit, all go that
    save anything for it, or may: of what has no known price that cannot be told.

    Args:
        limits: what is to be met.
        ordered: those that could be put to rest, see `candidates`.
        burn: what each of them costs.
        currency: of the account.
        anyway: ids of those that are put to rest whatever the limits need.

    Returns:
        Those chosen, in the order given.
    """
    asleep = HIBERNATED_HOURLY.get(currency, Decimal(0))
    prices = burn.of_instances
    saved = {i.id: None if (price := prices.get(i.id)) is None else price - asleep for i in ordered}
    hourly = [limit.hourly for limit in limits]

    def parts(id_: str) -> list[int]:
        return [n for n, limit in enumerate(limits) if limit.ids is None or id_ in limit.ids]

    def without(id_: str) -> dict[int, Decimal]:
        """What would burn if it went on: of each limit that it is part of."""
        return {n: hourly[n] + (saved[id_] or 0) for n in parts(id_)}

    chosen: set[str] = set()
    optional: list[str] = []
    for id_ in (i.id for i in ordered if i.id in anyway):
        chosen.add(id_)
        for n in parts(id_):
            hourly[n] -= saved[id_] or 0
    unmet = {n for n, limit in enumerate(limits) if not limit.is_met(hourly[n])}
    for id_ in (i.id for i in ordered if i.id not in chosen):
        if not unmet:
            break
        saving, own = saved[id_], parts(id_)
        if unmet.isdisjoint(own) or (saving is not None and saving <= 0):
            continue
        optional.append(id_)
        for n in own:
            hourly[n] -= saving or 0
            if n in unmet and limits[n].is_met(hourly[n]):
                unmet.discard(n)
    for id_ in reversed(optional):
        more = without(id_)
        if unmet.isdisjoint(more) and all(limits[n].is_met(h) for n, h in more.items()):
            for n, burning in more.items():
                hourly[n] = burning
        else:
            chosen.add(id_)
    return [i for i in ordered if i.id in chosen]


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
    limit = limit_to_last(burn, balance, max(t.goal for t in acting))
    return whom_limits_rest([limit], ordered, burn, balance.currency), snapshot


def _rank(instance: UserVM, priority: Sequence[str]) -> int:
    ranks = (n for n, pattern in enumerate(priority) if matches(instance, [pattern]))
    return next(ranks, len(priority))
