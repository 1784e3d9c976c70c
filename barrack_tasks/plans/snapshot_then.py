"""The decision of `snapshot_before_stop`: what each instance needs next.

Pure: the world, the intent and the clock come in, the next step for each instance comes out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from barrack_tasks.api.models import Snapshot, UserVM, VMStatus
from barrack_tasks.plans.naming import is_ours, snapshot_description, snapshot_name
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import SelectionError, Selector, matches, select_instances
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
    def on_the_way(self) -> VMStatus:
        """The state that leads there."""
        return {
            Then.HIBERNATE: VMStatus.HIBERNATING,
            Then.STOP: VMStatus.STOPPING,
            Then.DELETE: VMStatus.DELETING,
        }[self]


@dataclass(frozen=True)
class Target:
    """An instance as it was when the run began.

    `resumed` says that the run was cut off while it had this instance in hand, and goes on.
    """

    id: str
    name: str
    began: datetime
    was: UserVM | None = None
    resumed: bool = False


@dataclass(frozen=True)
class Intent:
    """What the run is asked for. `moment` names the run's snapshots."""

    targets: tuple[Target, ...]
    then: Then
    moment: datetime
    timeout: timedelta
    keep: int = 3
    protected: frozenset[str] = frozenset()
    """Ids of instances that must not be touched."""


