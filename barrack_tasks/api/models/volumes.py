"""Volumes: disks that live on their own and are attached to instances."""

from __future__ import annotations

from pydantic import Field

from barrack_tasks.api.models.base import Answer, Id, Model, Money, OpenEnum, Request, Timestamp
from barrack_tasks.api.models.common import CurrencyEnum, Pagination
from barrack_tasks.api.models.gpus import RegionEnum
from barrack_tasks.api.models.instances import VMVolumeAttachment
from barrack_tasks.api.models.rules import Ids, Name

__all__ = [
    "AttachVolumesRequest", "AttachVolumesResponse", "CloneVolumeRequest", "CloneVolumeResponse",
    "CreateVolumeRequest", "CreateVolumeResponse", "DeleteVolumeResponse", "DetachVolumesRequest",
    "DetachVolumesResponse", "GetVolumeDetailsResponse", "GetVolumeTypesResponse",
    "GetVolumesWithNextNameResponse", "ResizeVolumeRequest", "ResizeVolumeResponse",
    "VolumeAttachment", "VolumeBillingRecord", "VolumeBillingSummary",
    "VolumeHourlyBillingResponse", "VolumeResponse", "VolumeStatus", "VolumeTypeEnum",
]  # fmt: skip


class VolumeTypeEnum(OpenEnum):
    """Kind of disk [U]. `list_volume_types` says which there are."""

    CLOUD_SSD = "Cloud-SSD"


class VolumeStatus(OpenEnum):
    """State of a volume: upstream's words [U]."""

    AVAILABLE = "available"
    IN_USE = "in-use"
    CREATING = "creating"
    ATTACHING = "attaching"
    DETACHING = "detaching"
    EXTENDING = "extending"
    DELETING = "deleting"
    DELETED = "deleted"
    ERROR = "error"

    @property
    def is_ready(self) -> bool:
        """Whether the volume can be used: free, or attached."""
        return self in (VolumeStatus.AVAILABLE, VolumeStatus.IN_USE)

    @property
    def is_failed(self) -> bool:
        """Whether the volume never will be ready."""
        return self is VolumeStatus.ERROR


class VolumeAttachment(Model):
    """The instance that a volume is attached to [U]."""

    instance_id: Id
    instance_name: str | None = None
    device: str | None = None
    status: str | None = None
    attached_at: Timestamp | None = None


class VolumeResponse(Model):
    """A volume. Size in GB."""

    id: Id
    name: str
    size_gb: int | None = None
    volume_type: VolumeTypeEnum | None = None
    status: VolumeStatus | None = None
    description: str | None = None
    bootable: bool | None = None
    region: RegionEnum | None = None
    image_id: Id | None = None
    attachments: list[VolumeAttachment] = []
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class GetVolumesWithNextNameResponse(Answer):
    """Answer of `list_volumes`: the volumes, and a name that is free [D name]."""

    volumes: list[VolumeResponse]
    next_name: str | None = None
    pagination: Pagination | None = None


class GetVolumeDetailsResponse(Answer):
    """Answer of `get_volume`."""

    volume: VolumeResponse


class GetVolumeTypesResponse(Answer):
    """Answer of `list_volume_types`."""

    volume_types: list[VolumeTypeEnum]


class CreateVolumeRequest(Request):
    """A new volume. With an image it can be booted from [U]."""

    name: Name
    size_gb: int = Field(ge=1)
    volume_type: VolumeTypeEnum = VolumeTypeEnum.CLOUD_SSD
    region: RegionEnum
    image_id: Id | None = None


class CreateVolumeResponse(Answer):
    """Answer of `create_volume`."""

    volume: VolumeResponse


class DeleteVolumeResponse(Answer):
    """Answer of `delete_volume`."""


class ResizeVolumeRequest(Request):
    """The size that a volume is to grow to. It cannot shrink [U]."""

    size_gb: int = Field(ge=1)


class ResizeVolumeResponse(Answer):
    """Answer of `resize_volume`."""

    volume: VolumeResponse


class CloneVolumeRequest(Request):
    """The name of a new volume with the contents of another."""

    name: Name


class CloneVolumeResponse(Answer):
    """Answer of `clone_volume`."""

    volume: VolumeResponse


class AttachVolumesRequest(Request):
    """Volumes to be attached to an instance."""

    volume_ids: Ids


class AttachVolumesResponse(Answer):
    """Answer of `attach_volumes`."""

    volumes: list[VMVolumeAttachment] = []


class DetachVolumesRequest(Request):
    """Volumes to be detached from an instance."""

    volume_ids: Ids


class DetachVolumesResponse(Answer):
    """Answer of `detach_volumes`."""


class VolumeBillingRecord(Model):
    """A stretch of time, an hour at most [I], that a volume was billed for."""

    start: Timestamp
    end: Timestamp | None = None
    size_gb: int | None = None
    minutes: int | None = None
    rate_per_hour: Money | None = None
    cost: Money


class VolumeBillingSummary(Model):
    """What the records add up to."""

    total: Money
    currency: CurrencyEnum
    start: Timestamp | None = None
    end: Timestamp | None = None


class VolumeHourlyBillingResponse(Answer):
    """Answer of `get_volume_billing`."""

    summary: VolumeBillingSummary
    records: list[VolumeBillingRecord] = []
