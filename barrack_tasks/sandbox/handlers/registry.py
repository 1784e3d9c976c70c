"""What a handler is given, and how it is found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar

from barrack_tasks.api.models import Pagination
from barrack_tasks.api.models.base import Model
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.clock import to_micros
from barrack_tasks.sandbox.cloud.world import CloudState

MAX_PAGE_SIZE = 100
MOST = 999_999_999
"""The greatest page or offset."""
_LEAP_SECOND = re.compile(r":60(?=\.|Z|\+|-|$)")
# No zone of any caller turns these into a year that Python does not have.
_EARLIEST = to_micros(datetime(1, 1, 3, tzinfo=UTC))
_LATEST = to_micros(datetime(9999, 12, 29, tzinfo=UTC))
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True)
class PageAsk:
    """Which page is asked for, whatever the style of paging."""

    style: Literal["page", "offset", "cursor", "none"] = "none"
    size: int = MAX_PAGE_SIZE
    offset: int = 0
    number: int = 1
    after: int = 0
    """Serial number that a cursor stands behind."""


@dataclass(frozen=True)
class SandboxCall:
    """A request under canonical names."""

    operation: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    page: PageAsk = PageAsk()
    query_names: Mapping[str, str] = field(default_factory=dict)
    """What the query's parameters are called on the wire, for messages."""

    def refuse_query(self, name: str, message: str) -> refusals.Refused:
        """A refusal of one parameter of the query."""
        return refusals.invalid({self.query_names.get(name, name): message})

    def window(self) -> tuple[int | None, int | None]:
        """The moments `start` and `end` of the query, in microseconds.

        An end before the start is no mistake but a window with nothing in it.

        Raises:
            Refused: 422 for text that is no moment.
        """
        return self._moment("start"), self._moment("end")

    def _moment(self, name: str) -> int | None:
        text = self.query.get(name)
        if text is None:
            return None
        try:
            # Leap seconds are valid in the format, and unknown to Python.
            moment = datetime.fromisoformat(_LEAP_SECOND.sub(":59", text.upper()))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return min(max(to_micros(moment), _EARLIEST), _LATEST)
        except ValueError:
            raise self.refuse_query(
                name, "must be a moment in ISO 8601, for example 2026-11-25T08:00:00Z"
            ) from None


class Numbered(Protocol):
    """Something with a place in the order of creation."""

    serial: int


N = TypeVar("N", bound=Numbered)
Handler = Callable[[CloudState, SandboxCall], Model]
HANDLERS: dict[str, Handler] = {}


def handles(operation: str) -> Callable[[Handler], Handler]:
    """Register the handler of an operation.

    Example:
        >>> @handles("get_credit_balance")
        ... def get_credit_balance(world, call): ...
    """

    def register(handler: Handler) -> Handler:
        HANDLERS[operation] = handler
        return handler

    return register


def one_page(call: SandboxCall, things: Iterable[N]) -> tuple[list[N], Pagination | None]:
    """The page that is asked for, and where it stands in the list."""
    every, page = list(things), call.page
    total = len(every)
    match page.style:
        case "none":
            return every, None
        case "cursor":
            rest = [thing for thing in every if thing.serial > page.after]
            shown = rest[: page.size]
            more = len(rest) > len(shown)
            cursor = cursor_behind(shown[-1].serial) if more else None
            return shown, Pagination(page_size=page.size, next_cursor=cursor)
        case "offset":
            shown = every[page.offset : page.offset + page.size]
            return shown, Pagination(offset=page.offset, page_size=page.size, total=total)
    shown = every[page.offset : page.offset + page.size]
    pages = -(-total // page.size)
    return shown, Pagination(page=page.number, page_size=page.size, total=total, pages=pages)


def cursor_behind(serial: int) -> str:
    """An opaque text for a place in a list."""
    return f"c{serial:x}"


def place_of(cursor: str) -> int | None:
    """The place that `cursor_behind` made a text of; None for any other text."""
    if not re.fullmatch(r"c[0-9a-f]{1,12}", cursor):
        return None
    return int(cursor[1:], 16)


def number_in(text: str, least: int, most: int) -> int | None:
    """A whole number of a query within bounds, else None."""
    if not _NUMBER.fullmatch(text):
        return None
    return int(text) if least <= int(text) <= most else None
