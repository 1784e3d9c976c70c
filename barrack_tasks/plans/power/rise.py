"""The decision of `restore`: driving up, and what to do while the GPU is out of stock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from barrack_tasks.api.models import Balance, VMStatus
from barrack_tasks.api.models.minimums import MINIMUM_BALANCE
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.power.drive import drive_up, in_turn, is_in_stock, shortage
from barrack_tasks.plans.power.substitute import substitute
from barrack_tasks.plans.steps import Finished, Next, Reason, Wait
from barrack_tasks.plans.world import World

OutOfStock = Literal["wait", "alert", "substitute"]


@dataclass(frozen=True)
class Shortage:
    """What to do when a GPU stays out of stock.

    It is waited for `patience`; then `wait` goes on waiting, `alert` gives the instance up, and
    `substitute` lets another instance stand in, of the first of `models` that is in stock.
    """

    then: OutOfStock = "wait"
    patience: timedelta = timedelta(minutes=15)
    models: tuple[str, ...] = ()


def shortage_of(then: OutOfStock, patience: timedelta, substitutes: Sequence[str]) -> Shortage:
    """What a person wants done when a GPU stays out of stock.

    Raises:
        ValueError: another instance is to stand in, and no model is named.
    """
    if then == "substitute" and not substitutes:
        raise ValueError(
            "out_of_stock='substitute' needs the GPU models that may be taken instead; name them "
            "in substitutes=[...]"
        )
    return Shortage(then, patience, tuple(substitutes))


def rise_step(target: Target, world: World, memory: Memory, how: Shortage, now: datetime) -> Next:
    """The next step of one instance towards ACTIVE."""
    instance = world.instances.get(target.id)
    sleeps = instance is not None and instance.status is VMStatus.HIBERNATED
    if instance is None or not sleeps or target.id in memory.woken:
        return drive_up(target, world, memory)
    is_patient = how.then == "wait" or now < target.began + how.patience
    is_there = is_in_stock(instance, world.stock) and target.id not in memory.made
    # Stock may be listed and still be gone whenever it is asked for.
    if is_there and (is_patient or target.id not in memory.short):
        return drive_up(target, world, memory)
    if is_patient:
        return Wait(shortage(instance), Reason.OUT_OF_STOCK)
    if how.then == "alert":
        return Finished(
            "failed",
            f"{shortage(instance)}; this run waited for it and gave up",
            Reason.OUT_OF_STOCK,
        )
    return substitute(target, instance, world, memory, how.models)


def decide_rise(
    targets: tuple[Target, ...],
    world: World,
    memory: Memory,
    protect: Collection[str],
    timeout: timedelta,
    how: Shortage,
    at_once: int,
    order: Iterable[str],
    now: datetime,
) -> dict[str, Next]:
    """What each target needs next to be up, no more than `at_once` being restored."""
    plan = decide_each(
        targets,
        lambda target: rise_step(target, world, memory, how, now),
        memory,
        world,
        protect,
        timeout,
        now,
    )
    return in_turn(plan, order, world, at_once)


def why_not_affordable(balance: Balance) -> str | None:
    """One sentence if the balance does not suffice to restore anything, or cannot be judged."""
    least = MINIMUM_BALANCE.get(balance.currency)
    if least is None:
        return f"the minimum balance for restoring is not known in {balance.currency}"
    if balance.amount < least:
        return (
            f"the balance is {balance.amount} {balance.currency}, and restoring needs {least}; "
            "add credits first"
        )
    return None
