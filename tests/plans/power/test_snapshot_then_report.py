"""The rows of `snapshot_before_stop`: after the work, and before it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.power.snapshot_then import Intent, Memory, Target, decide
from barrack_tasks.plans.power.snapshot_then_report import rows_done, rows_planned
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.world import World
from tests.plans.worlds import HOUR, NOW, account, days, intent, snap, vm

ALPHA, BETA = vm(), vm("beta")
NAME = "alpha-20261125T190000Z"
FULL, ASLEEP, NOTHING = Decimal("2.50"), Decimal("0.01"), Decimal(0)


def after(world: World, run: Intent, memory: Memory, now: Any = NOW) -> Row:
    return rows_done(run, world, memory, decide(world, run, memory, now))[0]


def planned(instance: UserVM, *snapshots: Any, **more: Any) -> Row:
    return rows_planned(intent(instance, **more), account(instance, snapshots=snapshots))[0]


WORKED = Memory(taken={"BRK-alpha": f"id-{NAME}"}, acted={"BRK-alpha"})


@pytest.mark.parametrize(
    ("then", "now", "cost"),
    [
        ("hibernate", "HIBERNATED", ASLEEP),
        ("stop", "SHUTOFF", FULL),
        ("delete", "DELETED", NOTHING),
    ],
)
def test_what_was_done(then: str, now: str, cost: Decimal) -> None:
    world = account(vm(status=now), snapshots=[snap(ALPHA)])
    if then == "delete":
        world = account(snapshots=[snap(ALPHA)], gone=frozenset({"BRK-alpha"}))
    assert after(world, intent(ALPHA, then=then), WORKED) == Row(
        instance_id="BRK-alpha",
        instance="alpha",
        was="ACTIVE",
        did=("snapshot", then),
        now=now,
        outcome="done",
        snapshot=NAME,
        hourly_before=FULL,
        hourly_now=cost,
        currency="USD",
    )


def test_what_failed_and_where_it_was_left() -> None:
    world = account(ALPHA, snapshots=[snap(ALPHA, status="FAILED")])
    row = after(world, intent(ALPHA), Memory(taken={"BRK-alpha": "s"}))
    assert (row.outcome, row.now, row.did) == ("failed", "ACTIVE", ("snapshot",))
    assert row.snapshot == f"{NAME} (FAILED)"
    assert row.why == f"its snapshot {NAME} ended as FAILED"
    assert (row.hourly_before, row.hourly_now) == (FULL, FULL)


def test_what_was_there_already_or_protected() -> None:
    asleep = vm(status="HIBERNATED")
    row = after(account(asleep), intent(asleep), Memory())
    assert (row.outcome, row.did, row.snapshot) == ("already", (), None)
    assert (row.hourly_before, row.hourly_now) == (ASLEEP, ASLEEP)
    row = after(account(ALPHA), intent(ALPHA, protect=["BRK-alpha"]), Memory())
    assert (row.outcome, row.why, row.now, row.did) == ("skipped", "protected", "ACTIVE", ())


def test_what_a_run_that_was_cut_off_left_counts_as_done() -> None:
    left = (Target("BRK-alpha", "alpha", NOW, None, resumed=True),)
    run = replace(intent(ALPHA, then="delete"), targets=left)
    row = after(account(snapshots=[snap(ALPHA)], gone=frozenset({"BRK-alpha"})), run, Memory())
    assert (row.was, row.now, row.did) == ("gone", "DELETED", ("snapshot", "delete"))
    assert (row.outcome, row.hourly_before, row.hourly_now) == ("done", None, None)


def test_what_an_answer_that_was_lost_did_counts_as_done() -> None:
    world = account(vm(status="HIBERNATED"), snapshots=[snap(ALPHA)])
    row = after(world, intent(ALPHA), Memory(refused={"BRK-alpha": ["no answer"]}))
    assert (row.outcome, row.did) == ("done", ("snapshot", "hibernate"))


def test_what_somebody_else_did_does_not() -> None:
    world = account(vm(status="HIBERNATED"), snapshots=[snap(ALPHA)])
    row = after(world, intent(ALPHA), Memory(taken={"BRK-alpha": "s"}))
    assert (row.outcome, row.did) == ("done", ("snapshot",))


def test_what_is_not_seen_is_not_free_of_charge() -> None:
    row = after(World(), intent(ALPHA), Memory(), NOW + HOUR)
    assert (row.outcome, row.now, row.hourly_now) == ("failed", "not seen", None)
    row = after(World(gone=frozenset({"BRK-alpha"})), intent(ALPHA), Memory())
    assert (row.outcome, row.now, row.hourly_now) == ("failed", "DELETED", NOTHING)


def test_an_old_snapshot_that_is_left_is_told_in_the_row_of_its_instance_only() -> None:
    asleep = [vm(status="HIBERNATED"), vm("beta", status="HIBERNATED")]
    old = snap(ALPHA, days(1))
    world = account(*asleep, snapshots=[snap(ALPHA), old, snap(BETA)])
    memory = Memory(acted={"BRK-alpha", "BRK-beta"}, not_deleted={old.id: "it is in use"})
    run = intent(ALPHA, BETA, keep=1)
    rows = rows_done(run, world, memory, decide(world, run, memory, NOW))
    assert [row.why for row in rows] == [
        "an old snapshot could not be deleted: it is in use",
        "",
    ]


# Before the work


def test_what_would_be_done() -> None:
    row = planned(ALPHA, snap(ALPHA, days(1)))
    assert row == Row(
        instance_id="BRK-alpha",
        instance="alpha",
        was="ACTIVE",
        did=(f"snapshot {NAME}", "hibernate"),
        now="ACTIVE",
        outcome="planned",
        hourly_before=FULL,
        hourly_now=ASLEEP,
        currency="USD",
    )
    assert planned(ALPHA, then="stop").hourly_now == FULL
    assert planned(ALPHA, then="delete").hourly_now == NOTHING


@pytest.mark.parametrize(
    ("olds", "keep", "says"),
    [
        (0, 1, None),
        (1, 1, "delete 1 old snapshot"),
        (2, 1, "delete 2 old snapshots"),
        (1, 2, None),
        (3, 2, "delete 2 old snapshots"),
        (2, 3, None),
    ],
)
def test_how_many_old_snapshots_would_go(olds: int, keep: int, says: str | None) -> None:
    history = [snap(ALPHA, days(day)) for day in range(1, olds + 1)]
    row = planned(ALPHA, *history, keep=keep)
    assert row.did == (f"snapshot {NAME}", "hibernate", *([says] if says else []))
    # The plan is kept: so many are deleted.
    world = account(vm(status="HIBERNATED"), snapshots=[snap(ALPHA), *history])
    run, memory, deleted = intent(ALPHA, keep=keep), deepcopy(WORKED), 0
    while not hasattr(step := decide(world, run, memory, NOW)["BRK-alpha"], "outcome"):
        memory.succeeded(step)  # type: ignore[arg-type]
        deleted += 1
    assert says is None or says.startswith(f"delete {deleted} ")
    assert deleted == max(0, olds + 1 - keep)


def test_a_snapshot_that_is_there_is_not_planned_again() -> None:
    row = planned(ALPHA, snap(ALPHA), snap(ALPHA, days(1)), keep=1)
    assert row.did == ("hibernate", "delete 1 old snapshot")


@pytest.mark.parametrize(
    ("status", "did"),
    [
        ("CREATING", (f"snapshot {NAME}", "hibernate")),
        ("HIBERNATING", ()),
        ("STOPPING", ()),
        ("DELETING", ()),
    ],
)
def test_what_is_on_its_way_is_not_planned(status: str, did: tuple[str, ...]) -> None:
    row = planned(vm(status=status))
    assert (row.outcome, row.did, row.why) == ("planned", did, f"it is {status}")
    assert row.hourly_now == NOTHING


@pytest.mark.parametrize(
    ("status", "outcome"), [("HIBERNATED", "already"), ("SHUTOFF", "failed"), ("ERROR", "failed")]
)
def test_what_cannot_or_need_not_be_done_is_said_before(status: str, outcome: str) -> None:
    row = planned(vm(status=status))
    assert (row.outcome, row.did, row.now) == (outcome, (), status)
    assert row.why


def test_a_plan_waits_for_nobody() -> None:
    run = intent(ALPHA, BETA, protect=["BRK-beta"], timeout=timedelta(seconds=1))
    rows = rows_planned(run, account(ALPHA, BETA))
    assert [row.outcome for row in rows] == ["planned", "skipped"]
