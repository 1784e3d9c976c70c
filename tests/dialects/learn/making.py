"""Dialects by chance: names, places, paths, words, envelopes and paging as an API may have them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from barrack_tasks.api import models
from barrack_tasks.api.dialect import Dialect
from barrack_tasks.api.dialect.loading import merged, schema_fields
from barrack_tasks.api.models.base import Answer
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn import synonyms
from barrack_tasks.dialects.learn.likeness import name_likeness, words_of
from barrack_tasks.dialects.learn.words import SYNONYMS

Style = Callable[[str], str]


def snake(name: str) -> str:
    return "_".join(words_of(name))


def camel(name: str) -> str:
    first, *rest = words_of(name)
    return first + "".join(w.capitalize() for w in rest)


def pascal(name: str) -> str:
    return "".join(w.capitalize() for w in words_of(name))


def kebab(name: str) -> str:
    return "-".join(words_of(name))


STYLES: tuple[Style, ...] = (snake, camel, pascal, kebab)
PARENTS = {
    "public_ip": "network", "private_ip": "network", "hourly_price": "pricing",
    "currency": "pricing", "created_at": "timestamps", "updated_at": "timestamps",
    "hibernated_at": "timestamps", "gpu_model": "hardware", "gpu_count": "hardware",
    "vcpus": "resources", "ram_gb": "resources", "description": "meta", "region": "placement",
}  # fmt: skip
NESTED = ("UserVM", "VMInstance", "VMResponse", "Snapshot", "Image", "VolumeResponse", "VMFlavor")
SIZES = ("page_size", "limit", "per_page", "take")
PLACES = {
    "page": ("page", "page_number"),
    "offset": ("offset", "skip"),
    "cursor": ("cursor", "next_token", "page_token"),
}


def random_dialect(seed: int) -> Dialect:
    """One dialect; the same for the same seed."""
    chance = random.Random(seed)
    style = chance.choice(STYLES)
    content: dict[str, Any] = {
        "name": f"random-{seed}",
        "base_url": "https://api.example.invalid" + chance.choice(("", "/v1", "/api/v2")),
        "auth": chance.choice(
            ({"header": "api_key"}, {"header": "Authorization", "scheme": "Bearer"},
             {"header": "X-Token-Key"}, {"header": "x-api-key"})
        ),
        "envelope": chance.choice(("", "data", "result", "response.payload")),
        "error_envelope": chance.choice(("", "error", "fault")),
        "paging": _paging(chance, style),
        "operations": _operations(chance),
        "schemas": {},
        "words": _words(chance),
    }  # fmt: skip
    for name, fields in schema_fields().items():
        content["schemas"][name] = _fields(chance, style, name, fields)
    _pour(chance, content["schemas"], content["paging"]["style"])
    return merged(content, "random.yaml")


def _paging(chance: random.Random, style: Style) -> dict[str, Any]:
    kind = chance.choice(("page", "offset", "cursor", "none"))
    if kind == "none":
        return {"style": "none"}
    paging: dict[str, Any] = {
        "style": kind,
        kind: style(chance.choice(PLACES[kind])),
        "page_size": style(chance.choice(SIZES)),
    }
    if kind == "page" and chance.random() < 0.5:
        paging["first_page"] = 0
    return paging


def _operations(chance: random.Random) -> dict[str, Any]:
    style = chance.choice((kebab, camel, snake))
    prefix = chance.choice(("", "/core", "/cloud/compute"))
    noun = chance.choice(("instances", "virtual-machines", "machines", "vms", "servers"))
    parameter = chance.choice((snake, camel))
    short = chance.random() < 0.3
    named = {"instance_id": chance.choice(("instance_id", "vm_id", "machine_id", "id"))}
    queries = {
        "region": chance.choice(("region", "environment", "zone")),
        "start": chance.choice(("from", "start", "since", "start_time")),
        "end": chance.choice(("to", "end", "until", "end_time")),
        "status": chance.choice(("status", "state")),
        "instance_id": chance.choice(("instance_id", "vm_id")),
    }
    found: dict[str, Any] = {}
    for name, operation in OPERATIONS.items():
        parts: list[str] = []
        for part in operation.path.strip("/").split("/"):
            if part.startswith("{"):
                parts.append(part)
            else:
                parts.append(style(noun if part == "instances" else part))
        many = len(operation.path_parameters) > 1
        found[name] = {
            "path": f"{prefix}/{'/'.join(parts)}",
            "path_parameters": {
                p: parameter("id" if short and not many else named.get(p, p))
                for p in operation.path_parameters
            },
            "query": {q: parameter(queries[q]) for q in operation.query},
        }
        if operation.method == "POST" and parts[-1] in ("start", "stop", "hibernate"):
            found[name]["method"] = chance.choice(("POST", "GET", "PUT"))
    return found


def _fields(
    chance: random.Random, style: Style, schema: str, fields: list[str]
) -> dict[str, str | None]:
    model: type[BaseModel] = getattr(models, schema)
    found: dict[str, str | None] = {}
    used: set[str] = set()
    for field in fields:
        if issubclass(model, Answer) and field in ("status", "message"):
            found[field] = field
            continue
        others = (*synonyms.FIELDS.get(f"{schema}.{field}", ()), *synonyms.FIELDS.get(field, ()))
        wire = field
        if others and chance.random() < 0.35:
            wire = chance.choice(others)
        if _unclear(schema, field, wire, fields) or style(wire) in used:
            wire = field
        used.add(style(wire))
        found[field] = style(wire)
    for field in fields:
        if schema in NESTED and field in PARENTS and chance.random() < 0.35:
            parent = style(PARENTS[field])
            if parent not in used:
                found[field] = f"{parent}.{found[field]}"
    return found


def _unclear(schema: str, field: str, wire: str, fields: list[str]) -> bool:
    """Whether a name could be that of another field: nobody could tell then."""
    return any(
        other != field and name_likeness(schema, other, wire).score >= 0.7 for other in fields
    ) or wire in ("status", "message", "data", "result", "response")


def _pour(chance: random.Random, schemas: dict[str, dict[str, str | None]], paging: str) -> None:
    """Sometimes what is an object elsewhere lies in its holder itself."""
    if paging != "none" and chance.random() < 0.3:
        for fields in schemas.values():
            if "pagination" in fields:
                fields["pagination"] = "."
    if chance.random() < 0.3:
        schemas["Data"]["balance"] = "."
    if chance.random() < 0.3:
        schemas["CreditBalanceResponse"]["data"] = "."


def _words(chance: random.Random) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    style = chance.choice((snake, camel, lambda name: snake(name).upper()))
    for enum in ("VMStatus", "SnapshotStatus", "ImageStatus", "VolumeStatus", "DirectionEnum"):
        taken: set[str] = set()
        words: dict[str, str] = {}
        entries = list(SYNONYMS[enum].items())
        chance.shuffle(entries)
        for word, meanings in entries:
            clear = len(meanings) == 1 or enum in ("SnapshotStatus", "ImageStatus")
            if clear and not taken & set(meanings) and chance.random() < 0.5:
                taken |= set(meanings)
                words[style(word)] = meanings[0]
        found[enum] = words
    return found
