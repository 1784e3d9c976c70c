"""What clients look up before they send: lists of names that stand for what a caller gives.

The names are made of what they stand for, so that the sandbox can read them back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from barrack_tasks.api.dialect import Dialect, Lookup
from barrack_tasks.sandbox.cloud import catalogue
from barrack_tasks.sandbox.http.wire import as_json, path_of, put, put_in_groups

_PAGE_SIZE = 7
"""Items of a page, however many are asked for."""


class Lookups:
    """The lists of a dialect's lookups."""

    def __init__(self, dialect: Dialect, prefix: str) -> None:
        self._words = dialect.words
        self._paging = dialect.paging
        self._known = [
            (operation, place, how)
            for operation, wire in dialect.operations.items()
            for place, how in wire.lookup.items()
        ]
        self._prefix = prefix

    def at(self, path: str, query: Mapping[str, str]) -> Any:
        """The list that stands at a path, or the page that is asked for; None if none does."""
        how = next((h for _, _, h in self._known if self._prefix + h.path == path), None)
        if how is None:
            return None
        items = [self._item(how, given) for given in _all(how)]
        if how.paged:
            start = self._start(query)
            items = items[start : start + _PAGE_SIZE]
        body: dict[str, Any] = {}
        steps = path_of(how.items)
        if any(step.endswith(("[]", "{}")) for step in steps):
            inside = {step.removesuffix("[]") for step in steps[1:]}
            own = [{**item, "^": {"group": n // 2}} for n, item in enumerate(items)]
            put_in_groups(body, steps, own if inside else items)
        else:
            put(body, steps, items)
        return body

    def _start(self, query: Mapping[str, str]) -> int:
        paging = self._paging
        if paging.style == "offset":
            return int(query.get(paging.offset, "0"))
        return (int(query.get(paging.page, paging.first_page)) - paging.first_page) * _PAGE_SIZE

    def _item(self, how: Lookup, given: Mapping[str, str]) -> dict[str, Any]:
        item: dict[str, Any] = {}
        for field, place in how.match.items():
            number = given[field].isdecimal()
            put(item, path_of(place), int(given[field]) if number else self._word(given[field]))
        for place, word in how.where.items():
            put(item, path_of(place), as_json(word))
        put(item, path_of(how.take), _name_of(given))
        return item

    def _word(self, canonical: str) -> str:
        for words in self._words.values():
            for word, meant in words.items():
                if meant == canonical:
                    return word
        return canonical

    def meant(self, operation: str, body: Any) -> dict[str, str]:
        """What the names in a request stand for, by our fields."""
        found: dict[str, str] = {}
        for name, place, how in self._known:
            if name != operation:
                continue
            sent = body
            for step in path_of(place):
                sent = sent.get(step) if isinstance(sent, Mapping) else None
            found |= next((given for given in _all(how) if _name_of(given) == sent), {})
        return found


def _all(how: Lookup) -> Iterator[dict[str, str]]:
    """Each thing that a lookup may ask for, by the fields that it asks with."""
    offers = {
        (region, model, str(count))
        for region, model in product(catalogue.REGIONS, catalogue.OFFERS)
        for count in catalogue.OFFERS[model].counts
    }
    names = ("region", "gpu_model", "gpu_count")
    asked = [n for n, name in enumerate(names) if name in how.match]
    for one in sorted({tuple(offer[n] for n in asked) for offer in offers}):
        yield {names[n]: value for n, value in zip(asked, one, strict=True)}


def _name_of(given: Mapping[str, str]) -> str:
    return "default-" + "-".join(given.values())
