"""What a run of `snapshot_before_stop` did, or would do, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.costs import hourly_cost
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.naming import snapshot_name
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.snapshot_then import Intent, decide, drop_candidates
from barrack_tasks.plans.steps import Finished, Next, Outcome, Step, Wait
from barrack_tasks.plans.world import World


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
    outcome, why = _said(next_, memory, target)
    did = (
        _would_do(target, intent, world, next_) if planned else _did(target, intent, world, memory)
    )
    will_change = planned and isinstance(next_, Step)
    currency = before.currency if before else None
    return Row(
        instance_id=target.id,
        instance=target.name,
        was=str(before.status) if before else "gone",
        did=did,
        now=_state_now(instance, before, target, world),
        outcome=outcome,
        why=why,
        snapshot=_snapshot_of(target, intent, world) if not will_change else None,
        hourly_before=hourly_cost(before) if before else None,
        hourly_now=_cost_then(instance, before, intent, planned, next_),
        currency=str(currency) if currency else None,
    )


def _said(next_: Next, memory: Memory, target: Target) -> tuple[Outcome, str]:
    if isinstance(next_, Finished):
        kept = list(memory.not_deleted.values()) if next_.outcome == "done" else []
        note = f"an old snapshot could not be deleted: {kept[0]}" if kept else ""
        return next_.outcome, next_.why or note
    return "planned", next_.why if isinstance(next_, Wait) else ""


def _did(target: Target, intent: Intent, world: World, memory: Memory) -> tuple[str, ...]:
    did = []
    if target.id in memory.taken or (target.resumed and _snapshot_of(target, intent, world)):
        did.append("snapshot")
    instance = world.instances.get(target.id)
    arrived = target.id in world.gone if instance is None else instance.status is intent.then.goal
    if target.id in memory.acted or (target.resumed and arrived):
        did.append(str(intent.then))
    return tuple(did)


def _would_do(target: Target, intent: Intent, world: World, next_: Next) -> tuple[str, ...]:
    if isinstance(next_, Finished):
        return ()
    would = (
        []
        if isinstance(next_, Step) and next_.operation == intent.then.operation
        else [f"snapshot {snapshot_name(target.name, target.id, intent.moment)}"]
    )
    would.append(str(intent.then))
    # The snapshot to be taken will be one of those kept.
    room = intent.keep - 1
    old = drop_candidates(target, world, _keeping(intent, room)) if room else []
    if old:
        would.append(f"delete {len(old)} old snapshot{'s' if len(old) > 1 else ''}")
    return tuple(would)


def _keeping(intent: Intent, keep: int) -> Intent:
    return Intent(intent.targets, intent.then, intent.moment, intent.timeout, keep)


def _snapshot_of(target: Target, intent: Intent, world: World) -> str | None:
    name = snapshot_name(target.name, target.id, intent.moment)
    found = next((s for s in world.snapshots.get(target.id, ()) if s.name == name), None)
    if found is None:
        return None
    return name if found.status.is_ready else f"{name} ({found.status})"


def _state_now(instance: UserVM | None, before: UserVM | None, target: Target, world: World) -> str:
    if instance is not None:
        return str(instance.status)
    if target.id in world.gone or before is None:
        return str(VMStatus.DELETED)
    return "not seen"


def _cost_then(
    instance: UserVM | None, before: UserVM | None, intent: Intent, planned: bool, next_: Next
) -> Decimal | None:
    if planned and before is not None and isinstance(next_, Step):
        return hourly_cost(before, intent.then.goal)
    if instance is not None:
        return hourly_cost(instance)
    return hourly_cost(before, VMStatus.DELETED) if before else None
