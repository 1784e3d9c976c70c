"""Tasks of the group Snapshots."""

from __future__ import annotations

from datetime import datetime

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task


@barrack_task()
def list_snapshots(
    credentials: BarrackCredentials, instance_id: str | None = None
) -> list[m.Snapshot]:
    """All snapshots of the account, or of one instance, page after page.

    Args:
        credentials: the account.
        instance_id: only those of this instance.

    Returns:
        The snapshots, whether they are ready or not.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [s.name for s in list_snapshots(account) if s.status.is_ready]

    Operation: inferred; its path and fields: inferred.
    """
    return list(credentials.get_client().snapshots.list(instance_id))


@barrack_task("look at snapshot {snapshot_id}")
def get_snapshot(credentials: BarrackCredentials, snapshot_id: str) -> m.Snapshot:
    """One snapshot.

    Args:
        credentials: the account.
        snapshot_id: id of the snapshot.

    Returns:
        The snapshot. It can be restored once `status.is_ready`.

    Raises:
        BarrackNotFoundError: there is no such snapshot.

    Example:
        >>> get_snapshot(account, "17").status.is_ready

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().snapshots.get(snapshot_id)


@barrack_task()
def list_snapshot_eligible_instances(credentials: BarrackCredentials) -> list[m.VMInstance]:
    """Instances of which a snapshot can be taken now.

    Args:
        credentials: the account.

    Returns:
        The instances in full.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [i.name for i in list_snapshot_eligible_instances(account)]

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().snapshots.eligible_instances()


@barrack_task("billing of snapshot {snapshot_id}")
def get_snapshot_billing(
    credentials: BarrackCredentials,
    snapshot_id: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> m.AggregatedBillingResponse:
    """What a snapshot has cost between two moments.

    Args:
        credentials: the account.
        snapshot_id: id of the snapshot, which may be deleted by now.
        start: zone-aware; the beginning, if not given.
        end: zone-aware; now, if not given.

    Returns:
        The total as a Decimal with its currency, and the records that add up to it.

    Raises:
        BarrackNotFoundError: there never was such a snapshot.

    Example:
        >>> get_snapshot_billing(account, "17").summary.total

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().snapshots.billing(snapshot_id, start, end)


@barrack_task("snapshot {instance_id}")
def create_snapshot(
    credentials: BarrackCredentials,
    instance_id: str,
    name: str,
    description: str | None = None,
    is_image: bool = False,
) -> m.Snapshot:
    """Take a snapshot of an instance that is ACTIVE. It is never taken twice.

    The answer comes before the snapshot is ready: look at `status.is_ready`.

    Args:
        credentials: the account.
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
        >>> create_snapshot(account, "BRK-A1B2C3D", "before-upgrade")

    Operation: inferred; its path and fields: inferred.
    """
    snapshots = credentials.get_client().snapshots
    return snapshots.create(instance_id, name, description, is_image)


@barrack_task("delete snapshot {snapshot_id}")
def delete_snapshot(credentials: BarrackCredentials, snapshot_id: str) -> None:
    """Delete a snapshot for good. Look first whether an image depends on it.

    Args:
        credentials: the account.
        snapshot_id: id of the snapshot.

    Returns:
        Nothing.

    Raises:
        BarrackNotFoundError: there is no such snapshot.
        BarrackConflictError: an image depends on it, or it is not finished yet (inferred).

    Example:
        >>> delete_snapshot(account, "17")

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().snapshots.delete(snapshot_id)


@barrack_task("restore snapshot {snapshot_id} as {name}")
def restore_snapshot(credentials: BarrackCredentials, snapshot_id: str, name: str) -> m.VMResponse:
    """Make a new instance from a snapshot, in its region. It is never made twice.

    Billing starts when it is up, beside what the snapshot costs (documented).

    Args:
        credentials: the account.
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
        >>> restore_snapshot(account, "17", "alpha-restored")

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().snapshots.restore(snapshot_id, name)
