"""Snapshots: take, look, restore, delete."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

from barrack_tasks.api import models as m
from barrack_tasks.api.models.times import Moment
from barrack_tasks.api.resources.base import Resource, operation

__all__ = ["Snapshots"]


class Snapshots(Resource):
    """Operations of the group Snapshots."""

    @operation("list_snapshots")
    def list(self, instance_id: str | None = None) -> Iterator[m.Snapshot]:
        """All snapshots of the account, or of one instance, page after page.

        Args:
            instance_id: only those of this instance.

        Returns:
            The snapshots, whether they are ready or not.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [s.name for s in client.snapshots.list() if s.status.is_ready]
        """

    @operation("get_snapshot")
    def get(self, snapshot_id: str) -> m.Snapshot:
        """One snapshot.

        Args:
            snapshot_id: id of the snapshot.

        Returns:
            The snapshot. It can be restored once `status.is_ready`.

        Raises:
            BarrackNotFoundError: there is no such snapshot.

        Example:
            >>> client.snapshots.get("17").status.is_ready
        """

    @operation("list_snapshot_eligible_instances")
    def eligible_instances(self) -> builtins.list[m.VMInstance]:
        """Instances of which a snapshot can be taken now.

        Returns:
            The instances in full.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [i.name for i in client.snapshots.eligible_instances()]
        """

    @operation("get_snapshot_billing")
    def billing(
        self, snapshot_id: str, start: Moment | None = None, end: Moment | None = None
    ) -> m.AggregatedBillingResponse:
        """What a snapshot has cost between two moments.

        Args:
            snapshot_id: id of the snapshot, which may be deleted by now.
            start: zone-aware, or ISO 8601; the beginning, if not given.
            end: zone-aware, or ISO 8601; now, if not given.

        Returns:
            The total as a Decimal with its currency, and the records that add up to it.

        Raises:
            BarrackNotFoundError: there never was such a snapshot.

        Example:
            >>> client.snapshots.billing("17").summary.total
        """

    @operation("create_snapshot")
    def create(
        self, instance_id: str, name: str, description: str | None = None, is_image: bool = False
    ) -> m.Snapshot:
        """Take a snapshot of an instance that is ACTIVE. It is never taken twice.

        The answer comes before the snapshot is ready: look at `status.is_ready`.

        Args:
            instance_id: id of the instance.
            name: 1 to 50 characters, unique among the account's snapshots (documented).
            description: free text.
            is_image: make an image of it as well.

        Returns:
            The snapshot as it is at its beginning, with its id.

        Raises:
            BarrackValidationError: the name breaks a rule; nothing was sent.
            BarrackNotFoundError: there is no such instance.
            BarrackConflictError: the instance is not ACTIVE, another snapshot of it is being taken,
                or the name is taken.

        Example:
            >>> client.snapshots.create("BRK-A1B2C3D", "before-upgrade")
        """

    @operation("delete_snapshot")
    def delete(self, snapshot_id: str) -> None:
        """Delete a snapshot for good. Look first whether an image depends on it.

        Args:
            snapshot_id: id of the snapshot.

        Returns:
            Nothing.

        Raises:
            BarrackNotFoundError: there is no such snapshot.
            BarrackConflictError: an image depends on it, or it is not finished yet (inferred).

        Example:
            >>> client.snapshots.delete("17")
        """

    @operation("restore_snapshot")
    def restore(self, snapshot_id: str, name: str) -> m.VMResponse:
        """Make a new instance from a snapshot, in its region. It is never made twice.

        Billing starts when it is up, beside what the snapshot costs (documented).

        Args:
            snapshot_id: id of a snapshot that is ready.
            name: of the new instance: 2 to 30 characters, unique (documented).

        Returns:
            Id and status of the new instance, which is not up yet.

        Raises:
            BarrackValidationError: the name breaks a rule; nothing was sent.
            BarrackNotFoundError: there is no such snapshot.
            BarrackOutOfStockError: the GPU is not in stock in the snapshot's region.
            BarrackInsufficientCreditsError: the balance is below the minimum.
            BarrackConflictError: the name is taken, or the snapshot is not ready.

        Example:
            >>> client.snapshots.restore("17", "alpha-restored")
        """
