"""The server's side of a dialect: answers written, requests read.

This is written from the dialect's documentation and shares nothing with the client's codec, so
that a mistake in one of the two shows as a quarrel between them.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from barrack_tasks.api.dialect import Dialect, Value
from barrack_tasks.api.models import PricingResponse

DIGITS = 15
"""Of the longest whole number that is read when it is written with a point."""


class Unreadable(ValueError):
    """A body that does not have the shape of its request. `errors` by the wire's field names."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{k}: {v}" for k, v in errors.items()))
        self.errors = errors


@lru_cache(maxsize=2048)
def path_of(text: str) -> tuple[str, ...]:
    """A dotted path as its steps; the object itself as no steps."""
    return tuple(step for step in text.split(".") if step)


@lru_cache(maxsize=256)
def _names(
    dialect_names: tuple[tuple[str, str | None], ...], model: type[BaseModel]
) -> dict[str, str]:
    given = {field: field for field in model.model_fields} | dict(dialect_names)
    return {field: place for field, place in given.items() if place is not None}


def wire_names(dialect: Dialect, model: type[BaseModel]) -> dict[str, str]:
    """Canonical field names of a model that the wire has, each with its dotted path there."""
    return _names(tuple(dialect.schemas.get(model.__name__, {}).items()), model)


# Writing


def wrap(envelope: str, body: Any) -> Any:
    """A body under its envelope."""
    for step in reversed(path_of(envelope)):
        body = {step: body}
    return body


def write(dialect: Dialect, model: BaseModel) -> Any:
    """A model as a JSON value in a dialect.

    A field that is None and was not set is left out; one that was set to None is null. Amounts
    become decimal strings, moments ISO 8601 in UTC with Z, ids of digits only JSON numbers.
    """
    result: dict[str, Any] = {}
    values = dialect.values.get(type(model).__name__, {})
    for field, place in wire_names(dialect, type(model)).items():
        value = getattr(model, field)
        if value is None and field not in model.model_fields_set:
            continue
        if field in values and values[field].constant is not None:
            continue  # the wire does not say it
        written = _value(dialect, field, value)
        if field in values and value is not None:
            written = as_value(values[field], value, written)
        steps = path_of(place)
        if any(_marker(step) for step in steps):
            put_in_groups(result, steps, written or [])
            continue
        if not steps:
            # The object itself: a list can only replace it, an object is poured into it.
            if written is None:
                continue
            if not isinstance(written, dict):
                return written
            result.update(written)
            continue
        put(result, steps, written)
    for field, how in values.items():
        row = next((c for c in how.cases if c.word == str(getattr(model, field))), None)
        for place, word in row.when.items() if row else ():
            put(result, path_of(place), as_json(word))
    for field, value in (model.model_extra or {}).items():
        result.setdefault(field, _value(dialect, field, value))
    return result


def put(target: Any, steps: tuple[str, ...], value: Any) -> None:
    """Put a value at a path, making the objects and lists on the way there."""
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        fresh: Any = value if last else [] if steps[at + 1].isdecimal() else {}
        if isinstance(target, list):
            while len(target) <= int(step):
                target.append(fresh)
            target = target[int(step)]
        elif last:
            target[step] = value
        else:
            target = target.setdefault(step, fresh)


def as_json(word: str) -> Any:
    """A word of a dialect file as the JSON value that it stands for."""
    return {"true": True, "false": False, "null": None}.get(word, word)


def _marker(step: str) -> str:
    return step[-2:] if step.endswith(("[]", "{}")) else ""


_OF_AN_ITEM = ("^", "@key", "@value")


def put_in_groups(target: dict[str, Any], steps: tuple[str, ...], items: list[Any]) -> None:
    """Put items where a path through groups leads; those that share a group lie in one."""
    at = next(n for n, step in enumerate(steps) if _marker(step))
    rest = steps[at + 1 :]
    is_list = _marker(steps[at]) == "[]"
    groups: Any = [] if is_list else {}
    put(target, (*steps[:at], steps[at][:-2]), groups)
    deeper = sum(bool(_marker(step)) for step in rest)
    known: dict[str, tuple[dict[str, Any], list[Any]]] = {}
    for number, item in enumerate(items):
        own = item
        for _ in range(deeper):
            own = own.get("^", {})
        shared = repr(own) if deeper else str(number)
        known.setdefault(shared, (own, []))[1].append(item)
    for own, inside in known.values():
        entry = {key: value for key, value in own.items() if key not in _OF_AN_ITEM}
        if deeper:
            put_in_groups(entry, rest, inside)
        if is_list:
            groups.append(entry)
        else:
            groups[str(own.get("@key"))] = own.get("@value", entry)


