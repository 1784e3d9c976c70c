"""The parameters that all flows share: one type, one meaning, one default."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from barrack_tasks.plans.selection import Select, SelectionError


def _positive(value: float | timedelta) -> timedelta:
    span = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if span <= timedelta(0):
        raise ValueError(f"must be longer than nothing, got {value}")
    return span


Timeout = Annotated[
    float | timedelta,
    AfterValidator(_positive),
    Field(description="For one instance: seconds, or a duration."),
]
"""For one instance: seconds or a timedelta."""

Protect = Annotated[
    list[str], Field(description="Names, globs and ids that are never touched.", default=[])
]
"""Never touched, whatever selects them; added to the account's own list."""


def span_of(timeout: float | timedelta) -> timedelta:
    """A timeout as a timedelta."""
    return timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout)


__all__ = ["Protect", "Select", "SelectionError", "Timeout", "span_of"]
