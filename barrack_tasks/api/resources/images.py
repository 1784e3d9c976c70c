"""What instances boot from: OS images, and images of the account's own."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource, operation

__all__ = ["Images", "OsImages"]


class OsImages(Resource):
    """Operations of the group OS Images."""

    @operation("list_os_images")
    def list(self, region: m.RegionEnum | str | None = None) -> builtins.list[m.OSImage]:
        """Images that Barrack offers to boot from.

        Args:
            region: only those of this region, such as `CANADA-1`.

        Returns:
            The images, whose `id` is what `create_instance` takes as `image_id`. Sizes in GB.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> {i.name: i.id for i in client.os_images.list()}
        """


class Images(Resource):
    """Operations of the group Images."""

    @operation("list_images")
    def list(self) -> Iterator[m.Image]:
        """All images of the account's own, page after page.

        Returns:
            The images, whether they are ready or not.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [(i.name, i.snapshot_id) for i in client.images.list()]
        """

    @operation("get_image")
    def get(self, image_id: str) -> m.Image:
        """One image of the account's own.

        Args:
            image_id: id of the image.

        Returns:
            The image. It can be booted from once `status.is_ready`, where it has a status.

        Raises:
            BarrackNotFoundError: there is no such image.

        Example:
            >>> client.images.get("6101").status
        """

    @operation("create_image")
    def create(self, snapshot_id: str, name: str, description: str | None = None) -> m.Image:
        """Make an image from a snapshot that is ready. It is never made twice.

        The image depends on the snapshot from then on (documented).

        Args:
            snapshot_id: id of the snapshot.
            name: 1 to 50 printable characters, unique among the account's images (inferred).
            description: free text.

        Returns:
            The image as it is at its beginning, with its id.

        Raises:
            BarrackValidationError: the name breaks a rule; nothing was sent.
            BarrackNotFoundError: there is no such snapshot.
            BarrackConflictError: the snapshot is not ready, or the name is taken.

        Example:
            >>> client.images.create("17", "cuda-12-base")
        """

    @operation("delete_image")
    def delete(self, image_id: str) -> None:
        """Delete an image of the account's own for good. Its snapshot stays.

        Args:
            image_id: id of the image.

        Returns:
            Nothing.

        Raises:
            BarrackNotFoundError: there is no such image.
            BarrackConflictError: it is not finished yet (inferred).

        Example:
            >>> client.images.delete("6101")
        """

    @operation("get_snapshot_image")
    def of_snapshot(self, snapshot_id: str) -> m.SnapshotImageRelationshipResponse:
        """The images that depend on a snapshot. Look before the snapshot is deleted.

        Args:
            snapshot_id: id of the snapshot.

        Returns:
            The images; `has_image` says whether there are any.

        Raises:
            BarrackNotFoundError: there is no such snapshot.

        Example:
            >>> client.images.of_snapshot("17").has_image
        """

    @operation("list_snapshot_images")
    def of_snapshots(
        self, snapshot_ids: Sequence[str]
    ) -> builtins.list[m.SnapshotImageRelationshipResponse]:
        """The images that depend on each of several snapshots, with one request.

        Args:
            snapshot_ids: ids of the snapshots: at least one, none twice.

        Returns:
            One entry for each snapshot that was asked for.

        Raises:
            BarrackValidationError: no ids, or one twice; nothing was sent.
            BarrackNotFoundError: one of the snapshots is not there.

        Example:
            >>> [r.snapshot_id for r in client.images.of_snapshots(["17", "18"]) if r.has_image]
        """
