"""What a new instance must be asked for with, and only a list of the API tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from barrack_tasks.api import models
from barrack_tasks.dialects.learn.calls import Wired, segments_of
from barrack_tasks.dialects.learn.fields import Mapper
from barrack_tasks.dialects.learn.likeness import canonical, words_of
from barrack_tasks.dialects.learn.result import AnswerOption, Learned
from barrack_tasks.dialects.learn.schema import Schema
from barrack_tasks.dialects.learn.synonyms import split

_GIVEN = ("region", "gpu_model", "gpu_count")
"""What a caller gives, and a list may be searched by."""
_NAMES = frozenset(split("id name slug code uuid key"))
_BY_NAME = {
    **dict.fromkeys(("key", "ssh_key", "keypair", "key_pair"), ("ssh_key_id", "list_ssh_keys")),
    **dict.fromkeys(("image", "os_image", "os"), ("image_id", "list_os_images")),
}
"""Things that are asked for by name, with our field and the list that tells the name of an id."""
_HOW_MANY = frozenset(split("count quantity"))
_DEEPEST = 3
_MOST = 5


def ask_lookups(learned: Learned, mapper: Mapper, making: Wired, wired: list[Wired]) -> None:
    """Ask for each part of a request for a new instance that no caller gives.

    Args:
        learned: where it is asked.
        mapper: of schemas.
        making: the operation that makes an instance.
        wired: all operations of the document.
    """
    asked = making.asked
    if asked is None:
        return
    ours = mapper.map(models.DeploymentRequest, asked).found
    told = {place.steps[0] for place in ours.values() if place.steps}
    missing = set(_GIVEN) - set(ours)
    for name in sorted(set(asked.fields) - told):
        kinds = asked.at((name,)).kinds
        is_needed = name in asked.required
        if name in _HOW_MANY and kinds == {"integer"} and is_needed:
            wire = {"operations": {"create_instance": {"body": {name: 1}}}}
            options = [AnswerOption(wire, "one instance is made at a time", 0.8, "1")]
        elif not kinds or not kinds <= {"string", "integer"}:
            continue
        elif named := _named(name, set(ours), learned):
            options = [named]
        else:
            options = list(_options(mapper, name, missing, wired))
            if not is_needed:  # only what stands for the hardware, which has no other place
                options = [o for o in options if "schemas" in o.wire and "gpu_model" in missing]
        if options:
            text = f"What is {name} of a request for a new instance?"
            learned.ask(f"lookups.{name}", text, tuple(options[:_MOST]), risky=True)


def _named(name: str, told: set[str], learned: Learned) -> AnswerOption | None:
    """The name of a thing where a caller gives its id."""
    *stem, last = words_of(name)
    field, listed = _BY_NAME.get("_".join(stem), ("", ""))
    known = learned.matches.get(f"operations.{listed}")
    if last != "name" or not field or field in told or known is None or known.wire is None:
        return None
    wire = {
        "schemas": {"DeploymentRequest": {field: name}},
        "values": {"DeploymentRequest": {field: {"name_of": listed}}},
    }
    return AnswerOption(wire, f"{listed} gives it", 0.5, f"the name that belongs to the id {field}")


def _options(
    mapper: Mapper, name: str, missing: set[str], wired: list[Wired]
) -> Iterator[AnswerOption]:
    *stem, last = canonical(words_of(name))
    if last not in _NAMES:
        stem, last = [*stem, last], ""
    if "_".join(stem) in _BY_NAME:
        return
    for one in wired:
        listed = segments_of(one.path)[-1:]
        if one.method != "GET" or one.in_path or one.answer is None:
            continue
        if not listed or not set(stem) & set(listed[0].split()):
            continue
        for place, item in _lists(one.answer, "", 0):
            found = mapper.map(models.VMFlavor, item).found
            if "region" not in found:
                found = {**mapper.map(models.UserVM, item).found, **found}
            match = {field: found[field].wire for field in _GIVEN if field in found}
            if not match or not set(match) & missing:
                continue
            for take in [last] if last else sorted(_NAMES):
                if take in item.fields:
                    how = {"path": one.path, "items": place, "match": match, "take": take}
                    by = " and ".join(match.values())
                    label = f"the {take} of what {one.place} shows with that {by}"
                    yield AnswerOption(_wire(name, how, match), "a list gives it", 0.5, label)


def _wire(name: str, how: dict[str, Any], match: dict[str, str]) -> dict[str, Any]:
    told = {field: None for field in match if field != "region"}
    lookup = {"operations": {"create_instance": {"lookup": {name: how}}}}
    return {**lookup, **({"schemas": {"DeploymentRequest": told}} if told else {})}


def _lists(schema: Schema, above: str, depth: int) -> Iterator[tuple[str, Schema]]:
    """The lists in an answer, each with its path and what it holds; those in groups, too."""
    if depth > _DEEPEST:
        return
    for name, inner in schema.fields.items():
        here = f"{above}.{name}" if above else name
        if inner.kinds == {"array"} and inner.items is not None:
            yield f"{here}[]" if "[]" in here else here, inner.items
            yield from _lists(inner.items, f"{here}[]", depth + 1)
        elif inner.kinds == {"object"}:
            yield from _lists(inner, here, depth + 1)
