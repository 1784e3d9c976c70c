"""What changed in an account between two looks, whoever changed it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from barrack_tasks.api.models import (
    Snapshot,
    SnapshotStatus,
    UserVM,
    VMStatus,
    VolumeResponse,
)
from barrack_tasks.api.models.instances import PENDING_ADDRESS
from barrack_tasks.plans.prices import hourly_cost

Moved = Literal["by-a-run", "on-its-way", "otherwise"]
"""Whether a run of this library moved an instance, or its state passes, or neither is so."""
MOVED = "barrack.moved"
"""The label of an event that tells it, so that a trigger need not answer runs of our own."""
Sight = tuple[str, ...]
"""What is remembered of a thing: its name, its state, and what else can change."""
View = Mapping[str, Sight]
"""What was seen of an account: `kind:id`, and what is remembered of each."""
MOVES = ("barrack.instance.appeared", "barrack.instance.changed")
_FAILED = (SnapshotStatus.FAILED, SnapshotStatus.ERROR)


@dataclass(frozen=True)
class AccountChange:
    """One change: which event tells it, of what, and its payload.

    `turn` tells it from other changes of the same thing.
    """

    event: str
    key: str
    name: str
    turn: int
    instance: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    moved: Moved | None = None
    """How an instance came to be as it is, if it appeared or changed; see `with_moves`."""

    @property
    def id(self) -> str:
        """The thing's id."""
        return self.key.partition(":")[2]


def view_of(
    instances: Iterable[UserVM], volumes: Iterable[VolumeResponse], snapshots: Iterable[Snapshot]
) -> dict[str, Sight]:
    """The account as it is compared."""
    found: dict[str, Sight] = {
        f"instance:{i.id}": (i.name, str(i.status), i.public_ip or "") for i in instances
    }
    for snapshot in snapshots:
        key = f"snapshot:{snapshot.id}"
        found[key] = (snapshot.name, str(snapshot.status), snapshot.instance_id or "")
    for volume in volumes:
        attached = sorted(a.instance_id for a in volume.attachments)
        found[f"volume:{volume.id}"] = (volume.name, str(volume.status), *attached)
    return found


def next_view(before: View, now: View, gone: Collection[str]) -> dict[str, Sight]:
    """What is remembered: what is listed, and what is missing but not known to be gone."""
    late = {k: v for k, v in before.items() if k not in now and k not in gone}
    return {**now, **late}


def changes(
    before: View,
    after: View,
    turns: Mapping[str, int],
    instances: Mapping[str, UserVM],
) -> list[AccountChange]:
    """What changed between two views, each change once, in the order of the keys.

    Args:
        before: what was remembered.
        after: what is remembered next; see `next_view`.
        turns: see `next_turns`: makes the same change of another day another.
        instances: as they are, by id; for payloads.
    """
    found: list[AccountChange] = []
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        kind = key.partition(":")[0]
        teller = {"instance": _of_instance, "snapshot": _of_snapshot, "volume": _of_volume}[kind]
        found += teller(key, was, now, turns.get(key, 0), instances)
    return found


def with_moves(
    found: Iterable[AccountChange], instances: Mapping[str, UserVM], by_runs: Collection[str]
) -> list[AccountChange]:
    """The same changes; each of an instance that appeared or changed says how it was moved.

    A state that passes asks for nothing yet: the change that ends it is told as well.

    Args:
        found: the changes.
        instances: as they are, by id.
        by_runs: ids of the instances that a run of this library has in hand, or has just moved.
    """

    def moved(change: AccountChange) -> Moved:
        if change.id in by_runs:
            return "by-a-run"
        instance = instances.get(change.id)
        passes = instance is not None and VMStatus(instance.status).is_transitional
        return "on-its-way" if passes else "otherwise"

    return [
        replace(change, moved=moved(change)) if change.event in MOVES else change
        for change in found
    ]


