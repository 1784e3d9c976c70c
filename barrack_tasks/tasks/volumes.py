"""Tasks of the group Volumes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task


@barrack_task()
def list_volumes(credentials: BarrackCredentials) -> list[m.VolumeResponse]:
    """All volumes of the account, page after page.

    Args:
        credentials: the account.

    Returns:
        The volumes, attached or not. Sizes in GB.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [v.name for v in list_volumes(account) if not v.attachments]

    Operation: inferred; its path and fields: inferred.
    """
    return list(credentials.get_client().volumes.list())


@barrack_task("create volume {name}")
def create_volume(
    credentials: BarrackCredentials,
    name: str,
    size_gb: int,
    region: m.RegionEnum | str,
    volume_type: m.VolumeTypeEnum | str = m.VolumeTypeEnum.CLOUD_SSD,
    image_id: str | None = None,
) -> m.VolumeResponse:
    """Make a volume. It costs per GB while it exists (documented); it is never made twice.

    Args:
        credentials: the account.
        name: 1 to 50 printable characters, unique among the account's volumes (inferred).
        size_gb: size in GB, 1 or more. It can grow later, never shrink (upstream).
        region: such as `CANADA-1`. It can be attached to instances there.
        volume_type: one of `list_volume_types`.
        image_id: the image it is filled with, so that it can be booted from (upstream); empty,
            if not given.

    Returns:
        The volume as it is at its beginning, with its id.

    Raises:
        BarrackValidationError: a field breaks a rule; nothing was sent.
        BarrackConflictError: the name is taken.

    Example:
        >>> create_volume(account, "datasets", 500, "CANADA-1")

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().volumes.create(name, size_gb, region, volume_type, image_id)


@barrack_task("look at volume {volume_id}")
def get_volume(credentials: BarrackCredentials, volume_id: str) -> m.VolumeResponse:
    """One volume.

    Args:
        credentials: the account.
        volume_id: id of the volume.

    Returns:
        The volume with what it is attached to. Size in GB.

    Raises:
        BarrackNotFoundError: there is no such volume.

    Example:
        >>> get_volume(account, "9").size_gb

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().volumes.get(volume_id)


@barrack_task("delete volume {volume_id}")
def delete_volume(credentials: BarrackCredentials, volume_id: str) -> None:
    """Delete a volume and what is on it, for good.

    Args:
        credentials: the account.
        volume_id: id of the volume.

    Returns:
        Nothing.

    Raises:
        BarrackNotFoundError: there is no such volume.
        BarrackConflictError: it is attached to an instance (upstream).

    Example:
        >>> delete_volume(account, "9")

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().volumes.delete(volume_id)


@barrack_task("resize volume {volume_id} to {size_gb} GB")
def resize_volume(
    credentials: BarrackCredentials, volume_id: str, size_gb: int
) -> m.VolumeResponse:
    """Let a volume grow. It is looked at first, since it cannot shrink (upstream).

    Args:
        credentials: the account.
        volume_id: id of the volume.
        size_gb: the new size in GB, more than the present one.

    Returns:
        The volume, which may take a while to grow.

    Raises:
        BarrackValidationError: it would not grow; nothing was sent to change it.
        BarrackNotFoundError: there is no such volume.
        BarrackConflictError: its state does not allow it.

    Example:
        >>> resize_volume(account, "9", 1000)

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().volumes.resize(volume_id, size_gb)


@barrack_task("clone volume {volume_id} as {name}")
def clone_volume(credentials: BarrackCredentials, volume_id: str, name: str) -> m.VolumeResponse:
    """Make a new volume with the contents of another. It is never made twice.

    Args:
        credentials: the account.
        volume_id: id of the volume to be copied.
        name: of the new volume: 1 to 50 printable characters, unique (inferred).

    Returns:
        The new volume as it is at its beginning, with its id.

    Raises:
        BarrackValidationError: the name breaks a rule; nothing was sent.
        BarrackNotFoundError: there is no such volume.
        BarrackConflictError: the name is taken, or its state does not allow it.

    Example:
        >>> clone_volume(account, "9", "datasets-copy")

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().volumes.clone(volume_id, name)


@barrack_task("attach volumes {volume_ids} to {instance_id}")
def attach_volumes(
    credentials: BarrackCredentials, instance_id: str, volume_ids: Sequence[str]
) -> list[m.VMVolumeAttachment]:
    """Attach volumes to an instance of the same region.

    Args:
        credentials: the account.
        instance_id: id of the instance.
        volume_ids: ids of the volumes: at least one, none twice.

    Returns:
        The volumes as the instance shows them.

    Raises:
        BarrackValidationError: no ids, or one twice; nothing was sent.
        BarrackNotFoundError: there is no such instance or volume.
        BarrackConflictError: a volume is attached already, or a state does not allow it.

    Example:
        >>> attach_volumes(account, "BRK-A1B2C3D", ["9"])

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().volumes.attach(instance_id, volume_ids)


@barrack_task("detach volumes {volume_ids} from {instance_id}")
def detach_volumes(
    credentials: BarrackCredentials, instance_id: str, volume_ids: Sequence[str]
) -> None:
    """Detach volumes from an instance. What is on them stays.

    Args:
        credentials: the account.
        instance_id: id of the instance.
        volume_ids: ids of the volumes: at least one, none twice.

    Returns:
        Nothing.

    Raises:
        BarrackValidationError: no ids, or one twice; nothing was sent.
        BarrackNotFoundError: there is no such instance or volume.
        BarrackConflictError: a volume is not attached to it, or a state does not allow it.

    Example:
        >>> detach_volumes(account, "BRK-A1B2C3D", ["9"])

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().volumes.detach(instance_id, volume_ids)


@barrack_task()
def list_volume_types(credentials: BarrackCredentials) -> list[m.VolumeTypeEnum]:
    """Kinds of disks that a volume can be.

    Args:
        credentials: the account.

    Returns:
        The words that `create_volume` takes as `volume_type`.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> list_volume_types(account)

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().volumes.types()


@barrack_task("billing of volume {volume_id}")
def get_volume_billing(
    credentials: BarrackCredentials,
    volume_id: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> m.VolumeHourlyBillingResponse:
    """What a volume has cost between two moments.

    Args:
        credentials: the account.
        volume_id: id of the volume, which may be deleted by now.
        start: zone-aware; the beginning, if not given.
        end: zone-aware; now, if not given.

    Returns:
        The total as a Decimal with its currency, and the records that add up to it.

    Raises:
        BarrackNotFoundError: there never was such a volume.

    Example:
        >>> get_volume_billing(account, "9").summary.total

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().volumes.billing(volume_id, start, end)
