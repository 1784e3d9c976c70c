"""The decision of `snapshot_before_stop`: what each instance needs next.

Pure: the world, the intent and the clock come in, the next step for each instance comes out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from barrack_tasks.api.models import Snapshot, SnapshotStatus, UserVM, VMStatus
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.names import is_ours, snapshot_description, snapshot_name
from barrack_tasks.plans.power.drive import hardware_of
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import (
    SelectionError,
    Selector,
    select_instances,
    selected_that_exist,
)
from barrack_tasks.plans.steps import Finished, Next, Step, Wait
from barrack_tasks.plans.world import World


class Then(StrEnum):
    """What follows the snapshot."""

    HIBERNATE = "hibernate"
    STOP = "stop"
    DELETE = "delete"

    @property
    def operation(self) -> str:
        """The operation that does it."""
        return f"{self.value}_instance"

    @property
    def goal(self) -> VMStatus:
        """The state in which the instance is where it should be."""
        return {
            Then.HIBERNATE: VMStatus.HIBERNATED,
            Then.STOP: VMStatus.SHUTOFF,
            Then.DELETE: VMStatus.DELETED,
        }[self]

    @property
    def event(self) -> str:
        """The event that tells that the instance is there."""
        past = {Then.HIBERNATE: "hibernated", Then.STOP: "stopped", Then.DELETE: "deleted"}
        return f"barrack.instance.{past[self]}"


@dataclass(frozen=True)
class Intent:
    """What the run is asked for. `moment` names the run's snapshots."""

    targets: tuple[Target, ...]
    then: Then
    moment: datetime
    timeout: timedelta
    keep: int = 3
    protect: Collection[str] = ()
    """Names, globs and ids of what must not be touched, judged anew at each decision."""


def decide(world: World, intent: Intent, memory: Memory, now: datetime) -> dict[str, Next]:
    """What each target needs next, by instance id.

    Example:
        >>> plan = decide(world, intent, Memory(), now)
        >>> [step for step in plan.values() if isinstance(step, Step)]
    """
    return decide_each(
        intent.targets,
        lambda target: snapshot_step(target, world, intent, memory),
        memory,
        world,
        intent.protect,
        intent.timeout,
        now,
    )


def targets_of(
    selected: Iterable[UserVM],
    inherited: Mapping[str, str],
    known: Mapping[str, UserVM],
    now: datetime,
) -> tuple[Target, ...]:
    """The instances selected, and those that a run which was cut off had begun with."""
    targets = {i.id: Target(i.id, i.name, now, i, i.id in inherited) for i in selected}
    for id_, name in inherited.items():
        targets.setdefault(id_, Target(id_, name, now, known.get(id_), resumed=True))
    return tuple(targets.values())


def intent_for(
    selector: Selector,
    world: World,
    then: Then,
    moment: datetime,
    now: datetime,
    timeout: timedelta,
    keep: int,
    protect: list[str],
    inherited: Mapping[str, str],
    strict: bool = True,
) -> Intent:
    """What a run is asked for, in terms of the account as it is.

    `strict` refuses names that match nothing; else what they match counts.

    Raises:
        SelectionError: a name matches nothing, or the selection matches no instance at all.
    """
    instances = list(world.instances.values())
    before = [*inherited, *inherited.values()]
    if strict:
        selected = select_instances(selector, instances, before)
    else:
        selected = selected_that_exist(selector, instances)
    if not selected and not inherited:
        raise SelectionError("the selection matches no instance; nothing was changed")
    return Intent(
        targets=targets_of(selected, inherited, dict(world.instances), now),
        then=then,
        moment=moment,
        timeout=timeout,
        keep=keep,
        protect=tuple(protect),
    )


def stopped_costs(intent: Intent) -> list[str]:
    """Sentences about what the instances will cost that are to be stopped, not hibernated."""
    if intent.then is not Then.STOP:
        return []
    return [
        f"{t.name} stays billed in full when stopped: {money(t.was.hourly_price, t.was.currency)} "
        "an hour; hibernate it to save that"
        for t in intent.targets
        if t.was is not None and not is_protected(intent.protect, t.id, t.name)
    ]


