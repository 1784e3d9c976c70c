"""Windows and marks against an evaluator that looks at every minute."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.plans import Timetable
from barrack_tasks.plans.timetable.zones import OffsetChange, offset_changes
from tests.thinning import some_slow

from .evaluator import clocks, expected_marks, expected_windows, midnight, read_plain
from .strategies import TWELVE, ZONES, as_people_write, clock, one_sided, texts


def agree(text: str, start: datetime, end: datetime) -> None:
    found = [tuple(w) for w in Timetable.parse(text).windows(start, end)]
    assert found == expected_windows(read_plain(text), start, end), text


def marks_agree(text: str, start: datetime, end: datetime) -> None:
    [rule] = read_plain(text)
    expected = expected_marks(rule, start, end)
    inside = [day for day, _ in clocks(rule.zone, start, end)]
    margin = timedelta(days=5)
    found = [
        b.moment
        for b in Timetable.parse(text).boundaries(start - margin, end + margin)
        if b.moment in expected or inside[0] + 4 <= b.moment.toordinal() <= inside[-1] - 4
    ]
    assert found == sorted(set(expected)), text


def telling_times(change: OffsetChange) -> list[int]:
    """Minutes of the day around a change: both sides of what is skipped or doubled, and in it."""
    before = (change.moment.replace(tzinfo=None) + change.before).time()
    minute = before.hour * 60 + before.minute
    jump = (change.after - change.before) // timedelta(minutes=1)
    around = [minute, minute + jump, minute + jump // 2, minute - 1, minute + jump + 1]
    return sorted({m % 1440 for m in (*around, 0, 8 * 60, 22 * 60 + 30, 1439)})


def around_change(zone: str, change: OffsetChange, pairs: list[tuple[int, int]]) -> None:
    start = change.moment.replace(hour=0, minute=0, second=0) - timedelta(days=2)
    end = start + timedelta(days=5)
    local = change.moment.astimezone(ZoneInfo(zone)).date()
    for first, last in pairs:
        hours = f"{clock(first)}-{clock(last or 1440)}"
        if first == last or (first == 0 and last == 1440):
            continue
        agree(f"Mon-Sun {hours} {zone}", start, end)
        agree(f"Mon-Sun {hours} {zone} except {local}", start, end)


def pairs_of(change: OffsetChange) -> list[tuple[int, int]]:
    times = telling_times(change)
    return [(a, b) for a, b in product(times, times) if a != b]


@pytest.mark.parametrize("zone", some_slow(TWELVE[:4], TWELVE[4:]))
def test_windows_around_every_change_of_the_clocks(zone: str) -> None:
    changes = list(offset_changes(ZoneInfo(zone), midnight(2025, 1, 1), midnight(2028, 1, 1)))
    assert bool(changes) == (zone != "Asia/Kathmandu")
    dice = random.Random(zone)
    for change in changes:
        pairs = pairs_of(change)
        around_change(zone, change, dice.sample(pairs, min(8, len(pairs))))


@given(
    st.data(), st.integers(1975, 2036), st.integers(1, 12), st.integers(1, 28), st.integers(0, 99)
)
@settings(max_examples=40)
def test_random_timetables_in_random_weeks(
    data: st.DataObject, year: int, month: int, day: int, seed: int
) -> None:
    text = data.draw(texts(year=year, most=2))
    start = midnight(year, month, day)
    agree(text, start, start + timedelta(days=9))
    assert Timetable.parse(as_people_write(text, seed)) == Timetable.parse(text)


@given(one_sided(), st.integers(1975, 2036), st.integers(1, 12))
@settings(max_examples=25)
def test_random_one_sided_rules(text: str, year: int, month: int) -> None:
    start = midnight(year, month, 20)
    marks_agree(text, start, start + timedelta(days=10))


@pytest.mark.parametrize("zone", some_slow(TWELVE[:4], TWELVE[4:]))
def test_one_sided_rules_around_a_change_of_the_clocks(zone: str) -> None:
    for change in offset_changes(ZoneInfo(zone), midnight(2026, 1, 1), midnight(2027, 1, 1)):
        start = change.moment.replace(hour=0, minute=0, second=0) - timedelta(days=4)
        for minute in telling_times(change):
            for half in (f"{clock(minute)}-", f"-{clock(minute)}"):
                marks_agree(f"Mon-Sun {half} {zone}", start, start + timedelta(days=9))


def test_a_whole_year_by_the_minute() -> None:
    zone = "Australia/Lord_Howe"
    text = f"Sat-Wed 22:10-02:10 {zone} except 2026-04-04, 12-31; Sun 01:40-01:50 {zone}"
    agree(text, midnight(2026, 1, 1), midnight(2027, 1, 1))


@pytest.mark.campaign
@pytest.mark.parametrize("zone", ZONES)
def test_every_zone_around_every_change_since_1975(zone: str) -> None:
    for change in offset_changes(ZoneInfo(zone), midnight(1975, 1, 1), midnight(2037, 12, 1)):
        pairs = pairs_of(change)
        dice = random.Random(f"{zone} {change.moment}")
        modern = change.moment >= datetime(2026, 1, 1, tzinfo=UTC)
        few = 12 if modern and change.moment.year < 2029 else 2
        around_change(zone, change, dice.sample(pairs, min(few, len(pairs))))


@pytest.mark.campaign
@given(st.data(), st.integers(1975, 2036))
@settings(max_examples=150)
def test_random_timetables_over_whole_years(data: st.DataObject, year: int) -> None:
    agree(data.draw(texts(year=year)), midnight(year, 1, 1), midnight(year + 1, 1, 5))
