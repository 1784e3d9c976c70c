"""Firewalls: sets of rules that are attached to instances."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from barrack_tasks.api.models.base import Answer, Id, Model, Request, Timestamp
from barrack_tasks.api.models.common import Pagination
from barrack_tasks.api.models.gpus import RegionEnum
from barrack_tasks.api.models.instances import (
    DirectionEnum,
    EthertypeEnum,
    ProtocolEnum,
    TrafficRuleRequest,
    VMStatus,
)
from barrack_tasks.api.models.rules import Ids, Name

__all__ = [
    "AddFirewallRuleRequest", "AddFirewallRuleResponse", "AttachFirewallRequest",
    "AttachFirewallResponse", "AttachedFirewall", "CreateFirewallRequest", "CreateFirewallResponse",
    "DeleteFirewallResponse", "FirewallAttachment", "FirewallEnvironment", "FirewallResponse",
    "FirewallRule", "FirewallVM", "GetFirewallDetailsResponse", "GetSupportedProtocolsResponse",
    "GetVMAttachedFirewallsResponse", "ListFirewallsResponse", "Protocol",
    "RemoveFirewallRuleResponse",
]  # fmt: skip


class Protocol(Model):
    """A protocol that a rule can be about. A bare word is read as its name [U]."""

    name: ProtocolEnum
    description: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class GetSupportedProtocolsResponse(Answer):
    """Answer of `list_firewall_protocols`."""

    protocols: list[Protocol]


class FirewallEnvironment(Model):
    """Where a firewall can be used: upstream's environment, which lies in one region [U]."""

    id: Id | None = None
    name: str | None = None
    region: RegionEnum | None = None


class FirewallRule(Model):
    """A rule of a firewall."""

    id: Id | None = None
    direction: DirectionEnum | None = None
    ethertype: EthertypeEnum | None = None
    protocol: ProtocolEnum | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    status: str | None = None
    created_at: Timestamp | None = None


class FirewallVM(Model):
    """An instance as a firewall shows it."""

    id: Id
    name: str | None = None
    status: VMStatus | None = None


class FirewallAttachment(Model):
    """An instance that a firewall is attached to."""

    id: Id | None = None
    instance: FirewallVM
    status: str | None = None
    created_at: Timestamp | None = None


class FirewallResponse(Model):
    """A firewall."""

    id: Id
    name: str
    description: str | None = None
    status: str | None = None
    environment: FirewallEnvironment | None = None
    rules: list[FirewallRule] = []
    attachments: list[FirewallAttachment] = []
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class AttachedFirewall(Model):
    """A firewall as an instance shows it."""

    id: Id
    name: str
    description: str | None = None
    status: str | None = None
    environment: FirewallEnvironment | None = None
    rules: list[FirewallRule] = []
    attached_at: Timestamp | None = None


class ListFirewallsResponse(Answer):
    """Answer of `list_firewalls`."""

    firewalls: list[FirewallResponse]
    pagination: Pagination | None = None


class GetFirewallDetailsResponse(Answer):
    """Answer of `get_firewall`."""

    firewall: FirewallResponse


class GetVMAttachedFirewallsResponse(Answer):
    """Answer of `list_instance_firewalls`."""

    firewalls: list[AttachedFirewall]


class CreateFirewallRequest(Request):
    """A new firewall, without rules. It can be attached to instances of its region [U]."""

    name: Name
    region: RegionEnum
    description: str | None = None


class CreateFirewallResponse(Answer):
    """Answer of `create_firewall`."""

    firewall: FirewallResponse


class DeleteFirewallResponse(Answer):
    """Answer of `delete_firewall`."""


class AddFirewallRuleRequest(TrafficRuleRequest):
    """A rule to be added to a firewall."""


class AddFirewallRuleResponse(Answer):
    """Answer of `add_firewall_rule`."""

    rule: FirewallRule


class RemoveFirewallRuleResponse(Answer):
    """Answer of `remove_firewall_rule`."""


class AttachFirewallRequest(Request):
    """Instances that a firewall is to be attached to, beside those it has [I]."""

    instance_ids: Ids


class AttachFirewallResponse(Answer):
    """Answer of `attach_firewall`."""

    attachments: list[FirewallAttachment] = []
