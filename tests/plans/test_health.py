"""When a guard is blind, and what hangs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.health import MISSED, UnfinishedRun, blind_from, blindness, why_it_hangs

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
FIVE = timedelta(minutes=5)
spans = st.timedeltas(timedelta(seconds=1), timedelta(days=3))


@given(interval=spans, share=st.floats(0, 0.999))
def test_a_guard_that_runs_evenly_is_blind_after_three_of_its_intervals(
    interval: timedelta, share: float
) -> None:
    completed = NOON + interval * share
    due = [NOON + interval * n for n in range(1, 4)]
    assert blind_from(completed, due) == completed + MISSED * interval


@given(gaps=st.lists(spans, min_size=3, max_size=6))
def test_no_guard_is_blind_before_three_of_its_runs_were_due(gaps: list[timedelta]) -> None:
    due = [NOON + sum(gaps[: n + 1], timedelta(0)) for n in range(len(gaps))]
    moment = blind_from(NOON, due)
    assert moment is not None
    assert moment >= due[2]


def test_a_guard_that_rests_over_the_weekend_is_not_blind_on_monday_morning() -> None:
    friday, monday = NOON, NOON + timedelta(days=3)
    due = [monday, monday + FIVE, monday + 2 * FIVE]
    assert blind_from(friday, due) == monday + 2 * FIVE


def test_a_guard_that_is_not_to_run_any_more_is_not_blind() -> None:
    assert blind_from(NOON, [NOON + FIVE]) is None


@pytest.mark.parametrize(
    ("type_", "state", "why"),
    [
        ("SCHEDULED", "Late", "no worker has taken it"),
        ("SCHEDULED", "AwaitingConcurrencySlot", "waits for a slot"),
        ("PENDING", "Pending", "its worker was probably lost"),
        ("RUNNING", "Running", "has been running for 2 h"),
        ("PAUSED", "Suspended", "for somebody to answer"),
        ("CANCELLING", "Cancelling", "has been cancelling"),
        ("COMPLETED", "Completed", None),
    ],
)
def test_what_hangs_is_said_with_its_reason(type_: str, state: str, why: str | None) -> None:
    run = UnfinishedRun("brave-fox", type_, state, NOON, NOON)
    said = why_it_hangs(run, NOON + timedelta(hours=2), timedelta(hours=1))
    assert said is None if why is None else why in str(said)


@given(st.sampled_from(["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]))
def test_what_has_only_begun_does_not_hang(type_: str) -> None:
    run = UnfinishedRun("brave-fox", type_, type_.title(), NOON, NOON)
    assert why_it_hangs(run, NOON + timedelta(seconds=30), timedelta(hours=1)) is None


def test_a_blind_guard_is_told_of_with_what_hangs() -> None:
    why = "run brave-fox has been running for 20 min"
    told = blindness(
        "barrack-watch-balance/watch-balance", NOON, NOON + timedelta(minutes=20), [why]
    )
    assert told.startswith("barrack-watch-balance/watch-balance has completed no run for 20 min")
    assert told.endswith(why)
