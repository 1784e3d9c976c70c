"""Where in an answer its body lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from barrack_tasks.api.models import ErrorResponse
from barrack_tasks.api.operations import Operation
from barrack_tasks.dialects.learn.calls import Wired
from barrack_tasks.dialects.learn.fields import Mapper
from barrack_tasks.dialects.learn.kinds import inner_model
from barrack_tasks.dialects.learn.likeness import LIKELY, same_schema, words_of
from barrack_tasks.dialects.learn.schema import Schema, Steps

_DEEPEST = 3
_WORK = frozenset({"task", "action", "operation", "job", "activity", "event", "work"})
"""Words for work that goes on; an answer may hold it in place of the thing that it changes."""


def bodies(mapper: Mapper, operation: Operation[Any], answer: Schema) -> dict[Steps, float]:
    """The places in an answer where the body may lie, each with its likeness, 0 to 1."""
    named = {
        steps: 1.0 - 0.01 * len(steps)
        for steps, schema in [((), answer), *answer.places(_DEEPEST)]
        if same_schema(operation.response.__name__, schema.names)
    }
    if named:
        return named
    found: dict[Steps, float] = {}
    for steps, schema in [((), answer), *answer.places(_DEEPEST)]:
        if not schema.kinds & {"object", "array"}:
            continue
        if steps and _WORK & set(words_of(steps[-1])):
            continue  # its id and its state are those of the work, and not of the thing
        score = _body(mapper, operation, schema)
        if score:
            found[steps] = max(0.05, score - 0.02 * len(steps))
    return found


def _body(mapper: Mapper, operation: Operation[Any], schema: Schema) -> float:
    mapping = mapper.map(operation.response, schema)
    if operation.result:
        place = mapping.found.get(operation.result)
        if place is None:
            return 0.0
        score = place.likeness.score * (0.9 if len(place.steps) < 2 else 0.6)
        return score * _held(mapper, operation, schema.at(place.steps))
    return 0.9 * mapper.fit(operation.response, schema)


def _held(mapper: Mapper, operation: Operation[Any], schema: Schema) -> float:
    """How much of what the result is made of is there."""
    inner, many = inner_model(operation.response, operation.result)
    target = schema.items if many else schema
    if inner is None or target is None or not target.fields:
        return 0.8
    return 0.4 + 0.6 * mapper.fit(inner, target)


def answer_fit(mapper: Mapper, operation: Operation[Any], wired: Wired) -> float:
    """How alike an answer is to what the operation answers with, 0 to 1."""
    if wired.answer is None:
        return 0.0
    return max(bodies(mapper, operation, wired.answer).values(), default=0.0)


def choose_envelopes(
    mapper: Mapper, matched: Mapping[str, tuple[Operation[Any], Wired]]
) -> tuple[Steps | None, dict[str, Steps]]:
    """The place that most answers have their body in, and where each operation has it."""
    chances = {
        name: bodies(mapper, operation, wired.answer)
        for name, (operation, wired) in matched.items()
        if wired.answer is not None
    }
    votes: Counter[Steps] = Counter()
    for places in chances.values():
        for steps, score in places.items():
            votes[steps] += round(1000 * score)
    if not votes:
        return None, {}
    main = max(votes, key=lambda steps: (votes[steps], -len(steps)))
    chosen: dict[str, Steps] = {}
    for name, places in chances.items():
        if not places:
            # A body of which nothing is read: it lies where the others have theirs, if it can.
            continue
        best = max(places, key=lambda steps: places[steps])
        own = places.get(main, 0.0)
        chosen[name] = main if own >= min(LIKELY * 0.8, places[best]) else best
    return main, chosen


def error_envelope(mapper: Mapper, wired: list[Wired]) -> tuple[Steps, Schema, bool] | None:
    """Where a refusal's body lies, its schema, and whether its name says so."""
    votes: Counter[tuple[Steps, int]] = Counter()
    known: dict[tuple[Steps, int], tuple[Schema, bool]] = {}
    for operation in wired:
        for answer in operation.errors:
            for steps, schema in [((), answer), *answer.places(2)]:
                named = same_schema(ErrorResponse.__name__, schema.names)
                found = mapper.map(ErrorResponse, schema).found if schema.fields else {}
                near = sum(len(place.steps) == 1 for place in found.values())
                if named or ("message" in found and near >= 2):
                    key = (steps, id(schema))
                    votes[key] += 100 if named else 10 * near - len(steps)
                    known[key] = (schema, named)
    if not votes:
        return None
    best = max(votes, key=lambda key: votes[key])
    schema, named = known[best]
    return best[0], schema, named
