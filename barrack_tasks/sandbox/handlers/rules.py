"""Rules of traffic: of instances here, of firewalls in their own module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from barrack_tasks.api import models as m
from barrack_tasks.api.models.instances import TrafficRuleRequest
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.machine import Machine
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles

R = TypeVar("R", m.VMSecurityRule, m.FirewallRule)
_FIELDS = tuple(TrafficRuleRequest.model_fields)


def need_new(ask: TrafficRuleRequest, there: Iterable[Any], of: str) -> None:
    """Refuse a rule that says what another one says already.

    Raises:
        Refused: 409.
    """
    wanted = _meaning(ask)
    for rule in there:
        if _meaning(rule) == wanted:
            raise refusals.conflict(f"{of} has this rule already: {rule.id}", "duplicate_rule")


def _meaning(rule: Any) -> tuple[Any, ...]:
    low, high = rule.port_range_min, rule.port_range_max
    if rule.protocol.has_ports and low is None:
        low, high = 1, 65535
    return (rule.direction, rule.ethertype, rule.protocol, low, high, rule.remote_ip_prefix)


def in_words(ask: Any) -> str:
    """A rule in a line of the ledger."""
    ports = "" if ask.port_range_min is None else f" {ask.port_range_min}-{ask.port_range_max}"
    return f"{ask.direction} {ask.protocol}{ports} {ask.remote_ip_prefix}"


def without(rules: Sequence[R], id_: str) -> tuple[R, list[R]]:
    """One rule, and the others.

    Raises:
        Refused: 404.
    """
    gone = next((rule for rule in rules if rule.id == id_), None)
    if gone is None:
        raise refusals.not_found("Rule", id_)
    return gone, [rule for rule in rules if rule is not gone]


def fields_of(ask: TrafficRuleRequest) -> dict[str, Any]:
    """What a rule is about, as its model takes it."""
    return {name: getattr(ask, name) for name in _FIELDS}


def security_rule(world: CloudState, ask: TrafficRuleRequest) -> m.VMSecurityRule:
    """A rule that an instance is to have."""
    return m.VMSecurityRule(id=str(world.next_serial()), status="ACTIVE", **fields_of(ask))


def _changeable(world: CloudState, call: SandboxCall) -> Machine:
    machine = world.machines.get(call.path["instance_id"])
    if machine.status is m.VMStatus.DELETING:
        raise refusals.conflict(f"{machine.called()} is DELETING")
    return machine


@handles("add_security_rule")
def add_security_rule(world: CloudState, call: SandboxCall) -> m.AddVMSecurityRuleResponse:
    ask: m.VMSecurityRuleRequest = call.body
    machine = _changeable(world, call)
    need_new(ask, machine.rules, machine.called())
    rule = security_rule(world, ask)
    machine.rules = [*machine.rules, rule]
    world.machines.change(machine, f"rule {rule.id} added: {in_words(ask)}")
    return m.AddVMSecurityRuleResponse(security_rule=rule)


@handles("remove_security_rule")
def remove_security_rule(world: CloudState, call: SandboxCall) -> m.RemoveVMSecurityRuleResponse:
    machine = _changeable(world, call)
    gone, machine.rules = without(machine.rules, call.path["rule_id"])
    world.machines.change(machine, f"rule {gone.id} removed: {in_words(gone)}")
    return m.RemoveVMSecurityRuleResponse()