COUNTS_FOR = timedelta(hours=1)
"""So long before a run took an instance in hand a snapshot may have been taken, at the most."""
_CLOCK_TICK = timedelta(seconds=2)
"""The cloud tells its time in whole seconds."""


def snapshot_step(target: Target, world: World, intent: Intent, memory: Memory) -> Next:
    """The next step, whatever the clock and the refusals say."""
    then = intent.then
    instance = world.instances.get(target.id)
    if instance is None:
        if target.id not in world.gone:
            return Wait("it is missing from the list of instances")
        if then is not Then.DELETE:
            return Finished("failed", "it vanished: somebody else deleted it")
        return _arrived(target, world, intent, memory)
    if instance.status is VMStatus.DELETED and then is not Then.DELETE:
        return Finished("failed", "it was deleted by somebody else")
    if instance.status is then.goal:
        return _arrived(target, world, intent, memory)
    if instance.status.leads_to is then.goal:
        return Wait(f"it is {instance.status}")
    if instance.status is VMStatus.ACTIVE:
        return _from_active(target, instance, world, intent, memory)
    return _from_elsewhere(instance, then)


def _from_elsewhere(instance: UserVM, then: Then) -> Next:
    """From a state in which no snapshot can be taken."""
    if instance.status is VMStatus.ERROR:
        return Finished("failed", "it is in ERROR; a snapshot needs it ACTIVE")
    if instance.status.is_transitional:
        return Wait(f"it is {instance.status}")
    if then is Then.STOP and instance.status is VMStatus.HIBERNATED:
        return Finished("already", "it is HIBERNATED, which costs less than SHUTOFF")
    if instance.status is VMStatus.SHUTOFF:
        return Finished(
            "failed",
            "it is SHUTOFF, billed in full, and a snapshot needs it ACTIVE; start it first",
        )
    return Finished(
        "failed", f"it is {instance.status}, and a snapshot needs it ACTIVE; restore it first"
    )


def _from_active(
    target: Target, instance: UserVM, world: World, intent: Intent, memory: Memory
) -> Next:
    if target.id in memory.acted:
        # Somebody may have brought it back; its snapshot is no longer what it was taken for.
        return Wait(f"it was asked to {intent.then} and is ACTIVE")
    snapshots = world.snapshots.get(target.id, ())
    own = own_snapshot(target, world, intent, memory)
    if own is None:
        name = snapshot_name(target.name, target.id, intent.moment)
        if any(s.name == name for s in snapshots):
            return Finished(
                "failed",
                f"its snapshot {name} does not hold its present state, because this run lost its "
                "lock on the instance meanwhile; start the run again",
            )
        if target.id in memory.taken:
            return _missing(target, world, memory)
        if any(not s.status.is_ready and not s.status.is_failed for s in snapshots):
            return Wait("another snapshot of it is being taken")
        return Step(
            "create_snapshot",
            target.id,
            target.name,
            {
                "instance_id": target.id,
                "name": name,
                "description": snapshot_description(target.id, hardware_of(instance)),
            },
        )
    if not _belongs(own, target, memory):
        return Finished(
            "failed", f"a snapshot named {own.name} exists that is not of this instance"
        )
    if not own.status.is_ready:
        return _not_ready(own)
    if any(_is_being_taken(s) for s in snapshots):
        return Wait("another snapshot of it is being taken")
    return Step(intent.then.operation, target.id, target.name, {"instance_id": target.id})


def own_snapshot(target: Target, world: World, intent: Intent, memory: Memory) -> Snapshot | None:
    """The snapshot of an instance that this run has taken, or takes up, and that still counts."""
    snapshots = world.snapshots.get(target.id, ())
    if not snapshots:
        return None
    moments = (intent.moment, *reversed(memory.before.get(target.id, ())))
    names = [snapshot_name(target.name, target.id, moment) for moment in moments]
    found = sorted((s for s in snapshots if s.name in names), key=lambda s: names.index(s.name))
    instance = world.instances.get(target.id)
    if instance is None or instance.status is not VMStatus.ACTIVE:
        return next(iter(found), None)
    since = memory.in_hand.get(target.id)
    if since is None:
        return next(iter(found), None)
    if target.id in memory.lost_sight:
        return None
    may_be_new = None if target.id in memory.claimed_again else names[0]
    return next((s for s in found if still_counts(s, instance, since, s.name == may_be_new)), None)


