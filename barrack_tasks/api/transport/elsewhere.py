"""What another read of the API tells: prices of instances, names for ids, parts of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from barrack_tasks.api.dialect import Dialect, Join, Lookup
from barrack_tasks.api.dialect.codec import as_word, dig, gathered, is_grouped, steps_of
from barrack_tasks.api.errors import (
    BarrackError,
    BarrackNotFoundError,
    BarrackResponseError,
    BarrackValidationError,
)
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.exchange import Call

KEPT_FOR = 300.0
"""Seconds for which a list of another operation tells: prices change by the day."""
MISSED_FOR = 10.0
"""Seconds after which such a list is read again for what it did not show: it may be new."""

_PAGE_SIZE = 100
_MOST_PAGES = 200

ReadAll = Callable[[Call], Any]
Ask = Callable[[str, Mapping[str, str]], Any]


class Elsewhere:
    """Fills in what other operations tell, in one dialect."""

    def __init__(
        self, dialect: Dialect, clock: Callable[[], float], word: Callable[[Any], str]
    ) -> None:
        """`word` is how a value of a request is written on the wire."""
        self._dialect = dialect
        self._word = word
        self._clock = clock
        self._kept: dict[str, tuple[float, list[Any]]] = {}
        self._parents: dict[tuple[str, str, str], str] = {}
        """By list, id of a thing and name of the parameter; what a thing lies in stays."""

    def fill(self, call: Call, answer: Any, read: ReadAll) -> Any:
        """An answer with what the dialect joins to the things in it.

        What cannot be read, or tells of no such thing or of two that differ, stays unknown.
        """
        result = call.operation.result
        if not self._dialect.joins or not result:
            return answer
        content = getattr(answer, result)
        things = content if isinstance(content, list) else [content]
        filled = [self._filled(thing, read) for thing in things]
        if all(new is old for new, old in zip(filled, things, strict=True)):
            return answer
        one = filled if isinstance(content, list) else filled[0]
        return answer.model_copy(update={result: one})

    def _filled(self, thing: Any, read: ReadAll) -> Any:
        join = self._dialect.joins.get(type(thing).__name__)
        if join is None or all(getattr(thing, field) is not None for field in join.take):
            return thing
        wanted = {theirs: getattr(thing, ours) for ours, theirs in join.match.items()}
        if any(value is None for value in wanted.values()):
            return thing
        found = self._fitting(self._items(join.operation, read), wanted)
        if not found and self._clock() - self._kept[join.operation][0] > MISSED_FOR:
            found = self._fitting(self._items(join.operation, read, MISSED_FOR), wanted)
        told = [_taken(join, thing, item) for item in found]
        if not told or any(other != told[0] for other in told):
            return thing
        missing = {k: v for k, v in told[0].items() if v is not None and getattr(thing, k) is None}
        try:
            return type(thing).model_validate({**dict(thing), **missing}) if missing else thing
        except ValidationError:
            return thing

    def named(self, call: Call, read: ReadAll) -> Call:
        """A call whose ids have the names beside them that the wire wants instead.

        Raises:
            BarrackValidationError: there is nothing with such an id.
            BarrackError: the list cannot be read.
        """
        if call.body is None:
            return call
        names: dict[str, str] = {}
        for field, how in self._dialect.values.get(type(call.body).__name__, {}).items():
            wanted = getattr(call.body, field)
            if how.name_of is None or wanted is None:
                continue
            found = [i for i in read(Call(OPERATIONS[how.name_of])) if wanted in (i.id, i.name)]
            if len({item.name for item in found}) != 1:
                problem = f"{wanted!r} is not the id of anything that {how.name_of} shows"
                raise BarrackValidationError(
                    f"{field}: {problem}", operation=call.operation.name, fields={field: problem}
                )
            names[field] = found[0].name
        return replace(call, names=names) if names else call

    def looked_up(self, call: Call, ask: Ask) -> Call:
        """A call with what its request holds besides, as lists of the API tell it.

        Args:
            call: what is to be sent.
            ask: reads the JSON at a path of the API, with these parameters of the address.

        Raises:
            BarrackValidationError: nothing fits, or several things do that differ.
            BarrackError: a list cannot be read.
        """
        wire = self._dialect.operations.get(call.operation.name)
        if wire is None or not wire.lookup or call.body is None:
            return call
        more = {}
        for place, how in wire.lookup.items():
            wanted = {
                path: self._word(value)
                for field, path in how.match.items()
                if (value := getattr(call.body, field)) is not None
            }
            found = [
                item
                for item in self._things(how, ask, call)
                if all(
                    as_word(dig(item, steps_of(path))).casefold() == value.casefold()
                    for path, value in {**wanted, **how.where}.items()
                )
            ]
            told = {as_word(t): t for i in found if (t := dig(i, steps_of(how.take))) is not None}
            if len(told) != 1:
                asked = " and ".join(f"{path} {value}" for path, value in wanted.items())
                several = f"more than one thing with {asked}: {', '.join(sorted(told))}"
                problem = f"{how.path} shows {several if told else f'nothing with {asked}'}"
                name = call.operation.name
                raise BarrackValidationError(
                    f"{place} cannot be told: {problem}", operation=name, fields={place: problem}
                )
            more[place] = next(iter(told.values()))
        return replace(call, more=more)

    def _things(self, how: Lookup, ask: Ask, call: Call) -> list[Any]:
        kept = self._kept.get(how.path + how.items)
        if kept is not None and self._clock() - kept[0] < KEPT_FOR:
            return kept[1]
        things: list[Any] = []
        for number in range(_MOST_PAGES):
            try:
                answer = ask(how.path, self._page(number, len(things)) if how.paged else {})
            except BarrackNotFoundError:
                if number:
                    break  # there is nothing behind the last page
                raise
            more = _listed(how, answer, call)
            fresh = [thing for thing in more if thing not in things]
            things += fresh if how.paged else more
            if not how.paged or not fresh:
                break
        else:
            raise BarrackResponseError(
                f"{how.path} does not end after {_MOST_PAGES} pages",
                operation=call.operation.name,
                took_effect=False,
            )
        self._kept[how.path + how.items] = (self._clock(), things)
        return things

    def _page(self, number: int, offset: int) -> dict[str, str]:
        """What asks for a page of a list; no page tells how many there are."""
        paging = self._dialect.paging
        size = {paging.page_size: str(_PAGE_SIZE)}
        if paging.style == "offset":
            return {paging.offset: str(offset), **size}
        return {paging.page: str(paging.first_page + number), **size}

    def under_parents(self, call: Call, read: ReadAll) -> Call:
        """A call with the ids in its path of what the thing lies in.

        Raises:
            BarrackNotFoundError: the list that tells it does not show the thing.
            BarrackError: the list cannot be read.
        """
        wire = self._dialect.operations.get(call.operation.name)
        if wire is None or not wire.parents or not call.operation.path_parameters:
            return call
        own = str(call.path[call.operation.path_parameters[-1]])
        above = {}
        for name, listed in wire.parents.items():
            place = (listed, own, name)
            if place not in self._parents:
                for item in read(Call(OPERATIONS[listed])):
                    told = getattr(item, name)
                    if told is not None:
                        self._parents[listed, str(item.id), name] = str(told)
            if place not in self._parents:
                raise BarrackNotFoundError(
                    f"{own!r} is not the id of anything that {listed} shows",
                    operation=call.operation.name,
                    took_effect=False,
                )
            above[name] = self._parents[place]
        return replace(call, above=above)

    def parents_of_a_list(self, call: Call, read: ReadAll) -> list[Call] | None:
        """For a list that lies under other things, one call for each of them; else None.

        Where the query names the thing, there is one call.

        Raises:
            BarrackError: the other things cannot be listed.
        """
        wire = self._dialect.operations.get(call.operation.name)
        if wire is None or not wire.parents or call.operation.path_parameters or call.above:
            return None
        calls = [call]
        for name, listed in wire.parents.items():
            query = {k: v for k, v in call.query.items() if k != name}
            if call.query.get(name) is not None:
                ids = [self._word(call.query[name])]
            else:
                ids = [
                    str(getattr(i, "id", None) or i.name) for i in read(Call(OPERATIONS[listed]))
                ]
            calls = [
                replace(one, query=query, above={**one.above, name: id_})
                for one in calls
                for id_ in ids
            ]
        return calls

    def has_lost_its_parent(self, call: Call, read: ReadAll) -> bool:
        """Whether a thing that a list lies under is not there any more."""
        wire = self._dialect.operations[call.operation.name]
        return any(id_ not in self._ids(wire.parents[n], read) for n, id_ in call.above.items())

    def _ids(self, listed: str, read: ReadAll) -> list[str]:
        things = read(Call(OPERATIONS[listed]))
        return [self._word(getattr(thing, "id", None) or thing.name) for thing in things]

    @staticmethod
    def _fitting(items: list[Any], wanted: Mapping[str, Any]) -> list[Any]:
        return [
            item
            for item in items
            if all(_plain(getattr(item, field)) == _plain(v) for field, v in wanted.items())
        ]

    def _items(self, operation: str, read: ReadAll, longest: float = KEPT_FOR) -> list[Any]:
        kept = self._kept.get(operation)
        if kept is not None and self._clock() - kept[0] < longest:
            return kept[1]
        try:
            items = list(read(Call(OPERATIONS[operation])))
        except BarrackError:
            items = []  # what they would have told is unknown, and guards refuse to act on that
        self._kept[operation] = (self._clock(), items)
        return items


def _listed(how: Lookup, answer: Any, call: Call) -> list[Any]:
    """The things in one answer of a list that is looked up in."""
    steps = steps_of(how.items)
    try:
        things = list(gathered(answer, steps)) if is_grouped(steps) else dig(answer, steps)
    except ValueError:
        things = None
    if not isinstance(things, list):
        raise BarrackResponseError(
            f"{how.path} shows no list at {how.items!r}",
            operation=call.operation.name,
            took_effect=False,
        )
    return things


def _plain(value: Any) -> str:
    return str(value).casefold()


def _taken(join: Join, thing: Any, item: Any) -> Mapping[str, Any]:
    told = {ours: getattr(item, theirs) for ours, theirs in join.take.items()}
    if join.times is None:
        return told
    factor = getattr(thing, join.times)
    return {
        field: (None if factor is None else value * int(factor))
        if isinstance(value, Decimal)
        else value
        for field, value in told.items()
    }
