"""Snapshots: take, look, restore, delete."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from datetime import datetime

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource


class Snapshots(Resource):
    """Operations of the group Snapshots."""

    def list(self, instance_id: str | None = None) -> Iterator[m.Snapshot]:
        """All snapshots, lazily, optionally of one instance."""
        return self._pages(m.Snapshot, "list_snapshots", instance_id=instance_id)

    def get(self, snapshot_id: str) -> m.Snapshot:
        """One snapshot."""
        return self._one(m.Snapshot, "get_snapshot", snapshot_id=snapshot_id)

    def eligible_instances(self) -> builtins.list[m.VMInstance]:
        """Instances of which a snapshot can be taken now."""
        return self._list(m.VMInstance, "list_snapshot_eligible_instances")

    def billing(
        self, snapshot_id: str, start: datetime | None = None, end: datetime | None = None
    ) -> m.AggregatedBillingResponse:
        """What a snapshot has cost between two moments."""
        return self._one(
            m.AggregatedBillingResponse,
            "get_snapshot_billing",
            snapshot_id=snapshot_id,
            start=start,
            end=end,
        )

    def create(
        self, instance_id: str, name: str, description: str | None = None, is_image: bool = False
    ) -> m.Snapshot:
        """Take a snapshot of an instance that is ACTIVE. Never makes two."""
        return self._one(
            m.Snapshot,
            "create_snapshot",
            instance_id=instance_id,
            name=name,
            description=description,
            is_image=is_image,
        )

    def delete(self, snapshot_id: str) -> None:
        """Delete a snapshot for good."""
        self._done("delete_snapshot", snapshot_id=snapshot_id)

    def restore(self, snapshot_id: str, name: str) -> m.VMResponse:
        """Make a new instance from a snapshot. Never makes two."""
        return self._one(m.VMResponse, "restore_snapshot", snapshot_id=snapshot_id, name=name)
