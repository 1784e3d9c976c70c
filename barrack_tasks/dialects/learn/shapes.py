"""From JSON values to schemas: names and types are kept, values are not.

The only values that are kept are words of states and kinds, and none that looks like a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from barrack_tasks.dialects.learn.likeness import words_of

Node = dict[str, Any]
_MOST_ITEMS = 200
_MOST_WORDS = 40
_MOST_FIELDS = 500
_DEEPEST = 30
_LONGEST_NAME = 200
_MOST_DISTINCT = 5_000
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_. -]{0,31}")
_TELLING = frozenset(
    {
        "status", "state", "phase", "type", "kind", "direction", "protocol", "ethertype", "tier",
        "currency", "region", "environment", "zone", "location", "model", "gpu", "role",
        "lifecycle", "family",
    }
)  # fmt: skip
"""Fields of which words are kept."""
_SECRET = frozenset(
    {
        "authorization", "cookie", "cookies", "token", "tokens", "secret", "password", "passwd",
        "apikey", "credential", "credentials", "jwt", "session", "signature", "bearer", "csrf",
        "xsrf", "private",
    }
)  # fmt: skip
_NOT_SECRET = frozenset({"prompt", "completion", "total", "max", "input", "output", "ip", "usage"})


def is_secret_name(name: str) -> bool:
    """Whether a field, header or parameter of this name holds a secret."""
    words = words_of(name)
    if {"api", "key"} <= set(words) or {"access", "key"} <= set(words):
        return True
    return bool(_SECRET & set(words)) and not _NOT_SECRET & set(words)


def looks_secret(text: str) -> bool:
    """Whether a text looks like a key or token."""
    if len(text) >= 16 and re.fullmatch(r"[0-9a-fA-F-]+", text):
        return True
    if text.startswith(("eyJ", "sk-", "sk_", "pk_", "ghp_", "Bearer ")):
        return True
    if len(text) < 20 or " " in text:
        return False
    kinds = sum(bool(re.search(p, text)) for p in ("[0-9]", "[a-z]", "[A-Z]"))
    return kinds >= 2 and max(map(len, re.split(r"[-_. ]", text))) >= 12


class Secrets:
    """Texts that must not appear in what is learned; whether one does is told fast.

    Example:
        >>> Secrets(["hunter2"]).are_in("xhunter2x")
        True
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._all = frozenset(s for s in secrets if s)
        self._lengths = sorted({len(s) for s in self._all})
        self._text = "\n".join(sorted(self._all))
        self._known: dict[str, bool] = {}

    def are_in(self, text: str) -> bool:
        """Whether one of them stands in a text; a text longer than any name counts as one."""
        if len(text) > _LONGEST_NAME:
            return bool(self._all)
        return any(
            text[at : at + length] in self._all
            for length in self._lengths
            if length <= len(text)
            for at in range(len(text) - length + 1)
        )

    def touch(self, word: str) -> bool:
        """Whether one of them stands in a word, or the word, if it is long, in one of them.

        What was seen too often to be a word of a state counts as a secret.
        """
        if word not in self._known:
            if len(self._known) >= _MOST_DISTINCT:
                return bool(self._all)
            self._known[word] = self.are_in(word) or (len(word) >= 6 and word in self._text)
        return self._known[word]


NO_SECRETS = Secrets(())


def shape_of(value: Any, secrets: Secrets = NO_SECRETS, name: str = "", depth: int = 0) -> Node:
    """The schema of one JSON value."""
    if depth > _DEEPEST or value is None:
        return {}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer"}
    if isinstance(value, float):
        return {"type": "number"}
    if isinstance(value, str):
        return _text(value, secrets, name)
    if isinstance(value, list):
        items: Node = {}
        for item in value[:_MOST_ITEMS]:
            items = joined(items, shape_of(item, secrets, name, depth + 1))
        return {"type": "array", "items": items}
    if isinstance(value, Mapping):
        return _object(value, secrets, depth)
    return {}


def _text(value: str, secrets: Secrets, name: str) -> Node:
    node: Node = {"type": "string"}
    if _MOMENT.fullmatch(value):
        node["format"] = "date-time"
    elif _TELLING & set(words_of(name)) and _WORD.fullmatch(value) and not looks_secret(value):
        node["examples"] = [] if secrets.touch(value) else [value]
    return node


def _object(value: Mapping[str, Any], secrets: Secrets, depth: int) -> Node:
    names = [n for n in value if isinstance(n, str) and n][:_MOST_FIELDS]
    fields = {
        n: shape_of(value[n], secrets, n, depth + 1)
        for n in names
        if re.fullmatch(r"[A-Za-z_$@][A-Za-z0-9_$@:-]{0,63}", n)
        and not is_secret_name(n) and not looks_secret(n) and not secrets.are_in(n)
    }  # fmt: skip
    keyed = sum(any(c.isdigit() for c in n) for n in fields)
    if len(fields) >= 4 and keyed > len(fields) / 2:
        return {"type": "object"}  # a table by id: its keys are no names of fields
    return {"type": "object", "properties": fields}


def joined(one: Node, other: Node) -> Node:
    """The schema of what may be either of two."""
    if not one or not other:
        return one or other
    kinds = list(dict.fromkeys([*_types(one), *_types(other)]))
    node: Node = {"type": kinds[0] if len(kinds) == 1 else kinds}
    if "integer" in kinds and "number" in kinds:
        kinds.remove("integer")
        node["type"] = kinds[0] if len(kinds) == 1 else kinds
    a, b = one.get("properties"), other.get("properties")
    if a is not None or b is not None:
        a, b = a or {}, b or {}
        node["properties"] = {k: joined(a.get(k, {}), b.get(k, {})) for k in {**a, **b}}
    if "items" in one or "items" in other:
        node["items"] = joined(one.get("items", {}), other.get("items", {}))
    if one.get("format") and one.get("format") == other.get("format"):
        node["format"] = one["format"]
    words = list(dict.fromkeys([*one.get("examples", []), *other.get("examples", [])]))
    if words:
        node["examples"] = words[:_MOST_WORDS]
    return node


def _types(node: Node) -> list[str]:
    said = node.get("type")
    return said if isinstance(said, list) else [said] if said else []
