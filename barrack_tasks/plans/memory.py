"""What a run remembers because the API does not tell it, and the rules that hold for every flow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.steps import Finished, Next, Reason, Step, Wait
from barrack_tasks.plans.world import World

MOST_REFUSALS = 3
"""So often a request may be refused before its instance is given up."""
_ENDING = ("stop_instance", "hibernate_instance", "delete_instance", "delete_snapshot")
STOCK_AGAIN = timedelta(seconds=15)
"""So long after a refusal for want of stock it is asked again, whatever the stock's list says."""


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


def resource_of(target_id: str) -> str:
    """What a target is about: itself, or what follows the word that says what is made.

    Example:
        >>> resource_of("restore:alpha"), resource_of("BRK-A1B2C3D")
        ('alpha', 'BRK-A1B2C3D')
    """
    return target_id.rpartition(":")[2]


@dataclass
class Memory:
    """What this run did that the API does not tell."""

    under_way: dict[str, Step] = field(default_factory=dict)
    """What is being sent, by instance."""
    taken: dict[str, str] = field(default_factory=dict)
    """Ids of the snapshots that this run took, by instance."""
    acted: set[str] = field(default_factory=set)
    """Instances that were asked to stop, hibernate or go."""
    woken: set[str] = field(default_factory=set)
    """Instances that were asked to start or to come back."""
    made: dict[str, str] = field(default_factory=dict)
    """Ids of the instances that were made in place of others, by those."""
    imaged: dict[str, str] = field(default_factory=dict)
    """Ids of the images that this run made, by what they were made for."""
    refused: dict[str, list[str]] = field(default_factory=dict)
    """What the API said against requests, by instance."""
    short: dict[str, str] = field(default_factory=dict)
    """What the API said when the stock was gone between look and request, by instance."""
    hopeless: dict[str, str] = field(default_factory=dict)
    """Instances for which trying again cannot help, and why."""
    not_deleted: dict[str, str] = field(default_factory=dict)
    """Old snapshots that could not be deleted, and why."""
    dropped: set[str] = field(default_factory=set)
    """Old snapshots that were deleted."""
    asked_at: dict[str, datetime] = field(default_factory=dict)
    """When the latest request about an instance was sent."""
    sent: dict[str, datetime] = field(default_factory=dict)
    """When a request that makes something was last sent, by the cloud's clock."""
    unknown_since: dict[str, datetime] = field(default_factory=dict)
    """When a request was sent of which it is not known whether it took effect, by instance.

    Of one that makes something by the cloud's clock: it is compared with the age of what is there.
    """
    taken_up: dict[str, datetime] = field(default_factory=dict)
    """When this run learned what one that was cut off has asked for; lists may not show it yet."""
    arrived_at: dict[str, datetime] = field(default_factory=dict)
    """When an instance was first seen to be where it should be."""
    up_at: dict[str, datetime] = field(default_factory=dict)
    """When what was made was first seen ACTIVE."""
    held_by: dict[str, str] = field(default_factory=dict)
    """Instances that another run is working on, and which."""
    before: dict[str, tuple[datetime, ...]] = field(default_factory=dict)
    """When attempts that were cut off began which had an instance in hand, by instance."""
    claims: dict[str, int] = field(default_factory=dict)
    """Which claim of an instance `in_hand` is about; see `Hold.claims`."""
    held_at: dict[str, float] = field(default_factory=dict)
    """When an instance was last known to be held, in seconds that pass in sleep, too."""
    lost_sight: set[str] = field(default_factory=set)
    """Instances that were in nobody's hand for so long that an old snapshot tells nothing."""
    claimed_again: set[str] = field(default_factory=set)
    """Instances of which the lease was lost, and that are held anew."""
    in_hand: dict[str, datetime] = field(default_factory=dict)
    """The cloud's time since which an instance was held by this run without a break."""

    @property
    def touched(self) -> set[str]:
        """Instances of which something was asked, whether it was granted or not."""
        return {*self.acted, *self.woken, *self.made, *self.taken, *self.refused, *self.short}

    def begin(self, step: Step, at: datetime | None = None) -> None:
        """Note that a step is being sent."""
        self.under_way[step.instance_id] = step
        if at is not None:
            self.asked_at[step.instance_id] = at

    def arrive(self, id_: str, at: datetime) -> None:
        """Note that an instance is where it should be, the first time that this is seen."""
        self.arrived_at.setdefault(id_, at)

    def succeeded(self, step: Step, made: str | None = None) -> None:
        """Note that a step was accepted; `made` is the id of what it created, if anything."""
        self.under_way.pop(step.instance_id, None)
        self.short.pop(step.instance_id, None)
        match step.operation:
            case "create_snapshot":
                self.taken[step.instance_id] = made or ""
            case "delete_snapshot":
                self.dropped.add(step.arguments["snapshot_id"])
            case "start_instance" | "restore_instance":
                self.woken.add(step.instance_id)
            case "create_instance" | "restore_snapshot":
                self.made[step.instance_id] = made or ""
            case "create_image":
                self.imaged[step.instance_id] = made or ""
            case _:
                self.acted.add(step.instance_id)

    def done_so_far(self, names: Mapping[str, str]) -> str:
        """What this run has made and asked for, for a run that cannot go on; empty if nothing.

        Args:
            names: of the instances, by id.

        Example:
            >>> Memory(taken={"BRK-1": "4711"}, acted={"BRK-1"}).done_so_far({"BRK-1": "alpha"})
            'it took the snapshot 4711 (alpha) and asked alpha to rest or go'
        """

        def name(key: str) -> str:
            return names.get(key, key)

        asked = [name(key) for key in sorted(self.acted)]
        woken = [name(key) for key in sorted(self.woken)]
        said = [
            *(f"took the snapshot {id_} ({name(key)})" for key, id_ in self.taken.items()),
            *(f"made the instance {id_} ({name(key)})" for key, id_ in self.made.items()),
            *(f"made the image {id_} ({name(key)})" for key, id_ in self.imaged.items()),
            *([f"asked {', '.join(asked)} to rest or go"] if asked else []),
            *([f"asked {', '.join(woken)} to come back"] if woken else []),
            *(f"was sending {s.operation} ({s.subject})" for s in self.under_way.values()),
        ]
        return f"it {', '.join(said[:-1])}{' and ' * (len(said) > 1)}{said[-1]}" if said else ""

    def was_lost(self, step: Step) -> None:
        """Note that it is not known whether a step took effect, whatever else is said of it."""
        if step.instance_id in self.asked_at:
            at = self.sent.get(step.instance_id, self.asked_at[step.instance_id])
            self.unknown_since.setdefault(step.instance_id, at)

    def may_have_made(self, id_: str) -> bool:
        """Whether something was made for it, or may have been."""
        return any(id_ in ids for ids in (self.made, self.unknown_since, self.under_way))

    def was_refused(self, step: Step, why: str, may_pass: bool) -> None:
        """Note that a step was refused, and whether trying again can help."""
        self.under_way.pop(step.instance_id, None)
        if step.operation == "delete_snapshot":
            self.not_deleted[step.arguments["snapshot_id"]] = why
        elif may_pass:
            self.refused.setdefault(step.instance_id, []).append(why)
        else:
            self.hopeless[step.instance_id] = why

    def was_not_sent(self, step: Step) -> None:
        """Note that a step was not sent; what it is about is claimed again, or let be."""
        self.under_way.pop(step.instance_id, None)

    def ran_out(self, step: Step, why: str) -> None:
        """Note that a step was refused because the stock was gone; that passes."""
        self.under_way.pop(step.instance_id, None)
        self.short[step.instance_id] = why


