"""The account as a flow observes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from barrack_tasks.api.models import Snapshot, UserVM


@dataclass(frozen=True)
class World:
    """The account as observed. What is gone is what the API, asked by id, does not know.

    `depended_on` are ids of snapshots that an image depends on; None if that is not known.
    """

    instances: Mapping[str, UserVM] = field(default_factory=dict)
    snapshots: Mapping[str, Sequence[Snapshot]] = field(default_factory=dict)
    """Snapshots by the id of the instance they were taken of."""
    gone: frozenset[str] = frozenset()
    gone_snapshots: frozenset[str] = frozenset()
    depended_on: frozenset[str] | None = frozenset()


def by_instance(snapshots: Iterable[Snapshot]) -> dict[str, list[Snapshot]]:
    """Snapshots by the id of their instance; those that name none are left out."""
    found: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        if snapshot.instance_id is not None:
            found.setdefault(snapshot.instance_id, []).append(snapshot)
    return found
