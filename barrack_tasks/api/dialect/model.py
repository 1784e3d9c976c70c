"""The dialect: all that the wire knows and the rest of the library does not, as data."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

WirePath = str
"""Dotted path into a JSON object. "" or "." is the object itself."""


_PATH = re.compile(r"/(?:[^{}\s]|\{[a-z][a-z0-9_]*\})*")
"""Plain names in braces and nothing else of what `str.format` can: a width could fill memory."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Auth(_Entry):
    """How a request shows its key: `header: scheme key`, or `header: key` without a scheme."""

    header: str = "x-api-key"
    scheme: str = ""


class Paging(_Entry):
    """How a list is asked for page by page.

    `page` counts pages from `first_page`, `offset` counts items, `cursor` passes on what the
    answer's `Pagination.next_cursor` says, `none` sends nothing and reads one answer. Where the
    answer's own figures lie is said by the `Pagination` schema.
    """

    style: Literal["page", "offset", "cursor", "none"] = "page"
    page: str = "page"
    page_size: str = "page_size"
    offset: str = "offset"
    cursor: str = "cursor"
    first_page: int = 1


class OperationWire(_Entry):
    """How one operation goes on the wire.

    `path` keeps the canonical names in its braces; `path_parameters` gives what documents call
    them. `query` and `body` map canonical names to wire names, beside the request schema's own
    mapping. `envelope` says where in the answer the body lies, if not where the dialect says.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    path_parameters: dict[str, str] = {}
    query: dict[str, str] = {}
    envelope: WirePath | None = None

    @field_validator("path")
    @classmethod
    def _holds_plain_names(cls, path: str) -> str:
        if _PATH.fullmatch(path) is None:
            raise ValueError(
                "must begin with '/' and hold no braces but those of plain names, such as "
                f"/instances/{{instance_id}}, and no spaces; got {path[:80]!r}"
            )
        return path


class Dialect(_Entry):
    """One way of speaking to Barrack. See `barrack_tasks.api.dialect` for how it is chosen.

    An operation that is not in `operations` does not exist on this wire. `schemas` maps, for each
    schema, canonical field names to wire paths; a field that is not named is called on the wire as
    it is called here, and one that is None does not exist there. `words` maps, for each enum, words
    of the wire to canonical ones; a word that is not named stands for itself.
    """

    name: str = "built-in"
    base_url: str = "https://api.barrack.ai/v1"
    auth: Auth = Auth()
    envelope: WirePath = ""
    error_envelope: WirePath = ""
    request_id_header: str = "x-request-id"
    paging: Paging = Paging()
    operations: dict[str, OperationWire] = Field(default_factory=dict)
    schemas: dict[str, dict[str, WirePath | None]] = Field(default_factory=dict)
    words: dict[str, dict[str, str]] = Field(default_factory=dict)

    _is_from_file: bool = PrivateAttr(default=False)

    @property
    def is_from_file(self) -> bool:
        """Whether a file says it, and no program: a file alone names no host for the key."""
        return self._is_from_file

    def as_from_file(self) -> Self:
        """The same, as read from a file."""
        twin = self.model_copy()
        twin._is_from_file = True
        return twin

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, wherever they come from."""
        return isinstance(other, Dialect) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # it holds dicts

    def tells(self, schema: str, field: str) -> bool:
        """Whether a field of a schema exists on this wire."""
        return self.schemas.get(schema, {}).get(field, field) is not None
