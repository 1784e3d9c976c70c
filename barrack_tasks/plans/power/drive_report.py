"""What a run that drives instances up or down did, or would do, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from barrack_tasks.api.models import VMStatus
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.steps import Finished, Next, Outcome, Step, Wait
from barrack_tasks.plans.world import World

_GOALS = {
    "hibernate_instance": VMStatus.HIBERNATED,
    "stop_instance": VMStatus.SHUTOFF,
    "restore_instance": VMStatus.ACTIVE,
    "start_instance": VMStatus.ACTIVE,
}


def rows_of(
    targets: Iterable[Target],
    plan: Mapping[str, Next],
    world: World,
    memory: Memory,
    goals: Mapping[str, VMStatus] = {},
) -> tuple[Row, ...]:
    """One row an instance; what is not finished is shown as planned.

    Args:
        targets: the instances.
        plan: what each needs next, or how it ended.
        world: the account as it is.
        memory: of the run.
        goals: in which state each is wanted; what it will cost is what it costs there, although its
            next step may be a snapshot, or a start so that it can hibernate.
    """
    return tuple(
        _row(target, plan[target.id], world, memory, goals.get(target.id)) for target in targets
    )


def _row(target: Target, next_: Next, world: World, memory: Memory, wanted: VMStatus | None) -> Row:
    instance = world.instances.get(target.id)
    before = target.was
    outcome, why = _said(next_)
    goal = _goal(next_, wanted) if isinstance(next_, Step) else None
    now = hourly_cost(instance, goal) if instance else None
    address = _new_address(target, world)
    return Row(
        instance_id=target.id,
        instance=target.name,
        public_ip=instance.address if instance else None,
        was=str(before.status) if before else "gone",
        did=_did(target, next_, memory),
        now=str(instance.status) if instance else str(VMStatus.DELETED),
        outcome=outcome,
        why="; ".join(part for part in (why, address) if part),
        reason=None if isinstance(next_, Step) else next_.reason,
        hourly_before=hourly_cost(before) if before else None,
        hourly_now=now,
        currency=str(before.currency) if before and before.currency else None,
    )


def _goal(step: Step, wanted: VMStatus | None) -> VMStatus | None:
    # What is stopped because it cannot hibernate stays so.
    leads_to = _GOALS.get(step.operation)
    return leads_to if leads_to is VMStatus.SHUTOFF else wanted or leads_to


def _said(next_: Next) -> tuple[Outcome, str]:
    if isinstance(next_, Finished):
        return next_.outcome, next_.why
    return "planned", next_.why if isinstance(next_, Wait) else ""


def _did(target: Target, next_: Next, memory: Memory) -> tuple[str, ...]:
    if isinstance(next_, Step):
        return (next_.operation.replace("_", " "),)
    did = []
    if target.id in memory.taken:
        did.append("snapshot")
    if target.id in memory.woken:
        did.append("bring up")
    if target.id in memory.acted:
        did.append("put to rest")
    if target.id in memory.made:
        did.append("stand in")
    return tuple(did)


def _new_address(target: Target, world: World) -> str:
    instance = world.instances.get(target.id)
    if instance is None or target.was is None or not instance.public_ip:
        return ""
    changed = instance.public_ip != target.was.public_ip and instance.status is VMStatus.ACTIVE
    return f"new address {instance.public_ip}" if changed else ""
