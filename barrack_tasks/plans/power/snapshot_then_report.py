"""What a run of `snapshot_before_stop` did, or would do, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.names import snapshot_name
from barrack_tasks.plans.power.snapshot_then import Intent, decide, drop_candidates, own_snapshot
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.steps import Finished, Next, Outcome, Step, Wait
from barrack_tasks.plans.world import World


def _is_on_its_way(status: VMStatus) -> bool:
    """Whether nothing is planned from here: it has been put to rest, or cannot be put to it."""
    return status.leads_to not in (None, VMStatus.ACTIVE)


def rows_done(
    intent: Intent, world: World, memory: Memory, plan: Mapping[str, Next]
) -> tuple[Row, ...]:
    """One row an instance, after the work."""
    return tuple(_row(target, intent, world, memory, plan[target.id]) for target in intent.targets)


def rows_planned(intent: Intent, world: World) -> tuple[Row, ...]:
    """One row an instance, of what would be done."""
    memory = Memory()
    plan = decide(world, intent, memory, min(t.began for t in intent.targets))
    return tuple(
        _row(target, intent, world, memory, plan[target.id], planned=True)
        for target in intent.targets
    )


def _row(
    target: Target,
    intent: Intent,
    world: World,
    memory: Memory,
    next_: Next,
    planned: bool = False,
) -> Row:
    instance = world.instances.get(target.id)
    before = target.was
    outcome, why = _said(next_, memory, target, world)
    did = (
        _would_do(target, intent, world, memory, next_)
        if planned
        else _did(target, intent, world, memory)
    )
    will_change = planned and isinstance(next_, Step)
    currency = before.currency if before else None
    return Row(
        instance_id=target.id,
        instance=target.name,
        public_ip=instance.address if instance else None,
        was=str(before.status) if before else "gone",
        did=did,
        now=_state_now(instance, before, target, world),
        outcome=outcome,
        why=why,
        reason=None if isinstance(next_, Step) else next_.reason,
        snapshot=_snapshot_of(target, intent, world, memory) if not will_change else None,
        hourly_before=hourly_cost(before) if before else None,
        hourly_now=_cost_then(target, world, intent, planned, next_),
        currency=str(currency) if currency else None,
    )


def _said(next_: Next, memory: Memory, target: Target, world: World) -> tuple[Outcome, str]:
    if isinstance(next_, Finished):
        own = (s.id for s in world.snapshots.get(target.id, ()))
        kept = [memory.not_deleted[id_] for id_ in own if id_ in memory.not_deleted]
        note = f"an old snapshot could not be deleted: {kept[0]}" if kept else ""
        return next_.outcome, next_.why or (note if next_.outcome == "done" else "")
    return "planned", next_.why if isinstance(next_, Wait) else ""


def _did(target: Target, intent: Intent, world: World, memory: Memory) -> tuple[str, ...]:
    did = []
    own = own_snapshot(target, world, intent, memory)
    if target.id in memory.taken or own is not None:
        did.append("snapshot")
    instance = world.instances.get(target.id)
    arrived = target.id in world.gone if instance is None else instance.status is intent.then.goal
    # A request whose answer was not heard, by this start of the run or an earlier one.
    unheard = own is not None and (target.resumed or target.id in memory.refused)
    if target.id in memory.acted or (unheard and arrived):
        did.append(str(intent.then))
    return tuple(did)


def _would_do(
    target: Target, intent: Intent, world: World, memory: Memory, next_: Next
) -> tuple[str, ...]:
    instance = world.instances.get(target.id)
    if isinstance(next_, Finished) or (instance and _is_on_its_way(instance.status)):
        return ()
    own = own_snapshot(target, world, intent, memory)
    name = snapshot_name(target.name, target.id, intent.moment)
    would = [f"snapshot {name}"] if own is None else []
    would.append(str(intent.then))
    # The snapshot to be taken will be one of those kept.
    is_counted = own is not None and own.status.is_ready
    old = drop_candidates(target, world, intent, to_come=0 if is_counted else 1)
    if old:
        would.append(f"delete {len(old)} old snapshot{'s' if len(old) > 1 else ''}")
    return tuple(would)


def _snapshot_of(target: Target, intent: Intent, world: World, memory: Memory) -> str | None:
    own = own_snapshot(target, world, intent, memory)
    if own is None:
        return None
    return own.name if own.status.is_ready else f"{own.name} ({own.status})"


def _state_now(instance: UserVM | None, before: UserVM | None, target: Target, world: World) -> str:
    if instance is not None:
        return str(instance.status)
    if target.id in world.gone or before is None:
        return str(VMStatus.DELETED)
    return "not seen"


def _cost_then(
    target: Target, world: World, intent: Intent, planned: bool, next_: Next
) -> Decimal | None:
    instance, before = world.instances.get(target.id), target.was
    if planned and before is not None and isinstance(next_, Step):
        return hourly_cost(before, intent.then.goal)
    if instance is not None:
        return hourly_cost(instance)
    return hourly_cost(before, VMStatus.DELETED) if before and target.id in world.gone else None
