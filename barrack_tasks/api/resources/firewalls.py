"""Firewalls: make, fill with rules, attach to instances."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource


class Firewalls(Resource):
    """Operations of the group Firewalls.

    Those of one instance are at `client.instances.firewalls(instance_id)`.
    """

    def list(self) -> Iterator[m.FirewallResponse]:
        """All firewalls, lazily."""
        return self._pages(m.FirewallResponse, "list_firewalls")

    def get(self, firewall_id: str) -> m.FirewallResponse:
        """One firewall with its rules and the instances it is attached to."""
        return self._one(m.FirewallResponse, "get_firewall", firewall_id=firewall_id)

    def protocols(self) -> builtins.list[m.Protocol]:
        """Protocols that a rule can be about."""
        return self._list(m.Protocol, "list_firewall_protocols")

    def eligible_instances(self) -> builtins.list[m.VMInstance]:
        """Instances that a firewall can be attached to now."""
        return self._list(m.VMInstance, "list_firewall_eligible_instances")

    def create(
        self, name: str, region: m.RegionEnum | str, description: str | None = None
    ) -> m.FirewallResponse:
        """Make a firewall without rules. Never makes two."""
        return self._one(
            m.FirewallResponse,
            "create_firewall",
            name=name,
            region=region,
            description=description,
        )

    def delete(self, firewall_id: str) -> None:
        """Delete a firewall with its rules, for good."""
        self._done("delete_firewall", firewall_id=firewall_id)

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
        """Add a rule that lets traffic through; see `AddFirewallRuleRequest`."""
        return self._one(
            m.FirewallRule,
            "add_firewall_rule",
            firewall_id=firewall_id,
            protocol=protocol,
            port_range_min=port_range_min,
            port_range_max=port_range_max,
            remote_ip_prefix=remote_ip_prefix,
            direction=direction,
            ethertype=ethertype,
        )

    def remove_rule(self, firewall_id: str, rule_id: str) -> None:
        """Remove a rule."""
        self._done("remove_firewall_rule", firewall_id=firewall_id, rule_id=rule_id)

    def attach(
        self, firewall_id: str, instance_ids: Sequence[str]
    ) -> builtins.list[m.FirewallAttachment]:
        """Attach a firewall to instances, beside those it has."""
        return self._list(
            m.FirewallAttachment,
            "attach_firewall",
            firewall_id=firewall_id,
            instance_ids=instance_ids,
        )
