"""Learning from examples of answers: the same as from a document, which is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from barrack_tasks.dialects.learn.document import LearnError
from barrack_tasks.dialects.learn.evidence import ApiEvidence, learn_evidence
from barrack_tasks.dialects.learn.likeness import canonical, singular, words_of
from barrack_tasks.dialects.learn.result import Learned
from barrack_tasks.dialects.learn.shapes import Node, Secrets, joined, looks_secret, shape_of

_ID = re.compile(
    r"\d+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{12,}|[A-Za-z]{2,6}[-_][A-Za-z0-9]*\d[A-Za-z0-9-]*"
)
_PREFIX = re.compile(r"api|rest|core|public|v\d+(\.\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class RecordedCall:
    """One request and its answer. Of headers only the names are kept.

    `scheme` is the word before the key in the header that shows it, such as Bearer; never the key.
    """

    method: str
    url: str = field(repr=False)
    status: int
    headers: tuple[str, ...] = ()
    body: Any = field(default=None, repr=False)
    asked: Any = field(default=None, repr=False)
    scheme: str = ""

    @property
    def path(self) -> str:
        """The path of the address, without a slash at its end."""
        return unquote(urlsplit(self.url).path).rstrip("/") or "/"  # ValueError: no address


def learn_samples(
    samples: Iterable[RecordedCall | Sequence[Any]],
    *,
    name: str = "learned",
    secrets: Iterable[str] = (),
    source: str = "the answers",
    kind: Literal["recording", "probe"] = "recording",
    known: Mapping[str, Any] | None = None,
    yes: bool = False,
) -> Learned:
    """Learn a dialect from answers that an API gave.

    Args:
        samples: `RecordedCall`, or (method, url, status, names of request headers, JSON body).
        name: what the dialect is to be called.
        secrets: texts that must not appear in what was learned.
        source: what the answers are called where they and other evidence are spoken of.
        kind: how they were come by.
        known: what was tried out; see `ApiEvidence`.
        yes: as for `learn_openapi`.

    Raises:
        LearnError: there is no success with a JSON body among them.

    Example:
        >>> learn_samples([("GET", "https://api.example/v1/regions", 200, ["x-api-key"], {...})])
    """
    given = [s if isinstance(s, RecordedCall) else _sample(s) for s in samples]
    given = [s for s in given if _readable(s)]
    if not any(200 <= s.status < 300 and isinstance(s.body, dict | list) for s in given):
        raise LearnError("there is no successful JSON answer to learn from")
    root = document_of(given, Secrets(secrets))
    return learn_evidence([ApiEvidence(source, kind, root, known=known or {})], name=name, yes=yes)


def _sample(given: Sequence[Any]) -> RecordedCall:
    try:
        method, url, status, headers, body = given
        return RecordedCall(
            str(method).upper(), str(url), int(status), tuple(map(str, headers)), body
        )
    except (TypeError, ValueError):
        raise LearnError("a sample is (method, url, status, names of headers, body)") from None


def _readable(sample: RecordedCall) -> bool:
    try:
        parts = urlsplit(sample.url)
        return sample.path.startswith("/") and bool(parts.path) and parts.port != 0
    except ValueError:
        return False


def document_of(samples: list[RecordedCall], secrets: Secrets) -> Node:
    """An OpenAPI document that says what the samples show."""
    ids = set(_ids(s.body for s in samples))
    base, prefix = _base(samples)
    paths: dict[str, Node] = {}
    for sample in samples:
        path = _template(sample.path.removeprefix(prefix) or "/", ids)
        good = 200 <= sample.status < 300
        if not good and not isinstance(sample.body, dict):
            continue
        operation = paths.setdefault(path, {}).setdefault(
            sample.method.lower(), {"parameters": [], "responses": {}}
        )
        code = str(sample.status) if not good else "200"
        _note_answer(operation, code, shape_of(sample.body, secrets))
        if good:
            _note_query(operation, sample.url)
            if isinstance(sample.asked, dict):
                _note_body(operation, shape_of(sample.asked, secrets))
    for path in [p for p, item in paths.items() if not any(_good(o) for o in item.values())]:
        _keep_refusals(paths, path)
    root: Node = {"openapi": "3.1.0", "paths": paths}
    if base:
        root["servers"] = [{"url": base + prefix}]
    schemes = _schemes(samples)
    if schemes:
        root["components"] = {"securitySchemes": schemes}
    return root


def _good(operation: Node) -> bool:
    return "200" in operation["responses"]


def _keep_refusals(paths: dict[str, Node], path: str) -> None:
    """A path that only refused shows how refusals look, and no operation."""
    item = paths.pop(path)
    for other in paths.values():
        for operation in other.values():
            if _good(operation):
                for refused in item.values():
                    for code, answer in refused["responses"].items():
                        operation["responses"].setdefault(code, answer)
                return


def _schema_in(holder: Node) -> Node:
    json = holder.setdefault("content", {}).setdefault("application/json", {})
    found: Node = json.setdefault("schema", {})
    return found


def _note_answer(operation: Node, code: str, shape: Node) -> None:
    answer = operation["responses"].setdefault(code, {})
    both = joined(_schema_in(answer), shape)
    answer["content"]["application/json"]["schema"] = both


def _note_body(operation: Node, shape: Node) -> None:
    body = operation.setdefault("requestBody", {})
    both = joined(_schema_in(body), shape)
    body["content"]["application/json"]["schema"] = both


def _note_query(operation: Node, url: str) -> None:
    known = {p["name"] for p in operation["parameters"]}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name in known or looks_secret(name):
            continue
        known.add(name)
        schema: Node = {"type": "integer"} if value.isdecimal() else {"type": "string"}
        if value == "0":
            schema["minimum"] = 0
        operation["parameters"].append({"name": name, "in": "query", "schema": schema})


# Paths


def _ids(values: Iterable[Any]) -> Iterator[str]:
    """What the answers call ids."""
    waiting = [(v, False) for v in values]
    for _ in range(200_000):
        if not waiting:
            return
        value, is_id = waiting.pop()
        if isinstance(value, Mapping):
            for key, inner in value.items():
                waiting.append((inner, canonical(words_of(str(key)))[-1:] in (("id",), ("name",))))
        elif isinstance(value, list):
            waiting += [(inner, is_id) for inner in value[:500]]
        elif is_id and isinstance(value, str | int) and not isinstance(value, bool):
            yield str(value)


def _template(path: str, ids: set[str]) -> str:
    parts: list[str] = []
    names: set[str] = set()
    before = ""
    for part in path.strip("/").split("/"):
        is_id = (part in ids or _ID.fullmatch(part) or looks_secret(part)) and before
        if is_id and not _PREFIX.fullmatch(part):
            name = "_".join(canonical(words_of(singular(before)))) or "thing"
            name = f"{name}_id" if f"{name}_id" not in names else f"{name}_id_{len(names)}"
            names.add(name)
            parts.append(f"{{{name}}}")
        else:
            parts.append(part.replace("{", "").replace("}", ""))
            before = part
    return "/" + "/".join(parts)


def _base(samples: list[RecordedCall]) -> tuple[str, str]:
    """The address without a path, and the path that all answers of success lie under."""
    good = [s for s in samples if 200 <= s.status < 300] or samples
    parts = urlsplit(good[0].url)
    host = parts.netloc.rpartition("@")[2]
    base = f"{parts.scheme}://{host}" if parts.scheme and host else ""
    split = [s.path.strip("/").split("/") for s in good]
    prefix: list[str] = []
    while all(len(s) > len(prefix) + 1 for s in split):
        part = split[0][len(prefix)]
        if not _PREFIX.fullmatch(part) or any(s[len(prefix)] != part for s in split):
            break
        prefix.append(part)
    return base, "".join(f"/{part}" for part in prefix)


def _schemes(samples: list[RecordedCall]) -> Node:
    """Ways to show a key that were used with success."""
    found: Node = {}
    for sample in samples:
        if not 200 <= sample.status < 300:
            continue
        for header in sample.headers:
            words = words_of(header)
            if words == ("authorization",):
                bearer = sample.scheme.casefold() == "bearer"
                found[header.lower()] = (
                    {"type": "http", "scheme": "bearer"}
                    if bearer or not sample.scheme
                    else {"type": "apiKey", "in": "header", "name": header}
                )
            elif {"api", "key"} <= set(words) or "apikey" in words:
                found[header.lower()] = {"type": "apiKey", "in": "header", "name": header}
    keys = {k: v for k, v in found.items() if k != "authorization"}
    return keys or found
