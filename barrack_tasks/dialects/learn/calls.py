"""The operations of a document, as the learner sees them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from barrack_tasks.api.operations import Operation
from barrack_tasks.dialects.learn.document import MOST_OPERATIONS, Document, LearnError
from barrack_tasks.dialects.learn.likeness import canonical, singular, words_of
from barrack_tasks.dialects.learn.schema import Schema, Schemas
from barrack_tasks.dialects.learn.synonyms import split

PARAMETER = re.compile(r"\{([^{}]*)\}")


@dataclass(eq=False)
class Wired:
    """One operation of a document."""

    path: str
    method: str
    titles: tuple[str, ...] = ()
    operation_id: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    in_path: tuple[str, ...] = ()
    in_query: dict[str, Schema] = field(default_factory=dict)
    asked: Schema | None = None
    answer: Schema | None = None
    errors: list[Schema] = field(default_factory=list)
    headers: set[str] = field(default_factory=set)
    body: Mapping[str, str] = field(default_factory=dict)
    """What every request holds: the word of one of several actions that share a path."""
    renamed: str = ""
    """The path with what this library calls the machines."""

    @property
    def place(self) -> str:
        """Method and path, and the word of the action if there is one."""
        return place_of(self.method, self.path, self.body)

    @property
    def reads(self) -> str:
        """The path as it is compared with others."""
        return self.renamed or self.path

    @property
    def word(self) -> str:
        """The word of the action, or nothing."""
        return next(iter(self.body.values()), "")


def place_of(method: str, path: str, body: Mapping[str, Any] | None = None) -> str:
    """How an operation is named to people, and found again by what they answered.

    Example:
        >>> place_of("POST", "/vms/{id}/actions", {"type": "stop"})
        'POST /vms/{id}/actions {type: stop}'
    """
    said = ", ".join(f"{key}: {value}" for key, value in (body or {}).items())
    return f"{method} {path} {{{said}}}" if said else f"{method} {path}"


def wired_operations(document: Document, schemas: Schemas) -> list[Wired]:
    """The operations of a document.

    Raises:
        LearnError: there are too many.
    """
    operations = list(islice(document.operations(), MOST_OPERATIONS + 1))
    if len(operations) > MOST_OPERATIONS:
        raise LearnError(
            f"the document describes more than {MOST_OPERATIONS} operations; leave out those that "
            "are not about machines"
        )
    return [_wired(document, schemas, *operation) for operation in operations]


def _wired(
    document: Document,
    schemas: Schemas,
    path: str,
    method: str,
    node: Mapping[str, Any],
    shared: list[Any],
) -> Wired:
    titles = [node.get(key) for key in ("summary", "x-title", "title", "x-summary")]
    wired = Wired(
        path=path,
        method=method,
        titles=tuple(t for t in titles if isinstance(t, str) and t),
        operation_id=_text(node.get("operationId")),
        tags=tuple(t for t in document.listed(node.get("tags")) if isinstance(t, str)),
        description=_text(node.get("description")),
        in_path=tuple(PARAMETER.findall(path)),
    )
    for parameter in (*shared, *document.listed(node.get("parameters"))):
        found = document.table(document.resolve(parameter)[0])
        if found.get("in") == "query" and isinstance(found.get("name"), str):
            wired.in_query[found["name"]] = schemas.of(_schema_of(document, found))
    body = document.table(document.resolve(node.get("requestBody"))[0])
    wired.asked = _content(document, schemas, body)
    for code, response in document.table(node.get("responses")).items():
        found = document.table(document.resolve(response)[0])
        schema = _content(document, schemas, found)
        wired.headers |= {h for h in document.table(found.get("headers")) if isinstance(h, str)}
        if schema is None:
            continue
        if str(code).startswith("2"):
            wired.answer = wired.answer or schema
        elif str(code)[:1] in "45d":
            wired.errors.append(schema)
    return wired


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _schema_of(document: Document, parameter: Mapping[str, Any]) -> Any:
    if "schema" in parameter:
        return parameter["schema"]
    return next(
        (
            document.table(c).get("schema")
            for c in document.table(parameter.get("content")).values()
        ),
        {},
    )


def _content(document: Document, schemas: Schemas, body: Mapping[str, Any]) -> Schema | None:
    for kind, content in document.table(body.get("content")).items():
        if "json" in str(kind) or str(kind) == "*/*":
            node = document.table(content).get("schema")
            if isinstance(node, Mapping):
                return schemas.of(node)
    return None


# What a path says

Segments = tuple[str, ...]


@lru_cache(maxsize=65536)
def segments_of(path: str) -> Segments:
    """A path as canonical words, one entry a segment; parameters are {}."""
    found: list[str] = []
    for part in path.strip("/").split("/"):
        for piece in re.split(r"\(?(\{[^{}]*\})\)?:?", part):  # also things({id}) and {id}:stop
            if piece.startswith("{"):
                found.append("{}")
            elif piece.strip(":"):
                found.append(" ".join(canonical(words_of(piece))) or piece)
    return tuple(found)


def common_prefix(paths: list[str]) -> int:
    """How many segments all paths begin with, of those that say nothing about one of them."""
    split = [segments_of(path) for path in paths]
    if len(split) < 3:
        return 0
    length = 0
    while all(len(s) > length + 1 and s[length] == split[0][length] != "{}" for s in split):
        length += 1
    return length


ALSO_AT: dict[str, tuple[str, ...]] = {
    "get_credit_balance": ("/credits", "/credit-balance", "/billing/balance", "/account/credits",
                           "/account/balance", "/billing/user-credit/credit", "/billing/credits"),
    "get_gpu_stock": ("/stocks", "/stock", "/gpus/stock", "/catalog/gpu-stocks", "/gpu-stock"),
    "get_gpu_specs": ("/flavors", "/gpus", "/catalog/gpu-specs", "/gpus/specs"),
    "get_pricing": ("/pricebook", "/prices", "/catalog/pricing"),
    "quote_price": ("/pricebook", "/pricing/quote", "/quotes"),
    "list_os_images": ("/images", "/images/os", "/catalog/images"),
    "list_images": ("/custom-images", "/images/custom"),
    "get_image": ("/custom-images/{}",),
    "create_image": ("/custom-images",),
    "delete_image": ("/custom-images/{}",),
    "list_ssh_keys": ("/keypairs", "/keys"),
    "list_scripts": ("/startup-scripts",),
    "list_regions": ("/environments",),
    "restore_instance": ("/instances/{}/hibernate-restore", "/instances/{}/resume",
                         "/instances/{}/wake"),
    "reboot_instance": ("/instances/{}/hard-reboot", "/instances/{}/restart"),
    "list_snapshot_images": ("/snapshots/custom-images",),
    "list_ai_models": ("/models",),
    "chat": ("/chat/completions",),
}  # fmt: skip
"""Other paths that an operation may have."""


def known_paths(operation: Operation[Any]) -> list[Segments]:
    """The paths that an operation may have, in canonical words."""
    return [segments_of(p) for p in (operation.path, *ALSO_AT.get(operation.name, ()))]


# What an operation does

VERBS: dict[str, str] = {
    **dict.fromkeys(split("get list show read fetch retrieve view describe find search"), "read"),
    **dict.fromkeys(split("create add new make deploy launch provision upload import"), "create"),
    **dict.fromkeys(split("delete remove destroy drop"), "delete"),
    **dict.fromkeys(split("update edit modify change rename patch"), "update"),
    **dict.fromkeys(("start", "power_on", "poweron", "boot"), "start"),
    **dict.fromkeys(("stop", "shutdown", "shut_down", "halt", "power_off", "poweroff"), "stop"),
    **dict.fromkeys(("reboot", "restart"), "reboot"),
    **dict.fromkeys(("hibernate", "sleep"), "hibernate"),
    **dict.fromkeys(("restore", "resume", "wake", "unhibernate"), "restore"),
    **dict.fromkeys(("toggle",), "toggle"),
    **dict.fromkeys(("attach",), "attach"),
    **dict.fromkeys(("detach",), "detach"),
    **dict.fromkeys(("resize", "extend", "grow"), "resize"),
    **dict.fromkeys(("clone", "copy", "duplicate"), "clone"),
    **dict.fromkeys(("terminate", "suspend", "pause", "lock", "unlock", "migrate", "rebuild",
                     "reinstall", "rescue", "reset", "cancel", "purge", "cleanup", "kill", "flush",
                     "revoke"), "other"),
}  # fmt: skip
"""Verbs and what they do. An operation is never matched with one that does something else."""
ACTIONS = frozenset(VERBS.values()) - {"read", "create", "delete", "update"}
_METHODS = {"GET": "read", "POST": "create", "DELETE": "delete", "PUT": "update", "PATCH": "update"}


def ours_does(operation: Operation[Any]) -> set[str]:
    """What an operation of this library does; more than one where its path need not say it."""
    first = operation.name.split("_")[0]
    if not operation.changes:
        return {"read", _METHODS[operation.method]}
    verb = VERBS.get(first, _METHODS[operation.method])
    return {verb, "create", "update"} if verb == "toggle" else {verb}


def does(wired: Wired) -> str:
    """What an operation of a document does, as far as its path, names and method tell."""
    segments = [part for part in wired.path.split("/") if part]
    if segments:
        last = words_of(PARAMETER.sub("", segments[-1]))
        if "_".join(last) in VERBS:
            return VERBS["_".join(last)]
        for word in reversed(last):
            found = VERBS.get(singular(word) if word.endswith("s") else word)
            if found in ACTIONS or (found and len(last) == 1):
                return found or ""
    for text in (*wired.titles, wired.operation_id):
        words = words_of(text)
        if words and words[0] in VERBS:
            return VERBS[words[0]]
    return _METHODS.get(wired.method, "")


def is_unclear(wired: Wired) -> bool:
    """Whether an operation does something to one thing, and its path does not say what."""
    last = [part for part in wired.path.split("/") if part][-1:]
    if not last or last[0].startswith("{") or not wired.in_path:
        return False
    words = words_of(last[0])
    return "_".join(words) not in VERBS and not any(VERBS.get(w) in ACTIONS for w in words)
