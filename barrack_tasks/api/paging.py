"""Lists that come in pages, read lazily."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from barrack_tasks.api.dialect import Paging
from barrack_tasks.api.errors import BarrackResponseError
from barrack_tasks.api.exchange import Call
from barrack_tasks.api.models import Pagination

PAGE_SIZE = 100
"""Items asked for at once [I]."""
READINGS = 3
"""How often a list that shrinks while it is read is read again."""


def all_items(call: Call, read: Callable[[Call], Any], paging: Paging) -> Iterator[Any]:
    """Each item of a paged list once, a page being read when its first item is wanted.

    A thing that moves to a later page while the pages are read is given once. When things go,
    those behind them move up, maybe to a page that was read already: a list that has become
    shorter is read again for what was missed.

    Raises:
        BarrackResponseError: the server gives the same page again and again, and says that there
            is more.
    """
    seen: set[str] = set()
    for _ in range(READINGS):
        reading = _Reading(call, read, paging)
        for item in reading:
            if item.id not in seen:
                seen.add(item.id)
                yield item
        if not reading.shrunk:
            return


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

    def __init__(self, call: Call, read: Callable[[Call], Any], paging: Paging) -> None:
        self._call = call
        self._read = read
        self._paging = paging
        self._total = 0
        self.shrunk = False
        """Whether the list became shorter while it was read."""

    def __iter__(self) -> Iterator[Any]:
        place = _Place(self._paging.first_page)
        page_before: list[str] = []
        while True:
            query = {**self._call.raw_query, **place.query(self._paging)}
            answer = self._read(replace(self._call, raw_query=query))
            items = getattr(answer, self._call.operation.result)
            at = answer.pagination or Pagination()
            self._note_total(at)
            page = [item.id for item in items]
            if page and page == page_before:
                self._stuck(place)
                return
            yield from items
            place.offset += len(items)
            place.page += 1
            place.cursor = at.next_cursor
            if not items or self._is_last(at, place, len(items), len(page_before)):
                return
            page_before = page

    def _note_total(self, at: Pagination) -> None:
        total = at.total or 0
        self.shrunk = self.shrunk or total < self._total
        self._total = total

    def _stuck(self, place: _Place) -> None:
        """The same page came twice: either it is all there is, or paging is not understood."""
        if self._total > place.offset:
            raise BarrackResponseError(
                f"{self._total} items are said to be there, but the same page comes again after "
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
