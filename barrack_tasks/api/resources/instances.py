"""Instances: deploy, look, change state, delete."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource


class Instances(Resource):
    """Operations of the groups Instance management and Deploy Instance."""

    def list(
        self, status: m.VMStatus | str | None = None, region: m.RegionEnum | str | None = None
    ) -> Iterator[m.UserVM]:
        """All instances, lazily, optionally of one state or region."""
        return self._pages(m.UserVM, "list_instances", status=status, region=region)

    def get(self, instance_id: str) -> m.VMInstance:
        """One instance in full."""
        return self._one(m.VMInstance, "get_instance", instance_id=instance_id)

    def create(
        self,
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
        """Deploy an instance; see `DeploymentRequest`. Never deploys two.

        Exactly one of `image_id`, `snapshot_id` and `volume_id` says what it boots from.
        """
        return self._one(
            m.VMResponse,
            "create_instance",
            name=name,
            region=region,
            gpu_model=gpu_model,
            gpu_count=gpu_count,
            tier=tier,
            image_id=image_id,
            snapshot_id=snapshot_id,
            volume_id=volume_id,
            ssh_key_id=ssh_key_id,
            public_ip=public_ip,
            script_id=script_id,
            volume_ids=volume_ids or None,
            security_rules=security_rules or None,
        )

    def billing(
        self, instance_id: str, start: datetime | None = None, end: datetime | None = None
    ) -> m.AggregatedBillingResponse:
        """What an instance has cost between two moments."""
        return self._one(
            m.AggregatedBillingResponse,
            "get_instance_billing",
            instance_id=instance_id,
            start=start,
            end=end,
        )

    def hibernated(self) -> m.GetHibernatedVMsResponse:
        """How many instances sleep, which did last, and what they cost."""
        return self._one(m.GetHibernatedVMsResponse, "get_hibernated_instances")

    def start(self, instance_id: str) -> m.VMResponse:
        """Start an instance that is SHUTOFF."""
        return self._one(m.VMResponse, "start_instance", instance_id=instance_id)

    def stop(self, instance_id: str) -> m.VMResponse:
        """Stop an instance that is ACTIVE. It stays billed in full."""
        return self._one(m.VMResponse, "stop_instance", instance_id=instance_id)

    def reboot(self, instance_id: str) -> m.VMResponse:
        """Reboot an instance. Never repeated by itself: nothing tells whether it happened."""
        return self._one(m.VMResponse, "reboot_instance", instance_id=instance_id)

    def hibernate(self, instance_id: str) -> m.VMResponse:
        """Hibernate an instance that is ACTIVE: its hardware goes, its disk and memory stay."""
        return self._one(m.VMResponse, "hibernate_instance", instance_id=instance_id)

    def restore(self, instance_id: str) -> m.VMResponse:
        """Restore an instance that is HIBERNATED. Needs the GPU to be in stock."""
        return self._one(m.VMResponse, "restore_instance", instance_id=instance_id)

    def toggle_public_ip(self, instance_id: str) -> m.VMResponse:
        """Give an instance a public address, or take it away."""
        return self._one(m.VMResponse, "toggle_public_ip", instance_id=instance_id)

    def delete(self, instance_id: str) -> m.VMResponse:
        """Delete an instance for good."""
        return self._one(m.VMResponse, "delete_instance", instance_id=instance_id)

    def add_security_rule(
        self,
        instance_id: str,
        protocol: m.ProtocolEnum | str,
        *,
        port_range_min: int | None = None,
        port_range_max: int | None = None,
        remote_ip_prefix: str | None = None,
        direction: m.DirectionEnum | str = m.DirectionEnum.INGRESS,
        ethertype: m.EthertypeEnum | str = m.EthertypeEnum.IPV4,
    ) -> m.VMSecurityRule:
        """Add a rule that lets traffic through; see `VMSecurityRuleRequest`."""
        return self._one(
            m.VMSecurityRule,
            "add_security_rule",
            instance_id=instance_id,
            protocol=protocol,
            port_range_min=port_range_min,
            port_range_max=port_range_max,
            remote_ip_prefix=remote_ip_prefix,
            direction=direction,
            ethertype=ethertype,
        )

    def remove_security_rule(self, instance_id: str, rule_id: str) -> None:
        """Remove a security rule."""
        self._done("remove_security_rule", instance_id=instance_id, rule_id=rule_id)

    def firewalls(self, instance_id: str) -> builtins.list[m.AttachedFirewall]:
        """Firewalls that are attached to an instance."""
        return self._list(m.AttachedFirewall, "list_instance_firewalls", instance_id=instance_id)
