"""A mapping that every worker sees, kept in as many records as it needs.

Its content lies in parts that never change, and a head names the parts that count. Whoever changes
the mapping writes new parts, and then gives the head its next name. The server renames a record
once: of two who change the same mapping at once, one begins again with what the other has written.
So nothing is lost, and whoever reads, or is cut off, sees the whole of one state or of the next.

Records that are called by a number are parts of an earlier release, or come from another name of
the account. They count where the head does not know better, until the next change takes them in.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

from barrack_tasks.server.variables import MOST_CHARACTERS, Records, Stamped, key_of_id

_HEAD = re.compile(r"n(\d{8})(x[0-9a-z]+)?")
_PART = re.compile(r"k[0-9a-f]{8}")
_NUMBERED = re.compile(r"[0-9]{1,4}(x[0-9a-z]+)*")
_FIRST = "n00000000"
_PART_NAME = 9
_LOOKS = 5
_LEFT_OVER = timedelta(hours=1)
"""A part that no head names is dropped once it is so much older than the newest record."""


class _Standing(NamedTuple):
    """A mapping as it stands, and the names of the records that it is made of."""

    content: dict[str, Any]
    head: str | None
    parts: dict[str, dict[str, Any]]
    """Those that the head names, by name."""
    spent: set[str]
    """Records that the next change makes useless, besides parts that change."""
    unread: list[str]
    """Records that count and are missing, or are no mapping."""


class TableUnreadError(ValueError):
    """A part of a mapping is missing, or is no mapping: what it has said is unknown."""


def read_all(prefix: str, whole: bool = False) -> dict[str, Any]:
    """A mapping as one. What is not a mapping is left out.

    Args:
        prefix: of the names of its records.
        whole: refuse a mapping of which a part cannot be read.

    Raises:
        TableUnreadError: a part cannot be read, and `whole` was asked for; says which.
    """
    with Records(prefix) as records:
        standing = _look(records, prefix)
    if whole and standing.unread:
        names = ", ".join(f"{prefix}{name}" for name in standing.unread)
        raise TableUnreadError(f"the Prefect variable {names} cannot be read")
    return standing.content


def change_all(
    prefix: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> dict[str, Any]:
    """Change a mapping, whoever else changes it at the same time; what it is then.

    Args:
        prefix: of the names of its records.
        change: given what stands, gives what is to stand. It is asked again, about what stands
            then, when another run was faster; and it may be asked about its own work.

    Example:
        >>> change_all("barrack_proofs_team_", lambda stands: {**stands, "BRK-1": [1, "4711", 1]})
    """
    with Records(prefix) as records:
        while True:
            standing = _look(records, prefix)
            wanted = json.loads(json.dumps(change(dict(standing.content))))
            if wanted == standing.content:
                return standing.content
            if standing.head is None:
                _begin(records, prefix)
                continue
            target = _next(prefix, standing.head)
            if not _renamed(records, prefix, standing, wanted, target):
                continue
            # Only a first head may be there anew while a later one counts: then it was renamed.
            if standing.head == _FIRST and _look(records, prefix).head != target:
                continue
            return dict(wanted)


def merge_all(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Change what differs between two states of a mapping, and leave what others have changed.

    Args:
        prefix: of the names of its records.
        before: as it was read.
        after: as it is to be.
    """
    gone = before.keys() - after.keys()
    new = {k: v for k, v in after.items() if k not in before or before[k] != v}
    if new or gone:
        change_all(prefix, lambda now: {**{k: v for k, v in now.items() if k not in gone}, **new})


def write_all(prefix: str, content: Mapping[str, Any]) -> None:
    """Keep a mapping in place of what stands, whatever that is."""
    change_all(prefix, lambda _: content)


