"""The dates that a weekly rule leaves out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

_LEAP = 2000
_FIRST, _LAST = date(_LEAP, 1, 1).toordinal(), date(_LEAP, 12, 31).toordinal()
WHOLE_YEAR = _LAST - _FIRST + 1


@dataclass(frozen=True)
class Dates:
    """Spans of dates, as day numbers with both ends, sorted and apart; and days of every year."""

    spans: tuple[tuple[int, int], ...] = ()
    yearly: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]], yearly: Iterable[tuple[int, int]] = ()) -> Dates:
        """The same dates however they are written: overlapping and adjacent spans become one."""
        joined: list[tuple[int, int]] = []
        for first, last in sorted(spans):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        return cls(tuple(joined), frozenset(yearly))

    def __or__(self, other: Dates) -> Dates:
        return Dates.of(self.spans + other.spans, self.yearly | other.yearly)

    @property
    def every_day(self) -> bool:
        """Whether each day of every year is left out."""
        return len(self.yearly) == WHOLE_YEAR

    def __bool__(self) -> bool:
        return bool(self.spans or self.yearly)

    def __str__(self) -> str:
        dated = [_span(_iso(first), _iso(last)) for first, last in self.spans]
        return ", ".join(dated + _yearly_spans(self.yearly))

    def out_until(self, day: int) -> int | None:
        """The last day of the span that leaves this day out; None if it is not left out."""
        if self.spans:
            at = bisect_right(self.spans, (day, date.max.toordinal() + 1)) - 1
            if at >= 0 and self.spans[at][1] >= day:
                return self.spans[at][1]
        return day if self.yearly and _month_day(day) in self.yearly else None

    def next_out(self, day: int) -> int | None:
        """The first day from this one on that is left out; None if there is none."""
        found = [max(day, first) for first, last in self.spans if last >= day][:1]
        if self.yearly:
            # The rarest day of the year is 29 February, eight years apart at most.
            until = min(date.max.toordinal(), day + 9 * WHOLE_YEAR)
            late = min([until, *found])
            found += [d for d in range(day, late + 1) if _month_day(d) in self.yearly][:1]
        return min(found, default=None)


def days_of_year(first: tuple[int, int], last: tuple[int, int]) -> list[tuple[int, int]]:
    """The days from one day of the year to another, over New Year if the second is earlier."""
    start, end = (date(_LEAP, *day).toordinal() for day in (first, last))
    length = (end - start) % WHOLE_YEAR + 1
    return [_month_day(_FIRST + (start - _FIRST + i) % WHOLE_YEAR) for i in range(length)]


def is_day_of_year(month: int, day: int) -> bool:
    """Whether there is such a day, in a leap year at least."""
    try:
        date(_LEAP, month, day)
    except ValueError:
        return False
    return True


def _yearly_spans(yearly: frozenset[tuple[int, int]]) -> list[str]:
    if len(yearly) == WHOLE_YEAR:
        return ["01-01..12-31"]
    days = sorted(date(_LEAP, *day).toordinal() for day in yearly)
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][1] + 1:
            runs[-1][1] = day
        else:
            runs.append([day, day])
    if len(runs) > 1 and runs[0][0] == _FIRST and runs[-1][1] == _LAST:
        runs[-1][1] = runs.pop(0)[1]
    return [_span(_iso(first)[5:], _iso(last)[5:]) for first, last in runs]


def _month_day(day: int) -> tuple[int, int]:
    when = date.fromordinal(day)
    return when.month, when.day


def _iso(day: int) -> str:
    return date.fromordinal(day).isoformat()


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first}..{last}"
