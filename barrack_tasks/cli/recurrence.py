"""When a schedule runs, as words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from barrack_tasks.plans.durations import exactly

_DAILY = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* (\*|[0-7])")
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def runs_when(schedule: Mapping[str, Any]) -> str:
    """The end of a sentence that begins with "runs".

    Example:
        >>> runs_when({"cron": "0 4 * * *", "timezone": "UTC"})
        'at 04:00 UTC every day'
        >>> runs_when({"cron": "0 6 * * 1", "timezone": "Europe/Berlin"})
        'at 06:00 Europe/Berlin every Monday'
        >>> runs_when({"interval": 300, "timezone": "UTC"})
        'every 5 min'
        >>> runs_when({"cron": "*/5 8-20 * * 1-5", "timezone": "UTC"})
        "at the times of the cron '*/5 8-20 * * 1-5' (UTC)"
    """
    zone = schedule.get("timezone") or "UTC"
    if "interval" in schedule:
        return f"every {exactly(timedelta(seconds=schedule['interval']))}"
    kind = "cron" if "cron" in schedule else "rrule"
    if found := _DAILY.fullmatch(str(schedule[kind])):
        minute, hour, day = found.groups()
        which = "day" if day == "*" else _DAYS[int(day)]
        return f"at {int(hour):02}:{int(minute):02} {zone} every {which}"
    return f"at the times of the {kind} {schedule[kind]!r} ({zone})"
