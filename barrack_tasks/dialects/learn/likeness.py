"""Comparing names: case styles, synonyms, and how certain a likeness is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from barrack_tasks.dialects.learn import synonyms as known
from barrack_tasks.dialects.learn.synonyms import split

Certainty = Literal["certain", "likely", "guess"]
CERTAIN, LIKELY, GUESS = 0.95, 0.7, 0.4
"""Scores from which on a match is called so."""
MARGIN = 0.03
"""A match that is not this much better than the second best is ambiguous."""


def certainty_of(score: float) -> Certainty:
    """What a score is worth."""
    return "certain" if score >= CERTAIN else "likely" if score >= LIKELY else "guess"


@dataclass(frozen=True)
class Likeness:
    """How alike two names are, from 0 to 1, and why."""

    score: float
    reason: str


NOTHING = Likeness(0.0, "")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+")
_WHOLE = ("IPv4", "IPv6", "vCPUs", "vCPU", "GiB", "MiB", "KiB", "TiB", "IPs", "GPUs", "CPUs", "VMs")
_PLURAL_LOOKING = frozenset(split("status address class access process specs details"))


@lru_cache(maxsize=65536)
def words_of(name: str) -> tuple[str, ...]:
    """A name as its words: `vmStatus`, `vm-status` and `VM_STATUS` are all vm, status."""
    for whole in _WHOLE:
        name = name.replace(whole, f"_{whole.lower()}_")
    return tuple(word.lower() for word in _WORD.findall(name))


def singular(word: str) -> str:
    """A word without its plural."""
    if len(word) < 4 or word in _PLURAL_LOOKING or not word.endswith("s") or word.endswith("ss"):
        return {"ips": "ip", "vms": "vm"}.get(word, word)
    return word[:-3] + "y" if word.endswith("ies") else word[:-1]


_PHRASES = sorted(
    ((tuple(k.split("_")), tuple(v.split("_"))) for k, v in known.PHRASES.items()),
    key=lambda pair: -len(pair[0]),
)


@lru_cache(maxsize=65536)
def canonical(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words in the singular, with what they stand for in this library."""
    left = tuple(singular(word) for word in words)
    found: list[str] = []
    while left:
        for phrase, meaning in _PHRASES:
            if left[: len(phrase)] == phrase:
                found += meaning
                left = left[len(phrase) :]
                break
        else:
            found.append(left[0])
            left = left[1:]
    return tuple(found)


@lru_cache(maxsize=65536)
def _sides(words: tuple[str, ...]) -> dict[int, set[int]]:
    """On which sides words stand, for each conflict that they have a part in."""
    found: dict[int, set[int]] = {}
    for word in words:
        for conflict, side in _SIDES.get(word, ()):
            found.setdefault(conflict, set()).add(side)
    return found


_SIDES: dict[str, list[tuple[int, int]]] = {}
for _conflict, _all in enumerate(known.CONFLICTS):
    for _side, _words in enumerate(_all):
        for _word in _words:
            _SIDES.setdefault(_word, []).append((_conflict, _side))


def contradict(ours: Iterable[str], theirs: Iterable[str]) -> bool:
    """Whether two names surely mean different things."""
    here = _sides(tuple(ours))
    if not here:
        return False
    there = _sides(tuple(theirs))
    return any(n in there and not sides & there[n] for n, sides in here.items())


def overlap(ours: Iterable[str], theirs: Iterable[str]) -> float:
    """The share of words that two names have in common."""
    a, b = set(ours), set(theirs)
    return len(a & b) / len(a | b) if a | b else 0.0


