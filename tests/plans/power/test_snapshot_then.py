"""The decision of `snapshot_before_stop`, situation by situation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.names import snapshot_description
from barrack_tasks.plans.power.snapshot_then import (
    Intent,
    Memory,
    Target,
    Then,
    decide,
    intent_for,
    stopped_costs,
    targets_of,
)
from barrack_tasks.plans.selection import SelectionError, Selector
from barrack_tasks.plans.steps import Finished, Next, Step, Wait
from barrack_tasks.plans.world import World, by_instance
from tests.plans.worlds import HOUR, NOW, account, days, intent, snap, vm

ALPHA = vm()
NAME = "alpha-20261125T190000Z"


def next_of(world: World, run: Intent, memory: Memory | None = None, late: bool = False) -> Next:
    now = NOW + (HOUR if late else timedelta(minutes=1))
    return decide(world, run, memory or Memory(), now)["BRK-alpha"]


def drop(snapshot_id: str) -> Step:
    return Step(
        "delete_snapshot",
        "BRK-alpha",
        snapshot_id.removeprefix("id-"),
        {"snapshot_id": snapshot_id},
    )


def test_a_snapshot_comes_first() -> None:
    assert next_of(account(ALPHA), intent(ALPHA)) == Step(
        "create_snapshot",
        "BRK-alpha",
        "alpha",
        {
            "instance_id": "BRK-alpha",
            "name": NAME,
            "description": "Taken by prefect-barrack of instance BRK-alpha before a stop",
        },
    )


@pytest.mark.parametrize("then", ["hibernate", "stop", "delete"])
@pytest.mark.parametrize("ready", ["SUCCESS", "available", "Available"])
def test_what_is_promised_follows_when_it_is_ready(then: str, ready: str) -> None:
    world = account(ALPHA, snapshots=[snap(ALPHA, status=ready), snap(ALPHA, days(1))])
    assert next_of(world, intent(ALPHA, then=then)) == Step(
        f"{then}_instance", "BRK-alpha", "alpha", {"instance_id": "BRK-alpha"}
    )


@pytest.mark.parametrize(
    ("own", "then"),
    [
        ("CREATING", Wait("its snapshot is CREATING")),
        ("archived", Wait("its snapshot is archived")),
        ("DELETING", Wait("its snapshot is DELETING")),
        ("FAILED", Finished("failed", f"its snapshot {NAME} ended as FAILED")),
        ("error", Finished("failed", f"its snapshot {NAME} ended as ERROR")),
    ],
)
@pytest.mark.parametrize("status", ["ACTIVE", "HIBERNATED"])
def test_a_snapshot_that_is_not_ready_is_not_relied_on(own: str, then: Next, status: str) -> None:
    """Not even if somebody else has put the instance to rest in the meantime."""
    world = account(vm(status=status), snapshots=[snap(ALPHA, status=own)])
    assert next_of(world, intent(ALPHA), Memory(taken={"BRK-alpha": "x"})) == then


def test_a_snapshot_that_is_of_another_instance_is_not_relied_on() -> None:
    stranger = snap(ALPHA, instance_id="BRK-other")
    world = World({"BRK-alpha": ALPHA}, {"BRK-alpha": [stranger]})
    assert next_of(world, intent(ALPHA)) == Finished(
        "failed", f"a snapshot named {NAME} exists that is not of this instance"
    )


def test_a_snapshot_that_does_not_say_whose_it_is_is_known_by_its_mark_or_its_id() -> None:
    marked = snap(ALPHA, instance_id=None)
    silent = snap(ALPHA, instance_id=None, description=None)
    for own, memory, acts in (
        (marked, Memory(), True),
        (silent, Memory(), False),
        (silent, Memory(taken={"BRK-alpha": silent.id}), True),
    ):
        world = World({"BRK-alpha": ALPHA}, {"BRK-alpha": [own]})
        assert isinstance(next_of(world, intent(ALPHA), memory), Step) is acts


def test_nobodys_snapshot_is_interrupted() -> None:
    """Neither before our own is taken nor, however ready that is, before the act."""
    by_hand = snap(ALPHA, days(1), "CREATING", name="by-hand", description="by hand")
    wait = Wait("another snapshot of it is being taken")
    assert next_of(account(ALPHA, snapshots=[by_hand]), intent(ALPHA)) == wait
    world = account(ALPHA, snapshots=[snap(ALPHA), by_hand])
    assert next_of(world, intent(ALPHA, then="delete")) == wait


def test_a_snapshot_on_its_way_out_holds_up_no_act() -> None:
    old = snap(ALPHA, days(1), "DELETING")
    world = account(ALPHA, snapshots=[snap(ALPHA), old])
    assert isinstance(next_of(world, intent(ALPHA)), Step)


def test_a_snapshot_that_lists_do_not_show_is_waited_for_unless_it_is_gone() -> None:
    memory = Memory(taken={"BRK-alpha": "s1"})
    assert next_of(account(ALPHA), intent(ALPHA), memory) == Wait(
        "its snapshot is missing from the list of snapshots"
    )
    gone = account(ALPHA, gone_snapshots=frozenset({"s1"}))
    assert next_of(gone, intent(ALPHA), memory) == Finished(
        "failed", "its snapshot vanished before it could be relied on"
    )


def test_done_means_that_the_snapshot_is_still_there() -> None:
    memory = Memory(taken={"BRK-alpha": "s1"}, acted={"BRK-alpha"})
    asleep = vm(status="HIBERNATED")
    gone = account(asleep, gone_snapshots=frozenset({"s1"}))
    assert next_of(gone, intent(ALPHA), memory) == Finished("failed", "its snapshot vanished")
    assert next_of(account(asleep), intent(ALPHA), memory) == Wait(
        "its snapshot is missing from the list of snapshots"
    )


@pytest.mark.parametrize(
    ("status", "then", "next_"),
    [
        ("HIBERNATED", "hibernate", Finished("already", "it is HIBERNATED already")),
        ("SHUTOFF", "stop", Finished("already", "it is SHUTOFF already")),
        ("DELETED", "delete", Finished("already", "it is DELETED already")),
        (
            "HIBERNATED",
            "stop",
            Finished("already", "it is HIBERNATED, which costs less than SHUTOFF"),
        ),
        ("HIBERNATING", "hibernate", Wait("it is HIBERNATING")),
        ("STOPPING", "stop", Wait("it is STOPPING")),
        ("DELETING", "delete", Wait("it is DELETING")),
        ("CREATING", "stop", Wait("it is CREATING")),
        ("PAUSED", "delete", Wait("it is PAUSED")),
        ("DELETED", "stop", Finished("failed", "it was deleted by somebody else")),
        ("ERROR", "stop", Finished("failed", "it is in ERROR; a snapshot needs it ACTIVE")),
        (
            "HIBERNATED",
            "delete",
            Finished(
                "failed", "it is HIBERNATED, and a snapshot needs it ACTIVE; restore it first"
            ),
        ),
        (
            "SHUTOFF",
            "hibernate",
            Finished(
                "failed",
                "it is SHUTOFF, billed in full, and a snapshot needs it ACTIVE; start it first",
            ),
        ),
    ],
)
def test_states_in_which_nothing_can_be_done(status: str, then: str, next_: Next) -> None:
    instance = vm(status=status)
    assert next_of(account(instance), intent(instance, then=then)) == next_


def test_an_instance_that_lists_do_not_show_is_waited_for_unless_it_is_gone() -> None:
    for then in Then:
        run = intent(ALPHA, then=then)
        assert next_of(World(), run) == Wait("it is missing from the list of instances")
        gone = World(gone=frozenset({"BRK-alpha"}))
        assert next_of(gone, run) == Finished("failed", "it vanished: somebody else deleted it")


def test_a_run_that_goes_on_says_no_more_than_it_can_see() -> None:
    """That an earlier start held an instance does not mean that it took a snapshot of it."""
    left = (Target("BRK-alpha", "alpha", NOW, None, resumed=True),)
    run = replace(intent(ALPHA, then="delete"), targets=left)
    gone = frozenset({"BRK-alpha"})
    assert next_of(World(gone=gone), run).outcome == "failed"  # type: ignore[union-attr]
    assert next_of(account(snapshots=[snap(ALPHA)], gone=gone), run) == Finished("done")
    asleep = (Target("BRK-alpha", "alpha", NOW, vm(status="HIBERNATED"), resumed=True),)
    olds = [snap(ALPHA, days(day)) for day in (1, 2, 3, 4)]
    world = account(vm(status="HIBERNATED"), snapshots=olds)
    run = replace(intent(ALPHA, keep=1), targets=asleep)
    assert next_of(world, run) == Finished("already", "it is HIBERNATED already")


@pytest.mark.parametrize("then", list(Then))
def test_an_act_whose_answer_was_lost_is_known_by_what_became_of_it(then: Then) -> None:
    memory = Memory(refused={"BRK-alpha": ["no answer"] * 3})
    arrived = (
        account(snapshots=[snap(ALPHA)], gone=frozenset({"BRK-alpha"}))
        if then is Then.DELETE
        else account(vm(status=then.goal), snapshots=[snap(ALPHA)])
    )
    assert next_of(arrived, intent(ALPHA, then=then), memory) == Finished("done")
    [passing] = [status for status in VMStatus if status.leads_to is then.goal]
    on_the_way = account(vm(status=passing), snapshots=[snap(ALPHA)])
    assert next_of(on_the_way, intent(ALPHA, then=then), memory) == Wait(f"it is {passing}")


def test_deleted_by_somebody_else_before_there_was_a_snapshot_is_a_failure() -> None:
    run = intent(ALPHA, then="delete")
    vanished = Finished("failed", "it vanished: somebody else deleted it")
    assert next_of(account(vm(status="DELETED")), run) == vanished
    half = account(snapshots=[snap(ALPHA, status="CREATING")], gone=frozenset({"BRK-alpha"}))
    assert next_of(half, run) == Wait("its snapshot is CREATING")


def test_one_that_is_brought_back_is_left_alone() -> None:
    world = account(ALPHA, snapshots=[snap(ALPHA)])
    assert next_of(world, intent(ALPHA), Memory(acted={"BRK-alpha"})) == Wait(
        "it was asked to hibernate and is ACTIVE"
    )


def test_three_refusals_are_enough_and_one_that_is_hopeless() -> None:
    world, run = account(ALPHA), intent(ALPHA)
    step = next_of(world, run)
    memory = Memory()
    for why in ("busy", "busy still", "busy for good"):
        assert next_of(world, run, memory) == step
        memory.begin(step)  # type: ignore[arg-type]
        assert next_of(world, run, memory) == Wait("a request is under way")
        memory.was_refused(step, why, may_pass=True)  # type: ignore[arg-type]
    assert next_of(world, run, memory) == Finished("failed", "busy for good")
    memory = Memory()
    memory.was_refused(step, "no credits", may_pass=False)  # type: ignore[arg-type]
    assert next_of(world, run, memory) == Finished("failed", "no credits")


@pytest.mark.parametrize(
    ("world", "memory", "why"),
    [
        (account(ALPHA), Memory(), "no time was left to create snapshot"),
        (account(ALPHA), Memory(refused={"BRK-alpha": ["busy"]}), "busy"),
        (
            account(ALPHA, snapshots=[snap(ALPHA)]),
            Memory(),
            "no time was left to hibernate instance",
        ),
        (World(), Memory(), "it is missing from the list of instances"),
        (account(ALPHA), Memory(taken={"BRK-alpha": ""}), "its snapshot is missing from the list"),
        (account(ALPHA), Memory(held_by={"BRK-alpha": "run x"}), "run x is working on it"),
    ],
)
def test_time_runs_out(world: World, memory: Memory, why: str) -> None:
    found = next_of(world, intent(ALPHA), memory, late=True)
    assert isinstance(found, Finished)
    assert found.outcome == "failed"
    assert found.why.startswith(f"not finished within 60 min: {why}")


def test_held_by_another_and_protected() -> None:
    world = account(ALPHA, snapshots=[snap(ALPHA)])
    held = Memory(held_by={"BRK-alpha": "run brave-fox"})
    assert next_of(world, intent(ALPHA), held) == Wait("run brave-fox is working on it")
    protected = intent(ALPHA, protect=["BRK-alpha"])
    assert next_of(world, protected, held, late=True) == Finished("skipped", "protected")


# Old snapshots


def asleep_with(*olds: Any, **more: Any) -> World:
    return account(vm(status="HIBERNATED"), snapshots=[snap(ALPHA), *olds], **more)


def test_old_snapshots_go_oldest_first_and_the_newest_stay() -> None:
    olds = [snap(ALPHA, days(day)) for day in (1, 3, 2)]
    world, run, memory = asleep_with(*olds), intent(ALPHA, keep=2), Memory()
    for day in (3, 2):
        step = next_of(world, run, memory)
        assert step == drop(snap(ALPHA, days(day)).id)
        memory.succeeded(step)  # type: ignore[arg-type]
    assert next_of(world, run, memory) == Finished("done")


def test_an_old_snapshot_that_cannot_be_deleted_is_left() -> None:
    world, run, memory = asleep_with(snap(ALPHA, days(1))), intent(ALPHA, keep=1), Memory()
    memory.was_refused(next_of(world, run, memory), "in use", may_pass=True)  # type: ignore[arg-type]
    assert next_of(world, run, memory) == Finished("done")


@pytest.mark.parametrize(
    "left",
    [
        {"is_image": True},
        {"status": "CREATING"},
        {"status": "FAILED"},
        {"description": "by hand"},
        {"description": None},
        {"description": snapshot_description("BRK-other")},
        {"name": "by-hand"},
        {"created_at": None},
    ],
    ids=str,
)
def test_snapshots_that_are_none_of_its_business(left: dict[str, Any]) -> None:
    world = asleep_with(snap(ALPHA, days(1), **left))
    assert next_of(world, intent(ALPHA, keep=1)) == Finished("done")


def test_images_depend_on_it_or_that_is_not_known() -> None:
    old = snap(ALPHA, days(1))
    for depended_on in (None, frozenset({old.id})):
        world = asleep_with(old, depended_on=depended_on)
        assert next_of(world, intent(ALPHA, keep=1)) == Finished("done")
    assert next_of(asleep_with(old), intent(ALPHA, keep=1)) == drop(old.id)


def test_old_snapshots_that_are_left_for_want_of_time_are_no_failure() -> None:
    world = asleep_with(snap(ALPHA, days(1)))
    for memory in (Memory(), Memory(refused={"BRK-alpha": ["no"] * 3})):
        assert isinstance(next_of(world, intent(ALPHA, keep=1), memory), Step)
        assert next_of(world, intent(ALPHA, keep=1), memory, late=True) == Finished(
            "done", "no time was left to delete old snapshots"
        )


# What a run is asked for


def ask(instances: list[UserVM], **more: Any) -> Intent:
    asked: dict[str, Any] = {
        "selector": Selector(names=("*",)),
        "then": Then.HIBERNATE,
        "moment": NOW,
        "now": NOW + timedelta(minutes=3),
        "timeout": HOUR,
        "keep": 3,
        "protect": [],
        "inherited": {},
        **more,
    }
    return intent_for(world=account(*instances), **asked)


def test_what_is_asked_for_is_put_in_terms_of_the_account() -> None:
    beta = vm("beta")
    run = ask([ALPHA, beta], selector=Selector(names=("al*",)), protect=["be*"])
    assert run == Intent(
        (Target("BRK-alpha", "alpha", NOW + timedelta(minutes=3), ALPHA),),
        Then.HIBERNATE,
        NOW,
        HOUR,
        3,
        ("be*",),
    )


def test_nothing_selected_is_an_error_unless_something_is_inherited() -> None:
    nothing = Selector(states=("ERROR",))
    with pytest.raises(
        SelectionError, match=r"^the selection matches no instance; nothing was changed$"
    ):
        ask([ALPHA], selector=nothing)
    run = ask([ALPHA], selector=nothing, inherited={"BRK-alpha": "alpha"})
    assert [(t.id, t.resumed, t.was) for t in run.targets] == [("BRK-alpha", True, ALPHA)]


def test_inherited_instances_come_after_those_selected_and_none_twice() -> None:
    beta = vm("beta")
    known = {"BRK-alpha": ALPHA, "BRK-beta": beta}
    left = {"BRK-beta": "beta", "BRK-gone": "gone", "BRK-alpha": "alpha"}
    targets = targets_of([ALPHA], left, known, NOW)
    assert targets == (
        Target("BRK-alpha", "alpha", NOW, ALPHA, True),
        Target("BRK-beta", "beta", NOW, beta, True),
        Target("BRK-gone", "gone", NOW, None, True),
    )


@pytest.mark.parametrize("protect", ["alpha", "al*", "BRK-alpha"])
@pytest.mark.parametrize("listed", [True, False])
def test_an_inherited_instance_that_lists_do_not_show_yet_is_protected(
    protect: str, listed: bool
) -> None:
    run = ask(
        [ALPHA] if listed else [vm("beta")],
        inherited={"BRK-alpha": "alpha"},
        protect=[protect],
    )
    assert next_of(account(ALPHA), run) == Finished("skipped", "protected")


def test_stopping_saves_nothing_and_that_is_said() -> None:
    free = vm("free", hourly_price=None)
    run = intent(ALPHA, vm("guarded"), free, then="stop", protect=["BRK-guarded"])
    assert stopped_costs(run) == [
        "alpha stays billed in full when stopped: 2.50 USD an hour; hibernate it to save that",
        "free stays billed in full when stopped: ? an hour; hibernate it to save that",
    ]
    left = replace(run, targets=(Target("x", "x", NOW),))
    assert stopped_costs(left) == []
    assert stopped_costs(replace(run, then=Then.HIBERNATE)) == []


def test_snapshots_by_instance() -> None:
    nobody = snap(ALPHA, instance_id=None)
    own, old, other = snap(ALPHA), snap(ALPHA, days(1)), snap(vm("beta"))
    assert by_instance([own, nobody, other, old]) == {"BRK-alpha": [own, old], "BRK-beta": [other]}


# A snapshot that an attempt before has taken

BEFORE = NOW - timedelta(minutes=5)
IN_HAND = NOW + timedelta(seconds=1)


def taken_up(
    age: timedelta = timedelta(minutes=5), touched: timedelta | None = timedelta(hours=2)
) -> Next:
    """The next step of a run that takes up another, whose snapshot of alpha is so old.

    `touched` is how long ago something changed the instance; None where the API does not tell.
    """
    alpha = vm(updated_at=None if touched is None else IN_HAND - touched)
    own = snap(ALPHA, BEFORE, created_at=IN_HAND - age)
    memory = Memory()
    memory.before["BRK-alpha"] = (BEFORE,)
    memory.in_hand["BRK-alpha"] = IN_HAND
    return next_of(account(alpha, snapshots=[own]), intent(alpha), memory)


def operation_of(next_: Next) -> str:
    assert isinstance(next_, Step), next_
    return next_.operation


def test_the_snapshot_of_an_attempt_before_serves_while_it_is_minutes_old() -> None:
    assert operation_of(taken_up()) == "hibernate_instance"
    assert operation_of(taken_up(timedelta(minutes=59))) == "hibernate_instance"


@pytest.mark.parametrize("hours", [1.01, 2, 11])
def test_the_snapshot_of_hours_ago_serves_nobody(hours: float) -> None:
    assert operation_of(taken_up(timedelta(hours=hours), timedelta(days=2))) == "create_snapshot"


def test_a_snapshot_of_an_instance_that_was_touched_since_serves_nobody() -> None:
    assert operation_of(taken_up(touched=timedelta(minutes=4))) == "create_snapshot"
    assert operation_of(taken_up(touched=None)) == "create_snapshot", "nothing tells"


def test_a_run_that_lost_sight_of_an_instance_does_not_rely_on_its_own_snapshot() -> None:
    own, alpha = snap(ALPHA), vm(updated_at=NOW - HOUR)
    world, memory = account(alpha, snapshots=[own]), Memory()
    memory.taken["BRK-alpha"] = own.id
    memory.in_hand["BRK-alpha"] = NOW - timedelta(seconds=1)
    assert operation_of(next_of(world, intent(alpha), memory)) == "hibernate_instance"
    memory.claimed_again.add("BRK-alpha")
    memory.in_hand["BRK-alpha"] = NOW + timedelta(minutes=3)
    assert operation_of(next_of(world, intent(alpha), memory)) == "hibernate_instance"
    memory.in_hand["BRK-alpha"] = NOW + timedelta(hours=8)
    late = next_of(world, intent(alpha), memory)
    assert isinstance(late, Finished)
    assert late.outcome == "failed"
    memory.in_hand["BRK-alpha"] = NOW + timedelta(minutes=3)
    memory.lost_sight.add("BRK-alpha")
    blind = next_of(world, intent(alpha), memory)
    assert isinstance(blind, Finished)
    assert "lost its lock" in blind.why
