"""Durations as people write and read them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_UNITS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
    "week": 604_800,
}
_DAYS_FROM = 96 * 3600
_LONGEST_LIFE = timedelta(days=3650)
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|seconds?|m|min|h|hours?|d|days?|weeks?)\s*")


def read_span(value: Any) -> Any:
    """Read `"72h"`, `"3 days"`, `"90 min"`; anything else is left to pydantic."""
    if not isinstance(value, str):
        return value
    found = _SPAN.fullmatch(value)
    if found is None:
        return value
    unit = found[2] if found[2] in _UNITS else found[2].removesuffix("s")
    try:
        return timedelta(seconds=float(found[1]) * _UNITS[unit])
    except OverflowError:
        raise ValueError(f"{value!r} is longer than any duration can be") from None


Span = Annotated[
    timedelta,
    BeforeValidator(read_span),
    WithJsonSchema(
        {
            "title": "Duration",
            "anyOf": [{"type": "number"}, {"type": "string"}],
            "description": "A duration such as 72h, 3 days or 90 min; a number is seconds.",
        }
    ),
]
"""A duration: a timedelta, seconds, ISO 8601, or text such as `"72h"`."""


def check_positive(span: timedelta) -> timedelta:
    """Refuse a duration that is nothing or less.

    Raises:
        ValueError: it is.
    """
    if span <= timedelta(0):
        raise ValueError(f"a duration must be longer than nothing, and this is {span}")
    return span


PositiveSpan = Annotated[Span, AfterValidator(check_positive)]
"""A duration that is longer than nothing."""


def check_lifetime(span: timedelta) -> timedelta:
    """Refuse a lifetime that is nothing or less, or so long that it is no end.

    Raises:
        ValueError: it is.
    """
    if span > _LONGEST_LIFE:
        raise ValueError(
            f"an end after more than {_LONGEST_LIFE.days} days is none, and this is {span.days} "
            "days; leave it out for an instance that does not end"
        )
    return check_positive(span)


Lifetime = Annotated[Span, AfterValidator(check_lifetime)]
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
