"""A request as it was read: checked only when it is to have its effect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from barrack_tasks.api.dialect import Dialect
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.refusals import Refused
from barrack_tasks.sandbox.handlers.registry import (
    MAX_PAGE_SIZE,
    MOST,
    PageAsk,
    SandboxCall,
    number_in,
    place_of,
)
from barrack_tasks.sandbox.http.routes import Route
from barrack_tasks.sandbox.http.wire import Unreadable, bare, read_body, wire_names

QUERY_WORDS = {"status": "VMStatus", "region": "RegionEnum"}
"""Enums whose words stand in a query."""


@dataclass
class Asking:
    """A request under canonical names, and what is wrong with it, if anything."""

    dialect: Dialect
    route: Route
    path: dict[str, str]
    query: Mapping[str, str]
    raw: Any
    canonical: dict[str, Any]
    refusal: Refused | None = None

    def call(self) -> SandboxCall:
        """The request, checked.

        Raises:
            Refused: 400 or 422.
        """
        if self.refusal is not None:
            raise self.refusal
        operation = self.route.operation
        names = {name: self.route.wire.query.get(name, name) for name in operation.query}
        query = {name: self.query[wire] for name, wire in names.items() if wire in self.query}
        for name, enum in QUERY_WORDS.items():
            if name in query:
                words = self.dialect.words.get(enum, {})
                query[name] = words.get(query[name], query[name])
        body = None
        if operation.request is not None:
            try:
                body = operation.request.model_validate(self.canonical)
            except ValidationError as error:
                raise refusals.invalid(self._messages(error)) from None
        page = self._page() if operation.paged else PageAsk()
        if not operation.path_parameters:  # what a list lies under narrows it
            query |= {name: self.path[name] for name in self.route.wire.parents}
        return SandboxCall(operation.name, self.path, query, body, page, names)

    def _messages(self, error: ValidationError) -> dict[str, str]:
        messages: dict[str, str] = {}
        for problem in error.errors(include_url=False, include_input=False):
            text = problem["msg"].removeprefix("Value error, ")
            messages[self._place(problem["loc"])] = text
        return messages

    def _place(self, loc: tuple[int | str, ...]) -> str:
        """A place in the request under the wire's names."""
        model: Any = self.route.operation.request
        parts: list[str] = []
        for step in loc:
            if isinstance(step, str) and model is not None and step in model.model_fields:
                parts.append(wire_names(self.dialect, model)[step])
                kind = bare(model.model_fields[step].annotation)[0]
                model = kind if hasattr(kind, "model_fields") else None
            else:
                parts.append(str(step))
        return ".".join(parts) or "body"

    def _page(self) -> PageAsk:
        paging = self.dialect.paging
        if paging.style == "none":
            return PageAsk()
        size = self._number(paging.page_size, 1, MAX_PAGE_SIZE, MAX_PAGE_SIZE)
        match paging.style:
            case "offset":
                return PageAsk("offset", size, self._number(paging.offset, 0, MOST, 0))
            case "cursor" | "link" | "next":
                cursor = self.query.get(paging.cursor)
                after = place_of(cursor) if cursor is not None else 0
                if after is None:
                    raise refusals.invalid({paging.cursor: "is not a cursor of this list"})
                return PageAsk("cursor", size, after=after)
        first = paging.first_page
        number = self._number(paging.page, first, MOST, first)
        return PageAsk("page", size, (number - first) * size, number)

    def _number(self, name: str, least: int, most: int, default: int) -> int:
        text = self.query.get(name)
        if text is None:
            return default
        number = number_in(text, least, most)
        if number is None:
            raise refusals.invalid({name: f"must be a whole number from {least} to {most}"})
        return number


def json_in(body: bytes) -> Any:
    """The JSON of a body; None where it is none."""
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return None


def read_call(
    dialect: Dialect, route: Route, path: dict[str, str], query: Mapping[str, str], body: bytes
) -> Asking:
    """Read a request. What is wrong with its body is kept for later, not raised."""
    request = route.operation.request
    fields = request.model_fields if request is not None else {}
    # Of a path's parameters those that the operation has none of are fields of the request.
    of_body = {k: v for k, v in path.items() if k in fields}
    of_path = {k: v for k, v in path.items() if k not in fields}
    asking = Asking(dialect, route, of_path, query, None, {})
    if request is None:
        return asking
    try:
        asking.raw = json.loads(body or b"{}", parse_float=Decimal)
        asking.canonical = {**read_body(dialect, request, asking.raw), **of_body}
    except Unreadable as error:
        asking.refusal = refusals.invalid(error.errors)
    except (ValueError, ArithmeticError, RecursionError):
        asking.refusal = Refused(400, "The body is not JSON", "invalid_json")
    return asking
