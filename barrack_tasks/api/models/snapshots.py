"""Snapshots of instances."""

from __future__ import annotations

from barrack_tasks.api.models.base import Answer, Id, Model, OpenEnum, Request, Timestamp
from barrack_tasks.api.models.common import Pagination
from barrack_tasks.api.models.gpus import RegionEnum
from barrack_tasks.api.models.instances import VMResponse
from barrack_tasks.api.models.rules import InstanceName, SnapshotName

__all__ = [
    "CreateSnapshotRequest", "CreateSnapshotResponse", "DeleteSnapshotResponse",
    "GetSnapshotResponse", "ListSnapshotsResponse", "RestoreSnapshotRequest",
    "RestoreSnapshotResponse", "Snapshot", "SnapshotStatus",
]  # fmt: skip


class SnapshotStatus(OpenEnum):
    """State of a snapshot. Ready are SUCCESS and available [D]; the rest is inferred [I]."""

    SUCCESS = "SUCCESS"
    AVAILABLE = "available"
    CREATING = "CREATING"
    PENDING = "PENDING"
    FAILED = "FAILED"
    ERROR = "ERROR"
    DELETING = "DELETING"

    @property
    def is_ready(self) -> bool:
        """Whether the snapshot can be restored."""
        return self in (SnapshotStatus.SUCCESS, SnapshotStatus.AVAILABLE)

    @property
    def is_failed(self) -> bool:
        """Whether the snapshot never will be ready."""
        return self in (SnapshotStatus.FAILED, SnapshotStatus.ERROR)


class Snapshot(Model):
    """A copy of an instance's disk."""

    id: Id
    name: str
    status: SnapshotStatus
    description: str | None = None
    size_gb: int | None = None
    instance_id: Id | None = None
    instance_name: str | None = None
    region: RegionEnum | None = None
    is_image: bool | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class CreateSnapshotRequest(Request):
    """A snapshot to be taken. The instance must be ACTIVE [D]."""

    instance_id: Id
    name: SnapshotName
    description: str | None = None
    is_image: bool = False


class CreateSnapshotResponse(Answer):
    """Answer of `create_snapshot`."""

    snapshot: Snapshot


class GetSnapshotResponse(Answer):
    """Answer of `get_snapshot`."""

    snapshot: Snapshot


class ListSnapshotsResponse(Answer):
    """Answer of `list_snapshots`."""

    snapshots: list[Snapshot]
    pagination: Pagination | None = None


class DeleteSnapshotResponse(Answer):
    """Answer of `delete_snapshot`."""


class RestoreSnapshotRequest(Request):
    """A new instance to be made from a snapshot."""

    name: InstanceName


class RestoreSnapshotResponse(Answer):
    """Answer of `restore_snapshot`."""

    instance: VMResponse
