"""What is told of runs that ended badly."""

from __future__ import annotations

import pytest

from barrack_tasks.runtime.health import reason_of


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Flow run encountered an exception: ValueError: no such\nzone", "no such zone"),
        ("Flow run encountered an exception: no such zone", "no such zone"),
        ("Task run encountered an exception: WorkFailed: 1 of 2: no", "1 of 2: no"),
        ("Flow run encountered an exception: alpha: no", "alpha: no"),
        ("Flow run infrastructure exited with a bad code: 9", None),
        (None, ""),
    ],
)
def test_the_reason_of_a_run_is_told_without_names_of_classes(
    message: str | None, reason: str | None
) -> None:
    assert reason_of({"message": message}) == (message if reason is None else reason)
