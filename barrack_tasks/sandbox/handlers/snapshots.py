"""Snapshots."""

from __future__ import annotations

from dataclasses import replace

from barrack_tasks.api import models as m
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.catalogue import Configuration
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.copy import Copy
from barrack_tasks.sandbox.cloud.refusals import Refused
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.instances import as_created, billing_of, in_full
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles, one_page


def _shown(copy: Copy) -> m.Snapshot:
    return m.Snapshot(
        id=copy.id,
        name=copy.name,
        description=copy.description,
        status=copy.status,
        size_gb=copy.size_gb,
        instance_id=copy.instance_id,
        instance_name=copy.instance_name,
        region=m.RegionEnum(copy.region),
        is_image=copy.is_image,
        created_at=to_datetime(copy.created),
        updated_at=to_datetime(copy.updated),
    )


@handles("list_snapshots")
def list_snapshots(world: CloudState, call: SandboxCall) -> m.ListSnapshotsResponse:
    instance_id = call.query.get("instance_id")
    page, pagination = one_page(
        call,
        (
            copy
            for copy in world.snapshots.all()
            if world.is_listed(copy.created)
            and (not instance_id or copy.instance_id == instance_id)
        ),
    )
    return m.ListSnapshotsResponse(snapshots=[_shown(c) for c in page], pagination=pagination)


@handles("get_snapshot")
def get_snapshot(world: CloudState, call: SandboxCall) -> m.GetSnapshotResponse:
    return m.GetSnapshotResponse(snapshot=_shown(world.snapshots.get(call.path["snapshot_id"])))


@handles("list_snapshot_eligible_instances")
def list_snapshot_eligible_instances(world: CloudState, call: SandboxCall) -> m.ListVMsResponse:
    instances = [
        in_full(world, machine)
        for machine in world.machines.all()
        if machine.status is m.VMStatus.ACTIVE
        and world.is_listed(machine.created)
        and world.snapshots.under_way(machine.id) is None
    ]
    return m.ListVMsResponse(instances=instances)


@handles("get_snapshot_billing")
def get_snapshot_billing(world: CloudState, call: SandboxCall) -> m.AggregatedBillingResponse:
    id_ = call.path["snapshot_id"]
    if not world.meter.knows(f"snapshot:{id_}"):
        raise refusals.not_found("Snapshot", id_)
    return billing_of(world, call, f"snapshot:{id_}")


@handles("create_snapshot")
def create_snapshot(world: CloudState, call: SandboxCall) -> m.CreateSnapshotResponse:
    ask: m.CreateSnapshotRequest = call.body
    machine = world.machines.get(ask.instance_id)
    copy = world.snapshots.create(machine, ask.name, ask.description, ask.is_image)
    return m.CreateSnapshotResponse(snapshot=_shown(copy))


@handles("delete_snapshot")
def delete_snapshot(world: CloudState, call: SandboxCall) -> m.DeleteSnapshotResponse:
    world.snapshots.delete(call.path["snapshot_id"])
    return m.DeleteSnapshotResponse()


@handles("restore_snapshot")
def restore_snapshot(world: CloudState, call: SandboxCall) -> m.RestoreSnapshotResponse:
    ask: m.RestoreSnapshotRequest = call.body
    copy = world.snapshots.get_ready(call.path["snapshot_id"])
    if not world.settings.profile_complete:
        raise Refused(
            400,
            "The profile is incomplete: full name, billing address, postal code and country "
            "are needed",
            "profile_incomplete",
        )
    machine = world.machines.deploy(
        name=ask.name,
        region=copy.region,
        configuration=_restored(world, copy),
        boot_source="snapshot",
        snapshot_id=copy.id,
        ssh_key=copy.ssh_key,
    )
    return m.RestoreSnapshotResponse(instance=as_created(world, machine))


def _restored(world: CloudState, copy: Copy) -> Configuration:
    """What a restored instance gets: what the snapshot's had, unless it is to differ."""
    if "differ" not in world.twists:
        return copy.configuration
    size = copy.configuration
    return replace(size, vcpus=size.vcpus // 2, ram_gb=size.ram_gb // 2)
