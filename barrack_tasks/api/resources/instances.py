"""Instances: deploy, look, change state, delete."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from barrack_tasks.api import models as m
from barrack_tasks.api.models.times import Moment
from barrack_tasks.api.resources.base import Resource, operation

__all__ = ["Instances"]


class Instances(Resource):
    """Operations of the groups Instance management and Deploy Instance."""

    @operation("list_instances")
    def list(
        self, status: m.VMStatus | str | None = None, region: m.RegionEnum | str | None = None
    ) -> Iterator[m.UserVM]:
        """All instances of the account, page after page.

        Args:
            status: only those in this state, such as `ACTIVE`.
            region: only those in this region, such as `CANADA-1`.

        Returns:
            The instances, in the API's order.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [i.name for i in client.instances.list(status="ACTIVE")]
        """

    @operation("get_instance")
    def get(self, instance_id: str) -> m.VMInstance:
        """One instance in full.

        Args:
            instance_id: id of the instance, such as `BRK-A1B2C3D` (documented).

        Returns:
            The instance with its hardware, addresses, volumes and security rules.

        Raises:
            BarrackNotFoundError: there is no such instance.

        Example:
            >>> client.instances.get("BRK-A1B2C3D").status
        """

    @operation("create_instance")
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
        """Deploy a new instance. Billing starts when it is up; it is never made twice.

        Exactly one of `image_id`, `snapshot_id` and `volume_id` says what it boots from.

        Args:
            name: 2 to 30 characters, unique among the account's instances (documented).
            region: such as `CANADA-1`.
            gpu_model: such as `H100-PCIe-80GB`.
            gpu_count: 1, 2, 4, 8 or 10 (upstream).
            tier: `on-demand` or `spot` (inferred); the API's choice, if not given.
            image_id: an OS image, or an image of the account's own.
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
            >>> client.instances.create("train-1", "CANADA-1", "L40", image_id="12")
        """

    @operation("get_instance_billing")
    def billing(
        self, instance_id: str, start: Moment | None = None, end: Moment | None = None
    ) -> m.AggregatedBillingResponse:
        """What an instance has cost, in all and by state, between two moments.

        Args:
            instance_id: id of the instance, which may be deleted by now.
            start: zone-aware, or ISO 8601; the beginning, if not given.
            end: zone-aware, or ISO 8601; now, if not given.

        Returns:
            The total as a Decimal with its currency, and the records that add up to it.

        Raises:
            BarrackNotFoundError: there never was such an instance.

        Example:
            >>> client.instances.billing("BRK-A1B2C3D").summary.total
        """

    @operation("get_hibernated_instances")
    def hibernated(self) -> m.GetHibernatedVMsResponse:
        """How many instances are hibernated, which were last, and what they cost.

        Returns:
            The count, the latest ones, and what they cost an hour and have cost so far.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> client.instances.hibernated().count
        """

    @operation("start_instance")
    def start(self, instance_id: str) -> m.VMResponse:
        """Start an instance that is SHUTOFF.

        Args:
            instance_id: id of the instance.

        Returns:
            Id and status, which is STARTING for a while.

        Raises:
            BarrackNotFoundError: there is no such instance.
            BarrackConflictError: it is in another state.

        Example:
            >>> client.instances.start("BRK-A1B2C3D")
        """

    @operation("stop_instance")
    def stop(self, instance_id: str) -> m.VMResponse:
        """Stop an instance that is ACTIVE. It stays billed at the full rate (documented).

        Args:
            instance_id: id of the instance.

        Returns:
            Id and status, which is STOPPING for a while.

        Raises:
            BarrackNotFoundError: there is no such instance.
            BarrackConflictError: it is in another state.

        Example:
            >>> client.instances.stop("BRK-A1B2C3D")
        """

    @operation("reboot_instance")
    def reboot(self, instance_id: str) -> m.VMResponse:
        """Reboot an instance. Not repeated when the answer is lost: nothing tells if it happened.

        Args:
            instance_id: id of the instance.

        Returns:
            Id and status, which is REBOOTING for a while.

        Raises:
            BarrackNotFoundError: there is no such instance.
            BarrackConflictError: it is neither ACTIVE nor in ERROR.

        Example:
            >>> client.instances.reboot("BRK-A1B2C3D")
        """

    @operation("hibernate_instance")
    def hibernate(self, instance_id: str) -> m.VMResponse:
        """Hibernate an instance that is ACTIVE: disk and memory are kept, the hardware is released.

        The public address is released, and ephemeral disks are lost (upstream).

        Args:
            instance_id: id of the instance.

        Returns:
            Id and status, which is HIBERNATING for a while.

        Raises:
            BarrackNotFoundError: there is no such instance.
            BarrackConflictError: it is in another state, or its flavor cannot hibernate.

        Example:
            >>> client.instances.hibernate("BRK-A1B2C3D")
        """

    @operation("restore_instance")
    def restore(self, instance_id: str) -> m.VMResponse:
        """Bring back an instance that is HIBERNATED. It gets a new public address (upstream).

        Args:
            instance_id: id of the instance.

        Returns:
            Id and status, which is RESTORING for a while.

        Raises:
            BarrackNotFoundError: there is no such instance.
            BarrackOutOfStockError: its GPU is not in stock now.
            BarrackConflictError: it is in another state.

        Example:
            >>> client.instances.restore("BRK-A1B2C3D")
        """

    @operation("toggle_public_ip")
    def toggle_public_ip(self, instance_id: str) -> m.VMResponse:
        """Give an instance a public address, or take it away, whichever it has not.

        Args:
            instance_id: id of the instance.

        Returns:
            Id and status of the instance.

        Raises:
            BarrackNotFoundError: there is no such instance.
            BarrackConflictError: its state does not allow it.

        Example:
            >>> client.instances.toggle_public_ip("BRK-A1B2C3D")
        """

    @operation("delete_instance")
    def delete(self, instance_id: str) -> m.VMResponse:
        """Delete an instance for good. Its snapshots stay.

        Args:
            instance_id: id of the instance.

        Returns:
            Id and status, which is DELETING for a while.

        Raises:
            BarrackNotFoundError: there is no such instance.

        Example:
            >>> client.instances.delete("BRK-A1B2C3D")
        """

    @operation("add_security_rule")
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
        """Add a rule to one instance that lets traffic through. It is never added twice.

        Args:
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
            >>> client.instances.add_security_rule("BRK-A1B2C3D", "tcp", port_range_min=22, port_range_max=22)
        """  # noqa: E501

    @operation("remove_security_rule")
    def remove_security_rule(self, instance_id: str, rule_id: str) -> None:
        """Remove a security rule of an instance.

        Args:
            instance_id: id of the instance.
            rule_id: id of the rule; `get_instance` shows it.

        Returns:
            Nothing.

        Raises:
            BarrackNotFoundError: there is no such instance or rule.

        Example:
            >>> client.instances.remove_security_rule("BRK-A1B2C3D", "4")
        """

    @operation("list_instance_firewalls")
    def firewalls(self, instance_id: str) -> builtins.list[m.AttachedFirewall]:
        """Firewalls that are attached to an instance.

        Args:
            instance_id: id of the instance.

        Returns:
            The firewalls with their rules.

        Raises:
            BarrackNotFoundError: there is no such instance.

        Example:
            >>> [f.name for f in client.instances.firewalls("BRK-A1B2C3D")]
        """
