"""Edges without flicker, the pace of looking, and what is known of the hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from barrack_tasks.plans import Timetable
from barrack_tasks.plans.durations import PositiveSpan
from barrack_tasks.plans.stock.edges import SETTLES, Edge, PlaceSeen, advance
from barrack_tasks.plans.stock.history import Spell, joined, summaries
from barrack_tasks.plans.stock.pace import Pace
from barrack_tasks.plans.stock.wants import Place

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HERE = Place("CANADA-1", "L40", 1)
TICK = timedelta(seconds=30)


def play(counts: list[int]) -> list[tuple[int, str, int]]:
    seen: dict[Place, PlaceSeen] = {}
    told = []
    for tick, count in enumerate(counts):
        seen, edges = advance(seen, {HERE: count} if count else {}, NOW + tick * TICK)
        told += [(tick, e.kind, e.count) for e in edges]
    return told


def test_stock_that_flickers_is_told_once() -> None:
    assert play([0, 3, 0, 3, 0, 0, 3, 0, 0, 0, 0, 0, 0]) == [
        (1, "available", 3),
        (11, "depleted", 0),
    ]


def looks(*given: tuple[timedelta, int]) -> list[Edge]:
    """The edges of looks at moments after the first."""
    seen: dict[Place, PlaceSeen] = {}
    found = []
    for after, count in given:
        seen, edges = advance(seen, {HERE: count}, NOW + after)
        found += edges
    return found


def test_stock_that_comes_back_between_looks_five_minutes_apart_is_told_each_time() -> None:
    minutes = timedelta(minutes=1)
    found = looks(*((5 * n * minutes, n % 2) for n in range(1, 8)))
    told = [(e.kind, (e.since - NOW) // minutes) for e in found]
    assert told == [
        ("available", 5),
        ("depleted", 5),
        ("available", 15),
        ("depleted", 15),
        ("available", 25),
        ("depleted", 25),
        ("available", 35),
    ]


def test_the_history_of_stock_ends_at_the_last_look_that_saw_it() -> None:
    minute, hours = timedelta(minutes=1), timedelta(hours=20)
    found = looks((0 * minute, 4), (minute, 4), (hours, 0), (hours + 3 * minute, 0))
    [gone] = [e for e in found if e.kind == "depleted"]
    assert (gone.since, gone.until) == (NOW, NOW + minute)


def test_what_lies_between_two_distant_looks_is_no_part_of_the_history() -> None:
    minute, hours = timedelta(minutes=1), timedelta(hours=20)
    found = looks((0 * minute, 4), (minute, 4), (hours, 4), (hours + minute, 4))
    assert [(e.kind, e.until) for e in found] == [
        ("available", None),
        ("unwatched", NOW + minute),
    ], "that it came or went is told by nobody"
    seen, _ = advance(
        {HERE: PlaceSeen(NOW, 4, 4, 4, NOW, last=NOW + minute)}, {HERE: 4}, NOW + hours
    )
    assert (seen[HERE].since, seen[HERE].until) == (NOW + hours, NOW + hours)


def test_a_changed_count_is_told_when_it_has_settled() -> None:
    assert play([1, 5, 2, 7, 9, 9, 9]) == [(0, "available", 1), (4, "changed", 9)]


@given(st.lists(st.integers(0, 3), max_size=60))
def test_edges_take_turns_and_each_absence_that_is_told_was_long_enough(counts: list[int]) -> None:
    told = [(tick, kind) for tick, kind, _ in play(counts) if kind != "changed"]
    assert [kind for _, kind in told] == ["available", "depleted"] * (len(told) // 2) + [
        "available"
    ] * (len(told) % 2)
    long = SETTLES // TICK
    for tick, kind in told:
        if kind == "available":
            assert counts[tick] > 0
        else:
            assert not any(counts[tick - long : tick])


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(0, 59))
def test_a_restart_in_between_changes_nothing(counts: list[int], cut: int) -> None:
    """What is remembered is all that counts: seconds suffice, as they are kept."""
    seen: dict[Place, PlaceSeen] = {}
    told = []
    for tick, count in enumerate(counts):
        if tick == cut:
            seen = {p: PlaceSeen(*vars(s).values()) for p, s in seen.items() if s != PlaceSeen()}
        seen, edges = advance(seen, {HERE: count}, NOW + tick * TICK)
        told += [(tick, e.kind, e.count) for e in edges]
    assert told == play(counts)


def test_the_pace_is_faster_while_stock_moves_and_slower_when_it_is_quiet() -> None:
    quiet = Timetable.parse("Mon-Sun 00:00-06:00 UTC")
    pace = Pace(timedelta(seconds=40), lambda: 0.5, quiet=quiet)
    noon, night = NOW + timedelta(hours=12), NOW + timedelta(days=1)
    assert pace.next_wait(False, noon) == 40
    assert pace.next_wait(True, noon) == 10
    assert pace.next_wait(False, noon + timedelta(minutes=9)) == 10
    assert pace.next_wait(False, noon + timedelta(minutes=11)) == 40
    assert pace.next_wait(False, night) == 400
    assert pace.next_wait(True, night) == 10


@pytest.mark.parametrize("seconds", [0, -5, 0.5])
def test_looks_without_a_pause_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="the interval must be 1 s or more, and is"):
        Pace(timedelta(seconds=seconds), lambda: 0.5)


@pytest.mark.parametrize("span", ["0s", 0, -5, timedelta(seconds=-1)])
def test_a_positive_duration_is_longer_than_nothing(span: object) -> None:
    with pytest.raises(ValidationError, match="must be longer than zero, and this is"):
        TypeAdapter(PositiveSpan).validate_python(span)
    assert TypeAdapter(PositiveSpan).validate_python("2 min") == timedelta(minutes=2)


@given(
    dice=st.floats(0, 1, exclude_max=True),
    interval=st.integers(1, 3600),
    rate=st.floats(0.001, 10),
    moved=st.booleans(),
)
def test_the_pace_is_jittered_and_within_the_rate(
    dice: float, interval: int, rate: float, moved: bool
) -> None:
    wait = Pace(timedelta(seconds=interval), lambda: dice, rate).next_wait(moved, NOW)
    assert wait >= 1 / rate
    plain = interval / 4 if moved else interval
    assert wait == 1 / rate or 0.8 * plain <= wait <= 1.2 * plain


SPELLS = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(1, 900)).map(
        lambda t: Spell(
            HERE,
            NOW + timedelta(minutes=t[0]),
            NOW + timedelta(minutes=t[0] + t[1]),
            1,
        )
    ),
    min_size=1,
    max_size=12,
)


@given(SPELLS, st.sampled_from(["UTC", "Asia/Kathmandu", "Europe/Berlin"]))
def test_the_hours_add_up_and_two_watchers_count_once(spells: list[Spell], zone: str) -> None:
    end = NOW + timedelta(days=5)
    [one] = summaries(spells, NOW, end, zone)
    assert summaries([*spells, *spells], NOW, end, zone) == [one]
    apart = joined(spells)
    assert one.total == sum((s.end - s.start for s in apart), timedelta(0))
    assert all(a.end < b.start for a, b in pairwise(apart))
    assert all(0 <= share <= 1 for share in one.hours)
    # Five whole days: each hour was watched five times.
    assert abs(sum(one.hours) * 5 - one.total / timedelta(hours=1)) < 0.001


def test_at_which_hours_it_appears() -> None:
    mornings = [
        Spell(HERE, NOW + timedelta(days=d, hours=8), NOW + timedelta(days=d, hours=9), 4)
        for d in range(4)
    ]
    [found] = summaries(mornings, NOW, NOW + timedelta(days=4), "UTC")
    assert found.hours[8] == 1
    assert sum(found.hours) == 1
    assert (found.spells, found.typical, found.most) == (4, timedelta(hours=1), 4)
