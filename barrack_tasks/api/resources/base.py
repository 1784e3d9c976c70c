"""What the resources share: a call by the name of its operation, typed by what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, TypeVar

from pydantic import ValidationError

from barrack_tasks.api.errors import BarrackValidationError
from barrack_tasks.api.models import Model
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.exchange import Call

T = TypeVar("T", bound=Model)


def make_call(name: str, arguments: dict[str, Any]) -> Call:
    """Sort arguments into path, query and body, and check the body.

    Raises:
        BarrackValidationError: an argument breaks a rule; nothing was sent.
    """
    operation = OPERATIONS[name]
    given_ids = {p: arguments.pop(p, "") for p in operation.path_parameters}
    query = {q: arguments.pop(q) for q in operation.query if q in arguments}
    for parameter, value in given_ids.items():
        _check(name, parameter, _problem_of_id(value))
    for parameter, value in query.items():
        _check(name, parameter, _problem_of_query(value))
    path = {parameter: str(value) for parameter, value in given_ids.items()}
    if operation.request is None:
        for parameter in arguments:
            _check(name, parameter, "is no parameter of this operation")
        return Call(operation, path, query)
    given = {k: v for k, v in arguments.items() if v is not None}
    try:
        return Call(operation, path, query, operation.request(**given))
    except ValidationError as error:
        raise invalid(name, error) from None


def _check(operation: str, parameter: str, problem: str) -> None:
    if problem:
        raise BarrackValidationError(
            f"{parameter} {problem}", operation=operation, fields={parameter: problem}
        )


def _problem_of_id(value: Any) -> str:
    """What is wrong with an id; nothing, if it can be one."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return f"must be an id, which is text, not {type(value).__name__}"
    text = str(value)
    if not text.strip():
        return "is empty, and must not be"
    if text in (".", ".."):
        # In an address these mean another place, whatever they are written like.
        return f"cannot be {text!r}"
    return _problem_of_text(text)


def _problem_of_query(value: Any) -> str:
    if isinstance(value, str):
        return _problem_of_text(value)
    if value is None or isinstance(value, int | date):
        return ""
    return f"must be a single value such as a text or a time, not {type(value).__name__}"


def _problem_of_text(text: str) -> str:
    if len(text) > _LONGEST:
        return f"has {len(text)} characters, and {_LONGEST} are the most"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds half a character at position {error.start + 1}, which cannot be sent"
    return ""


_LONGEST = 1_000
"""Characters of what goes into an address."""


def invalid(operation: str | None, error: ValidationError) -> BarrackValidationError:
    """A pydantic refusal as one sentence that names field and rule."""
    fields = {
        ".".join(str(part) for part in e["loc"]) or "request": e["msg"].removeprefix(
            "Value error, "
        )
        for e in error.errors(include_url=False, include_input=False)
    }
    message = "; ".join(f"{field}: {rule}" for field, rule in fields.items())
    return BarrackValidationError(message, operation=operation, fields=fields)


class Resource:
    """A group of operations. Made by `Barrack`, never by hand."""

    def __init__(self, call: Callable[[Call], Any], pages: Callable[[Call], Iterator[Any]]) -> None:
        self._carry_out = call
        self._read_pages = pages

    def _result(self, name: str, arguments: dict[str, Any]) -> Any:
        call = make_call(name, arguments)
        answer = self._carry_out(call)
        return getattr(answer, call.operation.result) if call.operation.result else answer

    def _one(self, kind: type[T], operation: str, /, **arguments: Any) -> T:
        result = self._result(operation, arguments)
        assert isinstance(result, kind)  # noqa: S101 - the table and the method disagree otherwise
        return result

    def _list(self, kind: type[T], operation: str, /, **arguments: Any) -> list[T]:
        items: list[T] = self._result(operation, arguments)
        return items

    def _pages(self, kind: type[T], operation: str, /, **arguments: Any) -> Iterator[T]:
        yield from self._read_pages(make_call(operation, arguments))

    def _done(self, operation: str, /, **arguments: Any) -> None:
        self._result(operation, arguments)
