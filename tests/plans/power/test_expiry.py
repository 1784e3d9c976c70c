"""Ending what was made for a time: the very instance, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.making import Making
from barrack_tasks.plans.power.expiry import (
    Ending,
    Expiry,
    as_asked,
    decide_ending,
    rows_of_endings,
    why_not_asked,
    with_id,
)
from barrack_tasks.plans.steps import Finished, Next, Step, Wait
from barrack_tasks.plans.world import World

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def vm(name: str, status: str = "ACTIVE") -> UserVM:
    return UserVM(id=f"id-{name}", name=name, status=status, region="CANADA-1", gpu_model="L40")


def decided(
    how: str,
    there: UserVM | None,
    at: datetime = NOW - HOUR,
    gone: bool = False,
    protected: bool = False,
    holder: str | None = None,
) -> Next:
    instances = {there.id: there} if there else {}
    world = World(instances=instances, gone=frozenset({"id-a"} if gone else ()))
    return decide_ending(Expiry("id-a", "a", at, how), world, protected, holder, NOW)


def test_it_ends_as_it_was_asked_once_its_time_is_over() -> None:
    end = decided("hibernate", vm("a"))
    assert isinstance(end, Step)
    assert (end.operation, end.arguments) == ("hibernate_instance", {"instance_id": "id-a"})
    end = decided("delete", vm("a", "HIBERNATED"))
    assert isinstance(end, Step)
    assert end.operation == "delete_instance"
    assert isinstance(decided("delete", vm("a"), at=NOW + HOUR), Wait)


def test_one_that_is_shutoff_is_billed_in_full_and_started_to_hibernate_it() -> None:
    end = decided("hibernate", vm("a", "SHUTOFF"))
    assert isinstance(end, Step)
    assert end.operation == "start_instance"
    expiry = Expiry("id-a", "a", NOW, "hibernate")
    assert not Ending(expiry, end).is_over, "it is not at rest yet"


def test_only_what_was_seen_gone_or_at_rest_is_forgotten() -> None:
    expiry = Expiry("id-a", "a", NOW, "hibernate")
    for status in ("ACTIVE", "STARTING", "RESTORING", "CREATING", "HIBERNATING", "SHUTOFF"):
        assert not Ending(expiry, decided("hibernate", vm("a", status))).is_over, status
    assert not Ending(expiry, decided("hibernate", vm("a", "ERROR"))).is_over
    assert not Ending(expiry, decided("hibernate", None)).is_over, "lists lag"
    assert Ending(expiry, decided("hibernate", None, gone=True)).is_over
    assert Ending(expiry, decided("hibernate", vm("a", "HIBERNATED"))).is_over
    assert not Ending(expiry, decided("delete", vm("a", "HIBERNATED"))).is_over
    refused = Ending(expiry, decided("hibernate", vm("a")), "no")
    assert not refused.is_over
    assert [(r.outcome, r.why) for r in rows_of_endings([refused], {})] == [("failed", "no")]
    [row] = rows_of_endings([refused], {}, known=frozenset({"id-a"}))
    assert (row.outcome, row.why) == ("skipped", "as before: no")


def after(minutes: int, asked_for: str, there: UserVM, how: str = "hibernate") -> Ending:
    """What becomes of one that was asked to end so many minutes ago."""
    asked = Expiry("id-a", "a", NOW - HOUR, how, NOW - timedelta(minutes=minutes), asked_for)
    world = World(instances={there.id: there})
    return Ending(asked, decide_ending(asked, world, False, None, NOW))


def test_what_was_asked_is_given_ten_minutes_and_asked_again() -> None:
    for status in ("ACTIVE", "ERROR"):
        early = after(9, "hibernate_instance", vm("a", status))
        assert early.next == Wait(
            f"it was asked to hibernate at 2026-11-26 11:51 UTC and is {status}; "
            "the request is repeated at 2026-11-26 12:01 UTC"
        )
        late = after(10, "hibernate_instance", vm("a", status))
        assert isinstance(late.next, Step)
        assert late.next.operation == "hibernate_instance"
        again = as_asked(late.expiry, late.next, vm("a", status), NOW)
        assert again.asked == NOW
        assert again.trouble == (
            f"it was asked to hibernate at 2026-11-26 11:50 UTC and is {status}; "
            "the request was repeated at 2026-11-26 12:00 UTC"
        )
    assert isinstance(after(1, "start_instance", vm("a")).next, Step), "started for that"
    assert isinstance(after(1, "start_instance", vm("a", "SHUTOFF")).next, Wait)


def test_only_one_that_was_asked_has_been_ended() -> None:
    assert after(1, "hibernate_instance", vm("a", "HIBERNATED")).has_ended
    assert after(1, "delete_instance", vm("a", "DELETED"), "delete").has_ended
    expiry = Expiry("id-a", "a", NOW, "hibernate")
    assert not Ending(expiry, decided("hibernate", vm("a", "HIBERNATED"))).has_ended


def test_one_that_is_on_its_way_for_an_hour_is_somebodys_business() -> None:
    for how, status in (("hibernate", "HIBERNATING"), ("delete", "DELETING")):
        assert isinstance(after(59, f"{how}_instance", vm("a", status), how).next, Wait)
        stuck = after(60, f"{how}_instance", vm("a", status), how)
        assert stuck.trouble.endswith(f"is {status} still; look at it in the dashboard")
        assert not stuck.is_over


def test_what_cannot_hibernate_is_not_asked_and_may_be_deleted() -> None:
    unable = frozenset({("L40", 1)})
    expiry = Expiry("id-a", "a", NOW, "hibernate")
    for status in ("ACTIVE", "SHUTOFF"):
        assert why_not_asked(expiry, vm("a", status), unable) == (
            f"1x L40 cannot hibernate, and it stays {status} and billed; "
            "take a snapshot of it, and delete it"
        )
    assert why_not_asked(expiry, vm("a"), frozenset({("L40", 2)})) is None
    assert why_not_asked(replace(expiry, how="delete"), vm("a"), unable) is None


@given(
    st.sampled_from(["hibernate", "delete"]),
    st.sampled_from([str(s) for s in VMStatus]),
    st.sampled_from(["a", "renamed"]),
    st.booleans(),
    st.sampled_from([None, "run x"]),
    st.integers(-100, 100),
    st.none() | st.integers(0, 120),
    st.sampled_from(["hibernate_instance", "delete_instance", "start_instance"]),
    st.sampled_from(["", "no"]),
)
def test_nothing_else_is_ever_ended_and_nothing_is_forgotten_before_it_has(
    how: str,
    status: str,
    name: str,
    protected: bool,
    holder: str | None,
    hours: int,
    asked: int | None,
    asked_for: str,
    trouble: str,
) -> None:
    there = vm("a", status).model_copy(update={"name": name})
    expiry = Expiry("id-a", "a", NOW + hours * HOUR, how)
    if asked is not None:
        at = NOW - timedelta(minutes=asked)
        expiry = replace(expiry, asked=at, asked_for=asked_for, trouble=trouble)
    end = decide_ending(expiry, World(instances={there.id: there}), protected, holder, NOW)
    if isinstance(end, Step):
        assert (name, protected, holder) == ("a", False, None)
        assert hours <= 0
        assert end.arguments == {"instance_id": "id-a"}
        assert end.operation in ({"delete_instance"} if how == "delete" else _RESTS)
        started = (asked_for, end.operation) == ("start_instance", "hibernate_instance")
        assert asked is None or asked >= 10 or started, "it was given ten minutes"
    if name == "renamed" and hours <= 0 and status != "DELETED":
        assert isinstance(end, Finished)
        assert end.outcome == "skipped"
    ending = Ending(expiry, end)
    at_rest = {"DELETED", "HIBERNATED"} if how == "hibernate" else {"DELETED"}
    if ending.is_over:
        assert hours <= 0
        assert name == "renamed" or status in at_rest
        assert ending.trouble == ""
    if ending.has_ended:
        assert asked is not None


_RESTS = {"hibernate_instance", "start_instance"}


BY = Making("a", NOW - HOUR, "snapshot")


def noted(how: str = "delete", id_: str = "", by: Making | None = BY, **more: Any) -> Expiry:
    return Expiry(id_, "a", NOW - timedelta(minutes=1), how, by=by, **more)


def next_of(end: Expiry, there: UserVM | None, after: timedelta = HOUR) -> Next:
    world = World(instances={there.id: there} if there else {})
    return decide_ending(end, world, False, None, NOW, BY.asked + after)


def made(age: timedelta, **more: Any) -> UserVM:
    about = {"created_at": BY.asked + age, "boot_source": "snapshot", **more}
    return vm("a").model_copy(update=about)


def test_an_end_that_is_noted_by_name_gets_the_id_of_what_surely_was_made() -> None:
    there = made(timedelta(seconds=20))
    found = with_id(noted(), [vm("b"), there])
    assert (found.id, found.key) == ("id-a", "id-a")
    assert isinstance(next_of(found, there), Step)
    for other in (made(-HOUR), made(2 * HOUR), made(HOUR, boot_source="image")):
        assert with_id(noted(), [other]) == noted()


def test_what_may_or_may_not_be_what_was_asked_for_is_neither_ended_nor_forgotten() -> None:
    for after in (HOUR, timedelta(days=30)):
        found = Ending(noted(), next_of(noted(), made(2 * HOUR), after))
        assert "it is not certain whether the instance id-a is what" in found.trouble
        assert not found.is_over


def test_an_end_whose_name_never_shows_is_dropped_after_a_day_and_not_before() -> None:
    for there in (None, made(-HOUR)):
        assert isinstance(next_of(noted(), there, timedelta(hours=23)), Wait)
        over = Ending(noted(), next_of(noted(), there, timedelta(hours=25)))
        assert (over.is_over, over.has_ended) == (True, False)


def test_what_existed_before_its_end_was_asked_for_is_never_deleted() -> None:
    older = made(-HOUR)
    refused = next_of(noted(id_="id-a"), older)
    assert isinstance(refused, Finished)
    assert refused.outcome == "failed"
    assert isinstance(next_of(noted("hibernate", "id-a"), older), Step), "it may come and go"
    # The earlier release told no more than when it wrote, for a restore a day late at most.
    old = {"id_": "id-a", "by": None, "noted": BY.asked}
    assert isinstance(next_of(noted(**old), made(-HOUR)), Step)
    for before in (made(-25 * HOUR), made(-2 * HOUR, boot_source="image")):
        assert isinstance(next_of(noted(**old), before), Finished)
