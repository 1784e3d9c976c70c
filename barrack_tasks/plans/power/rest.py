"""The decision of `hibernate`: driving down, with a snapshot first if that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from barrack_tasks.api.models import VMStatus
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.power.drive import Manner, drive_down
from barrack_tasks.plans.power.snapshot_then import Intent, snapshot_step
from barrack_tasks.plans.steps import Finished, Next, Wait
from barrack_tasks.plans.world import World


def rest_step(
    target: Target,
    world: World,
    intent: Intent,
    memory: Memory,
    manner: Manner,
    unable: frozenset[tuple[str, int]],
    snapshot: bool,
) -> Next:
    """The next step of one instance towards rest."""
    instance = world.instances.get(target.id)
    if not snapshot or instance is None:
        return drive_down(target, world, memory, manner, unable)
    flavor = (str(instance.gpu_model), int(instance.gpu_count or 1))
    is_down = VMStatus.HIBERNATED in (instance.status, instance.status.leads_to)
    by_snapshot = is_down or instance.status is VMStatus.ACTIVE
    if by_snapshot and flavor not in unable:
        return snapshot_step(target, world, intent, memory)
    return drive_down(target, world, memory, manner, unable)


def decide_rest(
    world: World,
    intent: Intent,
    memory: Memory,
    manner: Manner,
    unable: frozenset[tuple[str, int]],
    snapshot: bool,
    now: datetime,
) -> dict[str, Next]:
    """What each target needs next to be at rest."""
    return decide_each(
        intent.targets,
        lambda target: rest_step(target, world, intent, memory, manner, unable, snapshot),
        memory,
        world,
        intent.protect,
        intent.timeout,
        now,
    )


def without_waiting(
    plan: Mapping[str, Next], targets: Iterable[Target], memory: Memory
) -> dict[str, Next]:
    """The plan of a run that waits no longer: what only has to happen is left to the next run.

    What has a request under way is waited for, and so is what was begun and still needs its last
    request: a snapshot that the next run did not take would be taken again.
    """
    left = dict(plan)
    for target in targets:
        next_ = plan[target.id]
        is_begun = target.resumed or target.id in memory.touched
        may_leave = target.id in memory.acted or not is_begun
        if isinstance(next_, Wait) and may_leave and target.id not in memory.under_way:
            left[target.id] = Finished("skipped", f"left to the next run: {next_.why}")
    return left
