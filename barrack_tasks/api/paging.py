"""Lists that come in pages, read lazily."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from barrack_tasks.api.dialect import Paging
from barrack_tasks.api.exchange import Call
from barrack_tasks.api.models import Pagination

PAGE_SIZE = 100
"""Items asked for at once [I]."""


def all_items(call: Call, read: Callable[[Call], Any], paging: Paging) -> Iterator[Any]:
    """Each item of a paged list once, a page being read when its first item is wanted.

    A thing that moves from one page to the next while the pages are read is given once.
    """
    seen: set[str] = set()
    read_so_far = 0
    page = paging.first_page
    cursor: str | None = None
    while True:
        position = _position(paging, page, read_so_far, cursor)
        answer = read(replace(call, raw_query={**call.raw_query, **position}))
        items = getattr(answer, call.operation.result)
        fresh = [item for item in items if item.id not in seen]
        seen.update(item.id for item in fresh)
        yield from fresh
        read_so_far += len(items)
        page += 1
        pagination = answer.pagination or Pagination()
        cursor = pagination.next_cursor
        if not fresh or _is_last(paging, pagination, page, read_so_far, len(items)):
            return


def _position(paging: Paging, page: int, offset: int, cursor: str | None) -> dict[str, str]:
    if paging.style == "none":
        return {}
    size = {paging.page_size: str(PAGE_SIZE)}
    match paging.style:
        case "page":
            return {paging.page: str(page), **size}
        case "offset":
            return {paging.offset: str(offset), **size}
        case _:
            return {paging.cursor: cursor, **size} if cursor else size


def _is_last(paging: Paging, at: Pagination, next_page: int, read: int, items: int) -> bool:
    if paging.style == "none":
        return True
    if paging.style == "cursor":
        return not at.next_cursor
    if at.total is not None:
        return read >= at.total
    if paging.style == "page" and at.pages is not None:
        return next_page - paging.first_page >= at.pages
    return items < (at.page_size or PAGE_SIZE)
