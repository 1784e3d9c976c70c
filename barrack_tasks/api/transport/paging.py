"""Lists that come in pages, read lazily."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from barrack_tasks.api.dialect import Paging
from barrack_tasks.api.errors import BarrackResponseError
from barrack_tasks.api.models import Pagination
from barrack_tasks.api.transport.bounds import DEFAULT, Bounds
from barrack_tasks.api.transport.exchange import Call

PAGE_SIZE = 100
"""Items asked for at once [I]."""
READINGS = 3
"""How often a list is read that changes while it is read, or that has less than it says."""


def all_items(
    call: Call,
    read: Callable[[Call], Any],
    paging: Paging,
    bounds: Bounds = DEFAULT,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Any]:
    """Each item of a paged list once, a page being read when its first item is wanted.

    A thing that moves to a later page while the pages are read is given once. When things go,
    those behind them move up, maybe to a page that was read already: a list that has become
    shorter, or that has fewer items or pages than it says, is read again for what was missed.

    Raises:
        BarrackResponseError: the list has fewer items or pages than it says, also when it is read
            again; or it goes beyond a bound; or the server gives the same page again and again, and
            says that there is more.
    """
    meter = _Meter(call, read, bounds, clock)
    seen: set[str] = set()
    for _ in range(READINGS):
        reading = _Reading(call, meter.page, paging, bounds)
        for item in reading:
            if item.id not in seen:
                seen.add(item.id)
                meter.check_items(len(seen))
                yield item
        if reading.is_whole:
            return
    if missing := reading.missing(len(seen)):
        raise _unusable(call, missing)


def _unusable(call: Call, message: str) -> BarrackResponseError:
    """The error of a list as it is: to read it once more would not help."""
    name = call.operation.name
    return BarrackResponseError(message, operation=name, fields={call.operation.result: message})


class _Meter:
    """Reads pages, and counts what the list costs over all its readings."""

    def __init__(
        self, call: Call, read: Callable[[Call], Any], bounds: Bounds, clock: Callable[[], float]
    ) -> None:
        self._call = call
        self._read = read
        self._bounds = bounds
        self._clock = clock
        self._seconds = 0.0
        self._pages = 0

    def page(self, call: Call) -> Any:
        if self._pages >= self._bounds.pages:
            raise self._endless(f"{self._bounds.pages:,} pages")
        if self._seconds >= self._bounds.list_seconds:
            raise self._endless(f"{self._bounds.list_seconds:g} s and {self._pages:,} pages")
        began = self._clock()
        answer = self._read(call)
        # Whoever wants the items may take their time with each.
        self._seconds += self._clock() - began
        self._pages += 1
        return answer

    def check_items(self, count: int) -> None:
        if count > self._bounds.items:
            raise self._endless(f"{self._bounds.items:,} items")

    def _endless(self, so_far: str) -> BarrackResponseError:
        return _unusable(
            self._call, f"the list does not end: after {so_far} more are said to be there"
        )


@dataclass
class _Place:
    """Where the next page begins, in each of the styles."""

    page: int
    offset: int = 0
    cursor: str | None = None

    def query(self, paging: Paging) -> dict[str, str]:
        if paging.style == "none":
            return {}
        size = {paging.page_size: str(PAGE_SIZE)}
        match paging.style:
            case "page":
                return {paging.page: str(self.page), **size}
            case "offset":
                return {paging.offset: str(self.offset), **size}
            case _:
                return {paging.cursor: self.cursor, **size} if self.cursor else size


class _Reading:
    """One way through the pages, from the first to the last."""

    def __init__(
        self, call: Call, read: Callable[[Call], Any], paging: Paging, bounds: Bounds
    ) -> None:
        self._call = call
        self._read = read
        self._paging = paging
        self._bounds = bounds
        self._ids: set[str] = set()
        self._totals: list[int] = []
        self._pages_said = 0
        self._pages_read = 0
        """Without an empty page at the end, and one that comes a second time."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing can have been missed, as far as figures tell."""
        has_shrunk = any(later < earlier for earlier, later in pairwise(self._totals))
        return not has_shrunk and not self.missing(len(self._ids))

    def missing(self, count: int) -> str:
        """A sentence if items are missing where so many came; nothing, if none are."""
        said = self._totals[0] if self._totals else 0
        if count < said:
            return f"{said} items are said to be there, and {count} came, also when read again"
        # A list of one page may be empty.
        if not self._totals and self._pages_read < self._pages_said > 1:
            return (
                f"{self._pages_said} pages are said to be there, and {self._pages_read} came, also "
                "when read again"
            )
        return ""

    def __iter__(self) -> Iterator[Any]:
        place = _Place(self._paging.first_page)
        page_before: list[str] = []
        idle = 0
        while True:
            query = {**self._call.raw_query, **place.query(self._paging)}
            answer = self._read(replace(self._call, raw_query=query))
            items = getattr(answer, self._call.operation.result)
            at = answer.pagination or Pagination()
            self._note_figures(at, len(items))
            page = [item.id for item in items]
            stands_still = self._stands_still(at, place)
            if stands_still and page and page == page_before:
                self._stuck(place)
                return
            idle = 0 if not self._ids.issuperset(page) else idle + 1
            self._ids.update(page)
            yield from items
            place.offset += len(items)
            place.page += 1
            place.cursor = at.next_cursor
            if not items and stands_still:
                return
            self._pages_read += 1
            if self._is_last(at, place, len(items), len(page_before)):
                return
            if idle >= self._bounds.idle_pages:
                raise _unusable(
                    self._call,
                    f"the list does not end: {idle} pages in a row bring nothing new, and more are "
                    "said to be there",
                )
            page_before = page

    def _stands_still(self, at: Pagination, place: _Place) -> bool:
        """Whether the next page would be no other than this one, if this one tells nothing new."""
        return self._paging.style != "cursor" or at.next_cursor in (None, "", place.cursor)

    def _note_figures(self, at: Pagination, items: int) -> None:
        if at.total is not None:
            self._totals.append(at.total)
        if at.pages is not None and (items or at.pages > self._pages_said):
            self._pages_said = at.pages  # an empty page does not take back what others said

    def _stuck(self, place: _Place) -> None:
        """The same page came twice: either it is all there is, or paging is not understood."""
        total = self._totals[-1] if self._totals else 0
        if total > place.offset:
            raise BarrackResponseError(
                f"{total} items are said to be there, but the same page comes again after "
                f"{place.offset} of them: this API pages in another way than "
                f"{self._paging.style!r}; correct paging in a dialect file",
                operation=self._call.operation.name,
            )

    def _is_last(self, at: Pagination, place: _Place, items: int, items_before: int) -> bool:
        if self._paging.style == "none":
            return True
        if self._paging.style == "cursor":
            return not at.next_cursor
        if self._paging.style == "page" and at.pages is not None:
            return place.page - self._paging.first_page >= at.pages
        if at.total is not None:
            return place.offset >= at.total
        # No figures: a page that is shorter than another is the last. One alone tells nothing,
        # since the server may hand out smaller pages than were asked for.
        return items < (at.page_size or items_before)
