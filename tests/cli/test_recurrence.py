"""When a schedule runs, as words."""

from __future__ import annotations

from typing import Any

import pytest

from barrack_tasks.cli.recurrence import runs_when


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"cron": "5 4 * * *", "timezone": "UTC"}, "at 04:05 UTC every day"),
        ({"cron": "0 6 * * 1", "timezone": "Europe/Berlin"}, "at 06:00 Europe/Berlin every Monday"),
        ({"cron": "0 6 * * 0"}, "at 06:00 UTC every Sunday"),
        ({"cron": "0 6 * * 7"}, "at 06:00 UTC every Sunday"),
        ({"cron": "0 6 1 * *"}, "at the times of the cron '0 6 1 * *' (UTC)"),
        ({"cron": "0 6 * * 1-5"}, "at the times of the cron '0 6 * * 1-5' (UTC)"),
        ({"rrule": "FREQ=DAILY"}, "at the times of the rrule 'FREQ=DAILY' (UTC)"),
        ({"interval": 300, "timezone": "UTC"}, "every 5 min"),
        ({"interval": 86400}, "every 24 h"),
    ],
)
def test_each_kind_of_schedule_is_said(schedule: dict[str, Any], said: str) -> None:
    assert runs_when(schedule) == said
