"""Instances."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from barrack_tasks.api import models as m
from barrack_tasks.api.models.instances import PENDING_ADDRESS
from barrack_tasks.sandbox.cloud import catalogue, refusals
from barrack_tasks.sandbox.cloud.billing import cost_of
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.machine import Machine, need_offer
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles, one_page
from barrack_tasks.sandbox.handlers.rules import security_rule

S = m.VMStatus
_POWER = {S.ACTIVE: "RUNNING", S.SHUTOFF: "SHUTDOWN", S.HIBERNATED: "SHUTDOWN"}


def _about(world: CloudState, machine: Machine) -> dict[str, Any]:
    size = machine.configuration
    return {
        "id": machine.id,
        "name": machine.name,
        "status": machine.status,
        "region": m.RegionEnum(machine.region),
        "gpu_model": m.GpuModelEnum(size.gpu_model),
        "gpu_count": m.GpuCountEnum(size.gpu_count),
        "hourly_price": machine.hourly,
        "currency": m.CurrencyEnum(world.currency),
        "flavor": m.VMFlavor(
            name=size.flavor,
            gpu_model=m.GpuModelEnum(size.gpu_model),
            gpu_count=m.GpuCountEnum(size.gpu_count),
            vcpus=size.vcpus,
            ram_gb=size.ram_gb,
            disk_gb=size.disk_gb,
            ephemeral_gb=size.ephemeral_gb,
        ),
        "image": m.VMImage(id=machine.image_id, name=machine.image_name),
        "boot_source": machine.boot_source,
        "public_ip": machine.public_ip,
        "private_ip": machine.private_ip,
        "ssh_key": machine.ssh_key,
        "volumes": machine.volumes,
        "security_rules": machine.rules,
        "created_at": to_datetime(machine.created),
        "updated_at": to_datetime(machine.updated),
        "hibernated_at": _moment(machine.hibernated),
    }


def _moment(micros: int | None) -> Any:
    return None if micros is None else to_datetime(micros)


def in_list(world: CloudState, machine: Machine) -> m.UserVM:
    """An instance as lists show it."""
    return m.UserVM(**_about(world, machine))


def in_full(world: CloudState, machine: Machine) -> m.VMInstance:
    """An instance in full."""
    address = machine.public_ip
    address_status = (
        None if address is None else "pending" if address == PENDING_ADDRESS else "assigned"
    )
    return m.VMInstance(
        **_about(world, machine),
        power_state=_POWER.get(machine.status, "NOSTATE"),
        vm_state=str(machine.status).lower(),
        public_ip_status=address_status,
        labels=machine.labels,
        locked=False,
        features={"hibernation": machine.can_hibernate},
    )


def as_created(world: CloudState, machine: Machine) -> m.VMResponse:
    """A new instance as the answer to its creation shows it."""
    about = _about(world, machine)
    return m.VMResponse(**{k: v for k, v in about.items() if k in m.VMResponse.model_fields})


def _brief(machine: Machine) -> m.VMResponse:
    return m.VMResponse(id=machine.id, status=machine.status)


@handles("create_instance")
def create_instance(world: CloudState, call: SandboxCall) -> m.DeploymentResponse:
    ask: m.DeploymentRequest = call.body
    size = need_offer(str(ask.region), str(ask.gpu_model), int(ask.gpu_count), ask.tier)
    region = str(ask.region)
    extra = [id_ for id_ in dict.fromkeys(ask.volume_ids) if id_ != ask.volume_id]
    options: dict[str, Any] = {"wants_public_ip": ask.public_ip, **_boot(world, ask, region)}
    if ask.ssh_key_id is not None:
        options["ssh_key"] = world.keys.get(ask.ssh_key_id).name
    if ask.script_id is not None:
        world.scripts.get(ask.script_id)
    world.attachments.need_attachable(extra, region, ask.volume_id)
    options["rules"] = [security_rule(world, rule) for rule in ask.security_rules]
    machine = world.machines.deploy(name=ask.name, region=region, configuration=size, **options)
    if extra or ask.volume_id is not None:
        world.attachments.join(machine, extra, ask.volume_id)
    return m.DeploymentResponse(instance=as_created(world, machine))


def _boot(world: CloudState, ask: m.DeploymentRequest, region: str) -> dict[str, Any]:
    """What a new instance boots from."""
    if ask.snapshot_id is not None:
        copy = world.snapshots.get_ready(ask.snapshot_id)
        if copy.region != region:
            raise refusals.wrong_region(copy.called(), copy.region)
        return {"boot_source": "snapshot"}
    if ask.volume_id is not None:
        return {"boot_source": "volume"}
    id_, name = world.images.need_bootable(str(ask.image_id), region)
    return {"boot_source": "image", "image_id": id_, "image_name": name}


@handles("list_instances")
def list_instances(world: CloudState, call: SandboxCall) -> m.ListUserVMsResponse:
    status, region = call.query.get("status"), call.query.get("region")
    if status is not None and not S(status).known:
        raise call.refuse_query("status", f"must be one of {', '.join(S.__members__)}")
    if region is not None and region not in catalogue.REGIONS:
        raise call.refuse_query("region", f"must be one of {', '.join(catalogue.REGIONS)}")
    wanted = S(status) if status else None
    page, pagination = one_page(
        call,
        (
            machine
            for machine in world.machines.all()
            if world.is_listed(machine.created)
            and (wanted is None or machine.status is wanted)
            and (not region or machine.region == region)
        ),
    )
    instances = [in_list(world, machine) for machine in page]
    return m.ListUserVMsResponse(instances=instances, pagination=pagination)


@handles("get_instance")
def get_instance(world: CloudState, call: SandboxCall) -> m.VMDetailsResponse:
    machine = world.machines.get(call.path["instance_id"])
    billing = m.Billing(
        rate_per_hour=machine.rate(world.currency),
        accrued=world.meter.accrued(machine.resource, world.micros),
        currency=m.CurrencyEnum(world.currency),
    )
    return m.VMDetailsResponse(instance=in_full(world, machine), billing=billing)


@handles("get_instance_billing")
def get_instance_billing(world: CloudState, call: SandboxCall) -> m.AggregatedBillingResponse:
    # Bills outlive what they are for: a deleted instance still has one.
    id_ = call.path["instance_id"]
    if world.machines.ever(id_) is None:
        raise refusals.not_found("Instance", id_)
    return billing_of(world, call, f"instance:{id_}")


def billing_of(world: CloudState, call: SandboxCall, resource: str) -> m.AggregatedBillingResponse:
    """The bill of a resource in the window that the query asks for."""
    since, until = call.window()
    records: list[m.BillingRecord] = []
    for stretch in world.meter.stretches(resource):
        end = stretch.end
        if until is not None and (end is None or until < end) and until <= world.micros:
            end = until
        start = stretch.start if since is None else max(since, stretch.start)
        if (world.micros if end is None else end - 1) < start:
            continue  # outside of the window, or of no length
        minutes = stretch.minutes(world.micros, since, until)
        records.append(
            m.BillingRecord(
                start=to_datetime(start),
                end=_moment(end),
                status=S(stretch.status) if stretch.status else None,
                minutes=minutes,
                rate_per_hour=stretch.rate,
                cost=cost_of(stretch.rate, minutes),
            )
        )
    summary = m.BillingSummary(
        total=sum((record.cost for record in records), Decimal(0)),
        currency=m.CurrencyEnum(world.currency),
        start=_moment(since) or (records[0].start if records else None),
        end=_moment(until) or world.now,
    )
    return m.AggregatedBillingResponse(summary=summary, records=records)


@handles("get_hibernated_instances")
def get_hibernated_instances(world: CloudState, call: SandboxCall) -> m.GetHibernatedVMsResponse:
    asleep = [x for x in world.machines.all() if x.status is S.HIBERNATED]
    asleep.sort(key=lambda x: (x.hibernated or 0, x.serial), reverse=True)
    accrued = sum(
        (
            stretch.cost(world.micros)
            for x in asleep
            for stretch in world.meter.stretches(x.resource)[-1:]
        ),
        Decimal(0),
    )
    return m.GetHibernatedVMsResponse(
        count=len(asleep),
        recent=[
            m.RecentHibernation(id=x.id, name=x.name, hibernated_at=_moment(x.hibernated))
            for x in asleep[:10]
        ],
        billing=m.HibernationBillingMetrics(
            rate_per_hour=catalogue.HIBERNATED_HOURLY[world.currency] * len(asleep),
            accrued=accrued,
            currency=m.CurrencyEnum(world.currency),
        ),
    )


def _act(world: CloudState, call: SandboxCall, work: str) -> m.VMResponse:
    allowed, through, to = ACTIONS[work]
    return _brief(world.machines.act(call.path["instance_id"], work, allowed, through, to))


ACTIONS: dict[str, tuple[tuple[m.VMStatus, ...], m.VMStatus, m.VMStatus]] = {
    "start": ((S.SHUTOFF,), S.STARTING, S.ACTIVE),
    "stop": ((S.ACTIVE,), S.STOPPING, S.SHUTOFF),
    "reboot": ((S.ACTIVE, S.ERROR), S.REBOOTING, S.ACTIVE),
    "hibernate": ((S.ACTIVE,), S.HIBERNATING, S.HIBERNATED),
    "restore": ((S.HIBERNATED,), S.RESTORING, S.ACTIVE),
    "delete": (
        tuple(status for status in S if status not in (S.DELETING, S.DELETED)),
        S.DELETING,
        S.DELETED,
    ),
}
"""For each kind of work: the states it begins in [U], the one it passes, the one it ends in."""


@handles("start_instance")
def start_instance(world: CloudState, call: SandboxCall) -> m.StartVMResponse:
    return m.StartVMResponse(instance=_act(world, call, "start"))


@handles("stop_instance")
def stop_instance(world: CloudState, call: SandboxCall) -> m.StopVMResponse:
    return m.StopVMResponse(instance=_act(world, call, "stop"))


@handles("reboot_instance")
def reboot_instance(world: CloudState, call: SandboxCall) -> m.RebootVMResponse:
    return m.RebootVMResponse(instance=_act(world, call, "reboot"))


@handles("hibernate_instance")
def hibernate_instance(world: CloudState, call: SandboxCall) -> m.HibernateVMResponse:
    return m.HibernateVMResponse(instance=_act(world, call, "hibernate"))


@handles("restore_instance")
def restore_instance(world: CloudState, call: SandboxCall) -> m.RestoreVMResponse:
    return m.RestoreVMResponse(instance=_act(world, call, "restore"))


@handles("delete_instance")
def delete_instance(world: CloudState, call: SandboxCall) -> m.DeleteVMResponse:
    return m.DeleteVMResponse(instance=_act(world, call, "delete"))


@handles("toggle_public_ip")
def toggle_public_ip(world: CloudState, call: SandboxCall) -> m.ToggleVMPublicIPResponse:
    machine = world.machines.toggle_public_ip(call.path["instance_id"])
    answer = m.VMResponse(id=machine.id, status=machine.status, public_ip=machine.public_ip)
    return m.ToggleVMPublicIPResponse(instance=answer)