@dataclass
class Memory:
    """What this run did that the API does not tell."""

    under_way: set[str] = field(default_factory=set)
    """Instances of which a request is being sent."""
    taken: dict[str, str] = field(default_factory=dict)
    """Ids of the snapshots that this run took, by instance."""
    acted: set[str] = field(default_factory=set)
    """Instances that were asked to stop, hibernate or go."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """What the API said against requests, by instance."""
    hopeless: dict[str, str] = field(default_factory=dict)
    """Instances for which trying again cannot help, and why."""
    not_deleted: dict[str, str] = field(default_factory=dict)
    """Old snapshots that could not be deleted, and why."""
    dropped: set[str] = field(default_factory=set)
    """Old snapshots that were deleted."""
    held_by: dict[str, str] = field(default_factory=dict)
    """Instances that another run is working on, and which."""

    def begin(self, step: Step) -> None:
        """Note that a step is being sent."""
        self.under_way.add(step.instance_id)

    def succeeded(self, step: Step, snapshot_id: str | None = None) -> None:
        """Note that a step was accepted; `snapshot_id` is what `create_snapshot` gave."""
        self.under_way.discard(step.instance_id)
        match step.operation:
            case "create_snapshot":
                self.taken[step.instance_id] = snapshot_id or ""
            case "delete_snapshot":
                self.dropped.add(step.arguments["snapshot_id"])
            case _:
                self.acted.add(step.instance_id)

    def was_refused(self, step: Step, why: str, may_pass: bool) -> None:
        """Note that a step was refused, and whether trying again can help."""
        self.under_way.discard(step.instance_id)
        if step.operation == "delete_snapshot":
            self.not_deleted[step.arguments["snapshot_id"]] = why
        elif may_pass:
            self.refused.setdefault(step.instance_id, []).append(why)
        else:
            self.hopeless[step.instance_id] = why


MOST_REFUSALS = 3
"""So often a request may be refused before its instance is given up."""


def decide(world: World, intent: Intent, memory: Memory, now: datetime) -> dict[str, Next]:
    """What each target needs next, by instance id.

    Example:
        >>> plan = decide(world, intent, Memory(), now)
        >>> [step for step in plan.values() if isinstance(step, Step)]
    """
    return {target.id: _decide_one(target, world, intent, memory, now) for target in intent.targets}


def targets_of(
    selected: Iterable[UserVM],
    inherited: dict[str, str],
    known: dict[str, UserVM],
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
    inherited: dict[str, str],
) -> Intent:
    """What a run is asked for, in terms of the account as it is.

    Raises:
        SelectionError: a name matches nothing, or the selection matches no instance at all.
    """
    instances = list(world.instances.values())
    before = [*inherited, *inherited.values()]
    selected = select_instances(selector, instances, before)
    if not selected and not inherited:
        raise SelectionError("the selection matches no instance; nothing was changed")
    return Intent(
        targets=targets_of(selected, inherited, dict(world.instances), now),
        then=then,
        moment=moment,
        timeout=timeout,
        keep=keep,
        protected=frozenset(i.id for i in instances if matches(i, protect)),
    )


def stopped_costs(intent: Intent) -> list[str]:
    """Sentences about what the instances will cost that are to be stopped, not hibernated."""
    if intent.then is not Then.STOP:
        return []
    return [
        f"{t.name} stays billed in full when stopped: {money(t.was.hourly_price, t.was.currency)} "
        "an hour; hibernate it to save that"
        for t in intent.targets
        if t.was is not None and t.id not in intent.protected
    ]


def unfinished(plan: dict[str, Next]) -> Collection[str]:
    """Ids of the instances that need something more."""
    return [id_ for id_, next_ in plan.items() if not isinstance(next_, Finished)]


def _decide_one(
    target: Target, world: World, intent: Intent, memory: Memory, now: datetime
) -> Next:
    if target.id in intent.protected:
        return Finished("skipped", "protected")
    if target.id in memory.under_way:
        return Wait("a request is under way")
    if target.id in memory.hopeless:
        return Finished("failed", memory.hopeless[target.id])
    next_ = _step(target, world, intent, memory)
    if isinstance(next_, Finished):
        return next_
    refused = memory.refused.get(target.id, [])
    if len(refused) >= MOST_REFUSALS:
        return Finished("failed", refused[-1])
    if now >= target.began + intent.timeout:
        why = next_.why if isinstance(next_, Wait) else (refused or ["not begun"])[-1]
        minutes = intent.timeout.total_seconds() / 60
        return Finished("failed", f"not finished within {minutes:g} min: {why}")
    if target.id in memory.held_by:
        return Wait(f"held by {memory.held_by[target.id]}")
    return next_


def _step(target: Target, world: World, intent: Intent, memory: Memory) -> Next:
    """The next step, whatever the clock and the refusals say."""
    then = intent.then
    instance = world.instances.get(target.id)
    if instance is None:
        if target.id not in world.gone:
            return Wait("it is missing from the list of instances")
        if then is Then.DELETE and (target.id in memory.acted or target.resumed):
            return _tidy(target, world, intent, memory)
        return Finished("failed", "it vanished: somebody else deleted it")
    if instance.status is VMStatus.DELETED and then is not Then.DELETE:
        return Finished("failed", "it was deleted by somebody else")
    if instance.status is then.goal:
        return _tidy(target, world, intent, memory)
    if instance.status is then.on_the_way:
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
        return Finished("already", "it is HIBERNATED, which costs less than stopped")
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
    name = snapshot_name(target.name, target.id, intent.moment)
    own = next((s for s in snapshots if s.name == name), None)
    if own is None:
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
                "description": snapshot_description(target.id),
            },
        )
    if not _belongs(own, target, memory):
        return Finished("failed", f"a snapshot named {name} exists that is not of this instance")
    if own.status.is_failed:
        return Finished("failed", f"its snapshot {name} ended {own.status}")
    if not own.status.is_ready:
        return Wait(f"its snapshot is {own.status}")
    return Step(intent.then.operation, target.id, target.name, {"instance_id": target.id})


def _missing(target: Target, world: World, memory: Memory) -> Next:
    if memory.taken[target.id] in world.gone_snapshots:
        return Finished("failed", "its snapshot vanished before it could be relied on")
    return Wait("its snapshot is missing from the list of snapshots")


def _belongs(snapshot: Snapshot, target: Target, memory: Memory) -> bool:
    """Whether the snapshot that bears this run's name was taken of this instance."""
    if snapshot.instance_id is not None:
        return snapshot.instance_id == target.id
    return snapshot.id == memory.taken.get(target.id) or is_ours(snapshot, target.id)


def drop_candidates(target: Target, world: World, intent: Intent) -> list[Snapshot]:
    """Ready snapshots of an instance that this library took, beyond the newest `keep`.

    Those that are an image, or that an image depends on, are left out; all are, if it could not
    be read which those are.
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
        for s in newest_first[max(1, intent.keep) :]
        if not s.is_image and s.id not in world.depended_on
    ]


def _tidy(target: Target, world: World, intent: Intent, memory: Memory) -> Next:
    """The instance is where it should be: drop old snapshots, then finish."""
    worked_on = target.id in memory.acted or target.id in memory.taken or target.resumed
    if worked_on:
        for snapshot in reversed(drop_candidates(target, world, intent)):
            if snapshot.id not in memory.not_deleted and snapshot.id not in memory.dropped:
                return Step(
                    "delete_snapshot", target.id, snapshot.name, {"snapshot_id": snapshot.id}
                )
        return Finished("done")
    return Finished("already", f"it is {intent.then.goal} already")
