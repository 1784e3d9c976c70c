"""Finding out whether a request took effect whose answer was lost.

Nothing that changes something is repeated before this has looked. Names are unique in an account
[D], and an action's effect shows in the state, so there is something to look for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from barrack_tasks.api.errors import BarrackConflictError, BarrackError, BarrackNotFoundError
from barrack_tasks.api.exchange import Call
from barrack_tasks.api.models import Model, VMStatus
from barrack_tasks.api.operations import (
    OPERATIONS,
    ByAbsence,
    ByChange,
    ByContents,
    ByName,
    ByState,
    NeverRepeat,
    Repeat,
)

Read = Callable[[Call], Any]
"""Carries out a read, with repetitions, and gives the response model."""
ReadAll = Callable[[Call], list[Any]]
"""Carries out a paged read and gives all items."""


class Unknowable(Exception):
    """Nothing tells whether the request took effect."""


class Inquiry:
    """Looks for the effect of one call. Made before the call is first sent."""

    def __init__(
        self, call: Call, read: Read, read_all: ReadAll, server_time: datetime | None
    ) -> None:
        self._call = call
        self._read = read
        self._read_all = read_all
        self._sent_after = server_time
        self._before: Any = None
        rule = call.operation.lost
        if isinstance(rule, ByChange):
            self._before = getattr(self._look(rule.look), rule.field)

    @property
    def may_lag(self) -> bool:
        """Whether the place to look at may show a fresh thing late."""
        return isinstance(self._call.operation.lost, ByName)

    def effect(self) -> Any | None:
        """The response model as if the answer had come, or None if the effect is not there.

        Raises:
            Unknowable: nothing tells.
            BarrackConflictError: the name belongs to something older than the request.
        """
        rule = self._call.operation.lost
        match rule:
            case Repeat():
                return None
            case NeverRepeat():
                raise Unknowable
            case ByName():
                return self._by_name(rule)
            case ByState():
                seen = self._look(rule.look)
                return self._answer(seen) if seen.status in rule.reached else None
            case ByAbsence():
                return self._by_absence(rule)
            case ByChange():
                seen = self._look(rule.look)
                return self._answer(seen) if getattr(seen, rule.field) != self._before else None
            case ByContents():
                answer = self._read(self._look_call(rule.look))
                found = rule.found(self._call.sent, answer)
                return None if found is None else self._answer(found)

    def _by_name(self, rule: ByName) -> Any | None:
        wanted = self._call.sent["name"]
        for item in self._read_all(Call(OPERATIONS[rule.look])):
            if item.name == wanted:
                self._refuse_older(item)
                return self._answer(item)
        return None

    def _refuse_older(self, item: Any) -> None:
        made = getattr(item, "created_at", None)
        tolerance = timedelta(seconds=2)
        if made and self._sent_after and made < self._sent_after - tolerance:
            raise BarrackConflictError(
                f"the name {item.name!r} was taken before this request: "
                f"{item.id} has it since {made.isoformat()}",
                operation=self._call.operation.name,
            )

    def _by_absence(self, rule: ByAbsence) -> Any | None:
        if rule.look is None:
            return None
        try:
            seen = self._look(rule.look)
        except BarrackNotFoundError:
            return self.gone()
        status = getattr(seen, "status", None)
        going = status in (VMStatus.DELETING, VMStatus.DELETED)
        return self._answer(seen) if going else None

    def gone(self) -> Any:
        """The answer of a delete whose thing is gone."""
        thing = {"id": next(iter(self._call.path.values()), ""), "status": VMStatus.DELETED}
        return self._answer(thing)

    def _look_call(self, name: str) -> Call:
        operation = OPERATIONS[name]
        sent = self._call.sent
        return Call(operation, path={p: str(sent[p]) for p in operation.path_parameters})

    def _look(self, name: str) -> Any:
        operation = OPERATIONS[name]
        answer = self._read(self._look_call(name))
        return getattr(answer, operation.result) if operation.result else answer

    def _answer(self, thing: Any) -> Any:
        operation = self._call.operation
        content = thing.model_dump() if isinstance(thing, Model) else thing
        if not operation.result:
            content = content if isinstance(content, dict) else {}
            return operation.response.model_validate(content)
        return operation.response.model_validate({operation.result: content})


def is_settled_by(call: Call, error: BarrackError) -> bool:
    """Whether a refusal after a lost answer may mean that the lost request did it."""
    if isinstance(call.operation.lost, ByAbsence):
        return isinstance(error, BarrackNotFoundError | BarrackConflictError)
    return isinstance(error, BarrackConflictError)
