"""Driving an instance up (ACTIVE) or down (HIBERNATED), whatever state it is in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.steps import Finished, Next, Reason, Step, Wait
from barrack_tasks.plans.world import Stock, World

CannotHibernate = Literal["leave", "stop"]
Shutoff = Literal["leave", "hibernate"]


@dataclass(frozen=True)
class Manner:
    """How to go about what cannot simply be hibernated.

    `cannot_hibernate` is for flavors that cannot: leave them running, or stop them, which keeps
    them billed in full. `shutoff` is for instances that are SHUTOFF, billed in full: leave them,
    or start them in order to hibernate them.
    """

    cannot_hibernate: CannotHibernate = "leave"
    shutoff: Shutoff = "leave"


_DOWN = (VMStatus.HIBERNATED, VMStatus.SHUTOFF)


def drive_down(
    target: Target,
    world: World,
    memory: Memory,
    manner: Manner,
    unable: frozenset[tuple[str, int]] = frozenset(),
) -> Next:
    """The next step towards HIBERNATED.

    `unable` are flavors, as GPU model and count, that are known not to hibernate.
    """
    instance = world.instances.get(target.id)
    if instance is None:
        return _absent(target, world)
    match instance.status:
        case VMStatus.HIBERNATED:
            return Finished("done" if target.id in memory.acted else "already")
        case VMStatus.SHUTOFF:
            return _down_from_shutoff(target, instance, memory, manner, unable)
        case VMStatus.ACTIVE:
            return _down_from_active(target, instance, memory, manner, unable)
        case VMStatus.ERROR:
            return Finished("failed", "it is in ERROR; somebody must look at it", Reason.IN_ERROR)
        case VMStatus.DELETED:
            return Finished("failed", "it was deleted by somebody else")
        case passing:
            return Wait(f"it is {passing}")


def _down_from_active(
    target: Target,
    instance: UserVM,
    memory: Memory,
    manner: Manner,
    unable: frozenset[tuple[str, int]],
) -> Next:
    if target.id in memory.acted:
        # Somebody may have brought it back meanwhile; that is not undone in the same run.
        return Wait("it was asked to hibernate or stop, and it is ACTIVE")
    if hardware_of(instance) not in unable:
        return _step("hibernate_instance", target)
    if manner.cannot_hibernate == "stop":
        return _step("stop_instance", target)
    return Finished(
        "failed",
        "its flavor cannot hibernate, so it is left running; cannot_hibernate='stop' stops it",
    )


def _down_from_shutoff(
    target: Target,
    instance: UserVM,
    memory: Memory,
    manner: Manner,
    unable: frozenset[tuple[str, int]],
) -> Next:
    if target.id in memory.acted:
        return Finished(
            "done", "it was stopped because its flavor cannot hibernate, and it is billed in full"
        )
    if manner.shutoff == "leave" or hardware_of(instance) in unable:
        return Finished(
            "skipped",
            "it is SHUTOFF and billed in full; shutoff='hibernate' starts it in order to hibernate "
            "it",
        )
    if target.id in memory.woken:
        return Wait("it was asked to start and is SHUTOFF")
    return _step("start_instance", target)


def drive_up(target: Target, world: World, memory: Memory) -> Next:
    """The next step towards ACTIVE. Where the stock is not known, it is tried."""
    instance = world.instances.get(target.id)
    if instance is None:
        return _absent(target, world)
    match instance.status:
        case VMStatus.ACTIVE:
            return Finished("done" if target.id in memory.woken else "already")
        case VMStatus.HIBERNATED | VMStatus.SHUTOFF if target.id in memory.woken:
            return Wait(f"it was asked to come up and is {instance.status}")
        case VMStatus.SHUTOFF:
            return _step("start_instance", target)
        case VMStatus.HIBERNATED:
            if is_in_stock(instance, world.stock):
                return _step("restore_instance", target)
            return Wait(shortage(instance), Reason.OUT_OF_STOCK)
        case VMStatus.ERROR:
            return Finished("failed", "it is in ERROR; somebody must look at it", Reason.IN_ERROR)
        case VMStatus.DELETED:
            return Finished("failed", "it was deleted by somebody else")
        case passing:
            return Wait(f"it is {passing}")


def in_turn(
    plan: Mapping[str, Next], order: Iterable[str], world: World, at_once: int
) -> dict[str, Next]:
    """The plan with no more restores under way than `at_once`; those first in `order` go first."""
    coming = sum(_is_coming(i.status) for i in world.instances.values())
    room = max(0, at_once - coming)
    paced = dict(plan)
    for id_ in order:
        next_ = plan.get(id_)
        if isinstance(next_, Step) and next_.operation in ("restore_instance", "start_instance"):
            if room > 0:
                room -= 1
            else:
                paced[id_] = Wait(f"it waits for its turn: {at_once} are being restored")
    return paced


def is_in_stock(instance: UserVM, stock: Stock | None) -> bool:
    """Whether the instance could be restored now, as far as is known."""
    hardware = hardware_of(instance)
    region = None if instance.region is None else str(instance.region)
    return hardware is None or holds(stock, region, hardware)


def holds(stock: Stock | None, region: str | None, hardware: tuple[str, int]) -> bool:
    """Whether there is stock of a GPU model and count in a region, as far as is known."""
    if stock is None or region is None:
        return True
    model, count = hardware
    return stock.get((region, model), {}).get(count, 0) > 0


def hardware_of(instance: UserVM) -> tuple[str, int] | None:
    """GPU model and count of an instance; None if it does not tell."""
    if instance.gpu_model is None:
        return None
    return str(instance.gpu_model), int(instance.gpu_count or 1)


def shortage(instance: UserVM) -> str:
    """One sentence: what is out of stock where."""
    hardware = hardware_of(instance) or ("its GPU", 1)
    return short_of(str(instance.region), hardware)


def short_of(region: str | None, hardware: tuple[str, int]) -> str:
    """One sentence: what is out of stock where."""
    model, count = hardware
    return f"{count}x {model} is out of stock in {region or 'its region'}"


def is_up(status: VMStatus) -> bool:
    """Whether an instance is up or on its way there."""
    return VMStatus.ACTIVE in (status, status.leads_to)


def _is_coming(status: VMStatus) -> bool:
    """Whether an instance is being made or brought up at this moment."""
    return status.leads_to is VMStatus.ACTIVE and status is not VMStatus.REBOOTING


def is_down(status: VMStatus) -> bool:
    """Whether an instance is hibernated or on its way to rest."""
    return status is VMStatus.HIBERNATED or status.leads_to in _DOWN


def _absent(target: Target, world: World) -> Next:
    if target.id in world.gone:
        return Finished("failed", "it vanished: somebody else deleted it")
    return Wait("it is missing from the list of instances")


def _step(operation: str, target: Target) -> Step:
    return Step(operation, target.id, target.name, {"instance_id": target.id})
