"""A mapping that every worker sees, kept in as many records as it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from barrack_tasks.records import MOST_CHARACTERS, Records


def read_parts(prefix: str) -> list[dict[str, Any]]:
    """The parts of a mapping. What is not a mapping is left out.

    While another run writes, a key may stand in two parts.
    """
    with Records(prefix) as records:
        return [part for part in records.all().values() if isinstance(part, dict)]


def read_all(prefix: str) -> dict[str, Any]:
    """A mapping as one."""
    return {key: value for part in read_parts(prefix) for key, value in part.items()}


def write_all(prefix: str, content: Mapping[str, Any]) -> None:
    """Keep a mapping; only the records that changed are written.

    A key stays in the record where it stands, so that whoever reads meanwhile, or after this was
    cut off, finds every key that stood before and stays.
    """
    with Records(prefix) as records:
        before = records.all()
        old = {name.removeprefix(prefix): part for name, part in before.items()}
        for name, part in _spread(content, old).items():
            if old.get(name) == part:
                continue
            if part:
                records.put(name, part)
            else:
                records.drop(f"{prefix}{name}")


def _spread(content: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The content in parts that each fit into a record, by name; those that are left are empty.

    Parts that get something new come first.
    """
    parts: dict[str, dict[str, Any]] = {name: {} for name in sorted(old)}
    sizes = dict.fromkeys(parts, 0)
    home = {k: name for name, part in old.items() if isinstance(part, dict) for k in part}
    gaining: set[str] = set()
    for key in sorted(content, key=lambda k: (k not in home, k)):
        cost = len(json.dumps({key: content[key]}))
        fitting = (n for n in (home.get(key), *parts) if n and sizes[n] + cost <= MOST_CHARACTERS)
        name = next(fitting, None)
        if name is None:
            name = next(str(n) for n in count() if str(n) not in parts)
            parts[name], sizes[name] = {}, 0
        if name != home.get(key):
            gaining.add(name)
        parts[name][key] = content[key]
        sizes[name] += cost
    return dict(sorted(parts.items(), key=lambda one: one[0] not in gaining))
