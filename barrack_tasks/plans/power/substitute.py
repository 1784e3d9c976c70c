"""Standing in for an instance whose GPU is out of stock.

A snapshot restores only to the same configuration [D]; an image made of it boots on another GPU
model. The instance itself is kept until a person decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.api.models.rules import INSTANCE_NAME_LENGTH
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.steps import Finished, Next, Reason, Step, Wait
from barrack_tasks.plans.world import World, newest_ready

_SUFFIX = "-alt"


def substitute_name(name: str) -> str:
    """What the instance is called that stands in for another: the same for the same one."""
    return name[: INSTANCE_NAME_LENGTH[1] - len(_SUFFIX)] + _SUFFIX


def substitute(
    target: Target, instance: UserVM, world: World, memory: Memory, models: Sequence[str]
) -> Next:
    """The next step towards an instance that stands in: an image, then the instance.

    `models` are GPU models, or globs, in the order in which they are wanted.
    """
    name = substitute_name(target.name)
    there = world.by_name.get(name)
    if there is not None:
        return _standing_in(there)
    if target.id in memory.made:
        return Wait(f"its substitute {name} is missing from the list of instances")
    dated = (s for s in world.snapshots.get(target.id, ()) if s.created_at is not None)
    newest = newest_ready(dated)
    if newest is None:
        return Finished(
            "failed",
            "it is out of stock, and no snapshot of it is ready to make a substitute from",
            Reason.OUT_OF_STOCK,
        )
    image = next((i for i in world.images if i.snapshot_id == newest.id), None)
    if image is None:
        arguments = {"snapshot_id": newest.id, "name": f"{newest.name[:46]}-img"}
        return Step("create_image", target.id, target.name, arguments)
    if not image.is_ready:
        return Wait(f"the image {image.name} is {image.status}")
    model = _first_in_stock(instance, world, models)
    if model is None:
        return Wait("none of the GPU models in substitutes is in stock", Reason.OUT_OF_STOCK)
    return Step(
        "create_instance",
        target.id,
        name,
        {
            "name": name,
            "region": str(instance.region),
            "gpu_model": model,
            "gpu_count": str(int(instance.gpu_count or 1)),
            "image_id": image.id,
        },
    )


def _standing_in(there: UserVM) -> Next:
    if there.status is VMStatus.ACTIVE:
        return Finished(
            "done",
            f"its substitute {there.name} ({there.gpu_model}) is up; the instance itself is kept",
        )
    if there.status is VMStatus.ERROR:
        return Finished("failed", f"its substitute {there.name} is in ERROR")
    return Wait(f"its substitute {there.name} is {there.status}")


def _first_in_stock(instance: UserVM, world: World, models: Sequence[str]) -> str | None:
    stock = world.stock or {}
    count = int(instance.gpu_count or 1)
    here = sorted(model for region, model in stock if region == str(instance.region))
    for wanted in models:
        for model in here:
            counts = stock[(str(instance.region), model)]
            if fnmatchcase(model.casefold(), wanted.casefold()) and counts.get(count, 0) > 0:
                return model
    return None