def still_counts(snapshot: Snapshot, instance: UserVM, since: datetime, may_be_new: bool) -> bool:
    """Whether a snapshot of a running instance may stand for what the instance is now.

    One does that was taken since the run has the instance in hand without a break. An older one
    does if it is minutes old and nothing has touched the instance since.

    Args:
        snapshot: of the instance.
        instance: as it is now, ACTIVE.
        since: the cloud's time since which the run has it in hand without a break.
        may_be_new: whether its name is one that only this attempt gives.
    """
    taken = snapshot.created_at
    if may_be_new and (taken is None or taken >= since - _CLOCK_TICK):
        return True
    if taken is None or instance.updated_at is None:
        return False
    return instance.updated_at <= taken and since - taken <= COUNTS_FOR


def _not_ready(own: Snapshot) -> Next:
    if own.status.is_failed:
        return Finished("failed", f"its snapshot {own.name} ended as {own.status}")
    return Wait(f"its snapshot is {own.status}")


def _is_being_taken(snapshot: Snapshot) -> bool:
    status = snapshot.status
    return not (status.is_ready or status.is_failed or status is SnapshotStatus.DELETING)


def _missing(target: Target, world: World, memory: Memory) -> Next:
    if memory.taken.get(target.id) in world.gone_snapshots:
        early = "" if target.id in memory.acted else " before it could be relied on"
        return Finished("failed", f"its snapshot vanished{early}")
    return Wait("its snapshot is missing from the list of snapshots")


def _belongs(snapshot: Snapshot, target: Target, memory: Memory) -> bool:
    """Whether the snapshot that bears this run's name was taken of this instance."""
    if snapshot.instance_id is not None:
        return snapshot.instance_id == target.id
    return snapshot.id == memory.taken.get(target.id) or is_ours(snapshot, target.id)


def drop_candidates(
    target: Target, world: World, intent: Intent, to_come: int = 0
) -> list[Snapshot]:
    """Ready snapshots of an instance that this library took, beyond the newest `keep`.

    Those that are an image, or that an image depends on, are left out; all are, if it could not
    be read which those are. So are those that carry a protected name, whatever their instance is
    called now. A plan counts a snapshot that is `to_come` among the newest.
    """
    if world.depended_on is None:
        return []
    ready = [
        s
        for s in world.snapshots.get(target.id, ())
        if s.status.is_ready and is_ours(s, target.id) and s.created_at is not None
    ]
    newest_first = sorted(ready, key=lambda s: (s.created_at, s.name), reverse=True)
    return [
        s
        for s in newest_first[max(1, intent.keep) - to_come :]
        if not s.is_image
        and s.id not in world.depended_on
        and not is_protected(intent.protect, s.instance_name)
    ]


def _arrived(target: Target, world: World, intent: Intent, memory: Memory) -> Next:
    """The instance is where it should be: done if its snapshot is what was promised."""
    own = own_snapshot(target, world, intent, memory)
    if own is not None and _belongs(own, target, memory):
        return _tidy(target, world, intent, memory) if own.status.is_ready else _not_ready(own)
    if target.id in memory.acted or target.id in memory.taken:
        return _missing(target, world, memory)
    if intent.then is Then.DELETE and not (target.was and target.was.status is VMStatus.DELETED):
        return Finished("failed", "it vanished: somebody else deleted it")
    return Finished("already", f"it is {intent.then.goal} already")


def _tidy(target: Target, world: World, intent: Intent, memory: Memory) -> Next:
    """The work is done: drop old snapshots, then finish."""
    for snapshot in reversed(drop_candidates(target, world, intent)):
        if snapshot.id not in memory.not_deleted and snapshot.id not in memory.dropped:
            return Step("delete_snapshot", target.id, snapshot.name, {"snapshot_id": snapshot.id})
    return Finished("done")
