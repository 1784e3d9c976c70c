"""Reading an OpenAPI document: JSON or YAML bytes, local references only, nothing from the net."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import yaml

from barrack_tasks.api.dialect.reading import UnreadableError, read_json, read_yaml, text_of
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.dialects.learn.swagger import as_openapi

LARGEST = 50_000_000
"""Bytes of a document."""
MOST_OPERATIONS = 20_000
METHODS = ("get", "post", "put", "patch", "delete")
_MOST_VALUES = 2_000_000
_LONGEST_CHAIN = 50
_PARAMETER = re.compile(r"\{[^{}]*\}")
_UNSAYABLE = re.compile(r"[{}\s?#]")


class LearnError(BarrackConfigurationError):
    """Evidence that nothing can be learned from; says why in one sentence."""


_BOOL = "tag:yaml.org,2002:bool"
_NOT_IN_JSON = (_BOOL, "tag:yaml.org,2002:timestamp")
_AS_JSON: dict[str, Any] = {
    first: [x for x in resolvers if x[0] not in _NOT_IN_JSON]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
"""YAML as OpenAPI means it: dates are text, and only true and false are booleans."""
for _first in "tTfF":
    _AS_JSON[_first].append((_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$")))


class Document:
    """An OpenAPI document, and the notes on what could not be read of it.

    Example:
        >>> Document.read(Path("openapi.json").read_bytes()).operations()
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.notes: list[str] = []
        """What could not be read, a sentence each, in the order it was met."""

    @classmethod
    def read(cls, data: bytes) -> Document:
        """Read a document: OpenAPI 3, or Swagger 2, which is rewritten.

        Raises:
            LearnError: the bytes are neither.
        """
        return cls.of(parse(data))

    @classmethod
    def of(cls, root: Any) -> Document:
        """A document that was read.

        Raises:
            LearnError: it is no OpenAPI document.
        """
        if not isinstance(root, Mapping):
            raise LearnError("this is not an OpenAPI document: it is not an object")
        if "openapi" not in root and str(root.get("swagger")).startswith("2"):
            root = as_openapi(root)
        version = root.get("openapi")
        if not isinstance(version, str | float | int) or not str(version).startswith("3"):
            raise LearnError("this is not an OpenAPI 3 document: it does not say `openapi: 3.x`")
        document = cls(root)
        if not document.table(root.get("paths")) and not document.components("schemas"):
            raise LearnError("this OpenAPI document describes no operations and no schemas")
        return document

    def note(self, text: str) -> None:
        """Keep a note, once."""
        if text not in self.notes and len(self.notes) < 200:
            self.notes.append(text)

    @staticmethod
    def table(value: Any) -> Mapping[str, Any]:
        """The value if it is an object, otherwise an empty one."""
        return value if isinstance(value, Mapping) else {}

    @staticmethod
    def listed(value: Any) -> list[Any]:
        """The value if it is a list, otherwise an empty one."""
        return value if isinstance(value, list) else []

    def components(self, kind: str) -> Mapping[str, Any]:
        """Named parts of one kind, such as `schemas`."""
        return self.table(self.table(self.root.get("components")).get(kind))

    def resolve(self, node: Any) -> tuple[Any, tuple[str, ...]]:
        """What a node says once its references are followed, and the names met on the way."""
        names: list[str] = []
        seen: set[str] = set()
        while isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
            ref = node["$ref"]
            if ref in seen or len(seen) > _LONGEST_CHAIN:
                self.note(f"the reference {_short(ref)} is circular")
                return {}, tuple(names)
            seen.add(ref)
            if not ref.startswith("#"):
                self.note(
                    f"the reference {_short(ref)} points outside the document and was not read"
                )
                return {}, tuple(names)
            names.append(_unescape(ref.rsplit("/", 1)[-1]))
            node = self._at(ref)
        return node, tuple(names)

    def _at(self, ref: str) -> Any:
        node: Any = self.root
        for part in ref[1:].split("/")[1:]:
            step = _unescape(part)
            if isinstance(node, Mapping) and step in node:
                node = node[step]
            elif isinstance(node, list) and step.isascii() and step.isdigit():
                node = node[int(step)] if len(step) < 7 and int(step) < len(node) else None
            else:
                node = None
            if node is None:
                self.note(f"the reference {_short(ref)} points to nothing")
                return {}
        return node

    def operations(self) -> Iterator[tuple[str, str, Mapping[str, Any], list[Any]]]:
        """Path, method, operation and the parameters of its path, in the document's order."""
        for path, item in self.table(self.root.get("paths")).items():
            entry = self.resolve(item)[0]
            if not isinstance(path, str) or not path.startswith("/"):
                self.note(f"the path {_short(str(path))} does not begin with '/' and was not read")
                continue
            if _UNSAYABLE.search(_PARAMETER.sub("", path)):
                self.note(
                    f"the path {_short(path)} has braces, spaces, ? or # in it and was not read"
                )
                continue
            if not isinstance(entry, Mapping):
                self.note(f"the path {_short(path)} is not an object and was not read")
                continue
            shared = self.listed(entry.get("parameters"))
            for method in METHODS:
                operation = entry.get(method)
                if isinstance(operation, Mapping):
                    yield path, method.upper(), operation, shared
                elif operation is not None:
                    self.note(f"{method.upper()} {_short(path)} is not an object and was not read")


def parse(data: bytes) -> Any:
    """JSON or YAML bytes as plain data.

    Raises:
        LearnError: neither of the two.
    """
    if len(data) > LARGEST:
        raise LearnError(f"the document is larger than {LARGEST} bytes")
    try:
        text = text_of(data, "the document")
    except UnreadableError as error:
        raise LearnError(error.message) from None
    start = text.lstrip()[:200]
    if not start:
        raise LearnError("the document is empty")
    if start.startswith("<"):
        raise LearnError(
            "this is HTML or XML, not an OpenAPI document; look for a link to openapi.json or "
            "openapi.yaml"
        )
    if start[0] in "{[":
        try:
            return read_json(text, "the document")
        except UnreadableError as error:
            # Flow style YAML begins so, too; large damaged JSON is not worth a second look.
            if len(text) > 1_000_000:
                raise LearnError(f"the document is damaged JSON: {error.message}") from None
    try:
        return read_yaml(text, "the document", resolvers=_AS_JSON, most=_MOST_VALUES)
    except UnreadableError as error:
        if not error.where:
            raise LearnError(error.message) from None
        raise LearnError(
            f"the document is neither JSON nor YAML in {error.where}: {error.problem}"
        ) from None


def _unescape(part: str) -> str:
    return unquote(part).replace("~1", "/").replace("~0", "~")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
