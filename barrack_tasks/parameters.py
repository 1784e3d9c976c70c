"""The parameters that all flows share: one type, one meaning, one default."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.plans.money.spans import SPAN_SCHEMA, read_positive
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

_NAME = "[a-z0-9-]+"
_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_SLUG = f"{BarrackCredentials.get_block_type_slug()}/{_NAME}"


def _text(pattern: str) -> dict[str, str]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _object(**fields: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


_BY_ID = _object(block_document_id=_text(_UUID))
_BY_SLUG = _object(block_document_slug=_text(_SLUG))
_REFERENCE = {
    "title": "BarrackCredentials",
    "block_type_slug": BarrackCredentials.get_block_type_slug(),
    "description": "A saved account.",
    **_object(**{"$ref": {"anyOf": [_text(_UUID), _BY_ID, _BY_SLUG]}}),
}
Credentials = Annotated[
    BarrackCredentials | str | None,
    # A server that keeps to this schema stores no key: it knows saved blocks and nothing else.
    WithJsonSchema({"anyOf": [_REFERENCE, {"title": "Name", **_text(_NAME)}, {"type": "null"}]}),
]
"""A `BarrackCredentials`, the name of a saved one, or None for the environment."""


def span_of(timeout: float | timedelta | str) -> timedelta:
    """A timeout as a timedelta."""
    return read_positive(timeout)


__all__ = ["Credentials", "Protect", "Select", "SelectionError", "Timeout", "span_of"]
