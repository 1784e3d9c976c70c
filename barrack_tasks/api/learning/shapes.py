"""From JSON values to schemas: names and types are kept, values are not.

The only values that are kept are words of states and kinds, and none that looks like a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from barrack_tasks.api.learning.matching import words_of

Node = dict[str, Any]
_MOST_ITEMS = 200
_MOST_WORDS = 40
_MOST_FIELDS = 500
_DEEPEST = 30
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


def shape_of(value: Any, secrets: Iterable[str] = (), name: str = "", depth: int = 0) -> Node:
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


def _text(value: str, secrets: Iterable[str], name: str) -> Node:
    node: Node = {"type": "string"}
    if _MOMENT.fullmatch(value):
        node["format"] = "date-time"
    elif _TELLING & set(words_of(name)) and _WORD.fullmatch(value) and not looks_secret(value):
        node["examples"] = [] if any(_touches(value, s) for s in secrets) else [value]
    return node


def _touches(value: str, secret: str) -> bool:
    return secret in value or (len(value) >= 6 and value in secret)


def _object(value: Mapping[str, Any], secrets: Iterable[str], depth: int) -> Node:
    names = [n for n in value if isinstance(n, str) and n][:_MOST_FIELDS]
    fields = {
        n: shape_of(value[n], secrets, n, depth + 1)
        for n in names
        if not is_secret_name(n) and not looks_secret(n) and not any(s in n for s in secrets)
        and re.fullmatch(r"[A-Za-z_$@][A-Za-z0-9_$@:-]{0,63}", n)
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
