"""What a request has made is known for certain, or not taken for its work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.making import TAKES_EFFECT, Making
from barrack_tasks.plans.snapshots.drill import whose

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
KINDS = st.sampled_from([None, "snapshot", "image"])
PLACES = st.sampled_from([None, "CANADA-1", "NORWAY-1"])
HARDWARE = st.sampled_from([None, ("L40", 1), ("L40", 2), ("A40", 1)])
AGES = st.one_of(st.none(), st.integers(-20_000, 20_000))


def vm(name: str, age: int | None, hardware: tuple[str, int] | None, **more: Any) -> UserVM:
    model, count = hardware or (None, None)
    made = None if age is None else NOW + timedelta(seconds=age)
    about = {"gpu_model": model, "gpu_count": count, "created_at": made, **more}
    return UserVM(id="BRK-1", name=name, status="ACTIVE", **about)


SEEN = st.tuples(KINDS, PLACES, HARDWARE)


@given(st.sampled_from("ab"), AGES, SEEN, SEEN)
def test_only_name_age_and_kind_together_make_an_instance_the_work_of_a_request(
    name: str, age: int | None, asked: Any, came: Any
) -> None:
    (boot, region, hardware), (came_from, is_in, has) = asked, came
    by = Making("a", NOW, boot, hardware, region)
    there = vm(name, age, has, boot_source=came_from, region=is_in)
    if not by.has_made(there):
        return
    assert name == "a"
    assert age is not None
    assert -10 < age <= TAKES_EFFECT.total_seconds()
    assert all(None in pair or pair[0] == pair[1] for pair in zip(asked, came, strict=True))
    assert not by.was_before(there)
    assert whose(by, there) == "ours"


def test_what_came_at_once_and_is_as_it_was_asked_for_is_its_work() -> None:
    by = Making("a", NOW, "snapshot", ("L40", 1), "CANADA-1")
    there = vm("a", 3, ("L40", 1), boot_source="snapshot", region="CANADA-1")
    assert by.has_made(there)
    assert "BRK-1" in by.why_unclear(there)
    assert Making.read("a", by.written()) == by


def test_a_clock_of_a_worker_that_differs_by_minutes_leaves_doubt_and_no_stranger() -> None:
    by = Making("drill-a", NOW, "snapshot")
    early = vm("drill-a", -120, None, boot_source="snapshot")
    assert whose(by, early, by_worker=True) == "unclear"
    assert whose(by, early) == "another's"
    assert whose(by, vm("drill-a", -3600, None), by_worker=True) == "another's"
    assert whose(by, vm("drill-a", -30, None), by_worker=True) == "ours"
