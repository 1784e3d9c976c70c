"""One snapshot: the copy of an instance's disk."""

from __future__ import annotations

from dataclasses import dataclass

from barrack_tasks.api.models import SnapshotStatus
from barrack_tasks.sandbox.cloud.catalogue import Configuration


@dataclass
class Copy:
    """A snapshot. Moments are microseconds since 1970."""

    id: str
    name: str
    description: str | None
    status: SnapshotStatus
    size_gb: int
    instance_id: str
    instance_name: str
    region: str
    configuration: Configuration
    ssh_key: str | None
    is_image: bool
    serial: int
    created: int
    updated: int

    def called(self) -> str:
        """The snapshot in a sentence."""
        return f"Snapshot {self.name!r} ({self.id})"
