"""What the resources share: a method for each operation, made from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from pydantic import ValidationError

from barrack_tasks.api.errors import BarrackValidationError
from barrack_tasks.api.models.shown import Listing
from barrack_tasks.api.models.times import read_moment
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.exchange import Call

P = ParamSpec("P")
R = TypeVar("R")


def make_call(name: str, arguments: dict[str, Any]) -> Call:
    """Sort arguments into path, query and body, and check the body.

    Raises:
        BarrackValidationError: an argument breaks a rule; nothing was sent.
    """
    operation = OPERATIONS[name]
    given_ids = {p: arguments.pop(p, "") for p in operation.path_parameters}
    query = {q: arguments.pop(q) for q in operation.query if q in arguments}
    for parameter in _MOMENTS & query.keys():
        if query[parameter] is not None:
            query[parameter] = _moment_of(name, parameter, query[parameter])
    for parameter, value in given_ids.items():
        _check(name, parameter, _problem_of_id(value))
    for parameter, value in query.items():
        _check(name, parameter, _problem_of_query(value))
    path = {parameter: str(value) for parameter, value in given_ids.items()}
    if operation.request is None:
        for parameter in arguments:
            _check(name, parameter, "is not a parameter of this operation")
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
        return "must not be empty"
    if text in (".", ".."):
        # In an address these mean another place, whatever they are written like.
        return f"cannot be {text!r}"
    return _problem_of_text(text)


def _moment_of(operation: str, parameter: str, value: Any) -> datetime:
    try:
        return read_moment(value)
    except ValueError as error:
        raise BarrackValidationError(
            f"{parameter}: {error}", operation=operation, fields={parameter: str(error)}
        ) from None


def _problem_of_query(value: Any) -> str:
    if isinstance(value, str):
        return _problem_of_text(value)
    if value is None or isinstance(value, int | date):
        return ""
    return f"must be a single value such as a text or a time, not {type(value).__name__}"


def _problem_of_text(text: str) -> str:
    if len(text) > _LONGEST:
        return f"must have at most {_LONGEST} characters, got {len(text)}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds an incomplete character at position {error.start + 1}, which cannot be sent"
    return ""


_MOMENTS = {"start", "end"}
"""Parameters of addresses that are moments."""
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

    def _carry_out_operation(self, name: str, arguments: dict[str, Any]) -> Any:
        call = make_call(name, arguments)
        answer = self._carry_out(call)
        result = getattr(answer, call.operation.result) if call.operation.result else answer
        return Listing(result) if isinstance(result, list) else result

    def _each(self, name: str, arguments: dict[str, Any]) -> Iterator[Any]:
        yield from self._read_pages(make_call(name, arguments))


def operation(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a method that carries out an operation of the table with what it is given.

    The method has a signature and a docstring, and nothing in its body. Its parameters are those of
    the operation's path, query and request. Where the operation is paged it gives the items
    lazily, and asks for a page when it comes to it.

    Example:
        >>> @operation("get_image")
        ... def get(self, image_id: str) -> m.Image:
        ...     \"\"\"One image of the account's own.\"\"\"
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(method)
        # Where a list may be left out, an empty one is left out too.
        lists = {p.name for p in signature.parameters.values() if p.default == ()}
        paged, gives_nothing = OPERATIONS[name].paged, signature.return_annotation == "None"

        @wraps(method)
        def carry_out(*arguments: P.args, **named: P.kwargs) -> Any:
            method(*arguments, **named)  # says what does not fit, as any method does
            given = signature.bind(*arguments, **named).arguments
            resource: Any = given.pop("self")
            given = {k: v for k, v in given.items() if v or k not in lists}
            if paged:
                return resource._each(name, given)
            result = resource._carry_out_operation(name, given)
            return None if gives_nothing else result

        return by_hand(name)(carry_out)

    return decorate


def by_hand(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say which operation a method is about that is written out."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        marked: Any = method
        marked.operation = name
        marked.__doc__ = f"{inspect.getdoc(method) or ''}\n\n{OPERATIONS[name].provenance}"
        return method

    return decorate
