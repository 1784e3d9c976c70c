"""Firewalls."""

from __future__ import annotations

from typing import Any

from barrack_tasks.api import models as m
from barrack_tasks.sandbox.cloud import catalogue, refusals
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.firewalls import Attachment, Firewall, is_eligible
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.instances import in_full
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles, one_page
from barrack_tasks.sandbox.handlers.rules import fields_of, in_words, need_new, without

DONE = "SUCCESS"
"""Upstream's word for a firewall, rule or attachment that is in force [U]."""


def _about(firewall: Firewall) -> dict[str, Any]:
    region = m.RegionEnum(firewall.region)
    return {
        "id": firewall.id,
        "name": firewall.name,
        "description": firewall.description,
        "status": DONE,
        "environment": m.FirewallEnvironment(name=f"default-{firewall.region}", region=region),
        "rules": firewall.rules,
    }


def _shown(firewall: Firewall) -> m.FirewallResponse:
    return m.FirewallResponse(
        **_about(firewall),
        attachments=[_attachment(a) for a in firewall.attached.values()],
        created_at=to_datetime(firewall.created),
        updated_at=to_datetime(firewall.updated),
    )


def _attachment(attachment: Attachment) -> m.FirewallAttachment:
    machine = attachment.machine
    return m.FirewallAttachment(
        id=attachment.id,
        instance=m.FirewallVM(id=machine.id, name=machine.name, status=machine.status),
        status=DONE,
        created_at=to_datetime(attachment.since),
    )


@handles("list_firewalls")
def list_firewalls(world: CloudState, call: SandboxCall) -> m.ListFirewallsResponse:
    every = (x for x in world.firewalls.all() if world.is_listed(x.created))
    page, pagination = one_page(call, every)
    return m.ListFirewallsResponse(firewalls=[_shown(x) for x in page], pagination=pagination)


@handles("get_firewall")
def get_firewall(world: CloudState, call: SandboxCall) -> m.GetFirewallDetailsResponse:
    firewall = world.firewalls.get(call.path["firewall_id"])
    return m.GetFirewallDetailsResponse(firewall=_shown(firewall))


@handles("list_firewall_protocols")
def list_firewall_protocols(
    world: CloudState, call: SandboxCall
) -> m.GetSupportedProtocolsResponse:
    return m.GetSupportedProtocolsResponse(protocols=[m.Protocol(name=p) for p in m.ProtocolEnum])


@handles("list_instance_firewalls")
def list_instance_firewalls(
    world: CloudState, call: SandboxCall
) -> m.GetVMAttachedFirewallsResponse:
    machine = world.machines.get(call.path["instance_id"])
    return m.GetVMAttachedFirewallsResponse(
        firewalls=[
            m.AttachedFirewall(**_about(firewall), attached_at=to_datetime(attachment.since))
            for firewall, attachment in world.firewalls.of(machine)
        ]
    )


@handles("list_firewall_eligible_instances")
def list_firewall_eligible_instances(world: CloudState, call: SandboxCall) -> m.ListVMsResponse:
    instances = [
        in_full(world, machine)
        for machine in world.machines.all()
        if is_eligible(machine) and world.is_listed(machine.created)
    ]
    return m.ListVMsResponse(instances=instances)


@handles("create_firewall")
def create_firewall(world: CloudState, call: SandboxCall) -> m.CreateFirewallResponse:
    ask: m.CreateFirewallRequest = call.body
    region = str(ask.region)
    if region not in catalogue.REGIONS:
        raise refusals.invalid({"region": f"must be one of {', '.join(catalogue.REGIONS)}"})
    firewall = world.firewalls.create(ask.name, region, ask.description)
    return m.CreateFirewallResponse(firewall=_shown(firewall))


@handles("delete_firewall")
def delete_firewall(world: CloudState, call: SandboxCall) -> m.DeleteFirewallResponse:
    world.firewalls.delete(call.path["firewall_id"])
    return m.DeleteFirewallResponse()


@handles("add_firewall_rule")
def add_firewall_rule(world: CloudState, call: SandboxCall) -> m.AddFirewallRuleResponse:
    ask: m.AddFirewallRuleRequest = call.body
    firewall = world.firewalls.get(call.path["firewall_id"])
    need_new(ask, firewall.rules, firewall.called())
    rule = m.FirewallRule(
        id=str(world.next_serial()), status=DONE, created_at=world.now, **fields_of(ask)
    )
    firewall.rules = [*firewall.rules, rule]
    world.firewalls.change(firewall, f"rule {rule.id} added: {in_words(ask)}")
    return m.AddFirewallRuleResponse(rule=rule)


@handles("remove_firewall_rule")
def remove_firewall_rule(world: CloudState, call: SandboxCall) -> m.RemoveFirewallRuleResponse:
    firewall = world.firewalls.get(call.path["firewall_id"])
    gone, firewall.rules = without(firewall.rules, call.path["rule_id"])
    world.firewalls.change(firewall, f"rule {gone.id} removed: {in_words(gone)}")
    return m.RemoveFirewallRuleResponse()


@handles("attach_firewall")
def attach_firewall(world: CloudState, call: SandboxCall) -> m.AttachFirewallResponse:
    ask: m.AttachFirewallRequest = call.body
    firewall = world.firewalls.get(call.path["firewall_id"])
    machines = [world.machines.get(id_) for id_ in ask.instance_ids]
    made = world.firewalls.attach(firewall.id, machines)
    return m.AttachFirewallResponse(attachments=[_attachment(a) for a in made])