def as_value(how: Value, value: Any, written: Any) -> Any:
    """A value as the dialect's `values` write it."""
    if how.times is not None and isinstance(value, Decimal | int):
        number = Decimal(value) / how.times
        return int(number) if number == int(number) else float(number)
    if how.epoch is not None and isinstance(value, datetime):
        return int(value.timestamp() * (1000 if how.epoch == "milliseconds" else 1))
    if how.zone is not None and isinstance(value, datetime):
        return value.astimezone(ZoneInfo(how.zone)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    if how.yes and isinstance(value, bool):
        return as_json(how.yes[0] if value else how.no[0])
    if how.digits and isinstance(value, int):
        return f"{int(value)}x"
    return written


def from_value(how: Value, wire: Any) -> Any:
    """A value of a request as it is meant, by the dialect's `values`."""
    if how.times is not None and isinstance(wire, int | Decimal):
        return wire * how.times
    if how.yes:
        for word, meant in (*((w, True) for w in how.yes), *((w, False) for w in how.no)):
            if wire == as_json(word):
                return meant
    if how.epoch is not None and isinstance(wire, int):
        seconds = wire / 1000 if how.epoch == "milliseconds" else wire
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    if how.zone is not None and isinstance(wire, str):
        return datetime.fromisoformat(wire).replace(tzinfo=ZoneInfo(how.zone)).isoformat()
    return wire


def _value(dialect: Dialect, field: str, value: Any) -> Any:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, BaseModel):
        return write(dialect, value)
    if isinstance(value, Enum):
        return _word(dialect, value)
    if isinstance(value, str):
        is_number = (field == "id" or field.endswith("_id")) and value.isdecimal()
        return int(value) if is_number and value.isascii() else str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): _value(dialect, str(k), v) for k, v in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [_value(dialect, field, item) for item in value]
    return value


def _word(dialect: Dialect, value: Enum) -> Any:
    for word, canonical in dialect.words.get(type(value).__name__, {}).items():
        if canonical == value.value:
            return word
    return value.value


def money(amount: Decimal) -> str:
    """An amount in plain digits, with two places at least."""
    text = f"{amount:f}"
    whole, _, places = text.partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def moment(value: datetime) -> str:
    """A moment in ISO 8601, in UTC, with Z."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def priced(dialect: Dialect, answer: Any) -> Any:
    """An answer with prices as a wire has them that knows no configurations: one a model."""
    if not isinstance(answer, PricingResponse):
        return answer
    if dialect.tells("Price", "gpu_count"):
        return answer
    return answer.model_copy(update={"prices": [p for p in answer.prices if p.gpu_count == 1]})


# Reading


def read_body(dialect: Dialect, model: type[BaseModel], wire: Any) -> dict[str, Any]:
    """A request body under canonical names, ready for validation.

    What the dialect does not name is not read: a server is not to break on a field it has never
    heard of.

    Raises:
        Unreadable: not an object, or JSON of another type than the field's.
    """
    if not isinstance(wire, Mapping):
        raise Unreadable({"body": "must be a JSON object"})
    errors: dict[str, str] = {}
    canonical: dict[str, Any] = {}
    for field, place in wire_names(dialect, model).items():
        found, value = _dig(wire, path_of(place))
        if not found:
            continue
        how = dialect.values.get(model.__name__, {}).get(field)
        if how is not None:
            value = from_value(how, value)
        try:
            canonical[field] = _read(dialect, model.model_fields[field].annotation, value)
        except Unreadable as error:
            for inner, message in error.errors.items():
                errors[f"{place}.{inner}" if inner else place] = message
    if errors:
        raise Unreadable(errors)
    return canonical


def _dig(value: Any, steps: tuple[str, ...]) -> tuple[bool, Any]:
    for step in steps:
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
            continue
        if not isinstance(value, Mapping) or step not in value:
            return False, None
        value = value[step]
    return True, value


def bare(annotation: Any) -> tuple[Any, bool, bool]:
    """The type inside an annotation, whether it stands in a list, and whether it may be null."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return bare(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        arms = [arm for arm in typing.get_args(annotation) if arm is not types.NoneType]
        if len(arms) != 1:
            return None, False, True
        kind, many, _ = bare(arms[0])
        return kind, many, True
    if origin is list:
        return bare(typing.get_args(annotation)[0])[0], True, False
    return annotation, False, False


def _read(dialect: Dialect, annotation: Any, value: Any) -> Any:
    kind, many, optional = bare(annotation)
    if value is None and optional:
        return None
    if many:
        if not isinstance(value, list):
            raise Unreadable({"": "must be a list"})
        return [_read_item(dialect, kind, item, str(n)) for n, item in enumerate(value)]
    return _read_one(dialect, kind, value)


def _read_item(dialect: Dialect, kind: Any, value: Any, place: str) -> Any:
    try:
        return _read_one(dialect, kind, value)
    except Unreadable as error:
        inner = {f"{place}.{k}" if k else place: v for k, v in error.errors.items()}
        raise Unreadable(inner) from None


def _read_one(dialect: Dialect, kind: Any, value: Any) -> Any:
    if not isinstance(kind, type):
        return value
    if issubclass(kind, BaseModel):
        return read_body(dialect, kind, value)
    if isinstance(value, Decimal) and value.adjusted() < DIGITS and value == int(value):
        value = int(value)  # to JSON, 5.0 is a whole number
    if issubclass(kind, bool):
        wanted: Any = bool
        named = "true or false"
    elif issubclass(kind, Enum) and not issubclass(kind, int):
        words = dialect.words.get(kind.__name__, {})
        value = words.get(value, value) if isinstance(value, str) else value
        wanted, named = str, "a string"
    elif issubclass(kind, int):
        wanted, named = int, "a whole number"
    elif issubclass(kind, float):
        wanted, named = (int, float, Decimal), "a number"
    elif issubclass(kind, str):
        # Ids come as numbers too; other strings that are numbers are the model's to refuse.
        wanted, named = (str, int), "a string"
    else:
        return value
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise Unreadable({"": f"must be {named}"})
    return value
