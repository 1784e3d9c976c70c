"""A user's dialect: read from YAML or TOML, checked against what the library knows, merged.

What a file does not say stays as the built-in dialect has it. An operation or field that is set to
null does not exist on that wire.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from barrack_tasks.api import models
from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.dialect.codec import is_grouped, kind_of, steps_of
from barrack_tasks.api.dialect.model import Dialect, Join, Lookup, Value
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
from barrack_tasks.api.operations import OPERATIONS, Operation
from barrack_tasks.api.transport.addresses import is_in_clear

_PARAMETER = re.compile(r"\{([^{}]*)\}")
_CODEC = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_INDEX = re.compile(r"\[[0-9*]*\]|\{\}")
_SECTIONS = ("operations", "schemas", "words", "values", "joins")


_PLAINLY = {
    "extra_forbidden": "there is no such setting",
    "missing": "must be given",
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "too_short": "must not be empty",
    "decimal_parsing": 'must be a number, such as "0.01"',
    "decimal_type": 'must be a number, such as "0.01"',
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
}
"""What pydantic says of a value by the kind of its error, in the words of a dialect file."""
_SUFFIXES = (".yaml", ".yml", ".toml")
_TITLE = re.compile(r"# (\S[^\n]{0,200}\.(?:ya?ml|toml))[ \r]*\n")
"""The first line of a text that says what its file was called."""
LARGEST_TEXT = 200_000
"""Characters of a dialect that is kept as a text."""


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


def is_text(given: str) -> bool:
    """Whether a dialect is given as its text, and not as the path of its file."""
    return "\n" in given or given.lstrip().startswith("{")


def read_dialect(given: str) -> Dialect:
    """A dialect that is given as its text, or as the path of its file.

    A text is YAML. Its first line may be a comment that names a file, such as `# mine.toml`: then
    it is called so, and it is TOML if that is a file of TOML.

    Raises:
        DialectError: it cannot be read, or says something that cannot be. Or a text names a codec:
            texts are kept where others may write them, and a codec is a program.

    Example:
        >>> read_dialect("# mine.yaml\\nenvelope: data").name
        'mine'
    """
    return _of_text(given) if is_text(given) else load_dialect(given)


def text_of_dialect(given: str) -> str:
    """What is kept of a dialect: its text, which is read now if a path is given.

    The path of a file that names a codec stays a path.

    Raises:
        DialectError: see `read_dialect`; or the text is too long to be kept.
    """
    dialect = read_dialect(given)
    if is_text(given) or dialect.codec:
        return given
    file = Path(given).expanduser()
    title = shown(Path(file.name if file.suffix in _SUFFIXES else f"{file.name}.yaml"))
    text = f"# {title}\n{text_of(read_file(file), title)}"
    read_dialect(text)
    return text


@lru_cache(maxsize=8)
def _of_text(text: str) -> Dialect:
    if len(text) > LARGEST_TEXT:
        raise DialectError(
            f"the text of the dialect is longer than {LARGEST_TEXT} characters; leave out what is "
            "as in the built-in dialect"
        )
    title = _TITLE.match(text)
    file = Path(title[1] if title else "dialect.yaml")
    content, lines = _parsed(text, file)
    if content.get("codec"):
        raise DialectError(
            f"{shown(file)}: codec: only a file may name a codec, which is a program; give the "
            "path of the file"
        )
    return merged(content, shown(file), lines).as_from_file()


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
        # A part in brackets or parentheses is none of the file's, but how pydantic got there.
        place = tuple(part for part in problem["loc"] if not re.search(r"[(\[]", str(part)))
        raise checker.error(place, _PLAINLY.get(problem["type"], problem["msg"])) from None


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{k: _merge(base.get(k), v) for k, v in over.items()}}
    return over


def _read(file: Path) -> tuple[dict[str, Any], Lines]:
    try:
        return _parsed(text_of(read_file(file), shown(Path(file.name))), file)
    except UnreadableError as error:
        raise DialectError(f"the dialect file {error.message}") from None


def _parsed(text: str, file: Path) -> tuple[dict[str, Any], Lines]:
    lines: Lines = {}
    try:
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
        for name in _SECTIONS:
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
        auth = content.get("auth")
        headers: tuple[tuple[Place, Any], ...] = (
            (("auth", "header"), auth.get("header") if isinstance(auth, dict) else None),
            (("request_id_header",), content.get("request_id_header")),
        )
        for place, given in headers:
            if isinstance(given, str) and not _HEADER.fullmatch(given):
                said = f"must be the name of a header, such as x-api-key; got {clipped(given)!r}"
                raise self.error(place, said)
        self._operations(content.get("operations") or {}, content.get("paging"))
        self._schemas(content.get("schemas") or {})
        self._words(content.get("words") or {})
        self._values(content.get("values") or {})
        self._joins(content.get("joins") or {})
        codec = content.get("codec")
        if codec and not (isinstance(codec, str) and _CODEC.fullmatch(codec)):
            raise self.error(
                ("codec",),
                f"must be module:Class, such as my_module:MyCodec; got {clipped(codec)!r}",
            )

    def _operations(self, section: Mapping[str, Any], paging: Any) -> None:
        self._known(("operations",), section, OPERATIONS, "operation")
        for name, entry in section.items():
            operation = OPERATIONS[name]
            if entry is None:
                continue
            if not isinstance(entry, dict):
                raise self.error(("operations", name), "must be a table, or null")
            for part in ("body", "query", "parameters", "lookup", "parents"):
                if not isinstance(entry.get(part) or {}, dict):
                    raise self.error(("operations", name, part), "must be a table")
            path = entry.get("path")
            parents = entry.get("parents") or {}
            asked = list(operation.request.model_fields) if operation.request else []
            if path is not None:
                place = ("operations", name, "path")
                self._path(place, path, [*operation.path_parameters, *parents], asked)
            self._parents(("operations", name, "parents"), parents, operation, path)
            query = entry.get("query") or {}
            self._known(("operations", name, "query"), query, operation.query, "parameter")
            for wire, how in (entry.get("lookup") or {}).items():
                self._lookup(("operations", name, "lookup", wire), how, asked, paging)

    def _lookup(self, place: Place, how: Any, asked: Iterable[str], paging: Any) -> None:
        if not isinstance(how, dict):
            raise self.error(place, "must be a table of path, items, match and take")
        self._known(place, how, Lookup.model_fields, "setting")
        style = paging.get("style", "page") if isinstance(paging, dict) else "page"
        if how.get("paged") and style not in ("page", "offset"):
            raise self.error(
                (*place, "paged"),
                f"only counted pages; paging.style is {clipped(style)!r}",
            )
        match = how.get("match")
        given = match if isinstance(match, dict) else {}
        self._known((*place, "match"), given, asked, "field of the request")

    def _parents(
        self, place: Place, parents: Mapping[str, Any], operation: Operation[Any], path: Any
    ) -> None:
        if parents and path is None:
            raise self.error(
                place, "names the list that gives a part of the path; write the path, too"
            )
        if parents and not operation.path_parameters and not operation.paged:
            raise self.error(
                place,
                "only a list in pages, or an operation whose path holds an id, can have a parent",
            )
        for name, told in parents.items():
            fields = _fields_listed(str(told))
            if not fields:
                raise self.error(
                    (*place, name), f"must be an operation that lists; got {clipped(told)!r}"
                )
            if operation.path_parameters and name not in fields:
                raise self.error((*place, name), f"what {told} lists has no field {name!r}")

    def _path(
        self, place: Place, path: Any, parameters: Iterable[str], asked: Iterable[str]
    ) -> None:
        if not isinstance(path, str) or not path.startswith("/"):
            raise self.error(place, f"must begin with '/', got {clipped(path)!r}")
        wanted, given = sorted(parameters), sorted(_PARAMETER.findall(path))
        more = [p for p in given if p not in wanted]
        # A field of the request may stand in the path: a snapshot is made under its instance.
        if sorted([*wanted, *set(more) & set(asked)]) != given:
            needed = ", ".join(f"{{{p}}}" for p in wanted) or "no parameter"
            also = [p for p in asked if p == "name" or p.endswith("_id")]
            may = f", and may hold {', '.join(f'{{{p}}}' for p in also)}" if also else ""
            raise self.error(place, f"must hold {needed}{may}; got {clipped(path)!r}")

    def _schemas(self, section: Mapping[str, Any]) -> None:
        for place, model, field, path in self._fields("schemas", section):
            if isinstance(path, str):
                self._wire_path(place, path, model, field)

    def _fields(
        self, title: str, section: Mapping[str, Any]
    ) -> Iterator[tuple[Place, Any, str, Any]]:
        """What a section says of fields of schemas: its place, the schema, the field, and that."""
        known = schema_fields()
        self._known((title,), section, known, "schema")
        for name, entry in section.items():
            if not isinstance(entry, dict):
                raise self.error((title, name), "must be a table of fields")
            self._known((title, name), entry, known[name], "field")
            for field, told in entry.items():
                yield (title, name, field), getattr(models, name), field, told

    def _wire_path(self, place: Place, path: str, model: type[BaseModel], field: str) -> None:
        steps = steps_of(path)
        if not all(steps) or any(_INDEX.search(_plain_step(step)) for step in steps):
            raise self.error(
                place,
                "must be names joined by dots; the name of a list may end in [], that of a "
                f"table in {{}}; got {clipped(path)!r}",
            )
        if not is_grouped(steps):
            return
        if not kind_of(model.model_fields[field].annotation)[1]:  # type: ignore[arg-type]
            raise self.error(place, f"only a list can lie in groups; got {clipped(path)!r}")
        if issubclass(model, models.base.Request):
            raise self.error(place, f"a request has no groups; got {clipped(path)!r}")

    def _values(self, section: Mapping[str, Any]) -> None:
        for place, model, field, how in self._fields("values", section):
            if not isinstance(how, dict):
                raise self.error(place, 'must be a table, such as {times: "0.01"}')
            self._known(place, how, Value.model_fields, "setting")
            self._fits(place, how, model, field)

    def _fits(
        self, place: Place, how: Mapping[str, Any], model: type[BaseModel], field: str
    ) -> None:
        kind = kind_of(model.model_fields[field].annotation)[0]  # type: ignore[arg-type]
        if isinstance(kind, type) and issubclass(kind, Enum) and not issubclass(kind, int):
            said = [how["constant"]] if "constant" in how else []
            cases = how.get("cases")
            rows = cases if isinstance(cases, list) else []
            said += [row["word"] for row in rows if isinstance(row, dict) and "word" in row]
            values = [str(member.value) for member in kind]
            for word in said:
                if str(word) not in values:
                    near = _near(str(word), values)
                    raise self.error(
                        place, f"there is no {kind.__name__} {clipped(word)!r}; {near}"
                    )
        info = model.model_fields[field]
        bare = _bare(info.annotation)
        for name, kinds, noun in _MEANT_FOR:
            if how.get(name) is not None and not (
                isinstance(bare, type)
                and issubclass(bare, kinds)
                and (bool in kinds or not issubclass(bare, bool))
            ):
                raise self.error((*place, name), f"only {noun} can be written in this way")
        if how.get("cases") is not None and not (isinstance(bare, type) and issubclass(bare, Enum)):
            raise self.error(
                (*place, "cases"), "only a field with a fixed set of words can have cases"
            )
        if isinstance(how.get("constant"), str):
            try:
                rules: Any = [Annotated[info.annotation, rule] for rule in info.metadata]
                for rule in rules or [info.annotation]:
                    TypeAdapter(rule).validate_python(how["constant"])
            except ValidationError:
                reason = f"{field} cannot be {clipped(how['constant'])!r}"
                raise self.error((*place, "constant"), reason) from None
        tells = how.get("name_of")
        if tells is not None:
            place = (*place, "name_of")
            if not issubclass(model, models.base.Request):
                raise self.error(place, "only a field of a request can be a name")
            if get_origin(bare) is list:
                raise self.error(place, "only the id of one thing can be a name, and no list")
            if not {"id", "name"} <= set(_fields_listed(str(tells))):
                raise self.error(
                    place,
                    f"must be an operation that lists things with id and name; got "
                    f"{clipped(tells)!r}",
                )

    def _joins(self, section: Mapping[str, Any]) -> None:
        known = schema_fields()
        self._known(("joins",), section, known, "schema")
        for name, entry in section.items():
            place = ("joins", name)
            if not isinstance(entry, dict):
                raise self.error(place, "must be a table of operation, match and take")
            self._known(place, entry, Join.model_fields, "setting")
            self._known((*place, "operation"), [str(entry.get("operation"))], OPERATIONS, "one")
            operation = OPERATIONS[str(entry["operation"])]
            kind = kind_of(_result_of(operation))[0] if operation.result else None
            if operation.changes or operation.path_parameters or operation.request or kind is None:
                raise self.error(
                    (*place, "operation"), "must only read, take no parameters, and give a list"
                )
            for part in ("match", "take"):
                pairs = entry.get(part)
                if not isinstance(pairs, dict):
                    raise self.error((*place, part), "must be a table of fields")
                self._known((*place, part), pairs, known[name], "field")
                theirs = [str(field) for field in pairs.values()]
                self._known((*place, part), theirs, known[kind.__name__], "field")
            if entry.get("times") is not None:
                factor = str(entry["times"])
                self._known((*place, "times"), [factor], known[name], "field")
                kind = _bare(getattr(models, name).model_fields[factor].annotation)
                if not (isinstance(kind, type) and issubclass(kind, int)):
                    raise self.error((*place, "times"), "must be a field that holds a whole number")

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

    def _known(self, place: Place, given: Iterable[str], known: Iterable[str], kind: str) -> None:
        names = list(known)
        for name in given:
            if name not in names:
                raise self.error((*place, name), f"there is no such {kind}; {_near(name, names)}")


_MEANT_FOR: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("times", (Decimal, int, float), "an amount or a number"),
    ("epoch", (datetime,), "a time"),
    ("zone", (datetime,), "a time"),
    ("yes", (bool,), "what is true or false"),
    ("no", (bool,), "what is true or false"),
    ("digits", (int,), "a number"),
)
"""What each way to write a value is meant for."""


def _bare(annotation: Any) -> Any:
    """The type inside an annotation that may be null or carry rules."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        inner = [a for a in get_args(annotation) if a is not types.NoneType]
        return _bare(inner[0]) if len(inner) == 1 else annotation
    return annotation


def _plain_step(step: str) -> str:
    return step[:-2] if step.endswith(("[]", "{}")) else step


def _result_of(operation: Operation[Any]) -> Any:
    return (
        operation.response.model_fields[operation.result].annotation if operation.result else None
    )


def _fields_listed(name: str) -> list[str]:
    """The fields of what an operation lists; none if it is no operation that lists."""
    operation = OPERATIONS.get(name)
    if operation is None or operation.changes or get_origin(_result_of(operation)) is not list:
        return []
    return list(getattr(kind_of(_result_of(operation))[0], "model_fields", ()))


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
