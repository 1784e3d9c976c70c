"""Tasks of the groups Instance management and Deploy Instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task
from barrack_tasks.tasks.images import resolve_image


@barrack_task("create {name}")
def create_instance(
    credentials: BarrackCredentials,
    name: str,
    region: m.RegionEnum | str,
    gpu_model: m.GpuModelEnum | str,
    gpu_count: m.GpuCountEnum | int = m.GpuCountEnum.ONE,
    *,
    tier: m.TierEnum | str | None = None,
    image_id: str | None = None,
    snapshot_id: str | None = None,
    volume_id: str | None = None,
    ssh_key_id: str | None = None,
    public_ip: bool = True,
    script_id: str | None = None,
    volume_ids: Sequence[str] = (),
    security_rules: Sequence[m.VMSecurityRuleRequest | Mapping[str, Any]] = (),
) -> m.VMResponse:
    """Deploy a new instance. Billing starts when it is up; it is never made twice.

    Exactly one of `image_id`, `snapshot_id` and `volume_id` says what it boots from.

    Args:
        credentials: the account.
        name: 2 to 30 characters, unique among the account's instances (documented).
        region: such as `CANADA-1`.
        gpu_model: such as `H100-PCIe-80GB`.
        gpu_count: 1, 2, 4, 8 or 10 (upstream).
        tier: `on-demand` or `spot` (inferred); the API's choice, if not given.
        image_id: an OS image, or an image of the account's own; `latest:<family>` is the newest
            that `publish_image` made of a family.
        snapshot_id: a snapshot that is ready.
        volume_id: a volume that can be booted from.
        ssh_key_id: the key that may log in.
        public_ip: whether it gets a public address.
        script_id: the startup script that it runs when it first boots.
        volume_ids: volumes to be attached.
        security_rules: rules as `VMSecurityRuleRequest`, or dicts of its fields.

    Returns:
        Id and status of the new instance, which is not up yet.

    Raises:
        BarrackValidationError: a field breaks a rule; nothing was sent.
        BarrackOutOfStockError: the GPU is not in stock in that region.
        BarrackInsufficientCreditsError: the balance is below the minimum.
        BarrackConflictError: the name is taken.

    Example:
        >>> create_instance(account, "train-1", "CANADA-1", "L40", image_id="12")

    Operation: documented; its path and fields: inferred.
    """
    client = credentials.get_client()
    return client.instances.create(
        name,
        region,
        gpu_model,
        gpu_count,
        tier=tier,
        image_id=resolve_image(client, image_id),
        snapshot_id=snapshot_id,
        volume_id=volume_id,
        ssh_key_id=ssh_key_id,
        public_ip=public_ip,
        script_id=script_id,
        volume_ids=volume_ids,
        security_rules=security_rules,
    )


@barrack_task()
def list_instances(
    credentials: BarrackCredentials,
    status: m.VMStatus | str | None = None,
    region: m.RegionEnum | str | None = None,
) -> list[m.UserVM]:
    """All instances of the account, page after page.

    Args:
        credentials: the account.
        status: only those in this state, such as `ACTIVE`.
        region: only those in this region, such as `CANADA-1`.

    Returns:
        The instances, in the API's order.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [i.name for i in list_instances(account, status="ACTIVE")]

    Operation: documented; its path and fields: inferred.
    """
    return list(credentials.get_client().instances.list(status, region))


@barrack_task("look at {instance_id}")
def get_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMInstance:
    """One instance in full.

    Args:
        credentials: the account.
        instance_id: id of the instance, such as `BRK-A1B2C3D` (documented).

    Returns:
        The instance with its hardware, addresses, volumes and security rules.

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
        instance_id: id of the instance, which may be deleted by now.
        start: zone-aware; the beginning, if not given.
        end: zone-aware; now, if not given.

    Returns:
        The total as a Decimal with its currency, and the records that add up to it.

    Raises:
        BarrackNotFoundError: there never was such an instance.

    Example:
        >>> get_instance_billing(account, "BRK-A1B2C3D").summary.total

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.billing(instance_id, start, end)


@barrack_task()
def get_hibernated_instances(credentials: BarrackCredentials) -> m.GetHibernatedVMsResponse:
    """How many instances are hibernated, which were last, and what they cost.

    Args:
        credentials: the account.

    Returns:
        The count, the latest ones, and what they cost an hour and have cost so far.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> get_hibernated_instances(account).count

    Operation: documented in an earlier edition; its path and fields: inferred.
    """
    return credentials.get_client().instances.hibernated()


@barrack_task("start {instance_id}")
def start_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Start an instance that is SHUTOFF.

    Args:
        credentials: the account.
        instance_id: id of the instance.

    Returns:
        Id and status, which is STARTING for a while.

    Raises:
        BarrackNotFoundError: there is no such instance.
        BarrackConflictError: it is in another state.

    Example:
        >>> start_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.start(instance_id)


