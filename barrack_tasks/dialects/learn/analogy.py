"""What examples do not show, by analogy with what they show."""

from __future__ import annotations

from collections import Counter

from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn import synonyms as known
from barrack_tasks.dialects.learn.likeness import words_of
from barrack_tasks.dialects.learn.result import AnswerOption, Learned

_ENOUGH = 5


def fill_by_analogy(learned: Learned) -> None:
    """Fill in fields of schemas that were not seen, and suggest paths that were not."""
    style = case_style(learned)
    for what in [w for w in learned.unseen if w.startswith("schemas.")]:
        _, schema, field = what.split(".")
        wire, reason = _as_elsewhere(learned, schema, field)
        if wire is None and style == "camel" and len(words_of(field)) > 1:
            wire, reason = camel(field), "in the case of all other names"
        if wire is not None:
            learned.add(what, wire, reason, 0.5)
            del learned.unseen[what]
    _suggest_paths(learned, style)


def camel(name: str) -> str:
    """A name in camelCase."""
    first, *rest = words_of(name)
    return first + "".join(word.capitalize() for word in rest)


def case_style(learned: Learned) -> str:
    """The case of the names that were seen: `camel`, `snake`, or nothing clear."""
    votes: Counter[str] = Counter()
    for what, match in learned.matches.items():
        if what.startswith("schemas.") and isinstance(match.wire, str):
            for step in match.wire.split("."):
                if len(words_of(step)) > 1:
                    votes["snake" if "_" in step else "camel"] += 1
    if sum(votes.values()) < _ENOUGH:
        return ""
    style, count = votes.most_common(1)[0]
    return style if count >= 0.9 * sum(votes.values()) else ""


def _as_elsewhere(learned: Learned, schema: str, field: str) -> tuple[str | None, str]:
    """The wire name that the field has in every schema about the same kind of thing."""
    noun = known.NOUNS.get(schema)
    near: Counter[str] = Counter()
    all_: Counter[str] = Counter()
    for what, match in learned.matches.items():
        parts = what.split(".")
        if parts[0] != "schemas" or len(parts) != 3 or parts[2] != field:
            continue
        if not isinstance(match.wire, str) or match.certainty == "guess":
            continue
        if schema.endswith("Request") and "." in match.wire:
            continue  # what is asked for is seldom as deep as what is answered
        all_[match.wire] += 1
        if noun and known.NOUNS.get(parts[1]) == noun:
            near[match.wire] += 1
    for votes, where in ((near, f"schemas about the {noun}"), (all_, "every other schema")):
        if len(votes) == 1 and (votes is near or field.endswith("_id") or sum(votes.values()) > 1):
            return next(iter(votes)), f"as in {where}"
    return None, ""


def _suggest_paths(learned: Learned, style: str) -> None:
    """Paths beside those that were seen, as questions: nothing that was not seen is taken."""
    stems = _stems(learned)
    for what in [w for w in learned.unseen if w.startswith("operations.") and w.count(".") == 1]:
        name = what.split(".")[1]
        ours = builtin().operations[name]
        first, _, rest = ours.path.strip("/").partition("/")
        if first not in stems:
            continue
        tail = "/".join(
            part if part.startswith("{") or style != "camel" else camel(part)
            for part in rest.split("/")
            if part
        )
        path = stems[first] + (f"/{tail}" if tail else "")
        if path == ours.path:
            continue
        wire = {"method": ours.method, "path": path, "path_parameters": {}}
        learned.ask(
            what,
            f"Which operation is {OPERATIONS[name].title!r} ({name})? None was seen.",
            (AnswerOption(wire, f"beside {stems[first]}, which was seen", 0.5),),
            risky=True,
        )
        del learned.unseen[what]


def _stems(learned: Learned) -> dict[str, str]:
    """First segments of the built-in paths and what stands in their place here."""
    found: dict[str, str] = {}
    for what, match in learned.matches.items():
        parts = what.split(".")
        if parts[0] != "operations" or len(parts) != 2 or not isinstance(match.wire, dict):
            continue
        ours = builtin().operations[parts[1]].path.strip("/")
        if "/" not in ours:
            found[ours] = match.wire["path"]
    return found
