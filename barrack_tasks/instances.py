"""Tasks of the groups Instance management and Deploy Instance."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasking import barrack_task


@barrack_task("create {name}")
def create_instance(
    credentials: BarrackCredentials, name: str, region: str, gpu_model: str, **options: Any
) -> m.VMResponse:
    """Deploy a new instance. Billing starts when it is up; it is never made twice.

    Args:
        credentials: the account.
        name: 2 to 30 characters, unique among the account's instances (documented).
        region: such as `CANADA-1`.
        gpu_model: such as `H100-PCIe-80GB`.
        options: the other fields of `DeploymentRequest`: `gpu_count`, exactly one of `image_id`,
            `snapshot_id` and `volume_id`, `ssh_key_id`, `public_ip`, `script_id`, ...

    Raises:
        BarrackValidationError: a field breaks a rule; nothing was sent.
        BarrackOutOfStockError: the GPU is not in stock in that region.
        BarrackInsufficientCreditsError: the balance is below the minimum.
        BarrackConflictError: the name is taken.

    Example:
        >>> create_instance(account, "train-1", "CANADA-1", "L40", image_id="12")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.create(name, region, gpu_model, **options)


@barrack_task()
def list_instances(
    credentials: BarrackCredentials,
    status: m.VMStatus | str | None = None,
    region: m.RegionEnum | str | None = None,
) -> list[m.UserVM]:
    """All instances of the account, page after page.

    Args:
        credentials: the account.
        status: only those in this state.
        region: only those in this region.

    Example:
        >>> [i.name for i in list_instances(account, status="ACTIVE")]

    Operation: documented; its path and fields: inferred.
    """
    return list(credentials.get_client().instances.list(status, region))


@barrack_task("look at {instance_id}")
def get_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMInstance:
    """One instance in full.

    Raises:
        BarrackNotFoundError: there is no such instance.

    Example:
        >>> get_instance(account, "BRK-A1B2C3D").status

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.get(instance_id)


@barrack_task("billing of {instance_id}")
def get_instance_billing(
    credentials: BarrackCredentials,
    instance_id: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> m.AggregatedBillingResponse:
    """What an instance has cost, in all and by state, between two moments.

    Args:
        credentials: the account.
        instance_id: the instance, which may be deleted by now.
        start: zone-aware; the beginning, if not given.
        end: zone-aware; now, if not given.

    Example:
        >>> get_instance_billing(account, "BRK-A1B2C3D").summary.total

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.billing(instance_id, start, end)


@barrack_task()
def get_hibernated_instances(credentials: BarrackCredentials) -> m.GetHibernatedVMsResponse:
    """How many instances are hibernated, which were last, and what they cost.

    Example:
        >>> get_hibernated_instances(account).count

    Operation: documented in an earlier edition; its path and fields: inferred.
    """
    return credentials.get_client().instances.hibernated()


@barrack_task("start {instance_id}")
def start_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Start an instance that is SHUTOFF.

    Raises:
        BarrackConflictError: it is in another state.

    Example:
        >>> start_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.start(instance_id)


@barrack_task("stop {instance_id}")
def stop_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Stop an instance that is ACTIVE. It stays billed at the full rate (documented).

    Raises:
        BarrackConflictError: it is in another state.

    Example:
        >>> stop_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.stop(instance_id)


@barrack_task("reboot {instance_id}")
def reboot_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Reboot an instance. Not repeated when the answer is lost: nothing tells if it happened.

    Raises:
        BarrackConflictError: it is neither ACTIVE nor in ERROR.

    Example:
        >>> reboot_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.reboot(instance_id)


@barrack_task("hibernate {instance_id}")
def hibernate_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Hibernate an instance that is ACTIVE: disk and memory are kept, the hardware is released.

    The public address is released, and ephemeral disks are lost (upstream).

    Raises:
        BarrackConflictError: it is in another state, or its flavor cannot hibernate.

    Example:
        >>> hibernate_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.hibernate(instance_id)


@barrack_task("restore {instance_id}")
def restore_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Bring back an instance that is HIBERNATED. It gets a new public address.

    Raises:
        BarrackOutOfStockError: its GPU is not in stock now.
        BarrackConflictError: it is in another state.

    Example:
        >>> restore_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.restore(instance_id)


@barrack_task("toggle public IP of {instance_id}")
def toggle_public_ip(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Give an instance a public address, or take it away, whichever it has not.

    Example:
        >>> toggle_public_ip(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.toggle_public_ip(instance_id)


@barrack_task("delete {instance_id}")
def delete_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Delete an instance for good. Its snapshots stay.

    Raises:
        BarrackNotFoundError: there is no such instance.

    Example:
        >>> delete_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.delete(instance_id)
