"""Tasks of the group Snapshots."""

from __future__ import annotations

from datetime import datetime

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasking import barrack_task


@barrack_task()
def list_snapshots(
    credentials: BarrackCredentials, instance_id: str | None = None
) -> list[m.Snapshot]:
    """All snapshots of the account, or of one instance.

    Example:
        >>> [s.name for s in list_snapshots(account) if s.status.is_ready]

    Operation, path and fields: inferred.
    """
    return list(credentials.get_client().snapshots.list(instance_id))


@barrack_task("look at snapshot {snapshot_id}")
def get_snapshot(credentials: BarrackCredentials, snapshot_id: str) -> m.Snapshot:
    """One snapshot.

    Raises:
        BarrackNotFoundError: there is no such snapshot.

    Example:
        >>> get_snapshot(account, "17").status.is_ready

    Operation, path and fields: inferred.
    """
    return credentials.get_client().snapshots.get(snapshot_id)


@barrack_task()
def list_snapshot_eligible_instances(credentials: BarrackCredentials) -> list[m.VMInstance]:
    """Instances of which a snapshot can be taken now.

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
        snapshot_id: the snapshot.
        start: zone-aware; the beginning, if not given.
        end: zone-aware; now, if not given.

    Example:
        >>> get_snapshot_billing(account, "17").summary.total

    Operation, path and fields: inferred.
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
        instance_id: the instance.
        name: 1 to 50 characters, unique among the account's snapshots (documented).
        description: free text.
        is_image: make an image of it as well.

    Raises:
        BarrackValidationError: the name breaks a rule; nothing was sent.
        BarrackConflictError: the instance is not ACTIVE, another snapshot of it is being taken,
            or the name is taken.

    Example:
        >>> create_snapshot(account, "BRK-A1B2C3D", "before-upgrade")

    Operation, path and fields: inferred.
    """
    snapshots = credentials.get_client().snapshots
    return snapshots.create(instance_id, name, description, is_image)


@barrack_task("delete snapshot {snapshot_id}")
def delete_snapshot(credentials: BarrackCredentials, snapshot_id: str) -> None:
    """Delete a snapshot for good. Look first whether an image depends on it.

    Raises:
        BarrackNotFoundError: there is no such snapshot.

    Example:
        >>> delete_snapshot(account, "17")

    Operation, path and fields: inferred.
    """
    credentials.get_client().snapshots.delete(snapshot_id)


@barrack_task("restore snapshot {snapshot_id} as {name}")
def restore_snapshot(credentials: BarrackCredentials, snapshot_id: str, name: str) -> m.VMResponse:
    """Make a new instance from a snapshot, in its region. It is never made twice.

    Args:
        credentials: the account.
        snapshot_id: a snapshot that is ready.
        name: of the new instance: 2 to 30 characters, unique (documented).

    Raises:
        BarrackOutOfStockError: the GPU is not in stock in the snapshot's region.
        BarrackInsufficientCreditsError: the balance is below the minimum.
        BarrackConflictError: the name is taken, or the snapshot is not ready.

    Example:
        >>> restore_snapshot(account, "17", "alpha-restored")

    Operation, path and fields: inferred.
    """
    return credentials.get_client().snapshots.restore(snapshot_id, name)
