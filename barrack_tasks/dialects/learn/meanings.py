"""What an answer to a question would mean, in a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from barrack_tasks.api.operations import OPERATIONS


def meaning_of(what: str, wire: Any) -> str:
    """What it would mean to take an answer.

    Args:
        what: the place of the question in a dialect file, such as `schemas.UserVM.status`.
        wire: what would stand there; None if the API has no such thing.

    Example:
        >>> meaning_of("words.VMStatus.asleep", "HIBERNATED")
        "The API's word 'asleep' means HIBERNATED (VMStatus)."
    """
    first, *rest = what.split(".")
    match first, rest:
        case "operations", [name]:
            return _operation(name, wire)
        case "operations", [name, "query", parameter]:
            if wire is None:
                return f"{name} cannot be narrowed by {parameter}."
            return f"{name} is narrowed by {parameter} with the parameter {wire!r} of the address."
        case "schemas", [schema, field]:
            if wire is None:
                return f"{field} of {schema} stays unknown."
            if wire == ".":
                return f"{field} of {schema} is the whole object or list itself."
            return f"{field} of {schema} stands in {wire!r}."
        case "words", [enum, word]:
            return f"The API's word {word!r} means {wire} ({enum})."
        case "currency", _:
            return f"Amounts count as {_constant(wire)}, whatever the API says."
        case "prices", _:
            return _price(wire)
        case "lookups", [name]:
            if not wire:
                return f"Requests for a new instance do not contain {name}."
            return f"Each request for a new instance contains {name} as chosen here."
    return _setting(first, wire)


def _operation(name: str, wire: Any) -> str:
    title = OPERATIONS[name].title
    if not isinstance(wire, Mapping):
        return f"The API cannot do {title!r}; what needs it is refused before it begins."
    changes = "This changes something." if OPERATIONS[name].changes else "This only reads."
    return f"{title!r} sends {wire.get('method')} {wire.get('path')}. {changes}"


def _constant(wire: Any) -> str:
    values = wire.get("values", {}) if isinstance(wire, Mapping) else {}
    return next((str(field["currency"]["constant"]) for field in values.values()), "unknown")


def _price(wire: Any) -> str:
    joins = wire.get("joins", {}) if isinstance(wire, Mapping) else {}
    if not joins:
        return "The price of an instance stays unknown, so no guard of money can act."
    if any(join.get("times") for join in joins.values()):
        return "An instance costs the listed price times the number of its GPUs."
    return "An instance costs the listed price, however many GPUs it has."


def _setting(what: str, wire: Any) -> str:
    table = wire if isinstance(wire, Mapping) else {}
    match what:
        case "base_url":
            return f"Requests, and your key with them, go to {wire}."
        case "auth":
            if table.get("query"):
                return f"The key stands in each address, as the parameter {table['query']!r}."
            how = f"the word {table['scheme']!r} and then the key" if table.get("scheme") else "it"
            return f"The key is sent in the header {table.get('header')!r}, which holds {how}."
        case "paging":
            if table.get("style") == "none":
                return "A list comes whole, and is never asked for page by page."
            return f"Lists are asked for page by page, in the style {table.get('style')!r}."
        case "envelope":
            where = f"lies in {wire!r}" if wire else "is not wrapped in anything"
            return f"What an answer holds {where}."
    return f"{what} is {wire!r}."
