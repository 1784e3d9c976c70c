"""The dialect: all that the wire knows and the rest of the library does not, as data."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    field_validator,
    model_validator,
)

_MARKS = re.compile(r"[][{}]|^\^.")
_GROUPS = re.compile(r"(\[\]|\{\})$")
OF_THE_ITEM = ("^", "@key", "@value")
"""What is put beside the fields of an item of a group, and is not one of them."""


def names_a_field(name: str) -> bool:
    """Whether a path can lead to a field of this name, and no sign in it means something else.

    Example:
        >>> names_a_field("gpu-model"), names_a_field("gpu.model"), names_a_field("gpus[]")
        (True, False, False)
    """
    return bool(name) and "." not in name and not _MARKS.search(name) and name not in OF_THE_ITEM


def _is_path(path: str) -> str:
    if path not in ("", ".") and any(not s or _MARKS.search(s) for s in path.split(".")):
        raise ValueError(f"must be names joined by dots; got {path[:80]!r}")
    return path


def _is_path_of_a_list(path: str) -> str:
    """A path that may lead through groups, the last of which holds the items."""
    steps = path.split(".")
    if any(_GROUPS.search(step) for step in steps):
        bare = [_GROUPS.sub("", step) for step in steps]
        if not _GROUPS.search(steps[-1]):
            raise ValueError(
                f"must end in [] or {{}}, like what it leads through; got {path[:80]!r}"
            )
        path_of_names = ".".join(bare[1:] if len(bare) > 1 and not bare[0] else bare)
        try:
            _is_path(path_of_names)
        except ValueError:
            raise ValueError(
                "must be names joined by dots; the name of a list may end in [], that of a "
                f"table in {{}}; got {path[:80]!r}"
            ) from None
        return path
    return _is_path(path)


WirePath = Annotated[str, AfterValidator(_is_path)]
"""Dotted path into a JSON object. "" or "." is the object itself, a number an item of a list."""

ListPath = Annotated[str, AfterValidator(_is_path_of_a_list)]
"""A path that may lead through groups, where it is that of a list.

`stocks[].models[]` are all models of all stocks, and `sizes{}` all entries of a table. In an item,
`^` is the group that it lies in, `@key` its key in the table, and `@value` the entry itself where
that is no object.
"""


def _is_a_parameter(name: str) -> str:
    if not re.fullmatch(r"[^\s&=#?%]+", name):
        raise ValueError(f"must be the name of a parameter of an address; got {name[:80]!r}")
    return name


ParameterName = Annotated[str, AfterValidator(_is_a_parameter)]


_PATH = re.compile(r"/(?:[^{}\s?#]|\{[a-z][a-z0-9_]*\})*")
"""Plain names in braces and nothing else of what `str.format` can: a width could fill memory."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Auth(_Entry):
    """How a request shows its key: `header: scheme key`, or `header: key` without a scheme.

    `query` names a parameter of the address that carries the key instead of a header. Addresses
    stand in the logs of proxies and servers, so it is the last resort.
    """

    header: str = "x-api-key"
    scheme: str = ""
    query: ParameterName | Literal[""] = ""


class Paging(_Entry):
    """How a list is asked for page by page.

    `page` counts pages from `first_page`, `offset` counts items, `cursor` passes on what the
    answer's `Pagination.next_cursor` says, `none` sends nothing and reads one answer. `link` takes
    the next page's address from the `Link` header (`rel="next"`), and `next` from
    `Pagination.next_cursor`; of such an address only the query is used, so that it leads to no
    other place. Where the answer's own figures lie is said by the `Pagination` schema.
    """

    style: Literal["page", "offset", "cursor", "link", "next", "none"] = "page"
    page: ParameterName = "page"
    page_size: ParameterName = "page_size"
    offset: ParameterName = "offset"
    cursor: ParameterName = "cursor"
    first_page: int = 1


