"""The parameters that all flows share: one type, one meaning, one default."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from barrack_tasks.plans.selection import Selection, SelectionError, Selector, selector_of


def _read_select(value: Any) -> Selector:
    return selector_of(value)


def _positive(value: float | timedelta) -> timedelta:
    span = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if span <= timedelta(0):
        raise ValueError(f"must be longer than nothing, got {value}")
    return span


Select = Annotated[
    Selection,
    PlainValidator(_read_select),
    WithJsonSchema(
        {
            "title": "Select",
            "description": "Names, globs and ids of instances; never everything by being empty.",
            "anyOf": [
                {"type": "array", "items": {"type": "string"}},
                Selector.model_json_schema(),
            ],
        }
    ),
]
"""Which instances: a list of names, globs and ids, or a `Selector`."""

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