def next_turns(
    turns: Mapping[str, int], found: Iterable[AccountChange], after: View, now: datetime
) -> dict[str, int]:
    """What tells the next change of each thing from all before; of what is gone it is forgotten.

    It is the second in which the thing was first seen or last seen to change, and always later
    than before, so that one that comes back under the same id does not repeat itself.
    """
    changed = {change.key for change in found}
    second = int(now.timestamp())
    return {
        k: turns[k] if k in turns and k not in changed else max(second, turns.get(k, 0) + 1)
        for k in after
    }


def _either(was: Sight | None, now: Sight | None) -> Sight:
    """What is there, or else what was."""
    sight = now or was
    assert sight is not None  # noqa: S101 - one of the two is there
    return sight


def _of_instance(
    key: str,
    was: Sight | None,
    now: Sight | None,
    turn: int,
    instances: Mapping[str, UserVM],
) -> list[AccountChange]:
    if now is None:
        before = _either(was, now)
        payload = {"before": before[1]}
        return [
            AccountChange("barrack.instance.disappeared", key, before[0], turn, payload=payload)
        ]
    payload = instance_payload(instances.get(key.partition(":")[2]))
    if was is None:
        return [AccountChange("barrack.instance.appeared", key, now[0], turn, payload=payload)]
    found = []
    if was[1] != now[1]:
        told = {**payload, "before": was[1]}
        found.append(AccountChange("barrack.instance.changed", key, now[0], turn, payload=told))
    if was[2] != now[2] and now[2] not in ("", PENDING_ADDRESS):
        told = {**payload, "before": was[2]}
        found.append(AccountChange("barrack.instance.readdressed", key, now[0], turn, payload=told))
    return found


def _of_snapshot(
    key: str, was: Sight | None, now: Sight | None, turn: int, _: Mapping[str, UserVM]
) -> list[AccountChange]:
    sight = _either(was, now)
    name, instance = sight[0], sight[2] or None

    def change(what: str, **payload: str) -> AccountChange:
        return AccountChange(f"barrack.snapshot.{what}", key, name, turn, instance, payload)

    if now is None:
        return [change("disappeared", before=sight[1])]
    status = SnapshotStatus(now[1])
    earlier = SnapshotStatus(was[1]) if was else None
    found = [] if was else [change("appeared", status=now[1])]
    if status.is_ready and not (earlier and earlier.is_ready):
        found.append(change("completed", status=now[1]))
    if status in _FAILED and earlier not in _FAILED:
        found.append(change("failed", status=now[1]))
    return found


def _of_volume(
    key: str, was: Sight | None, now: Sight | None, turn: int, _: Mapping[str, UserVM]
) -> list[AccountChange]:
    sight = _either(was, now)
    before, after = set(was[2:] if was else ()), set(now[2:] if now else ())
    found: list[AccountChange] = []
    if was is None:
        found.append(_volume("appeared", key, sight, turn, status=sight[1]))
    found += [_volume("attached", key, sight, turn, on=id_) for id_ in sorted(after - before)]
    found += [_volume("detached", key, sight, turn, on=id_) for id_ in sorted(before - after)]
    if now is None:
        found.append(_volume("disappeared", key, sight, turn, before=sight[1]))
    return found


def _volume(
    what: str, key: str, sight: Sight, turn: int, on: str | None = None, **payload: str
) -> AccountChange:
    return AccountChange(f"barrack.volume.{what}", key, sight[0], turn, on, payload)


def instance_payload(instance: UserVM | None) -> dict[str, Any]:
    """What an event tells of an instance; money as text. Empty for one that is gone."""
    if instance is None:
        return {}
    cost = hourly_cost(instance)
    return {
        "status": str(instance.status),
        "address": instance.public_ip,
        "region": str(instance.region) if instance.region else None,
        "gpu_model": str(instance.gpu_model) if instance.gpu_model else None,
        "gpu_count": int(instance.gpu_count) if instance.gpu_count else None,
        "hourly": None if cost is None else f"{cost:f}",
        "currency": str(instance.currency) if instance.currency else None,
    }
