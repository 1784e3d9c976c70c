"""The same timetables read and reckoned in another way: every minute, by what clocks show in it.

Each minute in UTC is converted to local time, and the fields of that are compared with the fields
of the text. That needs no rule for skipped and doubled hours: a minute that no clock shows is in
no window, and one that clocks show twice is in it twice. The library restores at the first
occurrence of a doubled time and hibernates at the last, so two comparisons are made of it:

- one window of one date lasts from the first minute that clocks show in it to the last, with no
  hole where clocks go back over its edge (`expected_windows`);
- a one-sided rule acts in the first minute in which clocks show its time or more (restore), and
  after the last one in which they show less (hibernate) (`expected_marks`).

The library's own parser and civil time are not used here. Both sides use the same database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
NAMES = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_RULE = re.compile(r"(?P<days>\S+) (?P<start>[\d:]*)-(?P<end>[\d:]*) (?P<zone>\S+)(?P<out>.*)")


@dataclass(frozen=True)
class Plain:
    """A rule as its text says it."""

    days: frozenset[str]
    start: tuple[int, int] | None
    end: tuple[int, int] | None
    zone: str
    out: frozenset[date]
    out_yearly: frozenset[str]

    def begins_on(self, day: date) -> bool:
        return (
            NAMES[day.weekday()] in self.days
            and day not in self.out
            and day.strftime("%m-%d") not in self.out_yearly
        )


def read_plain(text: str) -> list[Plain]:
    """Rules between semicolons, in the form in which the library prints them."""
    return [_read_one(part.strip()) for part in text.split(";")]


def _read_one(text: str) -> Plain:
    match = _RULE.fullmatch(text)
    assert match, text
    days: set[str] = set()
    for part in match["days"].split(","):
        first, _, last = part.partition("-")
        at = NAMES.index(first)
        while True:
            days.add(NAMES[at % 7])
            if NAMES[at % 7] == (last or first):
                break
            at += 1
    out: set[date] = set()
    yearly: set[str] = set()
    for part in match["out"].replace("except", "").replace(" ", "").split(","):
        if len(part) == 5:
            yearly.add(part)
        elif part:
            first, _, last = part.partition("..")
            day = date.fromisoformat(first)
            while day <= date.fromisoformat(last or first):
                out.add(day)
                day += timedelta(days=1)
    return Plain(
        frozenset(days),
        _fields(match["start"]),
        _fields(match["end"]),
        match["zone"],
        frozenset(out),
        frozenset(yearly),
    )


def _fields(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    hour, minute = text.split(":")
    return int(hour), int(minute)


Shown = tuple[int, tuple[int, int]]
"""What clocks show: the day's number, hour and minute."""


@lru_cache(maxsize=4)
def clocks(zone: str, start: datetime, end: datetime) -> list[Shown]:
    """What clocks show in each minute from `start` on."""
    info = ZoneInfo(zone)
    shown = []
    for i in range((end - start) // MINUTE):
        local = (start + i * MINUTE).astimezone(info)
        shown.append((local.toordinal(), (local.hour, local.minute)))
    return shown


def expected_windows(
    rules: list[Plain], start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """The minutes that are on, as intervals."""
    on = bytearray((end - start) // MINUTE)
    for rule in rules:
        first_and_last: dict[int, tuple[int, int]] = {}
        for i, shown in enumerate(clocks(rule.zone, start, end)):
            for day in _windows_that_hold(rule, shown):
                first_and_last[day] = (first_and_last.get(day, (i, i))[0], i)
        for day, (first, last) in first_and_last.items():
            if rule.begins_on(date.fromordinal(day)):
                on[first : last + 1] = b"\1" * (last + 1 - first)
    return [
        (start + match.start() * MINUTE, start + match.end() * MINUTE)
        for match in re.finditer(b"\1+", on)
    ]


def _windows_that_hold(rule: Plain, shown: Shown) -> list[int]:
    """The days whose window, did one begin on them, holds what clocks show."""
    day, now = shown
    assert rule.start is not None
    assert rule.end is not None
    if rule.start < rule.end:
        return [day] if rule.start <= now < rule.end else []
    return [day] if now >= rule.start else [day - 1] if now < rule.end else []


def expected_marks(rule: Plain, start: datetime, end: datetime) -> list[datetime]:
    """The moments at which a one-sided rule acts, for days well inside the span."""
    shown = clocks(rule.zone, start, end)
    moments = []
    for day in range(shown[0][0] + 2, shown[-1][0] - 1):
        if not rule.begins_on(date.fromordinal(day)):
            continue
        if rule.start is not None:
            at = next(i for i, s in enumerate(shown) if s >= (day, rule.start))
        else:
            assert rule.end is not None
            less = (i for i in reversed(range(len(shown))) if shown[i] < (day, rule.end))
            at = next(less) + 1
        moments.append(start + at * MINUTE)
    return moments


def midnight(year: int, month: int, day: int) -> datetime:
    """Midnight in UTC."""
    return datetime(year, month, day, tzinfo=UTC)
