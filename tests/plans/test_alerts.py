"""What is the same reason, however often it is given."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.alerts import Alarm, forget_earlier, without_ids
from tests.plans.worlds import NOW

REASONS = st.sampled_from(
    ["quota_exceeded", "the GPU quota is reached", "H100 is not allowed here"]
)


@given(
    REASONS, st.uuids(), st.uuids(), st.sampled_from(["{} ({})", "{}: request_id={}", "{1} {0}"])
)
def test_a_request_id_makes_no_new_reason(reason: str, one: UUID, other: UUID, form: str) -> None:
    assert without_ids(form.format(reason, one)) == without_ids(form.format(reason, other))
    assert without_ids(reason) == reason


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("req-8f3kd92ls", "req-77aa1b2c3"),
        ("12.50 of 30 USD", "11.75 of 30 USD"),
        ("tried at 12:30", "tried at 12:31"),
    ],
)
def test_nor_do_other_ids_figures_and_times(first: str, second: str) -> None:
    assert without_ids(first) == without_ids(second)


def test_another_reason_stays_another() -> None:
    assert without_ids("quota_exceeded for L40") != without_ids("quota_exceeded for A40")


def test_what_was_told_long_before_of_a_line_that_is_news_again_is_forgotten() -> None:
    def stands(minutes: int, heard: tuple[str, ...]) -> bool:
        alarms = {"a": Alarm(NOW, NOW - timedelta(minutes=minutes), heard)}
        forget_earlier(alarms, ["a", "b"], NOW)
        return "a" in alarms

    assert not stands(61, ("slack",))
    assert stands(5, ("slack",)), "a run that was cut off has just told it"
    assert stands(61, ()), "nobody has heard it, and so it is still owed"
