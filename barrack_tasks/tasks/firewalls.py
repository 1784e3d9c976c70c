"""Tasks of the group Firewalls."""

from __future__ import annotations

from collections.abc import Sequence

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task


@barrack_task()
def list_firewalls(credentials: BarrackCredentials) -> list[m.FirewallResponse]:
    """All firewalls of the account, page after page.

    Args:
        credentials: the account.

    Returns:
        The firewalls with their rules and what they are attached to.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [(f.name, len(f.rules)) for f in list_firewalls(account)]

    Operation: inferred; its path and fields: inferred.
    """
    return list(credentials.get_client().firewalls.list())


@barrack_task("look at firewall {firewall_id}")
def get_firewall(credentials: BarrackCredentials, firewall_id: str) -> m.FirewallResponse:
    """One firewall.

    Args:
        credentials: the account.
        firewall_id: id of the firewall.

    Returns:
        The firewall with its rules and the instances it is attached to.

    Raises:
        BarrackNotFoundError: there is no such firewall.

    Example:
        >>> get_firewall(account, "2").rules

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().firewalls.get(firewall_id)


@barrack_task()
def list_firewall_protocols(credentials: BarrackCredentials) -> list[m.Protocol]:
    """Protocols that a rule can be about.

    Args:
        credentials: the account.

    Returns:
        The protocols, whose `name` is what a rule takes as `protocol`.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [p.name for p in list_firewall_protocols(account)]

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().firewalls.protocols()


@barrack_task("firewalls of {instance_id}")
def list_instance_firewalls(
    credentials: BarrackCredentials, instance_id: str
) -> list[m.AttachedFirewall]:
    """Firewalls that are attached to an instance.

    Args:
        credentials: the account.
        instance_id: id of the instance.

    Returns:
        The firewalls with their rules.

    Raises:
        BarrackNotFoundError: there is no such instance.

    Example:
        >>> [f.name for f in list_instance_firewalls(account, "BRK-A1B2C3D")]

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().instances.firewalls(instance_id)


@barrack_task()
def list_firewall_eligible_instances(credentials: BarrackCredentials) -> list[m.VMInstance]:
    """Instances that a firewall can be attached to now.

    Args:
        credentials: the account.

    Returns:
        The instances in full.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [i.id for i in list_firewall_eligible_instances(account) if i.region == "CANADA-1"]

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().firewalls.eligible_instances()


@barrack_task("create firewall {name}")
def create_firewall(
    credentials: BarrackCredentials,
    name: str,
    region: m.RegionEnum | str,
    description: str | None = None,
) -> m.FirewallResponse:
    """Make a firewall without rules. It is never made twice.

    Args:
        credentials: the account.
        name: 1 to 50 printable characters, unique among the account's firewalls (inferred).
        region: such as `CANADA-1`. It can be attached to instances there (upstream).
        description: free text.

    Returns:
        The firewall with its id.

    Raises:
        BarrackValidationError: a field breaks a rule; nothing was sent.
        BarrackConflictError: the name is taken.

    Example:
        >>> create_firewall(account, "web", "CANADA-1")

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().firewalls.create(name, region, description)


@barrack_task("delete firewall {firewall_id}")
def delete_firewall(credentials: BarrackCredentials, firewall_id: str) -> None:
    """Delete a firewall with its rules, for good.

    Args:
        credentials: the account.
        firewall_id: id of the firewall.

    Returns:
        Nothing.

    Raises:
        BarrackNotFoundError: there is no such firewall.
        BarrackConflictError: it is attached to an instance (inferred).

    Example:
        >>> delete_firewall(account, "2")

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().firewalls.delete(firewall_id)


@barrack_task("let {direction} {protocol} through firewall {firewall_id}")
def add_firewall_rule(
    credentials: BarrackCredentials,
    firewall_id: str,
    protocol: m.ProtocolEnum | str,
    *,
    port_range_min: int | None = None,
    port_range_max: int | None = None,
    remote_ip_prefix: str | None = None,
    direction: m.DirectionEnum | str = m.DirectionEnum.INGRESS,
    ethertype: m.EthertypeEnum | str = m.EthertypeEnum.IPV4,
) -> m.FirewallRule:
    """Add a rule to a firewall that lets traffic through. It is never added twice.

    Args:
        credentials: the account.
        firewall_id: id of the firewall.
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
        BarrackNotFoundError: there is no such firewall.
        BarrackConflictError: it has such a rule already.

    Example:
        >>> add_firewall_rule(account, "2", "tcp", port_range_min=443, port_range_max=443)

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().firewalls.add_rule(
        firewall_id,
        protocol,
        port_range_min=port_range_min,
        port_range_max=port_range_max,
        remote_ip_prefix=remote_ip_prefix,
        direction=direction,
        ethertype=ethertype,
    )


@barrack_task("remove rule {rule_id} of firewall {firewall_id}")
def remove_firewall_rule(credentials: BarrackCredentials, firewall_id: str, rule_id: str) -> None:
    """Remove a rule of a firewall.

    Args:
        credentials: the account.
        firewall_id: id of the firewall.
        rule_id: id of the rule; `get_firewall` shows it.

    Returns:
        Nothing.

    Raises:
        BarrackNotFoundError: there is no such firewall or rule.

    Example:
        >>> remove_firewall_rule(account, "2", "8")

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().firewalls.remove_rule(firewall_id, rule_id)


@barrack_task("attach firewall {firewall_id} to {instance_ids}")
def attach_firewall(
    credentials: BarrackCredentials, firewall_id: str, instance_ids: Sequence[str]
) -> list[m.FirewallAttachment]:
    """Attach a firewall to instances of its region, beside those it has (inferred).

    Args:
        credentials: the account.
        firewall_id: id of the firewall.
        instance_ids: ids of the instances: at least one, none twice.

    Returns:
        The instances it is attached to.

    Raises:
        BarrackValidationError: no ids, or one twice; nothing was sent.
        BarrackNotFoundError: there is no such firewall or instance.
        BarrackConflictError: an instance is in another region, or its state does not allow it.

    Example:
        >>> attach_firewall(account, "2", ["BRK-A1B2C3D"])

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().firewalls.attach(firewall_id, instance_ids)