def _look(records: Records, prefix: str) -> _Standing:
    for _ in range(_LOOKS):
        found = {n.removeprefix(prefix): one for n, one in records.stamped().items()}
        heads = sorted(n for n in found if _HEAD.fullmatch(n))
        named = {name: _named(found[name].value) for name in heads}
        # The head was read before, or after, its parts were replaced: then both are read again.
        if all(part in found for parts in named.values() for part in parts):
            break
    content: dict[str, Any] = {}
    for name in sorted(n for n in found if _NUMBERED.fullmatch(n)):
        content |= _mapping(found[name].value)
    for name in heads:
        value = _mapping(found[name].value)
        content |= _mapping(value.get("content"))
        for part in named[name]:
            content |= _mapping(found[part].value) if part in found else {}
    head = heads[-1] if heads else None
    needed = [n for n in found if _NUMBERED.fullmatch(n)] if head is None else [head, *named[head]]
    unread = [n for n in needed if n not in found or not isinstance(found[n].value, dict)]
    counting = {} if head is None else {n: found[n] for n in named[head] if n in found}
    return _Standing(
        content,
        head,
        {name: _mapping(one.value) for name, one in counting.items()},
        _spent(found, {*heads[-1:], *counting}, {p for parts in named.values() for p in parts}),
        unread,
    )


def _spent(found: Mapping[str, Stamped], current: set[str], named: set[str]) -> set[str]:
    newest = max((one.written for one in found.values()), default=None)
    return {
        name
        for name, one in found.items()
        if name not in current
        and (
            name in named
            or _HEAD.fullmatch(name)
            or _NUMBERED.fullmatch(name)
            # Another run may be about to name it.
            or (_PART.fullmatch(name) and newest and newest - one.written > _LEFT_OVER)
        )
    }


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(head: Any) -> list[str]:
    told = str(_mapping(head).get("parts", ""))
    return [told[at : at + _PART_NAME] for at in range(0, len(told), _PART_NAME)]


def _next(prefix: str, head: str) -> str:
    # What came from another account's name keeps its own numbers, and takes no name of this one.
    return f"n{int(head[1:9]) + 1:08}x{key_of_id(prefix)[:6]}"


def _begin(records: Records, prefix: str) -> None:
    """Give a mapping its first head, which knows nothing yet."""
    records.create(f"{prefix}{_FIRST}", {"content": {}})


def _renamed(
    records: Records, prefix: str, standing: _Standing, wanted: Mapping[str, Any], target: str
) -> bool:
    """Whether what is wanted counts from now on; nothing has changed if another was faster."""
    parts: dict[str, dict[str, Any]] = {}
    value: dict[str, Any] = {"content": wanted}
    if len(json.dumps(value)) > MOST_CHARACTERS:
        for name, part in _spread(wanted, standing.parts).items():
            if standing.parts.get(name) == part:
                parts[name] = part
            elif part:
                parts[_written(records, part)] = part
        value = {"parts": "".join(parts)}
        if len(json.dumps(value)) > MOST_CHARACTERS:
            raise ValueError(f"{prefix}: {len(wanted)} entries are more than can be stored")
    if not records.rename(f"{prefix}{standing.head}", f"{prefix}{target}", value):
        return False
    for name in {*standing.spent, *standing.parts.keys() - parts.keys()}:
        records.drop(f"{prefix}{name}")
    return True


def _written(records: Records, part: Mapping[str, Any]) -> str:
    while not records.create(name := f"k{secrets.token_hex(4)}", part):
        pass
    return name


def _spread(content: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The content in parts that each fit into a record, by name; a key stays where it fits."""
    parts: dict[str, dict[str, Any]] = {name: {} for name in sorted(old)}
    sizes = dict.fromkeys(parts, 0)
    home = {k: name for name, part in old.items() for k in part}
    for key in sorted(content, key=lambda k: (k not in home, k)):
        cost = len(json.dumps({key: content[key]}))
        fitting = (n for n in (home.get(key), *parts) if n and sizes[n] + cost <= MOST_CHARACTERS)
        name = next(fitting, None)
        if name is None:
            name = next(str(n) for n in count() if str(n) not in parts)
            parts[name], sizes[name] = {}, 0
        parts[name][key] = content[key]
        sizes[name] += cost
    return parts
