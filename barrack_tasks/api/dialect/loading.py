"""A user's dialect: read from YAML or TOML, checked against what the library knows, merged.

What a file does not say stays as the built-in dialect has it. An operation or field that is set to
null does not exist on that wire.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from string import Formatter
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from barrack_tasks.api import models
from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.dialect.model import Dialect
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.api.operations import OPERATIONS

Place = tuple[str | int, ...]
LARGEST_FILE = 5_000_000


class DialectError(BarrackConfigurationError):
    """A dialect file that cannot be used; says in which place, and why."""


def load_dialect(path: str | Path) -> Dialect:
    """Read a dialect file and merge it over the built-in dialect.

    Args:
        path: a `.yaml`, `.yml` or `.toml` file.

    Raises:
        DialectError: it cannot be read, or says something that cannot be; nothing is used of it.

    Example:
        >>> client = Barrack(api_key, dialect=load_dialect("my-dialect.yaml"))
    """
    file = Path(path).expanduser()
    content, lines = _read(file)
    return merged(content, file.name, lines)


def merged(
    content: Mapping[str, Any], source: str, lines: Mapping[Place, int] | None = None
) -> Dialect:
    """What a dialect file says, checked and merged over the built-in dialect.

    Raises:
        DialectError: it says something that cannot be.
    """
    checker = _Checker(source, lines or {})
    checker.check(content)
    base = builtin().model_dump()
    base["name"] = content.get("name", Path(source).stem)
    whole = _merge(base, content)
    whole["operations"] = {k: v for k, v in whole["operations"].items() if v is not None}
    try:
        return Dialect.model_validate(whole)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise checker.error(tuple(problem["loc"]), problem["msg"]) from None


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{k: _merge(base.get(k), v) for k, v in over.items()}}
    return over


def _read(file: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise DialectError(f"{file.name} is larger than {LARGEST_FILE} bytes: no dialect is")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise DialectError(f"the dialect file {file} cannot be read: {reason}") from None
    lines: dict[Place, int] = {}
    try:
        if file.suffix == ".toml":
            content: Any = tomllib.loads(text)
        else:
            content = yaml.safe_load(text)
            _note_lines(yaml.compose(text, Loader=yaml.SafeLoader), (), lines)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DialectError(f"{file.name} cannot be read: {reason}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise DialectError(f"{file.name} must hold a table of settings, such as `base_url: ...`")
    return content, lines


def _note_lines(node: yaml.Node | None, place: Place, lines: dict[Place, int]) -> None:
    if node is None:
        return
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, key.value)
            lines[inner] = key.start_mark.line + 1
            _note_lines(value, inner, lines)


class _Checker:
    """Refuses what names nothing that exists."""

    def __init__(self, source: str, lines: Mapping[Place, int]) -> None:
        self._source = source
        self._lines = lines

    def error(self, place: Place, reason: str) -> DialectError:
        """The refusal of one place."""
        at = place
        while at and at not in self._lines:
            at = at[:-1]
        line = f", line {self._lines[at]}" if at in self._lines and at else ""
        where = ".".join(str(part) for part in place)
        return DialectError(
            f"{self._source}{line}: {where}: {reason.removeprefix('Value error, ')}"
        )

    def check(self, content: Mapping[str, Any]) -> None:
        self._known((), content, Dialect.model_fields, "setting")
        for name in ("operations", "schemas", "words"):
            section = content.get(name)
            if section is not None and not isinstance(section, dict):
                raise self.error((name,), "must be a table")
        self._operations(content.get("operations") or {})
        self._schemas(content.get("schemas") or {})
        self._words(content.get("words") or {})

    def _operations(self, section: Mapping[str, Any]) -> None:
        self._known(("operations",), section, OPERATIONS, "operation")
        for name, entry in section.items():
            operation = OPERATIONS[name]
            if entry is None:
                continue
            if not isinstance(entry, dict):
                raise self.error(("operations", name), "must be a table, or null")
            path = entry.get("path")
            if path is not None:
                self._path(("operations", name, "path"), path, operation.path_parameters)
            self._known(
                ("operations", name, "query"),
                entry.get("query") or {},
                operation.query,
                "parameter",
            )

    def _path(self, place: Place, path: Any, parameters: Iterable[str]) -> None:
        if not isinstance(path, str) or not path.startswith("/"):
            raise self.error(place, f"must begin with '/', got {path!r}")
        wanted = sorted(parameters)
        try:
            found = sorted(
                str(field) for _, field, _, _ in Formatter().parse(path) if field is not None
            )
        except ValueError:
            found = []
        if found != wanted:
            needed = ", ".join(f"{{{p}}}" for p in wanted) or "no parameter"
            raise self.error(place, f"must hold {needed}, got {path!r}")

    def _schemas(self, section: Mapping[str, Any]) -> None:
        known = schema_fields()
        self._known(("schemas",), section, known, "schema")
        for name, entry in section.items():
            if not isinstance(entry, dict):
                raise self.error(("schemas", name), "must be a table of fields")
            self._known(("schemas", name), entry, known[name], "field")

    def _words(self, section: Mapping[str, Any]) -> None:
        known = open_enums()
        self._known(("words",), section, known, "enum")
        for name, entry in section.items():
            if not isinstance(entry, dict):
                raise self.error(("words", name), "must be a table: word of the wire, its meaning")
            values = [str(member.value) for member in known[name]]
            for word, meaning in entry.items():
                if str(meaning) not in values:
                    near = _near(str(meaning), values)
                    raise self.error(
                        ("words", name, word), f"there is no {name} {meaning!r}; {near}"
                    )

    def _known(
        self, place: Place, given: Mapping[str, Any], known: Iterable[str], kind: str
    ) -> None:
        names = list(known)
        for name in given:
            if name not in names:
                raise self.error((*place, name), f"there is no such {kind}; {_near(name, names)}")


def _near(wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(str(wanted), names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known are {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"


def schema_fields() -> dict[str, list[str]]:
    """Canonical field names of every schema."""
    return {
        name: list(kind.model_fields)
        for name, kind in vars(models).items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }


def open_enums() -> dict[str, type[Enum]]:
    """Every enum whose words a dialect may translate."""
    return {
        name: kind
        for name, kind in vars(models).items()
        if isinstance(kind, type) and issubclass(kind, Enum) and len(kind)
    }


def differences(dialect: Dialect) -> dict[str, tuple[Any, Any]]:
    """What a dialect says otherwise than the built-in one: place, built-in, its own."""
    return dict(_differences((), builtin().model_dump(), dialect.model_dump()))


def _differences(place: Place, ours: Any, theirs: Any) -> Iterable[tuple[str, tuple[Any, Any]]]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in sorted({*ours, *theirs}):
            yield from _differences((*place, key), ours.get(key), theirs.get(key))
    elif ours != theirs:
        yield ".".join(str(part) for part in place), (ours, theirs)
