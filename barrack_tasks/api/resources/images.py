"""What instances boot from: OS images, and images of the account's own."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource


class OsImages(Resource):
    """Operations of the group OS Images."""

    def list(self, region: m.RegionEnum | str | None = None) -> builtins.list[m.OSImage]:
        """Images that Barrack offers, optionally those of one region."""
        return self._list(m.OSImage, "list_os_images", region=region)


class Images(Resource):
    """Operations of the group Images."""

    def list(self) -> Iterator[m.Image]:
        """All images of the account's own, lazily."""
        return self._pages(m.Image, "list_images")

    def get(self, image_id: str) -> m.Image:
        """One image."""
        return self._one(m.Image, "get_image", image_id=image_id)

    def create(self, snapshot_id: str, name: str, description: str | None = None) -> m.Image:
        """Make an image from a snapshot that is ready. Never makes two."""
        return self._one(
            m.Image, "create_image", snapshot_id=snapshot_id, name=name, description=description
        )

    def delete(self, image_id: str) -> None:
        """Delete an image for good."""
        self._done("delete_image", image_id=image_id)

    def of_snapshot(self, snapshot_id: str) -> m.SnapshotImageRelationshipResponse:
        """The images that depend on a snapshot."""
        return self._one(
            m.SnapshotImageRelationshipResponse, "get_snapshot_image", snapshot_id=snapshot_id
        )

    def of_snapshots(
        self, snapshot_ids: Sequence[str]
    ) -> builtins.list[m.SnapshotImageRelationshipResponse]:
        """The images that depend on each of several snapshots, with one request."""
        return self._list(
            m.SnapshotImageRelationshipResponse, "list_snapshot_images", snapshot_ids=snapshot_ids
        )
