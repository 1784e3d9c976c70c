"""Durations as people write and read them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from barrack_tasks.api.models.times import read_positive as read_positive
from barrack_tasks.api.models.times import read_span as read_span

_DAYS_FROM = 96 * 3600
_LONGEST_LIFE = timedelta(days=3650)

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
    """A duration for a sentence, rounded down to one unit; None is one that does not end.

    Pendulum's words name every unit ("4 days 4 hours 30 minutes"), and 72 hours as 3 days.

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
