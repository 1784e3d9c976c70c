"""From the fields of one of this library's schemas to places in a schema of the document."""

from __future__ import annotations

import types
import typing
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel

from barrack_tasks.api.dialect.codec import kind_of
from barrack_tasks.api.learning.matching import (
    GUESS,
    LIKELY,
    MARGIN,
    Likeness,
    path_likeness,
    same_schema,
)
from barrack_tasks.api.learning.schema import Schema, Steps
from barrack_tasks.api.learning.words import meaning_share
from barrack_tasks.api.models import Protocol
from barrack_tasks.api.models.base import Answer, Id

_ROOT_FIT = 0.5


@dataclass(frozen=True)
class Place:
    """A place in a document's schema that may be a field."""

    steps: Steps
    likeness: Likeness

    @property
    def wire(self) -> str:
        """The dotted path; "." is the object itself."""
        return ".".join(self.steps) or "."


@dataclass
class Mapping:
    """Where the fields of one schema lie in one schema of the document."""

    model: type[BaseModel]
    schema: Schema
    found: dict[str, Place] = field(default_factory=dict)
    open: dict[str, list[Place]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Kind:
    """What a field of ours holds."""

    inner: type[BaseModel] | type[Enum] | None
    many: bool
    types: frozenset[str]


@lru_cache(maxsize=4096)
def _kind(model: type[BaseModel], name: str) -> _Kind:
    annotation = model.model_fields[name].annotation
    inner, many = kind_of(cast(Hashable, annotation))
    if many:
        return _Kind(inner, True, frozenset({"array"}))
    if inner is not None:
        if issubclass(inner, BaseModel):
            types_ = {"object", "string"} if inner is Protocol else {"object"}
        else:
            types_ = {"string", "integer", "number"} if issubclass(inner, int) else {"string"}
        return _Kind(inner, False, frozenset(types_))
    return _Kind(None, False, frozenset(_plain(annotation, name)))


def _plain(annotation: Any, name: str) -> set[str]:
    found: set[str] = set()
    for arm in _arms(annotation):
        if not isinstance(arm, type):
            return set()
        if name == "id" or name.endswith("_id"):
            found |= {"string", "integer"}
        elif issubclass(arm, bool):
            found |= {"boolean"}
        elif issubclass(arm, int):
            found |= {"integer", "number"}
        elif issubclass(arm, Decimal | float):
            found |= {"string", "integer", "number"}
        elif issubclass(arm, datetime):
            found |= {"string"}
        elif issubclass(arm, str):
            found |= {"string", "integer"} if name == "available" else {"string"}
        else:
            found |= {"object", "array"}
    return found


def _arms(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated or (origin is not None and annotation is Id):
        yield from _arms(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for arm in typing.get_args(annotation):
            if arm is not types.NoneType:
                yield from _arms(arm)
    else:
        yield origin or annotation


def inner_model(model: type[BaseModel], name: str) -> tuple[type[BaseModel] | None, bool]:
    """The schema that a field holds, and whether in a list."""
    kind = _kind(model, name)
    inner = kind.inner
    return (inner if inner and issubclass(inner, BaseModel) else None), kind.many


def inner_enum(model: type[BaseModel], name: str) -> type[Enum] | None:
    """The enum that a field holds."""
    inner = _kind(model, name).inner
    return inner if inner and issubclass(inner, Enum) else None


def decorates(model: type[BaseModel], name: str) -> bool:
    """Whether the field is one that stands beside every answer's data."""
    return issubclass(model, Answer) and name in ("status", "message")


class Mapper:
    """Maps schemas, and remembers what it has mapped."""

    def __init__(self) -> None:
        self._fits: dict[tuple[type[BaseModel], int], float] = {}
        self._maps: dict[tuple[type[BaseModel], int], Mapping] = {}

    def fit(self, model: type[BaseModel], schema: Schema | None) -> float:
        """The share of a schema's own fields that bear names of ours, from 0 to 1."""
        if schema is None:
            return 0.0
        if same_schema(model.__name__, schema.names):
            return 1.0
        key = (model, id(schema))
        if key not in self._fits:
            self._fits[key] = 0.0  # while it is being found out, for schemas that hold themselves
            self._fits[key] = self._fit(model, schema)
        return self._fits[key]

    def _fit(self, model: type[BaseModel], schema: Schema) -> float:
        ours = [n for n in model.model_fields if not decorates(model, n)]
        if not ours or not schema.fields:
            return 0.0
        known = total = 0.0
        for name in ours:
            needed = 2.0 if model.model_fields[name].is_required() else 1.0
            total += needed
            if any(
                path_likeness(model.__name__, name, (wire,)).score >= LIKELY
                and self._fits_type(model, name, inner)
                for wire, inner in schema.fields.items()
            ):
                known += needed
        strangers = max(0, len(schema.fields) - len(ours))
        return known / (total + 0.3 * strangers)

    def map(self, model: type[BaseModel], schema: Schema) -> Mapping:
        """Where each field of a schema of ours lies."""
        key = (model, id(schema))
        if key not in self._maps:
            self._maps[key] = self._map(model, schema)
        return self._maps[key]

    def _map(self, model: type[BaseModel], schema: Schema) -> Mapping:
        mapping = Mapping(model, schema)
        places = list(schema.places())
        chances: dict[str, list[Place]] = {}
        for name in model.model_fields:
            found = [p for steps, s in places if (p := self._place(model, name, steps, s))]
            found += self._itself(model, name, schema)
            chances[name] = sorted(found, key=lambda p: -p.likeness.score)
        _leave_to_others(model, chances)
        self._assign(mapping, chances)
        return mapping

    def _fits_type(self, model: type[BaseModel], name: str, schema: Schema) -> bool:
        wanted, said = _kind(model, name).types, schema.kinds
        return not wanted or not said or bool(wanted & said)

    def _place(
        self, model: type[BaseModel], name: str, steps: Steps, schema: Schema
    ) -> Place | None:
        kind = _kind(model, name)
        if not self._fits_type(model, name, schema):
            return None
        if decorates(model, name) and len(steps) > 1:
            return None
        likeness = path_likeness(model.__name__, name, steps)
        if kind.inner is not None and issubclass(kind.inner, BaseModel):
            likeness = self._of_model(kind.inner, kind.many, schema, steps, likeness)
        elif kind.inner is not None:
            likeness = _of_enum(kind.inner, schema, likeness)
        elif schema.format == "date-time" and "string" in kind.types:
            is_time = name.endswith("_at") or name in ("start", "end", "created")
            if not is_time:
                likeness = replace(likeness, score=likeness.score * 0.6)
        return Place(steps, likeness) if likeness.score >= GUESS else None

    def _of_model(
        self, inner: type[BaseModel], many: bool, schema: Schema, steps: Steps, name: Likeness
    ) -> Likeness:
        target = schema.items if many else schema
        if target is not None and same_schema(inner.__name__, target.names):
            score = max(min(1.0, name.score + 0.05), 0.92 - 0.03 * len(steps))
            reason = f"{name.reason}; " if name.score >= LIKELY else ""
            return Likeness(score, f"{reason}it holds {inner.__name__}")
        fit = self.fit(inner, target)
        if name.score >= LIKELY:
            # An object of quite another make is not what its name says.
            known = target is None or not target.fields or fit >= 0.2
            return name if known else replace(name, score=name.score * 0.7)
        if fit >= 0.6 and target is not None and len(target.fields) > 1:
            score = min(0.85, 0.55 + 0.3 * fit) - 0.03 * (len(steps) - 1)
            return Likeness(score, f"what it holds looks like {inner.__name__}")
        return name

    def _itself(self, model: type[BaseModel], name: str, schema: Schema) -> list[Place]:
        """The object itself, if what the field holds is poured into it."""
        kind = _kind(model, name)
        if kind.inner is None or not issubclass(kind.inner, BaseModel):
            return []
        if kind.many:
            if schema.kinds != {"array"}:
                return []
            fit = self.fit(kind.inner, schema.items)
            score = 0.9 if fit >= _ROOT_FIT else GUESS
            return [Place((), Likeness(score, "the answer is the list itself"))]
        if same_schema(model.__name__, [kind.inner.__name__]):
            return []
        if part_named(kind.inner.__name__, schema) is not None:
            return [Place((), Likeness(0.96, f"allOf {kind.inner.__name__}"))]
        fit = self.fit(kind.inner, schema)
        # Its fields among others: as many as there are of it must be there.
        found = sum(
            any(path_likeness(kind.inner.__name__, inner, (wire,)).score >= LIKELY and
                self._fits_type(kind.inner, inner, s) for wire, s in schema.own.items()
                if path_likeness(model.__name__, name, (wire,)).score < LIKELY)
            for inner in kind.inner.model_fields
        )  # fmt: skip
        required = [n for n, f in kind.inner.model_fields.items() if f.is_required()]
        if found >= 2 and found >= len(required) and fit > 0:
            return [Place((), Likeness(0.72, f"fields of {kind.inner.__name__} lie beside it"))]
        return []

    def _assign(self, mapping: Mapping, chances: dict[str, list[Place]]) -> None:
        """One place for each field, one field for each place, the surest first."""
        taken: set[Steps] = set()
        left = dict(chances)
        while left:
            free = {n: [p for p in ps if not p.steps or p.steps not in taken]
                    for n, ps in left.items()}  # fmt: skip
            name = max(free, key=lambda n: free[n][0].likeness.score if free[n] else 0.0)
            places = free[name]
            del left[name]
            if not places:
                mapping.absent.append(name)
                continue
            best = places[0]
            if best.likeness.score < LIKELY or self._ambiguous(name, best, places, free):
                mapping.open[name] = places[:5]
                continue
            mapping.found[name] = best
            taken.add(best.steps)

    @staticmethod
    def _ambiguous(
        name: str, best: Place, places: list[Place], free: dict[str, list[Place]]
    ) -> bool:
        score = best.likeness.score
        if score >= 0.99:
            return False
        if len(places) > 1 and score - places[1].likeness.score < MARGIN:
            # The nearer of two that are as good otherwise is no other thing.
            return len(places[1].steps) <= len(best.steps)
        return any(
            other != name and ps and ps[0].steps == best.steps and best.steps
            and score - ps[0].likeness.score < MARGIN
            and (len(ps) == 1 or ps[1].likeness.score < LIKELY)
            for other, ps in free.items()
        )  # fmt: skip


def _leave_to_others(model: type[BaseModel], chances: dict[str, list[Place]]) -> None:
    """What lies in an object of another schema that has such a field is rather that one's."""
    for other, places in chances.items():
        inner, many = inner_model(model, other)
        if inner is None or many or not places or places[0].likeness.score < LIKELY:
            continue
        steps = places[0].steps
        for name in inner.model_fields:
            if not steps or name not in chances or inner_model(model, name)[0] is not None:
                continue
            chances[name] = sorted(
                (
                    replace(p, likeness=replace(p.likeness, score=p.likeness.score - 0.13))
                    if len(p.steps) > len(steps) and p.steps[: len(steps)] == steps
                    else p
                    for p in chances[name]
                ),
                key=lambda p: -p.likeness.score,
            )


def _of_enum(enum: type[Enum], schema: Schema, name: Likeness) -> Likeness:
    share = meaning_share(enum, schema.words)
    if share is None:
        return name
    if name.score >= LIKELY:
        return replace(name, score=min(1.0, name.score + 0.03)) if share >= 0.5 else name
    if share >= 0.6 and len(schema.words) >= 3:
        return Likeness(0.72, f"its words are those of {enum.__name__}")
    return name


def part_named(name: str, schema: Schema) -> Schema | None:
    """The schema of that name that is poured into another, however indirectly."""
    waiting, seen = list(schema.poured), {id(schema)}
    while waiting:
        part = waiting.pop(0)
        if id(part) in seen:
            continue
        if same_schema(name, part.names):
            return part
        seen.add(id(part))
        waiting += part.poured
    return None
