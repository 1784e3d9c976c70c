"""Names of restored instances, which snapshot is meant, and the next step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.api.models.rules import check_instance_name
from barrack_tasks.plans import Retention
from barrack_tasks.plans.memory import STOCK_AGAIN, Memory, Target, decide_each
from barrack_tasks.plans.snapshots.restore import (
    LISTS_LAG,
    Restoring,
    decide_restore,
    find_snapshot,
    find_snapshots,
    free_name,
    refusal,
    restored_names,
)
from barrack_tasks.plans.snapshots.restore_report import restored_of
from barrack_tasks.plans.steps import Finished, Next, Step, Wait
from barrack_tasks.plans.world import World

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=50)


def snap(id_: str = "1", name: str = "base", status: str = "SUCCESS", **more: Any) -> Snapshot:
    about = {"instance_id": "BRK-1", "instance_name": "alpha", "region": "CANADA-1", **more}
    return Snapshot(id=id_, name=name, status=status, **about)


def machine(name: str, status: str = "ACTIVE", **more: Any) -> UserVM:
    about = {"region": "CANADA-1", "boot_source": "snapshot", "public_ip": "203.0.113.7", **more}
    return UserVM(id=f"id-{name}", name=name, status=status, **about)


@given(NAMES, st.integers(1, 10**6))
def test_a_name_is_always_valid_and_the_same_for_the_same_snapshot(name: str, id_: int) -> None:
    first = list(islice(restored_names(snap(str(id_), name)), 12))
    assert first == list(islice(restored_names(snap(str(id_), name)), 12))
    assert len(set(first)) == 12
    for one in first:
        check_instance_name(one)


@given(st.lists(NAMES, min_size=2, max_size=12, unique=True))
def test_distinct_snapshots_give_distinct_names(names: list[str]) -> None:
    found = [next(restored_names(snap(str(n), name))) for n, name in enumerate(names)]
    assert len(set(found)) == len(found)


@given(st.text(st.sampled_from("ab-2"), min_size=2, max_size=30), st.sets(st.text("ab-23")))
def test_a_name_that_is_offered_is_free_and_valid(name: str, taken: set[str]) -> None:
    other = free_name(name, {*taken, name})
    assert other not in {*taken, name}
    check_instance_name(other)


def test_the_consoles_habit_is_kept_where_it_fits() -> None:
    assert next(restored_names(snap(name="golden 1.2"))) == "golden 1.2-restored"
    long = next(restored_names(snap(name="alpha-20261125T190000Z")))
    assert long.startswith("alpha-20261125")
    assert long.endswith("-restored")


def test_which_snapshot_is_meant() -> None:
    old = snap("1", "one", created_at=NOW - timedelta(days=2))
    new = snap("2", "two", created_at=NOW - timedelta(days=1))
    bad = snap("3", "three", status="FAILED", created_at=NOW)
    all_of_them = [old, new, bad]
    assert find_snapshot("1", all_of_them, NOW) is old
    assert find_snapshot("three", all_of_them, NOW) is bad
    assert find_snapshot("latest:alpha", all_of_them, NOW) is new
    with pytest.raises(ValueError, match="the nearest is 'three'"):
        find_snapshot("thre", all_of_them, NOW)
    with pytest.raises(
        ValueError, match="no snapshot is of an instance 'alpah'; the nearest is 'alpha'"
    ):
        find_snapshot("latest:alpah", all_of_them, NOW)
    assert find_snapshot("latest:alpha", [bad], NOW) is bad, "why it will not do is said of its row"
    with pytest.raises(ValueError, match="there is none at all"):
        find_snapshot("x", [], NOW)


def test_what_is_dated_in_the_future_is_the_newest_for_nobody() -> None:
    old = snap("1", "one", created_at=NOW - timedelta(days=2))
    odd = snap("2", "two", created_at=NOW + timedelta(days=300))
    assert find_snapshot("latest:alpha", [old, odd], NOW) is old
    assert find_snapshot("latest:alpha", [odd], NOW) is odd, "there is no other"
    keep, _ = Retention(last=1, daily=0, weekly=0, monthly=0).split([old, odd], NOW)
    assert keep == [old, odd], "retention does not count it either"


def test_the_newest_of_an_instance_is_called_like_it_where_that_is_free() -> None:
    one = snap("1", "alpha-20261125T190000Z-abcdef", created_at=NOW)
    [by_name] = find_snapshots([one.name], [one], NOW)
    [newest] = find_snapshots(["latest:alpha", one.name], [one], NOW)
    assert not by_name.is_latest
    assert newest.is_latest
    assert list(islice(restored_names(one, is_latest=True), 2)) == [
        "alpha-restored",
        next(restored_names(one)),
    ]
    for name in ("a" * 29, "spöt", None):
        odd = snap("1", one.name, instance_name=name)
        assert next(restored_names(odd, is_latest=True)) == next(restored_names(one))
    short = snap("1", "base")
    assert next(restored_names(short, is_latest=True)) == "base-restored", "the console's habit"


def decided(
    one: Restoring, *there: UserVM, memory: Memory | None = None, after: float = 60, **world: Any
) -> Next:
    seen = World(
        instances={i.id: i for i in there},
        snapshots={"BRK-1": [one.snapshot]},
        **world,
    )
    began = NOW - timedelta(seconds=after)
    return decide_restore(one, seen, memory or Memory(), "address", "wait", began, NOW)


def asked(one: Restoring) -> Memory:
    return Memory(made={one.key: f"id-{one.name}"})


def test_it_is_asked_for_once_and_waited_for() -> None:
    one = Restoring(snap(), "new")
    step = decided(one)
    assert isinstance(step, Step)
    assert step.arguments == {"snapshot_id": "1", "name": "new"}
    mine = asked(one)
    assert isinstance(decided(one, memory=mine), Wait), "lists may lag"
    coming = machine("new", "CREATING", public_ip="pending")
    assert decided(one, coming, memory=mine) == Wait("it is CREATING")
    for address in ("pending", None, ""):
        waiting = decided(one, machine("new", public_ip=address), memory=mine)
        assert waiting == Wait("its address is pending"), address
    assert decided(one, machine("new"), memory=mine) == Finished("done")


def test_all_that_is_wrong_is_said_at_once() -> None:
    one = Restoring(snap(status="FAILED"), "new", problems=("too dear", "invalid name"))
    found = decided(one)
    assert isinstance(found, Finished)
    assert found.why.startswith("too dear; invalid name; snapshot not available: it is FAILED")
    ready = Restoring(snap(), "new", problems=("too dear",))
    assert decided(ready) == Finished("failed", "too dear")


def test_a_run_that_takes_up_another_looks_before_it_asks() -> None:
    one = Restoring(snap(), "new", since=NOW)
    assert isinstance(decided(one, after=0), Wait)
    assert decided(one, machine("new", created_at=NOW), after=0) == Finished("done")
    assert isinstance(decided(one, after=LISTS_LAG.total_seconds()), Step)


def test_only_what_is_as_young_as_the_request_is_taken_up() -> None:
    day = timedelta(days=1)
    older, younger = (machine("new", created_at=NOW + d) for d in (-day, timedelta(0)))
    cut_off = Restoring(snap(), "new", since=NOW)
    lost = Memory(unknown_since={cut_off.key: NOW})
    for one, memory in ((cut_off, Memory()), (Restoring(snap(), "new"), lost)):
        assert decided(one, younger, memory=memory) == Finished("done")
        found = decided(one, older, memory=memory)
        assert isinstance(found, Finished)
        assert "duplicate instance name" in found.why
        for unlike in (
            {"boot_source": "image"},
            {"region": "NORWAY-1"},
            {"created_at": NOW + timedelta(hours=2)},
            {"created_at": None},
        ):
            found = decided(one, younger.model_copy(update=unlike), memory=memory)
            assert isinstance(found, Finished), unlike
            assert (found.outcome, found.why[:22]) == ("failed", "it is not certain whet"), unlike


def test_what_got_the_name_first_is_not_taken_up_by_a_run_that_was_refused() -> None:
    one = Restoring(snap(), "new")
    refused = Memory(asked_at={one.key: NOW}, refused={one.key: ["the name is in use"]})
    found = decided(one, machine("new", created_at=NOW), memory=refused)
    assert isinstance(found, Finished)
    assert "duplicate instance name" in found.why


def test_it_is_paid_for_from_when_it_was_active_and_done_when_it_has_its_address() -> None:
    one = Restoring(snap(), "new")
    memory = asked(one)
    up = machine("new", public_ip="192.0.2.1")
    memory.made[one.key] = up.id
    memory.asked_at[one.key], memory.up_at[one.key] = NOW, NOW + timedelta(minutes=2)
    memory.arrived_at[one.key] = NOW + timedelta(minutes=12)
    world = World(instances={up.id: up})
    [restored] = restored_of([one], {one.key: Finished("done")}, world, memory)
    assert restored.billed_since == NOW + timedelta(minutes=2)
    assert restored.took == timedelta(minutes=12)


def test_an_id_is_meant_before_a_name() -> None:
    named, meant = snap("1", "4102"), snap("4102", "other")
    assert find_snapshot("4102", [named, meant], NOW) is meant
    assert find_snapshot("4102", [named], NOW) is named


def test_what_differs_is_left_for_a_person() -> None:
    hardware = {"gpu_model": "L40", "gpu_count": 1, "flavor": {"vcpus": 8, "ram_gb": 64}}
    one = Restoring(snap(), "new", source=machine("alpha", **hardware))
    came = machine("new", **{**hardware, "flavor": {"vcpus": 4, "ram_gb": 64}}, region="US-1")
    found = decided(one, came, memory=asked(one))
    assert isinstance(found, Finished)
    assert found.outcome == "failed"
    assert "region US-1 instead of CANADA-1" in found.why
    assert "vCPUs 4 instead of 8" in found.why
    assert "GPU" not in found.why


def test_the_stock_is_looked_up_in_the_snapshots_region_also_when_the_instance_is_gone() -> None:
    one = Restoring(snap(), "new", hardware=("L40", 2))
    here, short = ("CANADA-1", "L40"), "2x L40 is out of stock in CANADA-1"
    assert isinstance(decided(one, stock={here: {2: 1}}), Step)
    for stock in ({here: {1: 5, 2: 0}}, {("US-1", "L40"): {2: 9}}):
        assert decided(one, stock=stock) == Wait(short)
    moved = Restoring(snap(), "new", source=machine("alpha", region="US-1"), hardware=("L40", 2))
    assert decided(moved, stock={("US-1", "L40"): {2: 9}}) == Wait(short)
    assert isinstance(decided(Restoring(snap(), "new"), stock={}), Step), "not known, so tried"
    came = machine("new", gpu_model="L40", gpu_count=1)
    found = decided(one, came, memory=asked(one))
    assert isinstance(found, Finished)
    assert "GPU count 1 instead of 2" in found.why


def test_stock_that_is_gone_when_it_is_asked_for_is_waited_for_or_ends_it() -> None:
    one = Restoring(snap(), "new", hardware=("L40", 1))
    seen = World(snapshots={"BRK-1": [one.snapshot]}, stock={("CANADA-1", "L40"): {1: 3}})
    memory = Memory()
    step = decided(one)
    assert isinstance(step, Step)
    memory.begin(step, NOW)
    memory.ran_out(step, "L40 is gone")

    def at(seconds: float, then: Literal["wait", "stop"]) -> Next:
        def decide(_: Target) -> Next:
            return decide_restore(one, seen, memory, "address", then, NOW, moment)

        moment = NOW + timedelta(seconds=seconds)
        target = Target(one.key, "new", NOW)
        hour = timedelta(hours=1)
        return decide_each([target], decide, memory, World(), (), hour, moment)[one.key]

    assert at(1, "wait") == Wait(
        "its GPU went out of stock before the request arrived: L40 is gone"
    )
    assert at(1, "stop") == Finished("failed", "out of stock: L40 is gone; try again later")
    for n in range(10):
        again = at(STOCK_AGAIN.total_seconds(), "wait")
        assert isinstance(again, Step), f"refused {n} times, and asked for again"
        memory.ran_out(again, "L40 is gone")
    late = at(3600, "wait")
    assert isinstance(late, Finished)
    assert "not finished within 60 min: no time was left" in late.why
    memory.succeeded(again, "id-new")
    assert memory.short == {}


@given(st.sampled_from(["ACTIVE", "CREATING", "ERROR", "DELETED"]), st.booleans(), st.booleans())
def test_it_is_never_asked_for_while_the_name_is_there_or_was_made(
    status: str, is_made: bool, resumed: bool
) -> None:
    one = Restoring(snap(), "new", since=NOW if resumed else None)
    memory = asked(one) if is_made else Memory()
    assert not isinstance(decided(one, machine("new", status), memory=memory), Step)
    if is_made:
        assert not isinstance(decided(one, memory=memory), Step)


def test_a_name_that_was_taken_meanwhile_is_said_with_another() -> None:
    said = refusal("base-restored", "duplicate_name", "Instance name is already in use")
    assert said.startswith("duplicate instance name: 'base-restored' was taken meanwhile")
    assert "'base-restored-2'" in said
    assert refusal("base", "out_of_stock", "L40 is gone") == "L40 is gone"