class Lookup(_Entry):
    """What a request holds that its caller does not give, and a list of the API tells.

    If nothing in the list fits, or several things fit that differ in what is taken, the request is
    refused and not sent.

    Args:
        path: where the list is read with GET.
        items: path of the list in the whole answer; it may lead through groups.
        match: fields of the request, each with the path in an item of what must be equal.
        where: paths in an item, each with the word that must stand there.
        take: path in the item of what is sent.
        paged: whether the list comes in pages, which are counted as the dialect's `paging` says in
            the styles `page` and `offset`. Otherwise one answer holds it whole.
    """

    path: str
    items: ListPath
    match: dict[str, WirePath] = Field(min_length=1)
    where: dict[WirePath, str] = {}
    take: WirePath
    paged: bool = False

    @field_validator("path")
    @classmethod
    def _holds_no_parameter(cls, path: str) -> str:
        if _PATH.fullmatch(path) is None or "{" in path:
            raise ValueError(f"must be a path without parameters; got {path[:80]!r}")
        return path


class OperationWire(_Entry):
    """How one operation goes on the wire.

    `path` keeps the canonical names in its braces; `path_parameters` gives what documents call
    them. `query` and `body` map canonical names to wire names, beside the request schema's own
    mapping. `envelope` says where in the answer the body lies, if not where the dialect says.
    A path may also hold fields of the request, such as the instance of a new snapshot; these are
    left out of the body. `body` is what every request of the operation holds besides, such as the
    word of an action, and `parameters` are what every address of it holds besides. `lookup` says
    how parts of the body are found that no caller gives, by their path in the body.

    A path may hold the id of what the thing lies in, such as the instance of a snapshot, also
    where no caller gives it. `parents` names the list that tells it: of a list each thing in that
    list is a parent, and what lies in each is read; of anything else that list shows the thing
    itself, with the parent in the field of this name.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    path_parameters: dict[str, str] = {}
    query: dict[str, str] = {}
    envelope: WirePath | None = None
    body: dict[str, JsonValue] = {}
    parameters: dict[str, str] = {}
    lookup: dict[WirePath, Lookup] = {}
    parents: dict[str, str] = {}

    @field_validator("path")
    @classmethod
    def _holds_plain_names(cls, path: str) -> str:
        if _PATH.fullmatch(path) is None:
            raise ValueError(
                "must begin with '/' and hold no braces but those of plain names, such as "
                f"/instances/{{instance_id}}, and no spaces, ? or #; got {path[:80]!r}"
            )
        return path


class Case(_Entry):
    """One row of a table that tells a state by several fields: all of `when` must be as it says."""

    when: dict[WirePath, str] = Field(min_length=1)
    word: str


class Value(_Entry):
    """How one field is written on the wire, where that is not how its type is usually written.

    Args:
        times: the amount here is the number on the wire times this: `"0.01"` for cents.
        constant: what the field always is, where the wire does not say it.
        epoch: a time is a number of seconds or milliseconds since 1970, in UTC.
        zone: the zone of times that name none; UTC, if not given.
        yes: words for true; the first is the one that is sent.
        no: words for false.
        digits: the number is the first one in a text, such as 4 in `4x`.
        cases: rows that tell a word by several fields; the first that fits counts, and where none
            does, the field itself.
        name_of: the wire wants the name in place of the id; this list tells it.
    """

    times: Decimal | None = None
    constant: str | None = None
    epoch: Literal["seconds", "milliseconds"] | None = None
    zone: str | None = None
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    digits: bool = False
    cases: tuple[Case, ...] = ()
    name_of: str | None = None

    @field_validator("times")
    @classmethod
    def _is_a_factor(cls, times: Decimal | None) -> Decimal | None:
        if times is not None and not (
            times.is_finite() and times > 0 and abs(times.adjusted()) < 10
        ):
            raise ValueError(f'must be a number above 0, such as "0.01"; got {times}')
        return times

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, zone: str | None) -> str | None:
        if zone is not None:
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f"there is no time zone {zone[:60]!r}; write one such as Europe/Berlin"
                ) from None
        return zone

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name)]
        kinds = {"yes" if name == "no" else name for name in given}
        if len(kinds) != 1:
            raise ValueError(
                "must say exactly one of times, constant, epoch, zone, yes and no, digits, cases "
                f"and name_of; got {' and '.join(given) or 'none'}"
            )
        if kinds == {"yes"} and not (self.yes and self.no and not {*self.yes} & {*self.no}):
            raise ValueError("yes and no must each list their own words")
        return self


class Join(_Entry):
    """Fields of a schema that another operation tells, such as the price of an instance.

    Args:
        operation: a read without parameters whose answer is a list.
        match: fields of the schema, each with the field of an item that must be equal.
        take: fields of the schema, each with the field of the item that tells it.
        times: a field of the schema that a taken amount is multiplied by, such as `gpu_count`.
    """

    operation: str
    match: dict[str, str] = Field(min_length=1)
    take: dict[str, str] = Field(min_length=1)
    times: str | None = None


class Failure(_Entry):
    """How an answer with the status of a success says that it is a failure.

    Args:
        at: path in the whole answer of what tells.
        good: what stands there when all is well; anything else is a failure.
        status: path of a number like an HTTP status, which tells what kind of failure it is.
    """

    at: WirePath
    good: tuple[str, ...] = Field(min_length=1)
    status: WirePath | None = None


class Work(_Entry):
    """How an answer of status 202 names the work that it began, and how that is asked for.

    Args:
        id: path in the whole answer of the id of the work.
        path: where it is asked for with GET; `{id}` stands for the id.
        state: path, in that answer, of the word for how it stands.
        done: words for work that succeeded.
        failed: words for work that failed.
        message: path of what a person reads of a failure.
    """

    id: WirePath
    path: str
    state: WirePath
    done: tuple[str, ...] = Field(min_length=1)
    failed: tuple[str, ...] = Field(min_length=1)
    message: WirePath = "message"

    @field_validator("path")
    @classmethod
    def _holds_the_id(cls, path: str) -> str:
        if _PATH.fullmatch(path) is None or re.findall(r"\{[^}]*\}", path) != ["{id}"]:
            raise ValueError(f"must be a path that holds {{id}} once; got {path[:80]!r}")
        return path

    @model_validator(mode="after")
    def _ends_in_one_way(self) -> Self:
        if both := sorted({*self.done} & {*self.failed}):
            raise ValueError(f"done and failed must each list their own words; both have {both[0]}")
        return self


class Dialect(_Entry):
    """One way of speaking to Barrack. See `barrack_tasks.api.dialect` for how it is chosen.

    An operation that is not in `operations` does not exist on this wire. `schemas` maps, for each
    schema, canonical field names to wire paths; a field that is not named is called on the wire as
    it is called here, and one that is None does not exist there. `words` maps, for each enum, words
    of the wire to canonical ones; a word that is not named stands for itself. `values` says how
    single fields are written, `joins` which fields come from another operation. `codec` names a
    class of Python, `module:Class`, that does what no entry can say.
    """

    name: str = "built-in"
    base_url: str = "https://api.barrack.ai/v1"
    auth: Auth = Auth()
    envelope: WirePath = ""
    error_envelope: WirePath = ""
    request_id_header: str = "x-request-id"
    paging: Paging = Paging()
    operations: dict[str, OperationWire] = Field(default_factory=dict)
    schemas: dict[str, dict[str, ListPath | None]] = Field(default_factory=dict)
    words: dict[str, dict[str, str]] = Field(default_factory=dict)
    values: dict[str, dict[str, Value]] = Field(default_factory=dict)
    joins: dict[str, Join] = Field(default_factory=dict)
    failure: Failure | None = None
    work: Work | None = None
    codec: str = ""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        if not re.match(r"https?://[^/?#\s]", address, re.IGNORECASE):
            raise ValueError(
                f"must be an address such as https://api.example.com/v1; got {address[:100]!r}"
            )
        return address

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
        """Whether a field of a schema can be known on this wire, from wherever."""
        value = self.values.get(schema, {}).get(field)
        join = self.joins.get(schema)
        return (
            self.schemas.get(schema, {}).get(field, field) is not None
            or (value is not None and (value.constant is not None or bool(value.cases)))
            or (join is not None and field in join.take)
        )
