"""Comparing one answer with what the dialect says of it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Annotated, Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from barrack_tasks.api.dialect import Dialect
from barrack_tasks.api.dialect.codec import (
    case_of,
    dig,
    kind_of,
    reached,
    read_value,
    steps_of,
    up_to_group,
)
from barrack_tasks.api.dialect.model import OF_THE_ITEM
from barrack_tasks.api.operations import Operation
from barrack_tasks.dialects.doctor.report import Difference

_MISSING = object()
_BESIDE = frozenset({"status", "message"})
"""What stands beside the data of any answer, and is no stranger."""


@dataclass
class _Seen:
    """What was seen of one schema over all its objects in an answer."""

    model: type[BaseModel]
    objects: int = 0
    present: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    strangers: dict[str, None] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    words: dict[str, dict[str, type[Enum]]] = field(default_factory=dict)


def examine(dialect: Dialect, operation: Operation[Any], body: Any) -> list[Difference]:
    """How the body of a success differs from what the dialect says.

    Example:
        >>> examine(builtin(), OPERATIONS["list_regions"], {"regions": [{"name": "MARS-1"}]})
    """
    wire = dialect.operations[operation.name]
    envelope = dialect.envelope if wire.envelope is None else wire.envelope
    seen: dict[str, _Seen] = {}
    _walk(dialect, operation.response, dig(body, steps_of(envelope), {}), seen)
    return [difference for one in seen.values() for difference in _differences(dialect, one)]


def _walk(dialect: Dialect, model: type[BaseModel], wire: Any, seen: dict[str, _Seen]) -> None:
    one = seen.setdefault(model.__name__, _Seen(model))
    if not isinstance(wire, Mapping | list):
        one.wrong.setdefault("", f"an object was expected, got {type(wire).__name__}")
        return
    one.objects += 1
    names = dialect.schemas.get(model.__name__, {})
    values = dialect.values.get(model.__name__, {})
    used: set[str] = set()
    pours = False
    for name, info in model.model_fields.items():
        path = names.get(name, name)
        if path is None:
            continue
        steps = steps_of(path)
        used.update(up_to_group(steps)[:1])
        pours = pours or not up_to_group(steps)
        how = values.get(name)
        if how is not None and (how.constant is not None or case_of(how, wire) is not None):
            one.present.add(name)
            continue
        value = reached(wire, steps, _MISSING)
        if value is _MISSING:
            one.absent.add(name)
            continue
        one.present.add(name)
        value = value if how is None else read_value(how, value)
        _look_at(dialect, one, name, info.annotation, value, seen)
    if isinstance(wire, Mapping) and not pours:
        for key in wire.keys() - used - _beside(dialect):
            one.strangers.setdefault(str(key))


def _beside(dialect: Dialect) -> set[str]:
    """What stands beside the fields of a thing, and is none of them."""
    failure = dialect.failure
    told = [failure.at, failure.status or ""] if failure is not None else []
    return {*_BESIDE, *OF_THE_ITEM, *(step for path in told for step in steps_of(path)[:1])}


def _look_at(
    dialect: Dialect, one: _Seen, name: str, annotation: Any, value: Any, seen: dict[str, _Seen]
) -> None:
    kind, many = kind_of(cast(Hashable, annotation))
    if value is None and not one.model.model_fields[name].is_required():
        return
    if many and not isinstance(value, list):
        one.wrong.setdefault(name, f"a list was expected, got {type(value).__name__}")
        return
    for item in value if many else [value]:
        if kind is not None and issubclass(kind, BaseModel):
            if isinstance(item, Mapping | list):
                _walk(dialect, kind, item, seen)
            else:
                one.wrong.setdefault(name, f"an object was expected, got {type(item).__name__}")
        elif kind is not None:
            word = dialect.words.get(kind.__name__, {}).get(item, item) if _plain(item) else item
            _look_at_word(one, name, kind, word)
        elif not many:
            _look_at_value(one, name, annotation, item)


def _plain(item: Any) -> bool:
    return isinstance(item, str | int)


def _look_at_word(one: _Seen, name: str, kind: type[Enum], word: Any) -> None:
    try:
        member = kind(word)
    except ValueError:
        one.wrong.setdefault(name, f"a word was expected, got {type(word).__name__}")
        return
    if not getattr(member, "known", True):
        one.words.setdefault(name, {})[str(word)] = kind


def _look_at_value(one: _Seen, name: str, annotation: Any, value: Any) -> None:
    try:
        _adapter(annotation, one.model, name).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        one.wrong.setdefault(name, f"{problem['msg']}, got {type(value).__name__}")


@cache
def _adapter(annotation: Any, model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    # The metadata (validators that read numbers as text and the like) lies beside the annotation.
    metadata = model.model_fields[name].metadata
    return TypeAdapter(Annotated[(annotation, *metadata)] if metadata else annotation)


def _differences(dialect: Dialect, one: _Seen) -> list[Difference]:
    schema = one.model.__name__
    found: list[Difference] = []
    strangers = list(one.strangers)[:_MOST]
    for name in one.model.model_fields:
        if name not in one.absent:
            continue
        required = one.model.model_fields[name].is_required()
        if not required and name in one.present:
            continue
        near = _nearest(name, strangers)
        if required or near:
            written = _in_yaml(near) if near else "<its name there>"
            line = f"schemas: {{{schema}: {{{name}: {written}}}}}"
            kind = "missing" if required else "unseen"
            found.append(Difference(kind=kind, schema_name=schema, field=name, line=line))
    found += [Difference(kind="unknown", schema_name=schema, field=name) for name in strangers]
    found += [
        Difference(kind="type", schema_name=schema, field=name or "(itself)", seen=why)
        for name, why in one.wrong.items()
    ]
    for name, words in one.words.items():
        for word, kind_ in list(words.items())[:_MOST]:
            line = f"words: {{{kind_.__name__}: {{{_in_yaml(word)}: <what it means>}}}}"
            found.append(
                Difference(kind="word", schema_name=schema, field=name, seen=word, line=line)
            )
    return found


_MOST = 200
"""Unknown fields of one schema, and unknown words of one field, that are told."""


def _in_yaml(word: str) -> str:
    """A word of the API as YAML that can mean nothing else, whatever the word holds."""
    return word if re.fullmatch(r"[A-Za-z][\w.-]*", word, re.ASCII) else json.dumps(word)


def _nearest(name: str, strangers: list[str]) -> str | None:
    """The stranger that most probably is the field, if any is near enough."""
    plain = {stranger: set(_words(stranger)) for stranger in strangers}
    wanted = set(_words(name))
    sharing = [s for s, words in plain.items() if words & wanted]
    close = difflib.get_close_matches(name, strangers, n=1, cutoff=0.6)
    return close[0] if close else (sharing[0] if len(sharing) == 1 else None)


def _words(name: str) -> list[str]:
    spaced = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return spaced.replace("_", " ").replace("-", " ").split()