def decide_each(
    targets: Iterable[Target],
    step: Callable[[Target], Next],
    memory: Memory,
    world: World,
    protect: Collection[str],
    timeout: timedelta,
    now: datetime,
) -> dict[str, Next]:
    """What each target needs next: what `step` says, within the rules that hold for every flow.

    Protected instances are left alone, an instance has one request at a time, one that another
    run holds waits, one whose GPU was gone when it was asked for is asked for again after a
    while, and none is worked on for longer than the timeout or against more than
    `MOST_REFUSALS` refusals. A request that waits to be sent is withdrawn when its instance is
    protected by now, and one that ends something also when the world is no longer as it was when
    it was decided on.

    Args:
        targets: the instances.
        step: the next step of one of them, whatever the rules say.
        memory: of this run.
        world: the account as it was just observed.
        protect: names, globs and ids of what is never touched, judged on that world.
        timeout: for one instance.
        now: zone-aware.
    """
    all_of_them = tuple(targets)
    spared = protected_targets(all_of_them, world, protect, memory)
    return {
        t.id: _under_way(memory.under_way[t.id], t, step, t.id in spared)
        if t.id in memory.under_way
        else _spared(t, memory)
        if t.id in spared
        else _within_rules(t, step, memory, timeout, now)
        for t in all_of_them
    }


