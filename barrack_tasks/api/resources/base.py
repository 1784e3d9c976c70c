"""What the resources share: a call by the name of its operation, typed by what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from barrack_tasks.api.errors import BarrackValidationError
from barrack_tasks.api.exchange import Call
from barrack_tasks.api.models import Model
from barrack_tasks.api.operations import OPERATIONS

T = TypeVar("T", bound=Model)


def make_call(name: str, arguments: dict[str, Any]) -> Call:
    """Sort arguments into path, query and body, and check the body.

    Raises:
        BarrackValidationError: an argument breaks a rule; nothing was sent.
    """
    operation = OPERATIONS[name]
    path = {p: str(arguments.pop(p, "")) for p in operation.path_parameters}
    for parameter, value in path.items():
        if not value.strip():
            raise BarrackValidationError(
                f"{parameter} is empty",
                operation=name,
                fields={parameter: "must not be empty"},
            )
    query = {q: arguments.pop(q) for q in operation.query if q in arguments}
    if operation.request is None:
        return Call(operation, path, query)
    given = {k: v for k, v in arguments.items() if v is not None}
    try:
        return Call(operation, path, query, operation.request(**given))
    except ValidationError as error:
        raise invalid(name, error) from None


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
