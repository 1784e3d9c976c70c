"""The parameters that all flows share: one type, one meaning, one default."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from barrack_tasks.plans.durations import SPAN_SCHEMA, read_positive
from barrack_tasks.plans.selection import Select, SelectionError

Timeout = Annotated[
    float | timedelta | str,
    BeforeValidator(read_positive),
    SPAN_SCHEMA,
    Field(description="For one instance: seconds, or a duration such as 10m."),
]
"""For one instance: seconds, a timedelta, or text such as `"10m"`."""

Protect = Annotated[
    list[str], Field(description="Names, globs and ids that are never touched.", default=[])
]
"""Never touched, whatever selects them; added to the account's own list."""


def span_of(timeout: float | timedelta | str) -> timedelta:
    """A timeout as a timedelta."""
    return read_positive(timeout)


__all__ = ["Protect", "Select", "SelectionError", "Timeout", "span_of"]
