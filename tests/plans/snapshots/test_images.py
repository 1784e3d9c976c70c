"""Families of images, and the steps towards one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import Image, Snapshot, SnapshotStatus, UserVM
from barrack_tasks.api.models.rules import check_name
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.snapshots.images import (
    Publishing,
    beyond,
    check_family,
    decide_publishing,
    image_name,
    latest_image,
    mark,
    rows_of_images,
)
from barrack_tasks.plans.steps import Finished, Step, Wait
from barrack_tasks.plans.world import World

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
FAILED = SnapshotStatus("FAILED")


def image(hours: int, family: str = "base", **more: Any) -> Image:
    name = image_name(family, NOW - timedelta(hours=hours))
    about: dict[str, Any] = {"status": "SUCCESS", "description": mark(family), **more}
    return Image(id=f"{family}{hours}", name=name, **about)


@given(st.text(max_size=60))
def test_a_family_that_is_taken_makes_names_that_are_valid(family: str) -> None:
    try:
        check_family(family)
    except ValueError:
        assert not re.fullmatch(r"[A-Za-z0-9 _.\-]{1,33}", family)
    else:
        check_name(image_name(family, NOW))


@given(st.lists(st.integers(0, 500), unique=True, max_size=12), st.integers(1, 5))
def test_the_newest_of_the_family_stay_and_what_is_not_of_it_is_never_touched(
    hours: list[int], keep: int
) -> None:
    own = [image(h) for h in hours]
    others = [
        image(900, "base-2"),
        image(901, description="by hand"),
        image(902, status="CREATING"),
        Image(id="x", name="base", status="SUCCESS", description=mark("base")),
    ]
    gone = beyond([*others, *own], "base", keep)
    assert {i.id for i in gone} == {f"base{h}" for h in sorted(hours)[keep:]}


def test_the_latest_is_the_newest_that_is_ready() -> None:
    images = [image(3), image(2), image(1, status="CREATING"), image(0, "other")]
    assert latest_image(images, "base").id == "base2"
    with pytest.raises(ValueError, match="family 'bsae' is ready; known families: base, other"):
        latest_image(images, "bsae")


def test_the_steps() -> None:
    machine = UserVM(id="BRK-1", name="builder", status="ACTIVE")
    one = Publishing("base", image_name("base", NOW), instance=machine)
    memory = Memory()

    def step(snapshots: list[Snapshot], images: list[Image] = [], status: str = "ACTIVE") -> Any:  # noqa: B006
        now = machine.model_copy(update={"status": status})
        there = UserVM.model_validate(now.model_dump())
        world = World({"BRK-1": there}, {"BRK-1": snapshots}, images=images)
        return decide_publishing(one, world, memory)

    first = step([])
    assert isinstance(first, Step)
    assert first.operation == "create_snapshot"
    down = step([], status="SHUTOFF")
    assert isinstance(down, Finished)
    assert "needs builder to be ACTIVE" in down.why
    memory.succeeded(first, "7")
    assert isinstance(step([]), Wait), "lists may lag"
    taken = Snapshot(id="7", name=one.name, status="CREATING")
    assert isinstance(step([taken]), Wait)
    ready = Snapshot(id="7", name=one.name, status="SUCCESS")
    second = step([ready])
    assert (second.operation, second.arguments["snapshot_id"]) == ("create_image", "7")
    memory.succeeded(second, "9")
    assert isinstance(step([ready]), Wait)
    made = Image(id="9", name=one.name, status="CREATING")
    assert isinstance(step([ready], [made]), Wait)
    done = Image(id="9", name=one.name, status="SUCCESS")
    assert step([ready], [done]) == Finished("done")
    failed = Snapshot(id="7", name=one.name, status="FAILED")
    memory = Memory()
    assert step([failed]).outcome == "failed"


def test_a_failure_tells_of_the_snapshot_that_it_leaves_and_how_to_go_on_from_it() -> None:
    source = UserVM(id="i", name="builder", status="ACTIVE")
    one = Publishing("base", "base-20261125T120000Z", instance=source)
    taken = Snapshot(id="s", name=one.name, status="SUCCESS", instance_id="i")
    world = World(instances={"i": source}, snapshots={"i": (taken,)})
    end = Finished("failed", "create_image: refused")
    [row] = rows_of_images(one, end, world, [], {}, dry_run=False)
    assert row.why == (
        "create_image: refused; the snapshot base-20261125T120000Z stays and is billed: "
        "publish_image('base-20261125T120000Z', 'base') makes the image from it"
    )
    failed = World(
        instances={"i": source}, snapshots={"i": (taken.model_copy(update={"status": FAILED}),)}
    )
    [row] = rows_of_images(one, end, failed, [], {}, dry_run=False)
    assert row.why == "create_image: refused", "no image can be made from it"
    [row] = rows_of_images(one, end, World(instances={"i": source}), [], {}, dry_run=False)
    assert row.why == "create_image: refused"
