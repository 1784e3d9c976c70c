"""Volumes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from barrack_tasks.api import models as m
from barrack_tasks.sandbox.cloud import catalogue, refusals
from barrack_tasks.sandbox.cloud.billing import Stretch, cost_of
from barrack_tasks.sandbox.cloud.clock import MINUTE, to_datetime
from barrack_tasks.sandbox.cloud.disk import Disk
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles, one_page

HOUR = 60 * MINUTE


def _shown(disk: Disk) -> m.VolumeResponse:
    attachments = []
    if disk.instance is not None:
        attachment = m.VolumeAttachment(
            instance_id=disk.instance.id,
            instance_name=disk.instance.name,
            device=disk.device,
            status="attached",
            attached_at=to_datetime(disk.attached),
        )
        attachments.append(attachment)
    return m.VolumeResponse(
        id=disk.id,
        name=disk.name,
        size_gb=disk.size_gb,
        volume_type=m.VolumeTypeEnum(disk.volume_type),
        status=disk.status,
        bootable=disk.image_id is not None,
        region=m.RegionEnum(disk.region),
        image_id=disk.image_id,
        attachments=attachments,
        created_at=to_datetime(disk.created),
        updated_at=to_datetime(disk.updated),
    )


@handles("list_volumes")
def list_volumes(world: CloudState, call: SandboxCall) -> m.GetVolumesWithNextNameResponse:
    every = (disk for disk in world.volumes.all() if world.is_listed(disk.created))
    page, pagination = one_page(call, every)
    return m.GetVolumesWithNextNameResponse(
        volumes=[_shown(disk) for disk in page],
        next_name=world.volumes.next_name(),
        pagination=pagination,
    )


@handles("get_volume")
def get_volume(world: CloudState, call: SandboxCall) -> m.GetVolumeDetailsResponse:
    return m.GetVolumeDetailsResponse(volume=_shown(world.volumes.get(call.path["volume_id"])))


@handles("list_volume_types")
def list_volume_types(world: CloudState, call: SandboxCall) -> m.GetVolumeTypesResponse:
    types = [m.VolumeTypeEnum(name) for name in catalogue.VOLUME_TYPES]
    return m.GetVolumeTypesResponse(volume_types=types)


@handles("create_volume")
def create_volume(world: CloudState, call: SandboxCall) -> m.CreateVolumeResponse:
    ask: m.CreateVolumeRequest = call.body
    region, kind = str(ask.region), str(ask.volume_type)
    errors: dict[str, str] = {}
    if region not in catalogue.REGIONS:
        errors["region"] = f"must be one of {', '.join(catalogue.REGIONS)}"
    if kind not in catalogue.VOLUME_TYPES:
        errors["volume_type"] = f"must be one of {', '.join(catalogue.VOLUME_TYPES)}"
    errors |= _too_big(ask.size_gb)
    if errors:
        raise refusals.invalid(errors)
    image_id = None
    if ask.image_id is not None:
        image_id, _ = world.images.need_bootable(ask.image_id, region)
    disk = world.volumes.create(
        name=ask.name, size_gb=ask.size_gb, volume_type=kind, region=region, image_id=image_id
    )
    return m.CreateVolumeResponse(volume=_shown(disk))


def _too_big(size_gb: int) -> dict[str, str]:
    most = catalogue.MOST_VOLUME_GB
    return {"size_gb": f"must be {most} at most"} if size_gb > most else {}


@handles("delete_volume")
def delete_volume(world: CloudState, call: SandboxCall) -> m.DeleteVolumeResponse:
    world.volumes.delete(call.path["volume_id"])
    return m.DeleteVolumeResponse()


@handles("resize_volume")
def resize_volume(world: CloudState, call: SandboxCall) -> m.ResizeVolumeResponse:
    ask: m.ResizeVolumeRequest = call.body
    errors = _too_big(ask.size_gb)
    if errors:
        raise refusals.invalid(errors)
    disk = world.volumes.resize(call.path["volume_id"], ask.size_gb)
    return m.ResizeVolumeResponse(volume=_shown(disk))


@handles("clone_volume")
def clone_volume(world: CloudState, call: SandboxCall) -> m.CloneVolumeResponse:
    ask: m.CloneVolumeRequest = call.body
    return m.CloneVolumeResponse(
        volume=_shown(world.volumes.clone(call.path["volume_id"], ask.name))
    )


@handles("attach_volumes")
def attach_volumes(world: CloudState, call: SandboxCall) -> m.AttachVolumesResponse:
    ask: m.AttachVolumesRequest = call.body
    machine = world.machines.get(call.path["instance_id"])
    disks = world.attachments.attach(machine, ask.volume_ids)
    return m.AttachVolumesResponse(volumes=[disk.as_attached() for disk in disks])


@handles("detach_volumes")
def detach_volumes(world: CloudState, call: SandboxCall) -> m.DetachVolumesResponse:
    ask: m.DetachVolumesRequest = call.body
    machine = world.machines.get(call.path["instance_id"])
    world.attachments.detach(machine, ask.volume_ids)
    return m.DetachVolumesResponse()


@handles("get_volume_billing")
def get_volume_billing(world: CloudState, call: SandboxCall) -> m.VolumeHourlyBillingResponse:
    resource = f"volume:{call.path['volume_id']}"
    # Bills outlive what they are for.
    if not world.meter.knows(resource):
        raise refusals.not_found("Volume", call.path["volume_id"])
    since, until = call.window()
    records = [
        record
        for stretch in world.meter.stretches(resource)
        for record in hourly_records(stretch, world.micros, since, until)
    ]
    summary = m.VolumeBillingSummary(
        total=sum((record.cost for record in records), Decimal(0)),
        currency=m.CurrencyEnum(world.currency),
        start=to_datetime(since) if since is not None else records[0].start if records else None,
        end=to_datetime(until) if until is not None else world.now,
    )
    return m.VolumeHourlyBillingResponse(summary=summary, records=records)


def hourly_records(
    stretch: Stretch, now: int, since: int | None = None, until: int | None = None
) -> Iterator[m.VolumeBillingRecord]:
    """A stretch, or the part of it in a window, in pieces of an hour at most.

    A piece costs what the stretch cost at its end, less what it cost at its beginning: so the
    pieces add up, to the last digit, wherever they are cut.
    """
    start = stretch.start if since is None else max(since, stretch.start)
    end = now if stretch.end is None else min(stretch.end, now)
    end = end if until is None else min(end, until)
    is_running = stretch.end is None and (until is None or until > now)
    while start < end:
        stop = min(end, start + HOUR)
        minutes = stretch.minutes(now, start, stop)
        cost = _cost_by(stretch, now, stop) - _cost_by(stretch, now, start)
        yield m.VolumeBillingRecord(
            start=to_datetime(start),
            end=None if stop == now and is_running else to_datetime(stop),
            size_gb=int(stretch.status),
            minutes=minutes,
            rate_per_hour=stretch.rate,
            cost=cost,
        )
        start = stop


def _cost_by(stretch: Stretch, now: int, moment: int) -> Decimal:
    return cost_of(stretch.rate, stretch.minutes(now, until=moment))
