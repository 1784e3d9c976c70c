"""What a timetable is made of. Each rule gives its windows, or its marks, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from barrack_tasks.api.models.times import EVER, FOREVER, read_moment
from barrack_tasks.plans.timetable.civil import first_day, first_moment, last_moment
from barrack_tasks.plans.timetable.dates import Dates

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = 24 * 60
WEEK = 7 * DAY
LAST_DAY = date.max.toordinal() - 3
"""Windows begin on no later day, so that their ends can be reckoned with."""


@dataclass(frozen=True)
class Constant:
    """`always` or `never`."""

    on: bool

    def __str__(self) -> str:
        return "always" if self.on else "never"

    def windows(self, _since: datetime) -> Iterator[tuple[datetime, datetime]]:
        """One window without ends, or none."""
        if self.on:
            yield EVER, FOREVER


@dataclass(frozen=True)
class Absolute:
    """From one moment to another. Where `zone` is given the naive ends are local time there."""

    start: datetime
    end: datetime
    zone: str | None = None

    def __str__(self) -> str:
        zone = f" {self.zone}" if self.zone else ""
        if all(t.tzinfo is None and t.time() == time() for t in (self.start, self.end)):
            last = self.end - timedelta(days=1)
            return f"{self.start.date()}-{last.date()}{zone}"
        return f"{self.start.isoformat()}-{self.end.isoformat()}{zone}"

    def moments(self) -> tuple[datetime, datetime]:
        """Its two ends as moments."""
        start, end = self.start, self.end
        if self.zone is None:
            return read_moment(start), read_moment(end)
        zone = ZoneInfo(self.zone)
        return (
            read_moment(start) if start.tzinfo else first_moment(start, zone),
            read_moment(end) if end.tzinfo else last_moment(end, zone),
        )

    def windows(self, _since: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The one window."""
        yield self.moments()


@dataclass(frozen=True)
class Weekly:
    """Days, minutes after midnight, a zone; one of `start` and `end` may be None.

    Monday is day 0. An `end` beyond 24 hours is on the day after. `exceptions` are local dates
    on which nothing begins.
    """

    days: frozenset[int]
    start: int | None
    end: int | None
    zone: str
    exceptions: Dates = field(default_factory=Dates)

    def __str__(self) -> str:
        times = f"{_clock(self.start)}-{_clock(self.end)}"
        text = f"{_days(self.days)} {times} {self.zone}"
        return f"{text} except {self.exceptions}" if self.exceptions else text

    @property
    def one_sided(self) -> bool:
        """Whether it only restores, or only hibernates."""
        return self.start is None or self.end is None

    @property
    def round_the_clock(self) -> bool:
        """Whether all its windows touch, but for the exceptions."""
        return len(self.days) == 7 and (self.start, self.end) == (0, DAY)

    def windows(self, since: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Its windows that end at the moment or later, and perhaps a few before.

        Those that the clocks skip altogether are left out. One that began long before may be
        given with a later beginning that is also before the moment.
        """
        if self.start is None or self.end is None:
            return
        if self.round_the_clock:
            yield from self._long_windows(first_day(since, timedelta(0)) - 2)
            return
        zone = ZoneInfo(self.zone)
        from_midnight, to = timedelta(minutes=self.start), timedelta(minutes=self.end)
        for day in self.occurrences(first_day(since, to)):
            midnight = datetime.fromordinal(day)
            start = first_moment(midnight + from_midnight, zone)
            end = last_moment(midnight + to, zone)
            if start < end:
                yield start, end

    def marks(self, since: datetime) -> Iterator[datetime]:
        """The moments of a one-sided rule from this one on, and perhaps a few before."""
        zone = ZoneInfo(self.zone)
        if self.start is not None:
            after, find = timedelta(minutes=self.start), first_moment
        else:
            after, find = timedelta(minutes=self.end or 0), last_moment
        for day in self.occurrences(first_day(since, after)):
            yield find(datetime.fromordinal(day) + after, zone)

    def occurrences(self, since: int) -> Iterator[int]:
        """The days, as numbers, on which it begins."""
        days, exceptions = self.days, self.exceptions
        some = bool(exceptions)
        if exceptions.every_day:
            return
        day = max(2, since)
        while day <= LAST_DAY:
            if (day - 1) % 7 in days:
                out = exceptions.out_until(day) if some else None
                if out is None:
                    yield day
                else:
                    day = out
            day += 1

    def _long_windows(self, since: int) -> Iterator[tuple[datetime, datetime]]:
        """From one exception to the next."""
        zone = ZoneInfo(self.zone)
        day: int | None = max(2, since)
        while day is not None and day <= LAST_DAY:
            out = self.exceptions.out_until(day)
            if out is not None:
                day = out + 1
                continue
            start = first_moment(datetime.fromordinal(day), zone) if day > 2 else EVER
            day = self.exceptions.next_out(day)
            if day is None or day > LAST_DAY:
                yield start, FOREVER
            else:
                end = last_moment(datetime.fromordinal(day), zone)
                if start < end:
                    yield start, end


Rule = Constant | Absolute | Weekly


def covers_the_week(rules: list[Weekly]) -> bool:
    """Whether rules without exceptions, all in one zone, leave no minute of the week free.

    Local times that touch are moments that touch, wherever clocks are moved.
    """
    spans: list[tuple[int, int]] = []
    for rule in rules:
        if rule.start is not None and rule.end is not None and not rule.exceptions:
            for day in rule.days:
                start, end = day * DAY + rule.start, day * DAY + rule.end
                spans += [(start, end), (start - WEEK, end - WEEK)]
    reached = 0
    for start, end in sorted(spans):
        if start > reached:
            return False
        reached = max(reached, end)
    return reached >= WEEK


def _clock(minutes: int | None) -> str:
    if minutes is None:
        return ""
    if minutes > DAY:
        minutes -= DAY
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _days(days: frozenset[int]) -> str:
    """Days as runs, around the end of the week if need be: `Sun-Thu`."""
    if len(days) == 7:
        return "Mon-Sun"
    runs = []
    for first in sorted(days):
        if (first - 1) % 7 not in days:
            last = first
            while (last + 1) % 7 in days:
                last = (last + 1) % 7
            runs.append(DAYS[first] if last == first else f"{DAYS[first]}-{DAYS[last]}")
    return ",".join(runs)
