"""From a snapshot to an instance: names, what must hold before, and the next step."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Literal, NamedTuple

from barrack_tasks.api.models import Snapshot, UserVM, VMStatus
from barrack_tasks.api.models.rules import INSTANCE_NAME_LENGTH, INSTANCE_NAME_STRANGER
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.making import Making
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.names import LATEST, hardware_told_by, nearest
from barrack_tasks.plans.power.drive import hardware_of, holds, short_of
from barrack_tasks.plans.steps import Finished, Next, Step, Wait
from barrack_tasks.plans.world import World, lies_ahead, newest_of, newest_ready

WaitUntil = Literal["address", "active", "none"]
OutOfStock = Literal["wait", "stop"]
LISTS_LAG = timedelta(seconds=10)
"""So long an instance that a run before has asked for may be missing from the lists."""
_STRANGERS = re.compile(f"{INSTANCE_NAME_STRANGER.pattern}+")


@dataclass(frozen=True)
class Restoring:
    """One snapshot that is to become an instance.

    Attributes:
        snapshot: as it was when the run began.
        name: of the new instance.
        source: the instance that it was taken of, if that still exists.
        since: when a run that was cut off asked for it, by the cloud's clock; None if none did.
        hardware: GPU model and count that it needs; None if nothing tells.
        hourly_price: of the new instance; None if it is not known.
        currency: of the price.
        problems: why it cannot be, found before anything was sent.
        to_approve: what a person must approve before.
        unjudged: what could not be judged, stands in no cap's way and is left to the API.
    """

    snapshot: Snapshot
    name: str
    source: UserVM | None = None
    since: datetime | None = None
    hardware: tuple[str, int] | None = None
    hourly_price: Decimal | None = None
    currency: str | None = None
    problems: tuple[str, ...] = ()
    to_approve: tuple[str, ...] = ()
    unjudged: str = ""

    @property
    def region(self) -> str | None:
        """Where the new instance will be: where the snapshot is (documented)."""
        known = self.snapshot.region or (self.source.region if self.source else None)
        return None if known is None else str(known)

    @property
    def resumed(self) -> bool:
        """Whether a run that was cut off has asked for it already."""
        return self.since is not None

    def making(self, asked: datetime) -> Making:
        """The request that makes it, as one that is sent at a moment of the cloud's clock."""
        return Making(self.name, asked, "snapshot", self.hardware, self.region)

    @property
    def key(self) -> str:
        """By which it is held and remembered."""
        return lease_keys.restore(self.name)


def hardware_needed(
    snapshot: Snapshot, source: UserVM | None, seen: Callable[[], Mapping[str, tuple[str, int]]]
) -> tuple[str, int] | None:
    """GPU model and count that a snapshot restores to; None if nothing tells.

    Args:
        snapshot: as it is; the description of one that this library took tells.
        source: the instance that it was taken of, if that still exists.
        seen: hardware that is remembered, by instance; asked only if nothing else tells.
    """
    told = hardware_of(source) if source else hardware_told_by(snapshot)
    return told or seen().get(snapshot.instance_id or "")


class Meant(NamedTuple):
    """A snapshot that is asked for; `is_latest` if it is as the newest of an instance."""

    snapshot: Snapshot
    is_latest: bool = False


def find_snapshot(asked: str, snapshots: Sequence[Snapshot], now: datetime) -> Snapshot:
    """The snapshot that is meant by an id, a name, or `latest:` and an instance's name or id.

    As for retention, what is dated in the future is not the newest of an instance, unless there
    is no other.

    Args:
        asked: what is asked for.
        snapshots: all of the account.
        now: this moment, by the cloud's clock.

    Raises:
        ValueError: there is none; names the nearest that does exist.
    """
    if asked.startswith(LATEST):
        return _latest(asked.removeprefix(LATEST), snapshots, now)
    for snapshot in (*(s for s in snapshots if s.id == asked), *snapshots):
        if asked in (snapshot.id, snapshot.name):
            return snapshot
    if any(asked in (s.instance_name, s.instance_id) for s in snapshots):
        raise ValueError(
            f"snapshot: {asked!r} is an instance; its newest snapshot is '{LATEST}{asked}'"
        )
    raise ValueError(
        f"snapshot: none is called {asked!r}; {nearest(asked, [s.name for s in snapshots])}"
    )


def names_asked(snapshot: str | Sequence[str], name: str | None) -> list[str]:
    """The snapshots that are asked for, each once.

    Args:
        snapshot: an id, a name, or `latest:<instance name>`; or several of these.
        name: of the new instance, if it is given one.

    Raises:
        ValueError: no snapshot is named, or several instances would have one name.
    """
    asked = [snapshot] if isinstance(snapshot, str) else list(dict.fromkeys(snapshot))
    if not asked:
        raise ValueError("snapshot: the list is empty; name a snapshot")
    if name is not None and len(asked) != 1:
        raise ValueError("name: one name cannot be given to several instances; leave it out")
    return asked