@lru_cache(maxsize=65536)
def name_likeness(schema: str, field: str, theirs: str) -> Likeness:
    """How surely a wire name is that of a field of one of this library's schemas."""
    ours, words = words_of(field), words_of(theirs)
    if theirs == field:
        return Likeness(1.0, "the same name")
    if not words:
        return NOTHING
    if words == ours:
        return Likeness(0.99, "the same name in another case")
    if contradict(ours, words):
        return NOTHING
    mine, other = canonical(ours), canonical(words)
    others, like = _synonyms(schema, field)
    if "_".join(words) in others:
        return Likeness(0.9, f"a synonym of {field}")
    if mine == other:
        # A list and one of its items are told apart by their types.
        plural = tuple(map(singular, ours)) == tuple(map(singular, words))
        return Likeness(0.93 if plural else 0.92, f"a synonym of {field}")
    noun = tuple(known.NOUNS.get(schema, "").split("_"))
    bare = other[len(noun) :] if noun != ("",) and other[: len(noun)] == noun else ()
    if bare and bare == mine:
        return Likeness(0.9, f"{field} of the {' '.join(noun)}")
    if bare and "_".join(bare) in others:
        return Likeness(0.85, f"a synonym of {field}, of the {' '.join(noun)}")
    if _core(mine) and _core(mine) == _core(other):
        return Likeness(0.87, f"{field} without its unit or helping word")
    if ("whole", other) in like or ("core", _core(other)) in like:
        return Likeness(0.85, f"like a synonym of {field}")
    shared = overlap(mine, other)
    return Likeness(0.3 + 0.3 * shared, f"some words of {field}") if shared >= 0.5 else NOTHING


@lru_cache(maxsize=4096)
def _synonyms(schema: str, field: str) -> tuple[frozenset[str], frozenset[tuple[str, Any]]]:
    """Synonyms of a field, and what is like one: its words as they are meant, and their core."""
    others = known.FIELDS.get(f"{schema}.{field}", ()) + known.FIELDS.get(field, ())
    whole = {("whole", canonical(words_of(o))) for o in others}
    return frozenset(others), frozenset(whole | {("core", _core(words_of(o))) for o in others})


def _core(words: tuple[str, ...]) -> tuple[str, ...]:
    while len(words) > 1 and words[0] in known.HELPERS:
        words = words[1:]
    return words[:-1] if len(words) > 1 and words[-1] in known.UNITS else words


def path_likeness(schema: str, field: str, steps: tuple[str, ...]) -> Likeness:
    """How surely what lies at the end of a path of names is a field."""
    leaf = name_likeness(schema, field, steps[-1])
    if len(steps) == 1:
        if (schema, field, steps[0].lower()) in _MACHINES:
            return Likeness(0.5, "it may be the number of machines")
        return leaf
    parents, place = steps[:-1], ".".join(steps)
    best = NOTHING
    joined = name_likeness(schema, field, "_".join(steps))
    if joined.score >= LIKELY:
        best = Likeness(
            min(joined.score, 0.97) - 0.03, f"{place} read as one name: {joined.reason}"
        )
    end = "_".join(words_of(steps[-1]))
    above = path_likeness(schema, field, parents) if end in known.LEAVES else NOTHING
    if above.score >= 0.8:
        score = known.LEAVES[end] - 0.03 * (len(parents) - 1)
        best = _better(best, Likeness(score, f"the {end} of {'.'.join(parents)}: {above.reason}"))
    if leaf.score >= LIKELY and all(_fits(field, parent) for parent in parents):
        score = leaf.score * 0.93 - 0.02 * (len(parents) - 1)
        best = _better(best, Likeness(score, f"{leaf.reason}, under {'.'.join(parents)}"))
    return best


_MACHINES = frozenset(("DeploymentRequest", "gpu_count", w) for w in ("count", "quantity"))
"""A bare number in a request for new machines may count these, and not their GPUs."""


def _fits(field: str, parent: str) -> bool:
    words = words_of(parent)
    name = "_".join(words)
    return name in known.NEUTRAL or field in known.TOPICS.get(name, frozenset())


def _better(one: Likeness, other: Likeness) -> Likeness:
    return other if other.score > one.score else one


_AFFIXES = frozenset(
    split("dto schema model object type api barrack v1 v2 v3 resource entity view payload")
)


@lru_cache(maxsize=65536)
def schema_key(name: str) -> tuple[str, ...]:
    """A schema's name without what frameworks put before or after it."""
    words = list(words_of(name.rsplit(".", 1)[-1]))
    while len(words) > 1 and words[0] in _AFFIXES:
        words.pop(0)
    while len(words) > 1 and words[-1] in _AFFIXES:
        words.pop()
    return ("".join(words),)


def same_schema(ours: str, theirs: Iterable[str]) -> bool:
    """Whether one of the names is that of our schema."""
    return any(name == ours or schema_key(name) == schema_key(ours) for name in theirs)
