"""Which schema of the document is which of this library's, by name and by where it stands."""

from __future__ import annotations

from collections import Counter
from enum import Enum

from pydantic import BaseModel

from barrack_tasks.api import models
from barrack_tasks.api.dialect.loading import schema_fields
from barrack_tasks.api.dialect.reading import clipped
from barrack_tasks.dialects.learn.fields import Mapper, Mapping, SchemaField, part_named
from barrack_tasks.dialects.learn.kinds import decorates, inner_enum, inner_model
from barrack_tasks.dialects.learn.likeness import same_schema, words_of
from barrack_tasks.dialects.learn.result import AnswerOption, Learned
from barrack_tasks.dialects.learn.schema import Schema, Schemas
from barrack_tasks.dialects.learn.words import CATALOGUES, meaning, values_of
from barrack_tasks.dialects.needs import NEEDS

_ABSTRACT = frozenset({"Answer", "Model", "Request", "TrafficRuleRequest"})


def _matters(model: type[BaseModel], name: str) -> bool:
    """Whether something cannot be done without the field."""
    place = f"{model.__name__}.{name}"
    return model.model_fields[name].is_required() or any(
        place in needs.fields for needs in NEEDS.values()
    )


class Pairs:
    """Schemas of ours with the document's schemas that stand where they should."""

    def __init__(self, mapper: Mapper, schemas: Schemas, learned: Learned) -> None:
        self._mapper = mapper
        self._schemas = schemas
        self._learned = learned
        self._pairs: dict[str, list[Mapping]] = {}
        self._words: dict[type[Enum], dict[str, None]] = {}
        self.distinctive = 0
        """How many schemas bear a name of ours that another API would hardly have."""

    def pair(self, model: type[BaseModel], schema: Schema, place: str) -> None:
        """Take a schema for one of ours, and all that lies in it for what lies in ours."""
        waiting = [(model, schema)]
        while waiting:
            ours, theirs = waiting.pop()
            known = self._pairs.setdefault(ours.__name__.lstrip("_"), [])
            if any(mapping.schema is theirs for mapping in known):
                continue
            mapping = self._mapper.map(ours, theirs)
            known.append(mapping)
            for name, found in mapping.found.items():
                target = theirs.at(found.steps)
                inner, many = inner_model(ours, name)
                enum = inner_enum(ours, name)
                if inner is not None:
                    if not found.steps:
                        target = part_named(inner.__name__, theirs) or theirs
                    listed = target.items if many else target
                    if listed is not None:
                        waiting.append((inner, listed))
                elif enum is not None:
                    self._note_words(enum, target)

    def _note_words(self, enum: type[Enum], schema: Schema) -> None:
        listed = schema if schema.words else (schema.items or schema)
        if not issubclass(enum, int):
            self._words.setdefault(enum, {}).update(dict.fromkeys(listed.words))

    def pair_error(self, schema: Schema) -> None:
        """Take a schema for the body of a refusal."""
        self.pair(models.ErrorResponse, schema, "refusals")

    def by_name(self) -> None:
        """Pair what nothing led to with the schema that bears its name."""
        for name in schema_fields():
            model = getattr(models, name)
            bearers = [
                s for n, s in self._schemas.named.items() if same_schema(name, [n, *s.names[:1]])
            ]
            exact = [s for s in bearers if s.name == name] or bearers
            if exact and (len(words_of(name)) > 2 or name == "UserVM"):
                self.distinctive += 1
            if exact and name not in self._pairs:
                self.pair(model, exact[0], name)

    def merge(self, *, absent_is_known: bool) -> None:
        """Write down what the pairs say about each field and each word."""
        for name, ours in schema_fields().items():
            if name in _ABSTRACT:
                continue
            model = getattr(models, name)
            mappings = self._pairs.get(name, [])
            for inner in ours:
                self._merge_field(model, inner, mappings, absent_is_known)
        for enum, words in self._words.items():
            self._merge_words(enum, list(words))

    def _merge_field(
        self, model: type[BaseModel], name: str, mappings: list[Mapping], absent: bool
    ) -> None:
        what, learned = f"schemas.{model.__name__}.{name}", self._learned
        votes: Counter[str] = Counter()
        best: dict[str, SchemaField] = {}
        chances: list[SchemaField] = []
        for mapping in mappings:
            weight = 2 if same_schema(model.__name__, mapping.schema.names) else 1
            place = mapping.found.get(name)
            if place is not None:
                votes[place.wire] += weight
                known = best.get(place.wire)
                if known is None or known.likeness.score < place.likeness.score:
                    best[place.wire] = place
            chances += mapping.open.get(name, [])
        if votes:
            first, *rest = votes.most_common(2)
            chosen = best[first[0]]
            if not rest or first[1] > rest[0][1]:
                learned.add(what, chosen.wire, chosen.likeness.reason, chosen.likeness.score)
                return
            chances += list(best.values())
        if decorates(model, name):
            return
        if not chances and _matters(model, name):
            chances = [p for m in mappings for p in self._mapper.left_over(m, name)]
        called = next((m.unsayable[name] for m in mappings if name in m.unsayable), None)
        if chances or called is not None:
            self._ask(model, name, chances, called)
        elif mappings and absent and any(m.schema.fields for m in mappings):
            learned.add(what, None, "the schema has no such field", 1.0)
        elif mappings:
            learned.unseen[what] = "the evidence does not show the field"
        else:
            learned.unseen[what] = "the evidence does not show the schema"

    def _ask(
        self, model: type[BaseModel], name: str, places: list[SchemaField], called: str | None
    ) -> None:
        text = f"Where is the field {name} of {model.__name__}?"
        if called is not None:
            text += f" It seems to be called {clipped(called)!r}, which no dialect file can say."
        by_wire = {p.wire: p for p in sorted(places, key=lambda p: p.likeness.score)}
        ordered = sorted(by_wire.values(), key=lambda p: -p.likeness.score)[:5]
        self._learned.ask(
            f"schemas.{model.__name__}.{name}",
            text,
            tuple(AnswerOption(p.wire, p.likeness.reason, p.likeness.score) for p in ordered),
        )

    def _merge_words(self, enum: type[Enum], words: list[str]) -> None:
        for word in words[:200]:
            what = f"words.{enum.__name__}.{word}"
            said = meaning(enum, word, words)
            if said.told is not None and said.certainty != "guess":
                score = {"certain": 1.0, "likely": 0.9}[said.certainty]
                self._learned.add(what, said.told, said.reason, score)
            elif enum.__name__ not in CATALOGUES:
                meanings = said.meanings or tuple(values_of(enum))
                candidates = tuple(AnswerOption(m, said.reason, 0.5) for m in said.meanings)
                text = f"What does the word {word!r} of {enum.__name__} mean? One of: "
                self._learned.ask(what, text + ", ".join(meanings), candidates, risky=True)
