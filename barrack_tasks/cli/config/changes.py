"""What an apply would change on a server: what is wanted, what is there, what was applied last.

What somebody changed by hand since the last apply stays, unless it is to be overwritten. Only what
the same file made is removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

Action = Literal["create", "change", "remove", "keep", "none"]
"""`keep`: all that differs was changed by hand, and stays."""


class _Absent:
    """Stands for a value that is not there."""

    def __repr__(self) -> str:
        return "(none)"


ABSENT = _Absent()


@dataclass(frozen=True)
class Present:
    """Something that a server has.

    Attributes:
        values: what may be changed of it, by name.
        owner: the file that made it; None if no file did.
    """

    values: Mapping[str, Any]
    owner: str | None = None


@dataclass(frozen=True)
class ValueChange:
    """One value that is not as the file says.

    Attributes:
        name: of the value, such as `parameter select`.
        old: as the server has it, or `ABSENT`.
        new: as the file says it, or `ABSENT`.
        by_hand: whether somebody changed it since the last apply.
        kept: whether it stays as it is.
    """

    name: str
    old: Any
    new: Any
    by_hand: bool = False
    kept: bool = False

    @property
    def items(self) -> tuple[ItemChange, ...]:
        """How it differs item by item, if it is a list or a mapping."""
        return items_of(self.old, self.new)


@dataclass(frozen=True)
class PlannedChange:
    """What becomes of one thing.

    Attributes:
        key: what it is called.
        action: what an apply does to it.
        differences: of its values, by their names.
        values: as they are after an apply; empty for what is removed.
        taken_over: whether no file made it before.
        deleted_by_hand: whether it was there after the last apply, and is not any more.
    """

    key: str
    action: Action
    differences: tuple[ValueChange, ...] = ()
    values: Mapping[str, Any] | None = None
    taken_over: bool = False
    deleted_by_hand: bool = False

    @property
    def drifted(self) -> tuple[ValueChange, ...]:
        """What was changed by hand since the last apply."""
        return tuple(one for one in self.differences if one.by_hand)

    @property
    def is_done(self) -> bool:
        """Whether an apply does something."""
        return self.action in ("create", "change", "remove")


@dataclass(frozen=True)
class ItemChange:
    """One item of a list, or one key of a mapping, that is not as it was.

    Attributes:
        sign: `+` is added, `-` is taken away.
        value: the item; of a mapping, a mapping of its one key.
    """

    sign: Literal["+", "-"]
    value: Any


def items_of(old: Any, new: Any) -> tuple[ItemChange, ...]:
    """How two lists differ item by item, or two mappings key by key; nothing for other values.

    An item that changed is taken away and added; one that moved, too, since order may count.

    Example:
        >>> [(one.sign, one.value) for one in items_of(["a", "b"], ["b", "c"])]
        [('-', 'a'), ('+', 'c')]
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return items_of([{k: v} for k, v in old.items()], [{k: new[k]} for k in _ordered(old, new)])
    if not (isinstance(old, list) and isinstance(new, list)):
        return ()
    matcher = SequenceMatcher(None, [*map(digest, old)], [*map(digest, new)], autojunk=False)
    found: list[ItemChange] = []
    for tag, first, last, begin, end in matcher.get_opcodes():
        if tag != "equal":
            found += [ItemChange("-", one) for one in old[first:last]]
            found += [ItemChange("+", one) for one in new[begin:end]]
    return tuple(found)


def _ordered(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys of a new mapping in the order of the old one, which does not count."""
    return [*(key for key in old if key in new), *(key for key in new if key not in old)]


class OwnedElsewhereError(Exception):
    """Something that is wanted belongs to another file; `key` is its name, `owner` that file's."""

    def __init__(self, key: str, owner: str) -> None:
        super().__init__(key, owner)
        self.key, self.owner = key, owner


Digests = Mapping[str, str]
"""What was applied last of one thing: the digest of each value by its name.

Where an apply has begun and was not seen to end, a value has the digests of what it was before and
of what it was to be, with a space between them: both are none of a person's doing.
"""
_NONE = "-"
"""Stands for the digest of a value that is not there."""


def digest(value: Any) -> str:
    """A short text that two values share only if they say the same.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def digests(values: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each value."""
    return {name: digest(value) for name, value in values.items()}


def begun(last: Digests, new: Digests) -> Digests:
    """What is noted of one thing before an apply changes it, in case the apply does not end.

    Args:
        last: what is known of what was applied last; empty if the thing is not there.
        new: what is applied now.

    Example:
        >>> begun({"a": "1", "b": "2"}, {"b": "3", "c": "4"})
        {'a': '1 -', 'b': '2 3', 'c': '- 4'}
    """
    both = ((n, [*last.get(n, _NONE).split(), new.get(n, _NONE)]) for n in {**last, **new})
    return {name: " ".join(dict.fromkeys(found)) for name, found in both}


def changes(
    wanted: Mapping[str, Mapping[str, Any]],
    present: Mapping[str, Present],
    last: Mapping[str, Digests],
    name: str,
    *,
    overwrite: bool = False,
) -> list[PlannedChange]:
    """What an apply does to each thing that is wanted or that the file made.

    Args:
        wanted: the values of each thing, by its key.
        present: what the server has.
        last: what was applied last of each; of what no file made, what is known of it otherwise.
            Where nothing is known, nothing counts as changed by hand.
        name: of the file.
        overwrite: whether what was changed by hand becomes as the file says.

    Raises:
        OwnedElsewhereError: something that is wanted was made by another file.

    Example:
        >>> [one.action for one in changes({"a": {"x": 1}}, {}, {}, "team")]
        ['create']
    """
    found = [
        _change(key, values, present.get(key), last.get(key), name, overwrite)
        for key, values in wanted.items()
    ]
    gone = [k for k, one in present.items() if one.owner == name and k not in wanted]
    return [*found, *(PlannedChange(key, "remove") for key in sorted(gone))]


def _change(
    key: str,
    new: Mapping[str, Any],
    there: Present | None,
    last: Digests | None,
    name: str,
    overwrite: bool,
) -> PlannedChange:
    if there is None:
        made = tuple(ValueChange(n, ABSENT, value) for n, value in new.items())
        return PlannedChange(key, "create", made, dict(new), deleted_by_hand=_was_there(last))
    if there.owner not in (None, name):
        raise OwnedElsewhereError(key, str(there.owner))
    differences: list[ValueChange] = []
    values: dict[str, Any] = {}
    for value in dict.fromkeys((*new, *there.values)):
        now, wish = there.values.get(value, ABSENT), new.get(value, ABSENT)
        result = wish
        if not _is_same(now, wish):
            by_hand = last is not None and _digest(now) not in last.get(value, _NONE).split()
            kept = by_hand and not overwrite
            differences.append(ValueChange(value, now, wish, by_hand, kept))
            result = now if kept else wish
        if result is not ABSENT:
            values[value] = result
    taken_over = there.owner is None
    if all(one.kept for one in differences) and not taken_over:
        action: Action = "keep" if differences else "none"
    else:
        action = "change"
    return PlannedChange(key, action, tuple(differences), values, taken_over)


def _is_same(one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT:
        return one is other
    return digest(one) == digest(other)


def _digest(value: Any) -> str:
    return _NONE if value is ABSENT else digest(value)


def _was_there(last: Digests | None) -> bool:
    """Whether a thing was there after the last apply, as far as is known."""
    if not last:
        return last is not None
    return not all(_NONE in found.split() for found in last.values())