def find_snapshots(
    asked: Iterable[str], snapshots: Sequence[Snapshot], now: datetime
) -> list[Meant]:
    """The snapshots that are meant, each once; see `find_snapshot`.

    Raises:
        ValueError: some do not exist; says so of all of them.
    """
    found: dict[str, Meant] = {}
    problems = []
    for one in asked:
        try:
            snapshot = find_snapshot(one, snapshots, now)
            found.setdefault(snapshot.id, Meant(snapshot, one.startswith(LATEST)))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return list(found.values())


def _latest(instance: str, snapshots: Sequence[Snapshot], now: datetime) -> Snapshot:
    of_it = [s for s in snapshots if instance in (s.instance_name, s.instance_id)]
    if not of_it:
        names = [s.instance_name for s in snapshots if s.instance_name]
        raise ValueError(
            f"snapshot: no snapshot is of an instance {instance!r}; {nearest(instance, names)}"
        )
    # One that is still being taken is waited for, and why a failed one will not do is said.
    dated = [s for s in of_it if not lies_ahead(s, now)]
    return newest_ready(dated) or newest_ready(of_it) or newest_of(of_it)


def restored_names(snapshot: Snapshot, is_latest: bool = False) -> Iterator[str]:
    """What the instance may be called, the best first: `<snapshot>-restored`, then numbered.

    Always valid; what is shortened is made distinct by a hash of the snapshot's id. Where the name
    would be shortened, what was asked for as the newest of an instance is called
    `<instance>-restored` before all else.

    Example:
        >>> next(restored_names(Snapshot(id="1", name="base", status="SUCCESS")))
        'base-restored'
    """
    of_instance = f"{snapshot.instance_name}-restored"
    is_valid = len(of_instance) <= INSTANCE_NAME_LENGTH[1] and not _STRANGERS.search(of_instance)
    clean = _STRANGERS.sub("-", snapshot.name)
    fits = clean == snapshot.name and len(f"{clean}-restored") <= INSTANCE_NAME_LENGTH[1]
    if is_latest and not fits and snapshot.instance_name and is_valid:
        yield of_instance
    mark = hashlib.blake2s(snapshot.id.encode(), digest_size=4).hexdigest()[:6]
    for number in count(1):
        suffix = "-restored" if number == 1 else f"-restored-{number}"
        room = INSTANCE_NAME_LENGTH[1] - len(suffix)
        if clean == snapshot.name and len(clean) <= room:
            yield clean + suffix
        else:
            yield f"{clean[: room - len(mark) - 1]}-{mark}{suffix}"


def free_name(name: str, taken: Iterable[str]) -> str:
    """A name that is free and like another that is taken."""
    known = set(taken)
    for number in count(2):
        suffix = f"-{number}"
        other = name[: INSTANCE_NAME_LENGTH[1] - len(suffix)] + suffix
        if other not in known:
            return other
    raise AssertionError("numbers do not end")


def decide_restore(
    one: Restoring,
    world: World,
    memory: Memory,
    wait_until: WaitUntil,
    shortfall: OutOfStock,
    began: datetime,
    now: datetime,
) -> Next:
    """What one snapshot needs next on its way to an instance.

    Args:
        one: the snapshot and the name.
        world: as observed; `gone` holds the new instance if it was there and is not.
        memory: of this run.
        wait_until: what counts as done.
        shortfall: what to do while the GPU is out of stock.
        began: when this attempt began; lists may lag behind a run before.
        now: zone-aware.
    """
    there = world.by_name.get(one.name)
    made = memory.made.get(one.key)
    if made is None and there is not None and not is_own(one, there, memory):
        making = _made_by(one, memory)
        if making is not None and not making.was_before(there):
            return Finished("failed", making.why_unclear(there))
        other = free_name(one.name, (i.name for i in world.instances.values()))
        return Finished(
            "failed", f"duplicate instance name: {one.name!r} is taken; {other!r} is free"
        )
    if there is not None:
        return _coming_up(one, there, wait_until)
    if made is not None:
        return _missing(one, made, world, wait_until)
    taken_up = memory.taken_up.get(one.key, began if one.resumed else None)
    if taken_up is not None and now - taken_up < LISTS_LAG:
        return Wait("an earlier run was cut off, and lists may not show yet what it created")
    next_ = _begin(one, world, memory, shortfall)
    if not one.problems:
        return next_
    also = (next_.why,) if isinstance(next_, Finished) else ()
    return Finished("failed", "; ".join((*one.problems, *also)))


def is_own(one: Restoring, there: UserVM, memory: Memory) -> bool:
    """Whether an instance of the name is what this run, or the one it goes on with, has made.

    It is if it was asked for and what came of that is not known (the answer was lost, or the run
    cut off) and if it surely is what that request made: a name that was only reserved, and one
    that somebody else has, is never taken up.
    """
    making = _made_by(one, memory)
    return making is not None and making.has_made(there)


