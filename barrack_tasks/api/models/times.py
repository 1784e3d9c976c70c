"""Durations, moments and days as people give them: pendulum, datetime and text alike.

Pendulum reads; what is kept is plain. To subtract two of its moments costs a thousand times as
much as two of datetime's, and a decision on a fleet does so at every instance.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pendulum
from pydantic import TypeAdapter

EVER = datetime.min.replace(tzinfo=UTC)
FOREVER = datetime.max.replace(tzinfo=UTC)
"""The first and the last moment there are. They also stand for the ends of what has none."""

Moment = datetime | date | str
"""What `read_moment` reads, a `pendulum.DateTime` or `pendulum.Date` included."""
Day = date | str
"""What `read_day` reads, a `pendulum.Date` included."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = (
    r"(\d+(?:\.\d+)?)\s*"
    r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)(?![^\W\d_])"
)
_SPAN = re.compile(rf"\s*(-?)((?:{_PART}[\s,]*)+)")
# Pendulum takes the last digits of a longer number for the number.
_TOO_LONG = re.compile(r"(?<![\d.,])\d{10}")
_SPAN_OR_SECONDS = TypeAdapter(timedelta)
_HOW = "write '8h', '30m', '2d' or '90s', or give a number of seconds or a timedelta"
_FULL_DATE = re.compile(r"\d{4}-?\d\d-?\d\d")


def _span_of(value: Any) -> timedelta:
    if isinstance(value, str) and (found := _SPAN.fullmatch(value)):
        parts = re.findall(_PART, found[2])
        span = timedelta(seconds=sum(float(count) * _UNITS[unit[0]] for count, unit in parts))
        return -span if found[1] else span
    # A bare number in text is left out: nobody can tell which unit is meant.
    if isinstance(value, str):
        return _iso_span(value)
    if isinstance(value, bool):
        raise ValueError
    if not isinstance(value, timedelta):
        return _SPAN_OR_SECONDS.validate_python(value)
    # An interval lies between two moments: how long it is needs no calendar.
    is_interval = isinstance(value, pendulum.Interval)
    if isinstance(value, pendulum.Duration) and value.months and not is_interval:
        raise _NoFixedLength
    return timedelta(seconds=value.total_seconds()) if type(value) is not timedelta else value


class _NoFixedLength(Exception):
    """A duration counts months."""


def _iso_span(text: str) -> timedelta:
    """A duration as ISO 8601 writes it, such as `PT30M` or `-P1DT2H`.

    A year is 365 days: pydantic, and Prefect by it, writes a timedelta of 400 days as `P1Y35D`.
    """
    plain = text.strip().upper()
    unsigned = plain.lstrip("+-")
    ends_well = unsigned.startswith("P") and unsigned[-2:-1].isdigit()
    if not ends_well or len(plain) - len(unsigned) > 1:
        raise ValueError
    if _TOO_LONG.search(unsigned):
        raise OverflowError
    span = pendulum.parse(unsigned)
    if not isinstance(span, pendulum.Duration):
        raise TypeError
    return -_span_of(span) if plain.startswith("-") else _span_of(span)


def _read(value: Any) -> timedelta:
    try:
        return _span_of(value)
    except _NoFixedLength:
        raise ValueError(
            f"{value!r} counts months, which are not equally long; write days"
        ) from None
    except OverflowError:
        raise ValueError(f"{value!r} is longer than any duration can be") from None
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is not a duration; {_HOW}") from None


def read_span(value: Any) -> timedelta:
    """Read a duration: text, ISO 8601, seconds, a timedelta, a pendulum duration or interval.

    Raises:
        ValueError: it is none, counts months, or is less than nothing; says what can be written.

    Example:
        >>> read_span("72h") == read_span("PT72H") == read_span("3 days") == timedelta(days=3)
        True
        >>> read_span("1h30m") == read_span(pendulum.duration(minutes=90)) == read_span(5400)
        True
    """
    span = _read(value)
    if span < timedelta(0):
        raise ValueError(f"a duration cannot be negative, and this is {value}; {_HOW}")
    return span


def read_positive(value: Any) -> timedelta:
    """Read a duration that is longer than nothing.

    Raises:
        ValueError: it is not; says what can be written.
    """
    span = _read(value)
    if span <= timedelta(0):
        raise ValueError(f"a duration must be longer than zero, and this is {value}; {_HOW}")
    return span


def read_moment(value: Any) -> datetime:
    """Read a moment: a datetime or `pendulum.DateTime` with a zone, or ISO 8601. Plain, in UTC.

    A day stands for its beginning in UTC.

    Raises:
        ValueError: it is none, or has no time zone.

    Example:
        >>> read_moment("2026-11-02T08:00:00+01:00")
        datetime.datetime(2026, 11, 2, 7, 0, tzinfo=datetime.timezone.utc)
    """
    if type(value) is datetime and value.tzinfo is UTC:
        return value
    given = _parsed(value)
    if not isinstance(given, date):
        raise ValueError(f"{value!r} is not a moment; write one such as 2026-11-02T08:00:00+01:00")
    if not isinstance(given, datetime):
        return datetime(given.year, given.month, given.day, tzinfo=UTC)
    offset = given.utcoffset()
    if offset is None:
        raise ValueError(
            f"{given.isoformat()} has no time zone, so it is no moment; "
            f"write for example {given.isoformat()}+01:00, or give a zone-aware datetime"
        )
    plain = datetime.combine(given.date(), given.time(), UTC)
    try:
        return plain - offset
    except OverflowError:
        return EVER if offset > timedelta(0) else FOREVER


def read_day(value: Any) -> date:
    """Read a day: a date or `pendulum.Date`, ISO 8601, or the day that a datetime shows.

    Raises:
        ValueError: it is none.

    Example:
        >>> read_day("2026-11-02") == read_day(pendulum.date(2026, 11, 2)) == date(2026, 11, 2)
        True
    """
    given = _parsed(value)
    if not isinstance(given, date):
        raise ValueError(f"{value!r} is not a day; write one such as 2026-11-02")
    return date(given.year, given.month, given.day)


def _parsed(value: Any) -> Any:
    """What a text means, as far as it begins with a whole date; all else as it is."""
    if isinstance(value, str) and _FULL_DATE.match(text := value.strip()):
        try:
            return pendulum.parse(text.upper(), exact=True, tz=None)
        except ValueError:
            return value
    return value