def protected_targets(
    targets: Iterable[Target],
    world: World,
    protect: Collection[str],
    memory: Memory | None = None,
) -> frozenset[str]:
    """Ids of the targets that are protected as the world is now.

    By id, by the name with which the run knows the target, by the name that it has now, and by
    the name that what was made for it has now. A target that was protected when the run began
    stays so, although it is renamed meanwhile.
    """
    if not protect:
        return frozenset()

    def names(target: Target) -> list[str]:
        made = memory.made.get(target.id) if memory else None
        there = (world.instances.get(id_) for id_ in (target.id, made) if id_)
        return [target.name, *(i.name for i in there if i is not None), *([made] if made else [])]

    return frozenset(t.id for t in targets if is_protected(protect, t.id, *names(t)))


def _under_way(sent: Step, target: Target, step: Callable[[Target], Next], is_spared: bool) -> Wait:
    if is_spared:
        return Wait("it is protected now, and an earlier request is under way", Reason.WITHDRAWN)
    if sent.operation in _ENDING and not _is_same(sent, step(target)):
        return Wait("a request is under way that is no longer wanted", Reason.WITHDRAWN)
    return Wait("a request is under way", Reason.UNDER_WAY)


def _is_same(sent: Step, next_: Next) -> bool:
    return (
        isinstance(next_, Step)
        and (next_.operation, next_.instance_id) == (sent.operation, sent.instance_id)
        and next_.arguments == sent.arguments
    )


def _spared(target: Target, memory: Memory) -> Finished:
    if target.id in memory.acted | memory.woken:
        why = "it is protected now; requests that were sent before are not undone"
        return Finished("skipped", why, Reason.PROTECTED)
    return Finished("skipped", "protected", Reason.PROTECTED)


def _within_rules(
    target: Target,
    step: Callable[[Target], Next],
    memory: Memory,
    timeout: timedelta,
    now: datetime,
) -> Next:
    if target.id in memory.hopeless:
        return Finished("failed", memory.hopeless[target.id])
    next_ = step(target)
    if isinstance(next_, Finished):
        return next_
    late = now >= target.began + timeout
    if isinstance(next_, Step) and next_.operation == "delete_snapshot":
        # The work is done; what is left over is no reason to call it failed.
        if late:
            return Finished("done", "no time was left to delete old snapshots")
        return _unless_held(target, next_, memory)
    refused = memory.refused.get(target.id, [])
    if isinstance(next_, Step) and len(refused) >= MOST_REFUSALS:
        return Finished("failed", refused[-1])
    next_ = _unless_short(target, _unless_held(target, next_, memory), memory, now)
    if late:
        why = _last_reason(next_, refused)
        return Finished("failed", f"not finished within {said(timeout)}: {why}", Reason.NO_TIME)
    return next_


def _unless_short(target: Target, next_: Step | Wait, memory: Memory, now: datetime) -> Step | Wait:
    why, asked = memory.short.get(target.id), memory.asked_at.get(target.id)
    if why is None or isinstance(next_, Wait) or asked is None or now >= asked + STOCK_AGAIN:
        return next_
    return Wait(f"its GPU went out of stock before the request arrived: {why}", Reason.OUT_OF_STOCK)


def _unless_held(target: Target, next_: Step | Wait, memory: Memory) -> Step | Wait:
    holder = memory.held_by.get(target.id) or memory.held_by.get(memory.made.get(target.id, ""))
    return next_ if holder is None else Wait(f"{holder} is working on it", Reason.HELD)


def _last_reason(next_: Step | Wait, refused: list[str]) -> str:
    if isinstance(next_, Wait):
        return next_.why
    return refused[-1] if refused else f"no time was left to {next_.operation.replace('_', ' ')}"