def _made_by(one: Restoring, memory: Memory) -> Making | None:
    """The request of which it is not known what came of it, if there was one."""
    asked = one.since or memory.unknown_since.get(one.key)
    return None if asked is None else one.making(asked)


def _coming_up(one: Restoring, there: UserVM, wait_until: WaitUntil) -> Next:
    if wait_until == "none":
        return Finished("done")
    match there.status:
        case VMStatus.ERROR:
            return Finished("failed", f"{one.name} came up in ERROR; somebody must look at it")
        case VMStatus.ACTIVE if wait_until == "active" or there.has_address:
            differences = differing(one, there)
            if differences:
                said = "; ".join(differences)
                return Finished(
                    "failed", f"it differs from its snapshot; somebody must look at it: {said}"
                )
            return Finished("done")
        case VMStatus.ACTIVE:
            return Wait("its address is pending")
        case VMStatus.DELETED | VMStatus.DELETING:
            return Finished("failed", f"instance not found after restore: {one.name} was deleted")
        case passing:
            return Wait(f"it is {passing}")


def _missing(one: Restoring, made: str, world: World, wait_until: WaitUntil) -> Next:
    if made in world.gone:
        if one.snapshot.id in world.gone_snapshots:
            return Finished(
                "failed",
                "snapshot deleted during restore, and the instance is gone with it; "
                "restore another",
            )
        return Finished(
            "failed",
            f"instance not found after restore: {one.name} ({made}) was there and is gone; "
            "look at the dashboard before you restore again",
        )
    return (
        Finished("done")
        if wait_until == "none"
        else Wait("it is missing from the list of instances")
    )


def _begin(one: Restoring, world: World, memory: Memory, shortfall: OutOfStock) -> Next:
    of_it = world.snapshots.get(one.snapshot.instance_id or "", ())
    now = next((s for s in of_it if s.id == one.snapshot.id), None)
    if now is None and one.snapshot.id in world.gone_snapshots:
        return Finished("failed", f"snapshot deleted: {one.snapshot.name} is gone")
    state = now or one.snapshot
    if state.status.is_failed:
        other = newest_ready(of_it)
        offer = f"; the newest ready one is {other.name!r}" if other else "; no other is ready"
        return Finished("failed", f"snapshot not available: it is {state.status}{offer}")
    if not state.status.is_ready:
        if not state.status.known or str(state.status) == "DELETING":
            return Finished("failed", f"invalid snapshot status: it is {state.status}")
        return Wait(f"snapshot not available yet: it is {state.status}")
    if shortfall == "stop" and one.key in memory.short:
        return Finished("failed", f"out of stock: {memory.short[one.key]}; try again later")
    if one.hardware is not None and not holds(world.stock, one.region, one.hardware):
        why = short_of(one.region, one.hardware)
        if shortfall == "stop":
            return Finished("failed", f"out of stock: {why}; try again later")
        return Wait(why)
    arguments = {"snapshot_id": one.snapshot.id, "name": one.name}
    return Step("restore_snapshot", one.key, one.name, arguments)


def differing(one: Restoring, there: UserVM) -> list[str]:
    """What is not as it was promised (documented): hardware, region, what it booted from."""
    promised: dict[str, object] = {"region": one.snapshot.region, "boot source": "snapshot"}
    came = {"region": there.region, "boot source": there.boot_source, **_hardware(there)}
    if one.hardware is not None:
        promised |= {"GPU model": one.hardware[0], "GPU count": one.hardware[1]}
    if one.source is not None:
        promised |= _hardware(one.source)
    return [
        f"{what} {came[what]} instead of {promised[what]}"
        for what in promised
        if None not in (promised[what], came.get(what)) and promised[what] != came[what]
    ]


def _hardware(instance: UserVM) -> dict[str, object]:
    flavor = instance.flavor
    return {
        "GPU model": instance.gpu_model,
        "GPU count": instance.gpu_count,
        "vCPUs": flavor.vcpus if flavor else None,
        "RAM (GB)": flavor.ram_gb if flavor else None,
        "disk (GB)": flavor.disk_gb if flavor else None,
    }


def refusal(name: str, reason: str | None, message: str) -> str:
    """What a person reads when the API refuses a restore.

    Args:
        name: of the new instance.
        reason: the API's own word, if it gives one.
        message: the API's sentence.
    """
    if (reason or "").casefold() == "duplicate_name":
        other = free_name(name, [name])
        return (
            f"duplicate instance name: {name!r} was taken meanwhile; leave the name out, or try "
            f"another such as {other!r}"
        )
    if "profile" in (reason or "").casefold() or "profile" in message.casefold():
        return (
            "profile incomplete: fill in full name, billing address, postal code and country in "
            "the profile settings of the dashboard, and start the run again"
        )
    return message