@barrack_task("stop {instance_id}")
def stop_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Stop an instance that is ACTIVE. It stays billed at the full rate (documented).

    Args:
        credentials: the account.
        instance_id: id of the instance.

    Returns:
        Id and status, which is STOPPING for a while.

    Raises:
        BarrackNotFoundError: there is no such instance.
        BarrackConflictError: it is in another state.

    Example:
        >>> stop_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.stop(instance_id)


@barrack_task("reboot {instance_id}")
def reboot_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Reboot an instance. Not repeated when the answer is lost: nothing tells if it happened.

    Args:
        credentials: the account.
        instance_id: id of the instance.

    Returns:
        Id and status, which is REBOOTING for a while.

    Raises:
        BarrackNotFoundError: there is no such instance.
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

    Args:
        credentials: the account.
        instance_id: id of the instance.

    Returns:
        Id and status, which is HIBERNATING for a while.

    Raises:
        BarrackNotFoundError: there is no such instance.
        BarrackConflictError: it is in another state, or its flavor cannot hibernate.

    Example:
        >>> hibernate_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.hibernate(instance_id)


@barrack_task("restore {instance_id}")
def restore_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Bring back an instance that is HIBERNATED. It gets a new public address (upstream).

    Args:
        credentials: the account.
        instance_id: id of the instance.

    Returns:
        Id and status, which is RESTORING for a while.

    Raises:
        BarrackNotFoundError: there is no such instance.
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

    Args:
        credentials: the account.
        instance_id: id of the instance.

    Returns:
        Id and status of the instance.

    Raises:
        BarrackNotFoundError: there is no such instance.
        BarrackConflictError: its state does not allow it.

    Example:
        >>> toggle_public_ip(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.toggle_public_ip(instance_id)


@barrack_task("let {direction} {protocol} through to {instance_id}")
def add_security_rule(
    credentials: BarrackCredentials,
    instance_id: str,
    protocol: m.ProtocolEnum | str,
    *,
    port_range_min: int | None = None,
    port_range_max: int | None = None,
    remote_ip_prefix: str | None = None,
    direction: m.DirectionEnum | str = m.DirectionEnum.INGRESS,
    ethertype: m.EthertypeEnum | str = m.EthertypeEnum.IPV4,
) -> m.VMSecurityRule:
    """Add a rule to one instance that lets traffic through. It is never added twice.

    Args:
        credentials: the account.
        instance_id: id of the instance.
        protocol: such as `tcp`; `list_firewall_protocols` says which there are.
        port_range_min: first port, 1 to 65535; every port, if neither end is given.
        port_range_max: last port, not before the first; the same for a single port.
        remote_ip_prefix: who is let through, in CIDR notation, such as `203.0.113.0/24`; every
            address of the IP version, if not given.
        direction: `ingress` or `egress`.
        ethertype: `IPv4` or `IPv6`.

    Returns:
        The rule with its id.

    Raises:
        BarrackValidationError: a field breaks a rule; nothing was sent.
        BarrackNotFoundError: there is no such instance.
        BarrackConflictError: it has such a rule already.

    Example:
        >>> add_security_rule(account, "BRK-A1B2C3D", "tcp", port_range_min=22, port_range_max=22)

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.add_security_rule(
        instance_id,
        protocol,
        port_range_min=port_range_min,
        port_range_max=port_range_max,
        remote_ip_prefix=remote_ip_prefix,
        direction=direction,
        ethertype=ethertype,
    )


@barrack_task("remove security rule {rule_id} of {instance_id}")
def remove_security_rule(credentials: BarrackCredentials, instance_id: str, rule_id: str) -> None:
    """Remove a security rule of an instance.

    Args:
        credentials: the account.
        instance_id: id of the instance.
        rule_id: id of the rule; `get_instance` shows it.

    Returns:
        Nothing.

    Raises:
        BarrackNotFoundError: there is no such instance or rule.

    Example:
        >>> remove_security_rule(account, "BRK-A1B2C3D", "4")

    Operation: documented; its path and fields: inferred.
    """
    credentials.get_client().instances.remove_security_rule(instance_id, rule_id)


@barrack_task("delete {instance_id}")
def delete_instance(credentials: BarrackCredentials, instance_id: str) -> m.VMResponse:
    """Delete an instance for good. Its snapshots stay.

    Args:
        credentials: the account.
        instance_id: id of the instance.

    Returns:
        Id and status, which is DELETING for a while.

    Raises:
        BarrackNotFoundError: there is no such instance.

    Example:
        >>> delete_instance(account, "BRK-A1B2C3D")

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.delete(instance_id)
