"""Lists that come in pages: the first when it is wanted, the others at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from barrack_tasks.api.dialect import Paging
from barrack_tasks.api.errors import (
    BarrackResponseError,
    BarrackTransportError,
    BarrackValidationError,
)
from barrack_tasks.api.models import Pagination
from barrack_tasks.api.transport.bounds import DEFAULT, Bounds
from barrack_tasks.api.transport.exchange import Call

PAGE_SIZE = 100
"""Items asked for at once [I]."""
AT_ONCE = 16
"""Pages of one list that are read at once, at the most."""
OVERLAPS = (1, 25, 0, 0)
"""Items that a page shares with the one before, in each reading of a list that changes meanwhile.

Without a shared item two pages prove nothing, and a list counts once two readings are the same."""
_BATCH = 64
_CHAINED = ("cursor", "link", "next")
"""Styles in which each page tells where the next one is."""

Read = Callable[[Call], Any]
Together = Callable[[Read, list[Call]], Iterator[Any]]
"""Reads some pages; gives them in their order. What is not wanted any more may stay unread."""


def one_by_one(read: Read, calls: list[Call]) -> Iterator[Any]:
    """Each page when it is wanted."""
    return map(read, calls)


def at_once(read: Read, calls: list[Call]) -> Iterator[Any]:
    """Pages read by several threads, which end with the list: a client has none of its own."""
    if len(calls) == 1:
        yield read(calls[0])
        return
    pool = ThreadPoolExecutor(min(AT_ONCE, len(calls)), thread_name_prefix="barrack-pages")
    try:
        yield from pool.map(read, calls)
    finally:
        pool.shutdown(cancel_futures=True)


def all_items(
    call: Call,
    read: Read,
    paging: Paging,
    bounds: Bounds = DEFAULT,
    clock: Callable[[], float] = time.monotonic,
    together: Together = one_by_one,
) -> Iterator[Any]:
    """Each item of a paged list once; the first page is read when its first item is wanted.

    A list may change while it is read. In the styles `page` and `offset`, where the first page says
    how many there are, each later page begins with an item of the one before it. As long as that
    is so, all that was there from the beginning to the end has come, whatever went or came
    meanwhile: for what stays keeps its order. If it is not so, or the list has fewer items or
    pages than it says, it is read again for what was missed. A server that has no pages of other
    sizes is asked until two readings are the same.

    That cannot be told where the server says no figures, where a cursor counts items instead of
    naming one, and where a thing changes its place among the others.

    Args:
        call: the list.
        read: reads one page.
        paging: how pages are asked for.
        bounds: the most that is taken in.
        clock: seconds that pass.
        together: how several pages are read.

    Raises:
        BarrackResponseError: the list has fewer items or pages than it says, also when it is read
            again; or it goes beyond a bound; or the server gives the same page again and again, and
            says that there is more.
        BarrackTransportError: the list changes faster than it can be read.
    """
    meter = _Meter(call, read, bounds, clock, together)
    seen: set[str] = set()
    same_as: set[str] | None = None
    sizes_are_fixed = False
    for overlap in OVERLAPS:
        reading = _Reading(call, meter, paging, bounds, 0 if sizes_are_fixed else overlap)
        try:
            for item in reading:
                if item.id not in seen:
                    seen.add(item.id)
                    meter.check_items(len(seen))
                    yield item
        except _SizesAreFixed:
            sizes_are_fixed = True
            continue
        if reading.is_whole and (reading.is_proven or reading.ids == same_as):
            return
        same_as = None if reading.is_proven else reading.ids
    if missing := reading.missing(len(seen)):
        raise _unusable(call, missing)
    if not reading.is_proven:
        raise BarrackTransportError(
            "the list changes faster than it can be read",
            operation=call.operation.name,
            took_effect=False,
        )


class _SizesAreFixed(Exception):
    """The server gives no pages of the size that was asked for."""


def _unusable(call: Call, message: str) -> BarrackResponseError:
    """The error of a list as it is: to read it once more would not help."""
    name = call.operation.name
    return BarrackResponseError(message, operation=name, fields={call.operation.result: message})


class _Meter:
    """Reads pages, and counts what the list costs over all its readings."""

    def __init__(
        self,
        call: Call,
        read: Read,
        bounds: Bounds,
        clock: Callable[[], float],
        together: Together,
    ) -> None:
        self._call = call
        self._read = read
        self._bounds = bounds
        self._clock = clock
        self._together = together
        self._seconds = 0.0
        self._pages = 0

    def pages(self, calls: list[Call]) -> Iterator[Any]:
        """The answers in their order."""
        answers = self._together(self._read, calls)
        for _ in calls:
            if self._pages >= self._bounds.pages:
                raise self._endless(f"{self._bounds.pages:,} pages")
            if self._seconds >= self._bounds.list_seconds:
                raise self._endless(f"{self._bounds.list_seconds:g} s and {self._pages:,} pages")
            began = self._clock()
            answer = next(answers)
            # Whoever wants the items may take their time with each.
            self._seconds += self._clock() - began
            self._pages += 1
            yield answer

    def page(self, call: Call) -> Any:
        """One answer."""
        return next(self.pages([call]))

    def check_items(self, count: int) -> None:
        if count > self._bounds.items:
            raise self._endless(f"{self._bounds.items:,} items")

    def _endless(self, so_far: str) -> BarrackResponseError:
        return _unusable(
            self._call, f"the list does not end: after {so_far} the API still announces more"
        )


@dataclass
class _Place:
    """Where the next page begins, in each of the styles."""

    page: int
    offset: int = 0
    cursor: str | None = None
    size: int = PAGE_SIZE

    def query(self, paging: Paging) -> dict[str, str]:
        if paging.style == "none":
            return {}
        size = {paging.page_size: str(self.size)}
        match paging.style:
            case "page":
                return {paging.page: str(self.page), **size}
            case "offset":
                return {paging.offset: str(self.offset), **size}
            case "link" | "next":
                # Of an address that the answer gives only the query is used: the path and host,
                # to which the key goes, stay those that were asked for.
                return dict(parse_qsl(urlsplit(self.cursor).query)) if self.cursor else size
            case _:
                return {paging.cursor: self.cursor, **size} if self.cursor else size


def _places(paging: Paging, size: int, reached: int, end: int, overlap: int) -> Iterator[_Place]:
    """Where the further pages begin, each so many items before the end of the one before.

    In the style `page` one begins at a multiple of its size, so each has the size that leads
    furthest: 100, 99, 98 and so on.

    Raises:
        _SizesAreFixed: no page of any size overlaps so.
    """
    overlap = min(overlap, size // 2)
    while reached < end:
        start = reached - overlap
        if paging.style == "page" and overlap:
            own = max(range(overlap + 1, size + 1), key=lambda s: (start // s + 1) * s)
            start = start // own * own
        else:
            own = size
        if start + own <= reached:
            raise _SizesAreFixed
        yield _Place(paging.first_page + start // own, start, size=own)
        reached = start + own


class _Reading:
    """One way through the pages, from the first to the last."""

    def __init__(
        self, call: Call, meter: _Meter, paging: Paging, bounds: Bounds, overlap: int
    ) -> None:
        self._call = call
        self._meter = meter
        self._paging = paging
        self._bounds = bounds
        self._overlap = overlap
        self._totals: list[int] = []
        self._pages_said = 0
        self._size = 1
        """Items of a full page, as the server gives them."""
        self._is_linked: bool | None = None
        """Whether each page held an item of the one before; None if none had to."""
        self.ids: set[str] = set()
        self.is_proven = True
        """Whether one reading alone can tell that nothing was missed, as far as can be told."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing can have been missed, as far as one reading tells."""
        if self._is_linked is None:
            is_still = not any(later < earlier for earlier, later in pairwise(self._totals))
        else:
            is_still = self._is_linked
        return is_still and not self.missing(len(self.ids))

    def missing(self, count: int) -> str:
        """A sentence if items are missing where so many came; nothing, if none are."""
        said = self._totals[0] if self._totals else 0
        if count < said:
            return f"the API announces {said} items and sends {count}, also when asked again"
        came = -(-count // self._size)
        # A list of one page may be empty.
        if not self._totals and came < self._pages_said > 1:
            return (
                f"the API announces {self._pages_said} pages and sends {came}, also when asked "
                "again"
            )
        return ""

    def __iter__(self) -> Iterator[Any]:
        place = _Place(self._paging.first_page)
        page_before: list[str] = []
        idle = 0
        while True:
            answer = self._meter.page(self._at(place))
            items = getattr(answer, self._call.operation.result)
            at = answer.pagination or Pagination()
            self._note_figures(at, len(items))
            page = [item.id for item in items]
            stands_still = self._stands_still(at, place)
            if stands_still and page and page == page_before:
                self._stuck(place.offset)
                return
            idle = self._idle(page, idle)
            yield from items
            if items and not page_before and (end := self._end()) > len(items):
                yield from self._others(page, end)
                return
            place.offset += len(items)
            place.page += 1
            place.cursor = at.next_cursor
            if not items and stands_still:
                return
            if self._is_last(at, place, len(items), len(page_before)):
                return
            page_before = page

    def _others(self, page_before: list[str], end: int) -> Iterator[Any]:
        """The pages after the first, of which it is said how many there are."""
        size = reached = len(page_before)
        self._is_linked = True if self._overlap else None
        self.is_proven = bool(self._overlap)
        idle = 0
        while reached < end:
            places = _places(self._paging, size, reached, end, self._overlap)
            batch = list(islice(places, _BATCH))
            for place, answer in zip(batch, self._pages(batch), strict=True):
                items = getattr(answer, self._call.operation.result)
                at = answer.pagination or Pagination()
                self._note_figures(at, len(items))
                page = [item.id for item in items]
                if page == page_before and len(page) == place.size:
                    self._stuck(len(self.ids))
                    return
                if len(page) > place.size:
                    raise _SizesAreFixed
                is_old = self.ids.issuperset(page)
                idle = self._idle(page, idle)
                yield from items
                if self._overlap and page and set(page).isdisjoint(page_before):
                    self._is_linked = False
                    return
                if is_old and len(page) < place.size:
                    return  # whether that is less than was said is asked afterwards
                page_before = page
                reached = place.offset + len(page)
                # Things that came may have pushed others further than was said at first.
                end = max(end, (at.pages or 0) * place.size) if at.total is None else at.total

    def _pages(self, places: list[_Place]) -> Iterator[Any]:
        try:
            yield from self._meter.pages([self._at(place) for place in places])
        except BarrackValidationError:
            if not self._overlap:
                raise
            raise _SizesAreFixed from None

    def _at(self, place: _Place) -> Call:
        query = {**self._call.raw_query, **place.query(self._paging)}
        return replace(self._call, raw_query=query)

    def _end(self) -> int:
        """How many items there may be, as far as figures say; 0 if pages must be asked for."""
        if self._paging.style not in ("page", "offset"):
            return 0
        return self._totals[-1] if self._totals else self._pages_said * self._size

    def _idle(self, page: list[str], so_far: int) -> int:
        """Pages in a row that brought nothing new."""
        idle = so_far + 1 if self.ids.issuperset(page) else 0
        self.ids.update(page)
        if idle > self._bounds.idle_pages:
            raise _unusable(
                self._call,
                f"the list does not end: {self._bounds.idle_pages} pages in a row bring nothing "
                "new, and the API announces more",
            )
        return idle

    def _stands_still(self, at: Pagination, place: _Place) -> bool:
        """Whether the next page would be no other than this one, if this one tells nothing new."""
        return self._paging.style not in _CHAINED or at.next_cursor in (None, "", place.cursor)

    def _note_figures(self, at: Pagination, items: int) -> None:
        self._size = max(self._size, items)
        if at.total is not None:
            self._totals.append(at.total)
        if (
            at.pages is not None
            and self._is_linked is None
            and (items or at.pages > self._pages_said)
        ):
            # An empty page does not take back what others said, and of pages of other sizes there
            # are more or fewer.
            self._pages_said = at.pages

    def _stuck(self, offset: int) -> None:
        """The same page came twice: either it is all there is, or paging is not understood."""
        total = self._totals[-1] if self._totals else 0
        if total > offset:
            raise BarrackResponseError(
                f"the API announces {total} items, but sends the same page again after "
                f"{offset} of them: it pages in another way than "
                f"{self._paging.style!r}; correct paging in a dialect file",
                operation=self._call.operation.name,
            )

    def _is_last(self, at: Pagination, place: _Place, items: int, items_before: int) -> bool:
        if self._paging.style == "none":
            return True
        if self._paging.style in _CHAINED:
            return not at.next_cursor
        if self._paging.style == "page" and at.pages is not None:
            return place.page - self._paging.first_page >= at.pages
        if at.total is not None:
            return place.offset >= at.total
        # No figures: a page that is shorter than another is the last. One alone tells nothing,
        # since the server may hand out smaller pages than were asked for.
        return items < (at.page_size or items_before)
