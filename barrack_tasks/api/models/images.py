"""OS images, and images of the account's own that are made from snapshots."""

from __future__ import annotations

from barrack_tasks.api.models.base import Answer, Id, Model, OpenEnum, Request, Timestamp
from barrack_tasks.api.models.common import Pagination
from barrack_tasks.api.models.gpus import RegionEnum
from barrack_tasks.api.models.rules import Ids, Name

__all__ = [
    "BatchSnapshotImageRelationshipResponse", "CreateImageFromSnapshotRequest",
    "GetBatchSnapshotImageRelationshipsRequest", "Image", "ImageCreateResponse",
    "ImageDeleteResponse", "ImageDetailResponse", "ImageListResponse", "ImageStatus", "OSImage",
    "OSImagesResponse", "SnapshotImageRelationshipResponse",
]  # fmt: skip


class OSImage(Model):
    """An image that Barrack offers to boot from."""

    id: Id
    name: str
    type: str | None = None
    """The system, such as Ubuntu [U]."""
    version: str | None = None
    region: RegionEnum | None = None
    size_gb: int | None = None
    description: str | None = None


class OSImagesResponse(Answer):
    """Answer of `list_os_images`."""

    images: list[OSImage]


class ImageStatus(OpenEnum):
    """State of an image. Ready are the words that a snapshot's are [I]."""

    SUCCESS = "SUCCESS"
    AVAILABLE = "available"
    CREATING = "CREATING"
    PENDING = "PENDING"
    FAILED = "FAILED"
    ERROR = "ERROR"
    DELETING = "DELETING"

    @property
    def is_ready(self) -> bool:
        """Whether an instance can boot from the image."""
        return self in (ImageStatus.SUCCESS, ImageStatus.AVAILABLE)

    @property
    def is_failed(self) -> bool:
        """Whether the image never will be ready."""
        return self in (ImageStatus.FAILED, ImageStatus.ERROR)


class Image(Model):
    """An image of the account's own. It depends on the snapshot that it was made from [D]."""

    id: Id
    name: str
    status: ImageStatus | None = None
    description: str | None = None
    size_gb: int | None = None
    snapshot_id: Id | None = None
    region: RegionEnum | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None

    @property
    def is_ready(self) -> bool:
        """Whether an instance can boot from it; one that tells no status is taken for ready."""
        return self.status is None or self.status.is_ready


class ImageListResponse(Answer):
    """Answer of `list_images`."""

    images: list[Image]
    pagination: Pagination | None = None


class ImageDetailResponse(Answer):
    """Answer of `get_image`."""

    image: Image


class CreateImageFromSnapshotRequest(Request):
    """An image to be made from a snapshot that is ready."""

    snapshot_id: Id
    name: Name
    description: str | None = None


class ImageCreateResponse(Answer):
    """Answer of `create_image`."""

    image: Image


class ImageDeleteResponse(Answer):
    """Answer of `delete_image`."""


class SnapshotImageRelationshipResponse(Answer):
    """Answer of `get_snapshot_image`: the images that depend on a snapshot [D name].

    Both fields are required: an answer that cannot be read must not look like one that says
    "none depends on it", since what follows may be a deletion.
    """

    snapshot_id: Id
    images: list[Image]

    @property
    def has_image(self) -> bool:
        """Whether an image depends on the snapshot."""
        return bool(self.images)


class GetBatchSnapshotImageRelationshipsRequest(Request):
    """Snapshots whose images are asked for."""

    snapshot_ids: Ids


class BatchSnapshotImageRelationshipResponse(Answer):
    """Answer of `list_snapshot_images`: one entry for each snapshot that was asked for."""

    relationships: list[SnapshotImageRelationshipResponse]
