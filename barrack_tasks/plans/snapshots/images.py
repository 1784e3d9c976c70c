"""Golden images: a family of images made from snapshots, the newest of which are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from barrack_tasks.api.models import Image, Snapshot, UserVM, VMStatus
from barrack_tasks.api.models.rules import INSTANCE_NAME_STRANGER, NAME_LENGTH
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.names import STAMP_LENGTH, is_stamped, stamp
from barrack_tasks.plans.report import Report, Row
from barrack_tasks.plans.steps import Finished, Next, Outcome, Step, Wait
from barrack_tasks.plans.world import World

_MARK = "Published by prefect-barrack as"
_ROOM = NAME_LENGTH[1] - STAMP_LENGTH


@dataclass(frozen=True)
class Publishing:
    """An image that is to be made.

    Attributes:
        family: its name without the moment.
        name: of the image, and of the snapshot if one must be taken.
        snapshot: what it is made of, if that exists already.
        instance: of which a snapshot is taken first, if it does not.
    """

    family: str
    name: str
    snapshot: Snapshot | None = None
    instance: UserVM | None = None

    @property
    def key(self) -> str:
        """By which it is held and remembered."""
        return f"publish:{self.family}"


def check_family(family: str) -> str:
    """Return the name of a family, or raise ValueError with the rule it breaks."""
    if not 1 <= len(family) <= _ROOM:
        raise ValueError(f"family: must have 1 to {_ROOM} characters, and has {len(family)}")
    stranger = INSTANCE_NAME_STRANGER.search(family)
    if stranger:
        raise ValueError(
            f"family: may hold letters, digits, spaces, '-', '_' and '.'; got "
            f"{stranger.group()!r} at position {stranger.start() + 1}"
        )
    return family


def image_name(family: str, moment: datetime) -> str:
    """What an image of a family is called: the same for the same moment.

    Example:
        >>> image_name("base", datetime(2026, 11, 25, 19, tzinfo=UTC))
        'base-20261125T190000Z'
    """
    return family + stamp(moment)


def mark(family: str) -> str:
    """The description by which the library knows an image as one of a family."""
    return f"{_MARK} {family}"


def family_of(images: Iterable[Image], family: str) -> list[Image]:
    """The images of a family that this library made, the newest first."""
    own = [
        i
        for i in images
        if i.description == mark(family) and is_stamped(i.name) and i.name[:-STAMP_LENGTH] == family
    ]
    return sorted(own, key=lambda i: i.name, reverse=True)


def latest_image(images: Sequence[Image], family: str) -> Image:
    """The newest image of a family that is ready.

    Raises:
        ValueError: there is none; names the families that there are.
    """
    ready = [i for i in family_of(images, family) if i.is_ready]
    if ready:
        return ready[0]
    words = (i.description or "" for i in images if _is_marked(i))
    known = sorted({text.removeprefix(f"{_MARK} ") for text in words})
    raise ValueError(
        f"image: no image of the family {family!r} is ready; known families: "
        f"{', '.join(known) or 'none'}"
    )


def decide_publishing(one: Publishing, world: World, memory: Memory) -> Next:
    """The next step towards the image: a snapshot if needed, the image, until it is ready."""
    image = next((i for i in world.images if i.name == one.name), None)
    if image is not None:
        if image.status is not None and image.status.is_failed:
            return Finished("failed", f"the image ended as {image.status}")
        return Finished("done") if image.is_ready else Wait(f"the image is {image.status}")
    if one.key in memory.imaged:
        return Wait("the image is missing from the list of images")
    snapshot = _snapshot(one, world)
    if snapshot is not None:
        return _from(one, snapshot)
    if one.snapshot is not None:
        return Finished("failed", f"the snapshot {one.snapshot.name} is gone")
    if one.key in memory.taken:
        return Wait("the snapshot is missing from the list of snapshots")
    return _take(one, world)


def _snapshot(one: Publishing, world: World) -> Snapshot | None:
    every = (s for of_one in world.snapshots.values() for s in of_one)
    if one.snapshot is not None:
        return next((s for s in every if s.id == one.snapshot.id), None)
    return next((s for s in every if s.name == one.name), None)


def _from(one: Publishing, snapshot: Snapshot) -> Next:
    if snapshot.status.is_failed:
        return Finished("failed", f"the snapshot {snapshot.name} ended as {snapshot.status}")
    if not snapshot.status.is_ready:
        return Wait(f"the snapshot is {snapshot.status}")
    arguments = {
        "snapshot_id": snapshot.id,
        "name": one.name,
        "description": mark(one.family),
    }
    return Step("create_image", one.key, one.name, arguments)


def _take(one: Publishing, world: World) -> Next:
    assert one.instance is not None  # noqa: S101 - there is a snapshot or an instance
    now = world.instances.get(one.instance.id)
    if now is None:
        return Finished("failed", f"the instance {one.instance.name} is gone")
    if now.status is not VMStatus.ACTIVE:
        return Finished(
            "failed",
            f"a snapshot needs {now.name} to be ACTIVE (documented), and it is {now.status}",
        )
    arguments = {
        "instance_id": now.id,
        "name": one.name,
        "description": mark(one.family),
    }
    return Step("create_snapshot", one.key, one.name, arguments)


def beyond(images: Iterable[Image], family: str, keep: int) -> list[Image]:
    """The images of a family beyond the newest `keep` that are ready; those are deleted.

    What is not ready is neither counted nor deleted.
    """
    return [i for i in family_of(images, family) if i.is_ready][keep:]


def rows_of_images(
    one: Publishing,
    next_: Next,
    world: World,
    old: Iterable[Image],
    refused: dict[str, str],
    dry_run: bool,
) -> tuple[Row, ...]:
    """One row for the image, and one for each old one of its family."""
    image = next((i for i in world.images if i.name == one.name), None)
    source = one.snapshot.name if one.snapshot else one.name
    outcome: Outcome = next_.outcome if isinstance(next_, Finished) else "planned"
    did = ("create image",) if one.snapshot else ("create snapshot", "create image")
    first = Row(
        instance_id=image.id if image else "",
        instance=one.name,
        was="-",
        did=() if outcome == "skipped" else did,
        now=str(image.status) if image else "-",
        outcome=outcome,
        why="" if isinstance(next_, Step) else next_.why + _left(one, next_, world),
        snapshot=source,
    )
    names = {s.id: s.name for of_one in world.snapshots.values() for s in of_one}
    rows = [first]
    for image in old:
        stays = names.get(image.snapshot_id or "", image.snapshot_id or "?")
        why = refused.get(image.id)
        rows.append(
            Row(
                instance_id=image.id,
                instance=image.name,
                was=str(image.status),
                did=("delete image",),
                now=str(image.status) if why or dry_run else "DELETED",
                outcome="failed" if why else "planned" if dry_run else "done",
                why=why or f"its snapshot {stays} stays and is still billed",
                snapshot=stays,
            )
        )
    return tuple(rows)


def _left(one: Publishing, next_: Next, world: World) -> str:
    """What a failure says of the snapshot that was taken: the next run takes another one."""
    is_failed = isinstance(next_, Finished) and next_.outcome == "failed"
    taken = None if one.snapshot is not None else _snapshot(one, world)
    is_made = any(image.name == one.name for image in world.images)
    if not is_failed or is_made or taken is None or taken.status.is_failed:
        return ""
    return (
        f"; the snapshot {one.name} stays and is billed: "
        f"publish_image({one.name!r}, {one.family!r}) makes the image from it"
    )


class PublishReport(Report):
    """One row an image; `image_id` is what `create_instance` takes."""

    image_id: str | None = None

    @property
    def noun(self) -> str:
        """What the rows are about."""
        return "images"


def _is_marked(image: Image) -> bool:
    return (image.description or "").startswith(f"{_MARK} ")
