"""OS images, images of the account's own, and the snapshots that these depend on."""

from __future__ import annotations

from barrack_tasks.api import models as m
from barrack_tasks.sandbox.cloud import catalogue
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.images import Template
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles, one_page


@handles("list_os_images")
def list_os_images(world: CloudState, call: SandboxCall) -> m.OSImagesResponse:
    region = call.query.get("region")
    if region is not None and region not in catalogue.REGIONS:
        raise call.refuse_query("region", f"must be one of {', '.join(catalogue.REGIONS)}")
    images = [
        m.OSImage(
            id=image.id,
            name=image.name,
            type=image.system,
            version=image.version,
            region=m.RegionEnum(image.region) if image.region else None,
            size_gb=image.size_gb,
            description=image.description,
        )
        for image in catalogue.OS_IMAGES.values()
        if region is None or image.region in (None, region)
    ]
    return m.OSImagesResponse(images=images)


def _shown(image: Template) -> m.Image:
    return m.Image(
        id=image.id,
        name=image.name,
        status=image.status,
        description=image.description,
        size_gb=image.size_gb,
        snapshot_id=image.snapshot_id,
        region=m.RegionEnum(image.region),
        created_at=to_datetime(image.created),
        updated_at=to_datetime(image.updated),
    )


@handles("list_images")
def list_images(world: CloudState, call: SandboxCall) -> m.ImageListResponse:
    every = (image for image in world.images.all() if world.is_listed(image.created))
    page, pagination = one_page(call, every)
    return m.ImageListResponse(images=[_shown(image) for image in page], pagination=pagination)


@handles("get_image")
def get_image(world: CloudState, call: SandboxCall) -> m.ImageDetailResponse:
    return m.ImageDetailResponse(image=_shown(world.images.get(call.path["image_id"])))


@handles("create_image")
def create_image(world: CloudState, call: SandboxCall) -> m.ImageCreateResponse:
    ask: m.CreateImageFromSnapshotRequest = call.body
    copy = world.snapshots.get_ready(ask.snapshot_id)
    image = world.images.create(copy, ask.name, ask.description)
    return m.ImageCreateResponse(image=_shown(image))


@handles("delete_image")
def delete_image(world: CloudState, call: SandboxCall) -> m.ImageDeleteResponse:
    world.images.delete(call.path["image_id"])
    return m.ImageDeleteResponse()


@handles("get_snapshot_image")
def get_snapshot_image(world: CloudState, call: SandboxCall) -> m.SnapshotImageRelationshipResponse:
    return _relationship(world, call.path["snapshot_id"])


@handles("list_snapshot_images")
def list_snapshot_images(
    world: CloudState, call: SandboxCall
) -> m.BatchSnapshotImageRelationshipResponse:
    ask: m.GetBatchSnapshotImageRelationshipsRequest = call.body
    relationships = [_relationship(world, id_) for id_ in ask.snapshot_ids]
    return m.BatchSnapshotImageRelationshipResponse(relationships=relationships)


def _relationship(world: CloudState, snapshot_id: str) -> m.SnapshotImageRelationshipResponse:
    copy = world.snapshots.get(snapshot_id)
    return m.SnapshotImageRelationshipResponse(
        snapshot_id=copy.id, images=[_shown(image) for image in world.images.of(copy.id)]
    )
