"""The account as a flow observes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from barrack_tasks.api.models import GPUStockItem, Image, Snapshot, UserVM

Stock = Mapping[tuple[str, str], Mapping[int, int]]
"""By region and GPU model: how many instances of each GPU count can be deployed."""
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """The account as observed. What is gone is what the API, asked by id, does not know.

    `depended_on` are ids of snapshots that must not be deleted, since an image depends on them or
    a drill has proven them. None if that was not asked or could not be read: then it is unknown,
    and no snapshot is deleted.
    """

    instances: Mapping[str, UserVM] = field(default_factory=dict)
    snapshots: Mapping[str, Sequence[Snapshot]] = field(default_factory=dict)
    """Snapshots by the id of the instance they were taken of."""
    gone: frozenset[str] = frozenset()
    gone_snapshots: frozenset[str] = frozenset()
    depended_on: frozenset[str] | None = None
    stock: Stock | None = None
    """What can be restored and deployed now; None if that is not known."""
    images: Sequence[Image] = ()

    @cached_property
    def by_name(self) -> Mapping[str, UserVM]:
        """The instances by name; of those that share one, the first."""
        return {i.name: i for i in reversed(list(self.instances.values()))}


def by_instance(snapshots: Iterable[Snapshot]) -> dict[str, list[Snapshot]]:
    """Snapshots by the id of their instance; those that name none are left out."""
    found: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        if snapshot.instance_id is not None:
            found.setdefault(snapshot.instance_id, []).append(snapshot)
    return found


def newest_ready(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The newest snapshot that can be restored."""
    ready = [s for s in snapshots if s.status.is_ready]
    return newest_of(ready) if ready else None


def newest_of(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The newest of some snapshots, whatever their state."""
    return max(snapshots, key=lambda s: (s.created_at or _OLDEST, s.name))


def lies_ahead(snapshot: Snapshot, now: datetime) -> bool:
    """Whether a snapshot is dated in the future, so that its age tells nothing.

    Args:
        snapshot: the snapshot.
        now: this moment, by the cloud's clock.
    """
    return snapshot.created_at is not None and snapshot.created_at > now


def stock_of(items: Iterable[GPUStockItem]) -> dict[tuple[str, str], dict[int, int]]:
    """Stock by region and GPU model, as instances of each GPU count that can be deployed.

    Where the API tells no counts by configuration, whole instances are counted from its GPUs.
    """
    found: dict[tuple[str, str], dict[int, int]] = {}
    for item in items:
        counts = {int(c.gpu_count): c.available for c in item.configurations}
        if not counts:
            counts = {n: item.count.at_least // n for n in (1, 2, 4, 8, 10)}
        found[(str(item.region), str(item.gpu_model))] = counts
    return found
