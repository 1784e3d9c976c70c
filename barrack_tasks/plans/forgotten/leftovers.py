"""Leftovers: snapshots and volumes that belong to no machine any more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from barrack_tasks.api.models import Snapshot, UserVM, VolumeResponse
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.durations import PositiveSpan, said
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.forgotten.lifetimes import meant
from barrack_tasks.plans.forgotten.notices import GRACE, Notice, Stage, stage_of
from barrack_tasks.plans.inputs import Given, read_each
from barrack_tasks.plans.names import is_ours
from barrack_tasks.plans.protection import is_protected, why_protected


class Leftover(Given):
    """How old a snapshot or a volume may be that belongs to no machine any more.

    Attributes:
        of: `snapshots` whose machine is gone, or `volumes` that are attached to nothing.
        longer_than: how old they may be; of a volume since it was last changed.
        then: `report` names them, `alert` tells people once, and `delete` deletes them after a
            notice. The newest ready snapshot of a machine stays, and what is protected or leased,
            was proven to restore, has an image that depends on it, or was made by somebody else.

    Example:
        >>> Leftover(of="volumes", longer_than="7d")
        >>> Leftover(of="snapshots", longer_than="90d", then="delete")
    """

    of: Literal["snapshots", "volumes"]
    longer_than: PositiveSpan
    then: Literal["report", "alert", "delete"] = "report"

    @property
    def kind(self) -> str:
        """`snapshot` or `volume`."""
        return self.of.removesuffix("s")

    @property
    def key(self) -> str:
        """The same for the same rule, in whatever order rules are given."""
        return hashlib.blake2s(self.model_dump_json().encode(), digest_size=4).hexdigest()


def read_leftovers(values: Any) -> list[Leftover]:
    """Read rules about what belongs to nothing, typed or as dicts.

    Raises:
        ValueError: one cannot be read; says which, counted from 1, and why.
    """
    return read_each(Leftover, values, "leftover")


@dataclass(frozen=True)
class Left:
    """A snapshot or a volume that belongs to no machine and is older than it may be.

    Attributes:
        id: of the snapshot or volume.
        name: of the snapshot or volume.
        kind: `snapshot` or `volume`.
        rule: that says so.
        why: a sentence for people.
        stage: how far the rule has come with it.
        acts_at: when it is deleted, unless somebody says no.
    """

    id: str
    name: str
    kind: str
    rule: Leftover
    why: str
    stage: Stage = Stage.NAMED
    acts_at: datetime | None = None

    @property
    def thing(self) -> str:
        """By which it is leased: its kind and its id."""
        return f"{self.kind}:{self.id}"

    @property
    def key(self) -> str:
        """Of the notice about it."""
        return f"{self.rule.key} {self.thing}"


@dataclass(frozen=True)
class LeftoverGuards:
    """What keeps a leftover from being deleted.

    Attributes:
        protect: names, globs and ids of what is never touched, the machine of a snapshot included.
        held: leases by the ids of machines, and of snapshots and volumes as `snapshot:4711`.
        gone: ids of machines that are surely gone; a machine that one list lacks may be there.
        proven: ids of snapshots that were proven to restore.
        depended_on: ids of snapshots that an image depends on; None if that cannot be read.
        used: what other runs work on, by `snapshot:4711`, and which run that is.
    """

    protect: Sequence[str] = ()
    held: Mapping[str, Lease] | None = None
    gone: Collection[str] = ()
    proven: Collection[str] = ()
    depended_on: Collection[str] | None = None
    used: Mapping[str, str] | None = None


def judge_leftovers(
    rules: Iterable[Leftover],
    snapshots: Iterable[Snapshot],
    volumes: Iterable[VolumeResponse],
    instances: Mapping[str, UserVM],
    now: datetime,
    kept: LeftoverGuards | None = None,
    noticed: Mapping[str, Notice] | None = None,
    grace: timedelta = GRACE,
) -> list[Left]:
    """What belongs to nothing any more. What does not tell its age or its machine is left out.

    Args:
        rules: how old it may be.
        snapshots: all of the account.
        volumes: of the account.
        instances: of the account, by id.
        now: by the cloud's clock.
        kept: what keeps it from being deleted.
        noticed: what people were told of it, by the key of the notice.
        grace: how long after a notice it is deleted.
    """
    shots, disks = tuple(snapshots), tuple(volumes)
    found = []
    for rule in rules:
        things: list[tuple[Left, datetime | None, Snapshot | VolumeResponse]]
        if rule.of == "snapshots":
            things = [
                (Left(s.id, s.name, "snapshot", rule, ""), meant(s.created_at), s)
                for s in shots
                if s.instance_id and s.instance_id not in instances and not s.is_image
            ]
        else:
            things = [
                (Left(v.id, v.name, "volume", rule, ""), _changed(v), v)
                for v in disks
                if not v.attachments
            ]
        for left, since, thing in things:
            if since is None or now - since <= rule.longer_than:
                continue
            why = f"it belongs to no machine and is {said(now - since)} old"
            one = replace(left, why=why)
            if rule.then == "delete":
                spared = _why_spared(one, thing, shots, instances, kept or LeftoverGuards())
                if spared:
                    one = replace(one, stage=Stage.SPARED, why=f"{why}; {spared}")
                else:
                    stage, acts_at = stage_of((noticed or {}).get(one.key), now, grace)
                    one = replace(one, stage=stage, acts_at=acts_at)
            found.append(one)
    return found


def _changed(volume: VolumeResponse) -> datetime | None:
    made = meant(volume.created_at)
    # One that was detached a moment ago belonged to a machine until then.
    return made and max(made, meant(volume.updated_at) or made)


def _why_spared(
    one: Left,
    thing: Snapshot | VolumeResponse,
    snapshots: Sequence[Snapshot],
    instances: Mapping[str, UserVM],
    kept: LeftoverGuards,
) -> str | None:
    """Why it is not deleted; None if it is."""
    held = kept.held or {}
    if is_protected(kept.protect, one.id, one.name):
        return "it is protected"
    if one.thing in held:
        return f"{held[one.thing].said} keeps it"
    if user := (kept.used or {}).get(one.thing):
        return f"{user} is using it"
    if not isinstance(thing, Snapshot):
        return None
    machine = thing.instance_id or ""
    if why := why_protected(thing, kept.protect, instances):
        return why
    if machine in held:
        return f"{held[machine].said} keeps its machine"
    if not is_ours(thing, machine):
        return "it was not made by this library"
    if machine not in kept.gone:
        return "it is not certain yet that its machine is gone"
    if one.id in kept.proven:
        return "it is the newest that was proven to restore"
    if thing.id == _newest(machine, snapshots):
        return "it is the newest ready snapshot of its machine"
    if kept.depended_on is None:
        return "it is not known whether an image depends on it"
    return "an image depends on it" if one.id in kept.depended_on else None


def _newest(machine: str, snapshots: Iterable[Snapshot]) -> str | None:
    """The newest ready snapshot of a machine; one that tells no age counts as the newest."""
    ready = [s for s in snapshots if s.instance_id == machine and s.status.is_ready]

    def age(one: Snapshot) -> tuple[bool, float]:
        return one.created_at is None, one.created_at.timestamp() if one.created_at else 0.0

    return max(ready, key=age).id if ready else None


def notices_of_leftovers(
    left: Iterable[Left], link: Callable[[str], str] = lambda _: ""
) -> list[Reading]:
    """One line for each leftover that people are told of: what will happen, and how to say no.

    Args:
        left: what belongs to nothing.
        link: what a notice ends with, by the name under which it is leased.
    """
    found = []
    for one in left:
        what = f"{one.kind} {one.name}: {one.why}"
        if one.stage is Stage.NAMED and one.rule.then == "alert":
            found.append(Reading(f"{one.kind} {one.id}", True, False, what))
        elif one.acts_at is not None:
            text = (
                f"{what}; it is deleted at {one.acts_at:%Y-%m-%d %H:%M} UTC; to keep it, run: "
                f"barrack lease {one.thing} --extend 30d{link(one.thing)}"
            )
            found.append(Reading(one.key, True, False, text))
    return found
