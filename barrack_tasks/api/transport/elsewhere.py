"""What an answer does not tell and another operation does: prices of instances, names for ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from barrack_tasks.api.dialect import Dialect, Join
from barrack_tasks.api.errors import BarrackError, BarrackValidationError
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.exchange import Call

KEPT_FOR = 300.0
"""Seconds for which a list of another operation tells: prices change by the day."""

ReadAll = Callable[[Call], Any]


class Elsewhere:
    """Fills in what other operations tell, in one dialect."""

    def __init__(self, dialect: Dialect, clock: Callable[[], float]) -> None:
        self._dialect = dialect
        self._clock = clock
        self._kept: dict[str, tuple[float, list[Any]]] = {}

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
        found = [
            item
            for item in self._items(join.operation, read)
            if all(_plain(getattr(item, field)) == _plain(v) for field, v in wanted.items())
        ]
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

    def _items(self, operation: str, read: ReadAll) -> list[Any]:
        kept = self._kept.get(operation)
        if kept is not None and self._clock() - kept[0] < KEPT_FOR:
            return kept[1]
        try:
            items = list(read(Call(OPERATIONS[operation])))
        except BarrackError:
            items = []  # what they would have told is unknown, and guards refuse to act on that
        self._kept[operation] = (self._clock(), items)
        return items


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
