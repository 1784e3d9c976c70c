"""Firewalls: make, fill with rules, attach to instances."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource, operation

__all__ = ["Firewalls"]


class Firewalls(Resource):
    """Operations of the group Firewalls.

    Those of one instance are at `client.instances.firewalls(instance_id)`.
    """

    @operation("list_firewalls")
    def list(self) -> Iterator[m.FirewallResponse]:
        """All firewalls of the account, page after page.

        Returns:
            The firewalls with their rules and what they are attached to.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [(f.name, len(f.rules)) for f in client.firewalls.list()]
        """

    @operation("get_firewall")
    def get(self, firewall_id: str) -> m.FirewallResponse:
        """One firewall.

        Args:
            firewall_id: id of the firewall.

        Returns:
            The firewall with its rules and the instances it is attached to.

        Raises:
            BarrackNotFoundError: there is no such firewall.

        Example:
            >>> client.firewalls.get("2").rules
        """

    @operation("list_firewall_protocols")
    def protocols(self) -> builtins.list[m.Protocol]:
        """Protocols that a rule can be about.

        Returns:
            The protocols, whose `name` is what a rule takes as `protocol`.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [p.name for p in client.firewalls.protocols()]
        """

    @operation("list_firewall_eligible_instances")
    def eligible_instances(self) -> builtins.list[m.VMInstance]:
        """Instances that a firewall can be attached to now.

        Returns:
            The instances in full.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [i.id for i in client.firewalls.eligible_instances() if i.region == "CANADA-1"]
        """

    @operation("create_firewall")
    def create(
        self, name: str, region: m.RegionEnum | str, description: str | None = None
    ) -> m.FirewallResponse:
        """Make a firewall without rules. It is never made twice.

        Args:
            name: 1 to 50 printable characters, unique among the account's firewalls (inferred).
            region: such as `CANADA-1`. It can be attached to instances there (upstream).
            description: free text.

        Returns:
            The firewall with its id.

        Raises:
            BarrackValidationError: a field breaks a rule; nothing was sent.
            BarrackConflictError: the name is taken.

        Example:
            >>> client.firewalls.create("web", "CANADA-1")
        """

    @operation("delete_firewall")
    def delete(self, firewall_id: str) -> None:
        """Delete a firewall with its rules, for good.

        Args:
            firewall_id: id of the firewall.

        Returns:
            Nothing.

        Raises:
            BarrackNotFoundError: there is no such firewall.
            BarrackConflictError: it is attached to an instance (inferred).

        Example:
            >>> client.firewalls.delete("2")
        """

    @operation("add_firewall_rule")
    def add_rule(
        self,
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
            >>> client.firewalls.add_rule("2", "tcp", port_range_min=443, port_range_max=443)
        """

    @operation("remove_firewall_rule")
    def remove_rule(self, firewall_id: str, rule_id: str) -> None:
        """Remove a rule of a firewall.

        Args:
            firewall_id: id of the firewall.
            rule_id: id of the rule; `get_firewall` shows it.

        Returns:
            Nothing.

        Raises:
            BarrackNotFoundError: there is no such firewall or rule.

        Example:
            >>> client.firewalls.remove_rule("2", "8")
        """

    @operation("attach_firewall")
    def attach(
        self, firewall_id: str, instance_ids: Sequence[str]
    ) -> builtins.list[m.FirewallAttachment]:
        """Attach a firewall to instances of its region, beside those it has (inferred).

        Args:
            firewall_id: id of the firewall.
            instance_ids: ids of the instances: at least one, none twice.

        Returns:
            The instances it is attached to.

        Raises:
            BarrackValidationError: no ids, or one twice; nothing was sent.
            BarrackNotFoundError: there is no such firewall or instance.
            BarrackConflictError: an instance is in another region, or its state does not allow it.

        Example:
            >>> client.firewalls.attach("2", ["BRK-A1B2C3D"])
        """
