"""Ending what was made for a time: the very instance, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.expiring import Ending, Expiry, decide_ending, rows_of_endings
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


def test_only_what_is_surely_gone_or_at_rest_is_forgotten() -> None:
    expiry = Expiry("id-a", "a", NOW, "hibernate")
    for status in ("STARTING", "RESTORING", "CREATING", "HIBERNATING"):
        assert not Ending(expiry, decided("hibernate", vm("a", status))).is_over, status
    assert not Ending(expiry, decided("hibernate", vm("a", "ERROR"))).is_over
    assert not Ending(expiry, decided("hibernate", None)).is_over, "lists lag"
    assert Ending(expiry, decided("hibernate", None, gone=True)).is_over
    assert Ending(expiry, decided("hibernate", vm("a", "HIBERNATED"))).is_over
    refused = Ending(expiry, decided("hibernate", vm("a")), "no")
    assert not refused.is_over
    assert [(r.outcome, r.why) for r in rows_of_endings([refused], {})] == [("failed", "no")]


@given(
    st.sampled_from(["hibernate", "delete"]),
    st.sampled_from([str(s) for s in VMStatus]),
    st.sampled_from(["a", "renamed"]),
    st.booleans(),
    st.sampled_from([None, "run x"]),
    st.integers(-100, 100),
)
def test_nothing_else_is_ever_ended(
    how: str, status: str, name: str, protected: bool, holder: str | None, hours: int
) -> None:
    there = vm("a", status).model_copy(update={"name": name})
    end = decided(how, there, NOW + hours * HOUR, protected=protected, holder=holder)
    if isinstance(end, Step):
        assert (name, protected, holder) == ("a", False, None)
        assert hours <= 0
        assert end.arguments == {"instance_id": "id-a"}
        assert end.operation in ({"delete_instance"} if how == "delete" else _RESTS)
    if name == "renamed" and hours <= 0 and status != "DELETED":
        assert isinstance(end, Finished)
        assert end.outcome == "skipped"


_RESTS = {"hibernate_instance", "start_instance"}
