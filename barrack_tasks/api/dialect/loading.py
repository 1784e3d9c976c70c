"""A user's dialect: read from YAML or TOML, checked against what the library knows, merged.

What a file does not say stays as the built-in dialect has it. An operation or field that is set to
null does not exist on that wire.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from barrack_tasks.api import models
from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.dialect.model import Dialect
from barrack_tasks.api.dialect.reading import (
    Lines,
    Place,
    UnreadableError,
    clipped,
    read_file,
    read_toml,
    read_yaml,
    shown,
    text_of,
)
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.addresses import is_in_clear

_PARAMETER = re.compile(r"\{([^{}]*)\}")


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
    try:
        file = Path(path).expanduser()
    except RuntimeError:
        raise DialectError(f"the dialect file {clipped(path)} cannot be found") from None
    content, lines = _read(file)
    return merged(content, shown(Path(file.name)), lines).as_from_file()


def merged(content: Mapping[str, Any], source: str, lines: Lines | None = None) -> Dialect:
    """What a dialect file says, checked and merged over the built-in dialect.

    Raises:
        DialectError: it says something that cannot be.
    """
    checker = _Checker(source, lines or {})
    checker.check(content)
    base = builtin().model_dump()
    base["name"] = content.get("name") or Path(source).stem
    whole = _merge(base, {k: v for k, v in content.items() if v is not None})
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


def _read(file: Path) -> tuple[dict[str, Any], Lines]:
    lines: Lines = {}
    try:
        text = text_of(read_file(file), shown(Path(file.name)))
        if file.suffix == ".toml":
            content: Any = read_toml(text, shown(Path(file.name)))
        else:
            content = read_yaml(text, shown(Path(file.name)), lines=lines)
    except UnreadableError as error:
        raise DialectError(f"the dialect file {error.message}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise DialectError(
            f"the dialect file {shown(Path(file.name))} must hold a table of settings, such as "
            "`envelope: data`"
        )
    return content, lines


class _Checker:
    """Refuses what names nothing that exists."""

    def __init__(self, source: str, lines: Lines) -> None:
        self._source = source
        self._lines = lines

    def error(self, place: Place, reason: str) -> DialectError:
        """The refusal of one place."""
        at = place
        while at and at not in self._lines:
            at = at[:-1]
        line = f", line {self._lines[at][0]}" if at else ""
        where = ".".join(clipped(part) for part in place)
        said = clipped(reason.removeprefix("Value error, "), 300)
        return DialectError(f"{self._source}{line}: {where}: {said}")

    def check(self, content: Mapping[str, Any]) -> None:
        self._known((), content, Dialect.model_fields, "setting")
        for name in ("operations", "schemas", "words"):
            section = content.get(name)
            if section is not None and not isinstance(section, dict):
                raise self.error((name,), "must be a table")
        address = content.get("base_url")
        if isinstance(address, str) and is_in_clear(address):
            raise self.error(
                ("base_url",),
                f"a key that is sent to {clipped(address, 100)} can be read on the network; "
                "write https, or leave base_url out and set BARRACK_BASE_URL to the address",
            )
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
            query = entry.get("query")
            if query is not None and not isinstance(query, dict):
                raise self.error(("operations", name, "query"), "must be a table")
            self._known(("operations", name, "query"), query or {}, operation.query, "parameter")

    def _path(self, place: Place, path: Any, parameters: Iterable[str]) -> None:
        if not isinstance(path, str) or not path.startswith("/"):
            raise self.error(place, f"must begin with '/', got {clipped(path)!r}")
        wanted = sorted(parameters)
        if sorted(_PARAMETER.findall(path)) != wanted:
            needed = ", ".join(f"{{{p}}}" for p in wanted) or "no parameter"
            raise self.error(place, f"must hold {needed}, got {clipped(path)!r}")

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
                raise self.error(
                    ("words", name), "must be a table of the API's words and their meanings"
                )
            values = [str(member.value) for member in known[name]]
            for word, meaning in entry.items():
                if str(meaning) not in values:
                    near = _near(str(meaning), values)
                    raise self.error(
                        ("words", name, word), f"there is no {name} {clipped(meaning)!r}; {near}"
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
    return f"known names are {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"


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
