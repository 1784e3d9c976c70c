"""Publishing images: what the flow needs of the account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import Image, Snapshot, UserVM
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.events import emit
from barrack_tasks.plans.names import LATEST, nearest
from barrack_tasks.plans.snapshots.images import Publishing, image_name
from barrack_tasks.plans.snapshots.restore import find_snapshot
from barrack_tasks.plans.steps import Finished, Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import Hold, image_key
from barrack_tasks.runtime.loop import Log
from barrack_tasks.tasks.images import delete_image, get_snapshot_image


def begin(
    source: str,
    family: str,
    moment: datetime,
    instances: Sequence[UserVM],
    snapshots: Sequence[Snapshot],
) -> Publishing:
    """What is to be made of an instance or a snapshot.

    Raises:
        ValueError: there is neither an instance nor a snapshot called so; names the nearest.
    """
    name = image_name(family, moment)
    for instance in instances:
        if source in (instance.id, instance.name):
            return Publishing(family, name, instance=instance)
    try:
        return Publishing(family, name, snapshot=find_snapshot(source, snapshots))
    except ValueError as error:
        if source.startswith(LATEST):
            raise ValueError(f"source: {error}") from None
        names = [i.name for i in instances] + [s.name for s in snapshots]
        raise ValueError(
            f"source: no instance and no snapshot is called {source!r}; {nearest(source, names)}"
        ) from None


def held_by_another(hold: Hold, one: Publishing) -> str | None:
    """Hold what the image is made of; the run that has it, if another does."""
    if one.instance is not None:
        refused = hold.claim({one.instance.id: one.instance.name})
    else:
        refused = hold.share_snapshots([one.snapshot.id] if one.snapshot else [])
    return next(iter(refused.values()), None)


def verified(account: BarrackCredentials, one: Publishing, world: World, next_: Next) -> Finished:
    """The outcome, once the snapshot says that the image depends on it."""
    if not isinstance(next_, Finished) or next_.outcome != "done":
        return next_ if isinstance(next_, Finished) else Finished("failed", "not finished")
    image = next(i for i in world.images if i.name == one.name)
    try:
        relation = get_snapshot_image(account, image.snapshot_id or "")
    except BarrackError as error:
        return Finished("failed", f"made, and not verified: {error}")
    if image.id not in {i.id for i in relation.images}:
        return Finished("failed", "made, and its snapshot knows nothing of it; look into it")
    emit(
        "barrack.image.published",
        image.id,
        image.name,
        payload={"family": one.family, "snapshot": image.snapshot_id},
    )
    return next_


def delete_images(
    account: BarrackCredentials, hold: Hold, old: Sequence[Image], log: Log
) -> dict[str, str]:
    """Delete old images, each while it is held; ids of those that could not be, and why."""
    refused: dict[str, str] = {}
    with hold.briefly({image_key(image.id): image.name for image in old}) as held:
        for image in old:
            key = image_key(image.id)
            if key in held:
                refused[image.id] = f"held by {held[key]}"
                continue
            log.info("%s is deleted; its snapshot stays, and is paid for", image.name)
            try:
                delete_image(hold.guarded(account, key), image.id)
            except BarrackError as error:
                refused[image.id] = str(error)
                continue
            emit("barrack.image.deleted", image.id, image.name)
    return refused
