"""Tasks of the groups OS Images and Images."""

from __future__ import annotations

from collections.abc import Sequence

from barrack_tasks.api import Barrack
from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.plans.names import LATEST
from barrack_tasks.plans.snapshots.images import latest_image
from barrack_tasks.tasks.base import barrack_task


def resolve_image(client: Barrack, image_id: str | None) -> str | None:
    """The id of an image; `latest:<family>` means the newest of a family that is ready.

    Raises:
        ValueError: the family has no image that is ready.
    """
    if image_id is None or not image_id.startswith(LATEST):
        return image_id
    return latest_image(list(client.images.list()), image_id.removeprefix(LATEST)).id


@barrack_task()
def list_os_images(
    credentials: BarrackCredentials, region: m.RegionEnum | str | None = None
) -> list[m.OSImage]:
    """Images that Barrack offers to boot from.

    Args:
        credentials: the account.
        region: only those of this region, such as `CANADA-1`.

    Returns:
        The images, whose `id` is what `create_instance` takes as `image_id`. Sizes in GB.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> {i.name: i.id for i in list_os_images(account)}

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().os_images.list(region)


@barrack_task()
def list_images(credentials: BarrackCredentials) -> list[m.Image]:
    """All images of the account's own, page after page.

    Args:
        credentials: the account.

    Returns:
        The images, whether they are ready or not.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [(i.name, i.snapshot_id) for i in list_images(account)]

    Operation: inferred; its path and fields: inferred.
    """
    return list(credentials.get_client().images.list())


@barrack_task("look at image {image_id}")
def get_image(credentials: BarrackCredentials, image_id: str) -> m.Image:
    """One image of the account's own.

    Args:
        credentials: the account.
        image_id: id of the image.

    Returns:
        The image. It can be booted from once `status.is_ready`, where it has a status.

    Raises:
        BarrackNotFoundError: there is no such image.

    Example:
        >>> get_image(account, "6101").status

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().images.get(image_id)


@barrack_task("image {name} from snapshot {snapshot_id}")
def create_image(
    credentials: BarrackCredentials, snapshot_id: str, name: str, description: str | None = None
) -> m.Image:
    """Make an image from a snapshot that is ready. It is never made twice.

    The image depends on the snapshot from then on (documented).

    Args:
        credentials: the account.
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
        >>> create_image(account, "17", "cuda-12-base")

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().images.create(snapshot_id, name, description)


@barrack_task("delete image {image_id}")
def delete_image(credentials: BarrackCredentials, image_id: str) -> None:
    """Delete an image of the account's own for good. Its snapshot stays.

    Args:
        credentials: the account.
        image_id: id of the image.

    Returns:
        Nothing.

    Raises:
        BarrackNotFoundError: there is no such image.
        BarrackConflictError: it is not finished yet (inferred).

    Example:
        >>> delete_image(account, "6101")

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().images.delete(image_id)


@barrack_task("images of snapshot {snapshot_id}")
def get_snapshot_image(
    credentials: BarrackCredentials, snapshot_id: str
) -> m.SnapshotImageRelationshipResponse:
    """The images that depend on a snapshot. Look before the snapshot is deleted.

    Args:
        credentials: the account.
        snapshot_id: id of the snapshot.

    Returns:
        The images; `has_image` says whether there are any.

    Raises:
        BarrackNotFoundError: there is no such snapshot.

    Example:
        >>> get_snapshot_image(account, "17").has_image

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().images.of_snapshot(snapshot_id)


@barrack_task("images of snapshots {snapshot_ids}")
def list_snapshot_images(
    credentials: BarrackCredentials, snapshot_ids: Sequence[str]
) -> list[m.SnapshotImageRelationshipResponse]:
    """The images that depend on each of several snapshots, with one request.

    Args:
        credentials: the account.
        snapshot_ids: ids of the snapshots: at least one, none twice.

    Returns:
        One entry for each snapshot that was asked for.

    Raises:
        BarrackValidationError: no ids, or one twice; nothing was sent.
        BarrackNotFoundError: one of the snapshots is not there.

    Example:
        >>> [r.snapshot_id for r in list_snapshot_images(account, ["17", "18"]) if r.has_image]

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().images.of_snapshots(snapshot_ids)
