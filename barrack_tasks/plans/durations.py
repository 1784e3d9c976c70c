"""Durations as people write and read them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

import pendulum
from pydantic import BeforeValidator, Field, TypeAdapter, WithJsonSchema

_UNITS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
    "week": 604_800,
}
_DAYS_FROM = 96 * 3600
_LONGEST_LIFE = timedelta(days=3650)
_SPAN = re.compile(
    r"\s*(-?\d+(?:\.\d+)?)\s*(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?|weeks?)\s*"
)
_SPAN_OR_SECONDS = TypeAdapter(timedelta)
_HOW = "write '8h', '30m', '2d' or '90s', or give a number of seconds or a timedelta"


def _span_of(value: Any) -> timedelta:
    if isinstance(value, str) and (found := _SPAN.fullmatch(value)):
        unit = found[2] if found[2] in _UNITS else found[2].removesuffix("s")
        return timedelta(seconds=float(found[1]) * _UNITS[unit])
    # A bare number in text is left out: nobody can tell which unit is meant.
    if isinstance(value, str):
        return _iso_span(value)
    if isinstance(value, bool):
        raise ValueError
    if getattr(value, "years", 0) or getattr(value, "months", 0):
        raise _NoFixedLength
    return _SPAN_OR_SECONDS.validate_python(value)


class _NoFixedLength(Exception):
    """A duration counts months or years."""


def _iso_span(text: str) -> timedelta:
    """A duration as ISO 8601 writes it, such as `PT30M` or `-P1DT2H`."""
    plain = text.strip().upper()
    unsigned = plain.lstrip("+-")
    if not unsigned.startswith("P") or len(plain) - len(unsigned) > 1:
        raise ValueError
    span = pendulum.parse(unsigned)
    if not isinstance(span, pendulum.Duration):
        raise TypeError
    if span.years or span.months:
        raise _NoFixedLength
    return -span.as_timedelta() if plain.startswith("-") else span.as_timedelta()


def _read(value: Any) -> timedelta:
    try:
        return _span_of(value)
    except _NoFixedLength:
        raise ValueError(
            f"{value!r} counts months or years, which are not equally long; write days"
        ) from None
    except OverflowError:
        raise ValueError(f"{value!r} is longer than any duration can be") from None
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is not a duration; {_HOW}") from None


def read_span(value: Any) -> timedelta:
    """Read a duration: `"72h"`, `"3 days"`, `"90 min"`, `"PT30M"`, seconds, or a timedelta.

    A `pendulum.Duration` is a timedelta too, unless it counts months or years.

    Raises:
        ValueError: it is none, or is less than nothing; says what can be written.
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


SPAN_SCHEMA = WithJsonSchema(
    {
        "title": "Duration",
        "anyOf": [{"type": "number"}, {"type": "string"}],
        "description": "A duration such as 72h, 3 days or 90 min; a number is seconds.",
    }
)
"""How a duration is written, for forms."""

Span = Annotated[timedelta, BeforeValidator(read_span), SPAN_SCHEMA]
"""A duration, nothing included: a timedelta, seconds, ISO 8601, or text such as `"72h"`."""

PositiveSpan = Annotated[timedelta, BeforeValidator(read_positive), SPAN_SCHEMA]
"""A duration that is longer than nothing."""


def read_lifetime(value: Any) -> timedelta:
    """Read how long something lasts: a duration longer than nothing, and not so long as no end.

    Raises:
        ValueError: it is not; says what can be written.
    """
    span = read_positive(value)
    if span > _LONGEST_LIFE:
        raise ValueError(
            f"an instance must end within {_LONGEST_LIFE.days} days, and this is {span.days} days; "
            "leave it out for an instance that does not end"
        )
    return span


Lifetime = Annotated[timedelta, BeforeValidator(read_lifetime), SPAN_SCHEMA]
"""How long an instance lasts that is made for a time."""


def said(span: timedelta | None) -> str:
    """A duration for a sentence, rounded down; None is one that does not end.

    Example:
        >>> said(timedelta(hours=25, minutes=10))
        '25 h'
    """
    if span is None:
        return "without end"
    if span < timedelta(minutes=2):
        return f"{int(span.total_seconds())} s"
    minutes = int(span.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours * 3600 < _DAYS_FROM else f"{hours // 24} days"


def exactly(span: timedelta) -> str:
    """A duration to the whole second: two that differ by one read differently.

    Example:
        >>> exactly(timedelta(hours=2.5)), exactly(timedelta(hours=100))
        ('150 min', '100 h')
    """
    seconds = int(span.total_seconds())
    days = [(86_400, "days")] if seconds >= _DAYS_FROM else []
    for unit, name in (*days, (3600, "h"), (60, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


Timeout = Annotated[
    float | timedelta | str,
    BeforeValidator(read_positive),
    SPAN_SCHEMA,
    Field(description="For one instance: seconds, or a duration such as 10m."),
]
"""For one instance: seconds, a timedelta, or text such as `"10m"`."""


def span_of(timeout: float | timedelta | str) -> timedelta:
    """A timeout as a timedelta."""
    return read_positive(timeout)
