"""A mapping that every worker sees, kept in as many records as it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    """Keep a mapping; only the records that changed are written."""
    parts: list[dict[str, Any]] = [{}]
    size = 0
    for key in sorted(content):
        cost = len(json.dumps({key: content[key]}))
        if size + cost > MOST_CHARACTERS:
            parts.append({})
            size = 0
        parts[-1][key] = content[key]
        size += cost
    with Records(prefix) as records:
        before = records.all()
        for number, part in enumerate(parts):
            if before.get(f"{prefix}{number}") != part:
                records.put(str(number), part)
        for name in before:
            if name.removeprefix(prefix) not in {str(n) for n in range(len(parts))}:
                records.drop(name)
