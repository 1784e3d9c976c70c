"""From the fields of one of this library's schemas to places in a schema of the document."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from pydantic import BaseModel

from barrack_tasks.dialects.learn.doubts import DOUBTED, doubt_of_field
from barrack_tasks.dialects.learn.kinds import decorates, inner_model, kind_of_field
from barrack_tasks.dialects.learn.likeness import (
    GUESS,
    LIKELY,
    MARGIN,
    Likeness,
    path_likeness,
    same_schema,
)
from barrack_tasks.dialects.learn.schema import Schema, Steps
from barrack_tasks.dialects.learn.words import meaning_share

_ROOT_FIT = 0.5


@dataclass(frozen=True)
class SchemaField:
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
    found: dict[str, SchemaField] = field(default_factory=dict)
    open: dict[str, list[SchemaField]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    unsayable: dict[str, str] = field(default_factory=dict)
    """Fields that are there under a name that no dialect can say, with that name."""


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
            inner, many = inner_model(model, name)
            if any(self._is(model, name, wire, s) for wire, s in schema.fields.items()) or (
                inner is not None and not many and self._lies_beside(model, inner, schema)
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
        places = [*schema.places(), *(((wire,), s) for wire, s in schema.unsayable.items())]
        chances: dict[str, list[SchemaField]] = {}
        for name in model.model_fields:
            found = [p for steps, s in places if (p := self._place(model, name, steps, s))]
            found += self._itself(model, name, schema)
            chances[name] = sorted(found, key=lambda p: -p.likeness.score)
        _leave_to_others(model, chances)
        self._assign(mapping, chances)
        _leave_unsayable(mapping)
        return mapping

    def left_over(self, mapping: Mapping, name: str) -> list[SchemaField]:
        """Places that no field has taken and that could hold one, whatever they are called."""
        taken = {place.steps for place in mapping.found.values()}
        return [
            SchemaField(steps, Likeness(0.3, "not known by name, but of the right type"))
            for steps, schema in mapping.schema.places(2)
            if not any(steps[: len(t)] == t for t in taken)
            and schema.kinds
            and self._fits_type(mapping.model, name, schema)
        ][:5]

    def _fits_type(self, model: type[BaseModel], name: str, schema: Schema) -> bool:
        wanted, said = kind_of_field(model, name).types, schema.kinds
        return not wanted or not said or bool(wanted & said)

    def _place(
        self, model: type[BaseModel], name: str, steps: Steps, schema: Schema
    ) -> SchemaField | None:
        kind = kind_of_field(model, name)
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
        doubt = doubt_of_field(name, schema.description) if likeness.score >= GUESS else None
        if doubt is not None:
            likeness = Likeness(min(likeness.score, DOUBTED), f"{likeness.reason}; but {doubt}")
        return SchemaField(steps, likeness) if likeness.score >= GUESS else None

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

    def _itself(self, model: type[BaseModel], name: str, schema: Schema) -> list[SchemaField]:
        """The object itself, if what the field holds is poured into it."""
        kind = kind_of_field(model, name)
        if kind.inner is None or not issubclass(kind.inner, BaseModel):
            return []
        if kind.many:
            if schema.kinds != {"array"}:
                return []
            fit = self.fit(kind.inner, schema.items)
            score = 0.9 if fit >= _ROOT_FIT else GUESS
            return [SchemaField((), Likeness(score, "the answer is the list itself"))]
        if same_schema(model.__name__, [kind.inner.__name__]):
            return []
        if part_named(kind.inner.__name__, schema) is not None:
            return [SchemaField((), Likeness(0.96, f"allOf {kind.inner.__name__}"))]
        if self._lies_beside(model, kind.inner, schema):
            return [
                SchemaField((), Likeness(0.72, f"fields of {kind.inner.__name__} lie beside it"))
            ]
        return []

    def _lies_beside(self, model: type[BaseModel], inner: type[BaseModel], schema: Schema) -> bool:
        """Whether the fields of one schema lie in an object of another, without a name."""
        free = [
            (wire, s)
            for wire, s in schema.own.items()
            if not any(self._is(model, name, wire, s) for name in model.model_fields)
        ]
        found = {n for n in inner.model_fields for w, s in free if self._is(inner, n, w, s)}
        needed = {n for n, f in inner.model_fields.items() if f.is_required()}
        return len(found) >= 2 and needed <= found

    def _is(self, model: type[BaseModel], name: str, wire: str, schema: Schema) -> bool:
        likeness = path_likeness(model.__name__, name, (wire,))
        return likeness.score >= LIKELY and self._fits_type(model, name, schema)

    def _assign(self, mapping: Mapping, chances: dict[str, list[SchemaField]]) -> None:
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
        name: str, best: SchemaField, places: list[SchemaField], free: dict[str, list[SchemaField]]
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


def _leave_to_others(model: type[BaseModel], chances: dict[str, list[SchemaField]]) -> None:
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


def _leave_unsayable(mapping: Mapping) -> None:
    """Take back what was found under names that no dialect can say."""

    def is_unsayable(place: SchemaField) -> bool:
        return place.steps[:1] != () and place.steps[0] in mapping.schema.unsayable

    for name, place in list(mapping.found.items()):
        if is_unsayable(place):
            mapping.unsayable[name] = place.wire
            del mapping.found[name]
    for name, places in mapping.open.items():
        if is_unsayable(places[0]):
            mapping.unsayable[name] = places[0].wire
        mapping.open[name] = [place for place in places if not is_unsayable(place)]


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
