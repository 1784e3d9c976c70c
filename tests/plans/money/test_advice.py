"""What a bill shows that could have been saved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.money.advice import advice_of, outside_timetables
from barrack_tasks.plans.money.bill import Bill, Thing, charge_at_rate
from barrack_tasks.plans.power.schedule import Rule

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
BETA = Thing("instance", "2", "beta", hourly=Decimal("1.20"))
HERE = [UserVM(id="2", name="beta", status="ACTIVE")]


def bill(start: float, end: float, state: str = "ACTIVE", thing: Thing = BETA) -> Bill:
    """A bill with one charge, between hours after Monday, midnight."""
    first, last = (MONDAY + timedelta(hours=hours) for hours in (start, end))
    charge = charge_at_rate(thing, first, last, state, Decimal("1.20"))
    return Bill(MONDAY, MONDAY + timedelta(days=9), "USD", "UTC", (charge,))


def rule(timetable: str, select: str = "beta") -> Rule:
    return Rule(select=[select], timetable=timetable)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        (8, 20, 0),
        (6, 22, 4),
        (20, 32, 12),
        (9, 10, 0),
        (0, 72, 36),
    ],
)
def test_what_runs_outside_its_timetable_is_told_with_what_it_cost(
    start: float, end: float, hours: int
) -> None:
    office = rule("Mon-Fri 08:00-20:00 UTC")
    found = outside_timetables(bill(start, end), HERE, [office])
    if not hours:
        assert found == []
        return
    [one] = found
    assert one.span == timedelta(hours=hours)
    assert one.cost == Decimal("1.20") * hours
    [sentence] = advice_of(bill(start, end), HERE, [office])
    assert sentence.startswith(
        f"beta ran {hours} h outside its timetable, which cost {one.cost:.2f}"
    )


def test_the_first_rule_counts_and_what_none_means_or_sleeps_is_not_told() -> None:
    day = bill(0, 24)
    assert outside_timetables(day, HERE, [rule("always"), rule("never")]) == []
    assert outside_timetables(day, HERE, [rule("never", "other")]) == []
    assert outside_timetables(bill(0, 24, "HIBERNATED"), HERE, [rule("never")]) == []
    assert outside_timetables(day, HERE, []) == []
    gone = outside_timetables(day, [], [rule("never")])
    assert [one.name for one in gone] == ["beta"], "what is gone is judged by its name"


def test_what_was_stopped_and_billed_in_full_is_told() -> None:
    [sentence] = advice_of(bill(0, 30, "SHUTOFF"), HERE, [])
    assert sentence == (
        "beta was SHUTOFF for 30 h and billed in full, which cost 36.00 USD: hibernate it instead "
        "of stopping it."
    )


@given(st.integers(0, 200), st.integers(1, 200))
def test_inside_and_outside_are_the_whole(start: int, length: int) -> None:
    office = rule("Mon-Fri 08:00-20:00 UTC")
    whole = bill(start, start + length)
    outside = sum((one.cost for one in outside_timetables(whole, HERE, [office])), Decimal(0))
    begun = MONDAY + timedelta(hours=start)
    on = office.timetable.duration_on(begun, begun + timedelta(hours=length))
    assert outside == whole.total - Decimal("1.20") * Decimal(on / timedelta(hours=1))
