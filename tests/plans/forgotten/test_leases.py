"""Leases: who asks first makes no difference, and no machine ends unwarned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.forgotten.leases import (
    WARNING,
    Lease,
    extended,
    granted,
    holders,
    now_warned,
    outlived,
    owner_to_extend,
    program_of,
    released,
    spent_leases,
    unread,
    warned,
    warnings_of,
    with_leases,
)
from barrack_tasks.plans.making import Making
from barrack_tasks.plans.power.expiry import Expiry
from tests.plans.worlds import HOUR, NOW, vm

hours = st.integers(-48, 48).map(lambda n: NOW + n * HOUR)
maybe = st.none() | hours
leases = st.builds(
    Lease,
    instance_id=st.sampled_from(["BRK-a", "BRK-b"]),
    name=st.just("a"),
    owner=st.sampled_from(["", "ann", "bob"]),
    until=hours,
    warned=maybe,
    released=maybe,
)


@given(leases, hours, hours)
def test_two_who_extend_at_once_both_get_what_they_asked_for(
    lease: Lease, a: datetime, b: datetime
) -> None:
    one, other = extended(extended(lease, a), b), extended(extended(lease, b), a)
    assert one == other
    assert one.until >= max(a, b)
    assert extended(one, a) == one, "asking twice adds nothing"


@given(leases, hours)
def test_a_lease_that_is_asked_for_again_is_not_shortened(lease: Lease, until: datetime) -> None:
    stands = granted(lease, Lease(lease.instance_id, "a", lease.owner, until))
    assert stands.released is None
    assert stands.until >= until
    if lease.released is None:
        assert stands.until >= lease.until


@given(leases, hours)
def test_releasing_twice_is_releasing_once(lease: Lease, at: datetime) -> None:
    once = released(lease, at)
    assert released(once, NOW) == once
    assert not once.runs(NOW)


@given(st.lists(leases, max_size=6, unique_by=lambda one: one.key))
def test_no_machine_ends_while_a_lease_runs_or_before_people_were_warned(held: list[Lease]) -> None:
    due = {one.id for one in with_leases([], held, NOW) if one.at <= NOW}
    for lease in held:
        if lease.released is None and lease.instance_id in due:
            assert not lease.runs(NOW)
            assert lease.warned is not None
            assert lease.warned + WARNING <= NOW
    for id_ in {one.instance_id for one in held} - due:
        mine = [one for one in held if one.instance_id == id_]
        assert any(one.ends(NOW, WARNING) > NOW for one in mine), "else it would run for ever"


def test_an_end_that_was_set_with_expires_is_a_lease_like_any_other() -> None:
    end = Expiry("BRK-a", "a", NOW, "delete")
    ann = Lease("BRK-a", "a", "ann", NOW + 8 * HOUR)
    assert with_leases([end], [], NOW) == [end]
    [kept] = with_leases([end], [ann], NOW)
    assert (kept.at, kept.how) == (NOW + 8 * HOUR, "delete"), "and it ends as was asked for then"
    [given_up] = with_leases(
        [Expiry("BRK-a", "a", NOW + HOUR, "delete")], [released(ann, NOW)], NOW
    )
    assert given_up.at == NOW


def test_what_was_asked_for_an_earlier_end_is_forgotten_when_somebody_extends() -> None:
    asked = Expiry("BRK-a", "a", NOW - HOUR, "hibernate", NOW - HOUR, "hibernate_instance", "why")
    [later] = with_leases([asked], [Lease("BRK-a", "a", "ann", NOW + HOUR)], NOW)
    assert (later.asked, later.asked_for, later.trouble) == (None, "", "")


def test_one_who_released_a_machine_does_not_end_it_for_the_others() -> None:
    ann = released(Lease("BRK-a", "a", "ann", NOW + HOUR), NOW)
    bob = Lease("BRK-a", "a", "bob", NOW + 2 * HOUR)
    [end] = with_leases([], [ann, bob], NOW)
    assert end.at == bob.until
    assert holders([ann, bob], NOW) == {"BRK-a": bob}


def test_a_default_lease_does_not_say_that_a_machine_is_needed() -> None:
    assert holders([Lease("BRK-a", "a", "", NOW + HOUR)], NOW) == {}


def test_people_are_warned_once_and_the_machine_waits_for_that() -> None:
    lease = Lease("BRK-a", "a", "ann", NOW + timedelta(minutes=10))
    there = {"BRK-a": vm("a", id_="BRK-a")}
    [reading] = warnings_of([lease], there, NOW)
    assert reading.is_over
    assert "barrack lease a --extend 8h" in reading.text
    assert now_warned([lease], {}, NOW) == [], "it is missing, so nobody was told"
    [told] = now_warned([lease], there, NOW)
    [end] = with_leases([], [warned(told, told.until, NOW)], NOW)
    assert end.at == NOW + WARNING


def test_of_a_machine_at_rest_nobody_is_told() -> None:
    lease = Lease("BRK-a", "a", "ann", NOW)
    at_rest = {"BRK-a": vm("a", "HIBERNATED", id_="BRK-a")}
    [reading] = warnings_of([lease], at_rest, NOW)
    assert reading.is_clear
    assert now_warned([lease], at_rest, NOW) == [lease]


def test_of_what_is_protected_nobody_is_warned_for_it_is_not_put_to_rest() -> None:
    lease = Lease("BRK-a", "a", "ann", NOW)
    there = {"BRK-a": vm("a", id_="BRK-a")}
    [reading] = warnings_of([lease], there, NOW, protect=["A"])
    assert reading.is_clear


def test_the_shorter_lease_of_two_is_no_reason_to_warn() -> None:
    short, long = Lease("BRK-a", "a", "ann", NOW), Lease("BRK-a", "a", "bob", NOW + 9 * HOUR)
    [reading] = warnings_of([short, long], {"BRK-a": vm("a", id_="BRK-a")}, NOW)
    assert reading.is_clear


def test_a_lease_that_was_extended_while_people_were_told_is_warned_of_anew() -> None:
    lease = Lease("BRK-a", "a", "ann", NOW)
    longer = extended(lease, NOW + HOUR)
    assert warned(longer, lease.until, NOW).warned is None


KEEPS: dict[str, Callable[[Lease], Lease]] = {
    "extended": lambda one: extended(one, NOW + HOUR),
    "granted": lambda one: granted(one, Lease("BRK-a", "a", "ann", NOW + HOUR)),
}


def test_an_ended_lease_runs_again_when_somebody_asks() -> None:
    for act in KEEPS.values():
        again = act(Lease("BRK-a", "a", "ann", NOW - HOUR, NOW - HOUR, NOW - HOUR))
        assert again.runs(NOW)
        assert again.warned is None


def test_who_extends_a_default_lease_gets_one_of_their_own_for_that_one_says_no_to_notices() -> (
    None
):
    nobody = Lease("BRK-a", "a", "", NOW + 30 * HOUR)
    assert owner_to_extend([nobody]) is None
    ann = Lease("BRK-a", "a", "ann", NOW + HOUR)
    assert owner_to_extend([nobody, ann]) == "ann"
    assert owner_to_extend([nobody, released(ann, NOW)]) is None


def test_who_extends_what_a_program_keeps_awake_gets_a_lease_of_their_own() -> None:
    """The program gives its own lease back when it is done, and theirs must outlive that."""
    program = program_of("ann", 4711, "gpu-1", "3f2a")
    lease = Lease("BRK-a", "a", "bob", NOW + HOUR)
    held = [replace(lease, owner=program, until=NOW + 9 * HOUR), lease]
    assert owner_to_extend(held) == "bob"
    assert owner_to_extend(held[:1]) is None
    assert held[0].person == "ann"
    assert (held[0].is_of_program, held[1].is_of_program) == (True, False)
    assert replace(lease, owner="process 7 on gpu-1 (3f2a)").person == "", "of an earlier release"


def test_a_warning_that_nobody_heard_was_not_given() -> None:
    lease = Lease("BRK-a", "a", "ann", NOW)
    there = {"BRK-a": vm("a", id_="BRK-a")}
    readings = warnings_of([lease], there, NOW)
    assert now_warned([lease], there, NOW, untold=[one.key for one in readings]) == []
    assert now_warned([lease], there, NOW, untold=["lease of another"]) == [lease]


def test_each_end_is_warned_of_also_if_no_run_saw_the_machine_between_two() -> None:
    there = {"BRK-a": vm("a", id_="BRK-a")}
    lease = Lease("BRK-a", "a", "ann", NOW)
    [first] = warnings_of([lease], there, NOW)
    [again] = warnings_of([extended(lease, NOW + HOUR)], there, NOW + HOUR)
    assert first.key != again.key
    assert {one.key.rpartition(" ")[2] for one in (first, again)} == {"BRK-a"}


def test_a_machine_that_was_renamed_ends_with_its_lease_under_its_new_name() -> None:
    lease = Lease("BRK-a", "old", "ann", NOW, warned=NOW - HOUR)
    there = {"BRK-a": vm("new", id_="BRK-a")}
    [reading] = warnings_of([lease], there, NOW)
    assert "barrack lease new --extend 8h" in reading.text
    assert "old" not in reading.text
    [end] = with_leases([], [lease], NOW, names={"BRK-a": "new"})
    assert (end.name, end.at) == ("new", NOW)
    made = Expiry("BRK-a", "old", NOW - HOUR, "delete")
    [alone] = with_leases([made], [], NOW, names={"BRK-a": "new"})
    assert alone == made, "what was made with an end is ended under that name alone"
    [both] = with_leases([made], [lease], NOW, names={"BRK-a": "new"})
    assert (both.name, both.how, both.at) == ("new", "hibernate", NOW), "but the lease ends"
    [reading] = warnings_of([lease], there, NOW, ends=[made])
    assert "the machine is hibernated" in reading.text
    asked = Expiry("BRK-a", "old", NOW, "hibernate", NOW, "hibernate_instance")
    [begun] = with_leases([asked], [lease], NOW, names={"BRK-a": "new"})
    assert (begun.name, begun.asked) == ("new", NOW)


@pytest.mark.parametrize("name", ["a b", "$(reboot)", "x; rm -rf ~", "--release", "'", "ä", ""])
def test_a_command_in_a_message_names_what_a_shell_would_misread_by_its_id(name: str) -> None:
    there = {"BRK-a": vm(name, id_="BRK-a")}
    [reading] = warnings_of([Lease("BRK-a", name, "ann", NOW)], there, NOW)
    assert "run: barrack lease BRK-a --extend 8h" in reading.text


def test_a_command_in_a_message_names_one_of_two_namesakes_by_its_id() -> None:
    there = {id_: vm("a", id_=id_) for id_ in ("BRK-a", "BRK-b")}
    [reading] = warnings_of([Lease("BRK-a", "a", "ann", NOW)], there, NOW)
    assert "run: barrack lease BRK-a --extend 8h" in reading.text


def test_what_was_asked_for_an_end_that_was_extended_does_not_outlive_the_lease() -> None:
    asked = Expiry("BRK-a", "a", NOW - HOUR, "hibernate", NOW - HOUR, "hibernate_instance")
    renewed = Lease("BRK-a", "a", "process 1", NOW + HOUR)
    ended = Lease("BRK-a", "a", "process 1", NOW - HOUR, warned=NOW - 2 * HOUR)
    assert outlived([asked], [renewed], NOW) == [asked]
    assert outlived([asked], [ended], NOW) == [], "it is still being ended"
    assert outlived([asked], [], NOW) == []
    made = replace(asked, by=Making("a", NOW - 9 * HOUR))
    assert outlived([made], [renewed], NOW) == [], "that has an end of its own"
    assert outlived([replace(asked, how="delete")], [renewed], NOW) == []


@given(st.lists(leases, max_size=8, unique_by=lambda one: one.key))
def test_what_is_forgotten_changes_no_end(held: list[Lease]) -> None:
    spent = spent_leases(held, NOW)
    kept = [one for one in held if one.key not in spent]
    assert holders(kept, NOW) == holders(held, NOW)
    # Of one machine the leases are warned of together.
    together = [replace(one, warned=NOW - HOUR) for one in held]
    left = [one for one in together if one.key not in spent]
    made = [Expiry(id_, "a", NOW - HOUR, "delete") for id_ in {one.instance_id for one in held}]
    old = {one.instance_id for one in held} - {one.instance_id for one in left}
    for ends in ([], made):
        before = {e.id: e.at <= NOW for e in with_leases(ends, together, NOW) if e.id not in old}
        after = {e.id: e.at <= NOW for e in with_leases(ends, left, NOW) if e.id not in old}
        assert before == after


def test_a_program_that_dies_and_begins_anew_leaves_one_ended_lease_behind() -> None:
    crashed = [
        Lease("BRK-a", "a", f"process {n}", NOW - (n + 1) * timedelta(minutes=1)) for n in range(50)
    ]
    runs = Lease("BRK-a", "a", "process 99", NOW + HOUR)
    spent = spent_leases([*crashed, runs], NOW)
    assert {one.owner for one in crashed if one.key not in spent} == {"process 0"}
    assert runs.key not in spent


def test_a_lease_of_whose_end_nobody_was_told_is_never_forgotten() -> None:
    old = Lease("BRK-a", "a", "ann", NOW - 99 * timedelta(days=1))
    assert spent_leases([old], NOW) == set()
    assert spent_leases([replace(old, warned=old.until)], NOW) == {old.key}


def test_a_lease_that_cannot_be_read_keeps_its_machine_until_somebody_says_more() -> None:
    for owner in ("ann", ""):
        one = unread(f"BRK-a {owner}")
        assert one.key == f"BRK-a {owner}"
        assert holders([one], NOW) == {"BRK-a": one}
        over = Lease("BRK-a", "a", "bob", NOW - HOUR, warned=NOW - HOUR)
        [end] = with_leases([], [one, over], NOW)
        assert end.at > NOW + 1000 * timedelta(days=365)
        assert warnings_of([one, over], {"BRK-a": vm("a", id_="BRK-a")}, NOW)[0].is_clear
        fresh = Lease("BRK-a", "a", owner, NOW + HOUR)
        assert granted(one, fresh) == fresh
        longer = extended(one, NOW + HOUR)
        assert (longer.until, longer.is_unread) == (NOW + HOUR, False)
        assert not released(one, NOW).runs(NOW)


def test_an_end_that_was_set_is_warned_of_before_and_says_what_happens() -> None:
    there = {"BRK-a": vm("a", id_="BRK-a")}
    end = Expiry("BRK-a", "a", NOW + timedelta(minutes=10), "delete")
    [told] = warnings_of([], there, NOW, ends=[end])
    assert told.is_over
    assert "is deleted; to keep it, run: barrack lease a --extend 8h" in told.text
    [early] = warnings_of([], there, NOW - HOUR, ends=[end])
    assert early.is_clear
    [over] = warnings_of([], there, NOW + HOUR, ends=[end])
    assert over.is_clear, "what is being ended is told of in another way"
    ann = Lease("BRK-a", "a", "ann", NOW + 5 * timedelta(minutes=1))
    [later] = warnings_of([ann], there, NOW, ends=[end])
    assert later.text.startswith("the time that was set on a ends at "), "the later end counts"
    bob = Lease("BRK-a", "a", "bob", NOW + 12 * timedelta(minutes=1))
    [last] = warnings_of([ann, bob], there, NOW, ends=[end])
    assert last.text.startswith("the lease of bob on a ends at ")
    assert "is deleted;" in last.text
    assert warnings_of([released(ann, NOW)], there, NOW, ends=[end]) == [], "it was given back"


def test_who_releases_a_machine_while_it_is_put_to_rest_asks_for_nothing_new() -> None:
    asked = Expiry("BRK-a", "a", NOW - HOUR, "hibernate", NOW - HOUR, "hibernate_instance")
    given_back = released(Lease("BRK-a", "a", "ann", NOW - HOUR, warned=NOW - 2 * HOUR), NOW)
    [end] = with_leases([asked], [given_back], NOW)
    assert end.asked == asked.asked
    assert end.at <= NOW
