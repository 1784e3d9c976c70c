"""Reading barrack.yaml and the files that it includes, so that each word is known by its place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from barrack_tasks.api.dialect.reading import (
    Lines,
    Place,
    UnreadableError,
    read_file,
    read_yaml,
    shown,
    text_of,
)
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.api.models.text import one_line

DEFAULT_FILE = Path("barrack.yaml")
LARGEST = 1_000_000
"""Bytes of one file."""
_MOST_FILES = 50
_MOST_VALUES = 20_000
_ADDED = ("protect", "accounts", "notify")
"""What several files may say: it is added up. A section adds up if each names its accounts."""
_SAID_ONCE = (*_ADDED, "name", "caps")
"""What is about the whole file, and not a section."""
_ACCOUNTS = frozenset({"account", "accounts"})
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""Where a line ends in YAML."""
_WHERE = re.compile(r"line (\d+), column (\d+)")
_NOT_YAML_1_1 = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "bool", "int", "float", "merge", "value")
)
_CORE: dict[str, list[tuple[str, re.Pattern[str]]]] = {
    first: [one for one in resolvers if one[0] not in _NOT_YAML_1_1]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INTEGER = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$")
# `22:00` is a time and `no` a word, as in YAML 1.2; in YAML 1.1 they are 1320 and false.
for _kind, _pattern, _firsts in (
    ("bool", _BOOLEAN, "tTfF"),
    ("int", _INTEGER, "-+0123456789"),
    ("float", _FLOAT, "-+.0123456789"),
):
    for _first in _firsts:
        _CORE.setdefault(_first, []).append((f"tag:yaml.org,2002:{_kind}", _pattern))

_SECRET_KEY = re.compile(
    r"(?i)((?:[\w-]*(?:key|token|secret|password|passwd))[\"']?\s*[:=]\s*[\"']?)([^\s\"',}]+)"
)
_LONG_TOKEN = re.compile(r"(?=[A-Za-z0-9_\-]*[0-9])(?=[A-Za-z0-9_\-]*[A-Za-z])[A-Za-z0-9_\-]{24,}")
_WIDEST = 120


@dataclass(frozen=True)
class Position:
    """A place in a file; line and column are counted from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True)
class Mistake:
    """What is wrong in a file.

    Attributes:
        said: one sentence without a full stop: what is wrong, and what to do.
        position: where, if that is known.
        line: the line itself, in which nothing that may be a key is shown.
        width: how many characters of the line are meant.
    """

    said: str
    position: Position | None = None
    line: str = ""
    width: int = 1

    def __str__(self) -> str:
        if self.position is None:
            return self.said
        where = f"{self.position.file}:{self.position.line}:{self.position.column}"
        # A caret below a line that is cut, or not shown at all, would point to nothing.
        if not self.line or self.position.column > _WIDEST:
            return f"{where}: {self.said}"
        number = str(self.position.line)
        room = _WIDEST - self.position.column + 1
        caret = " " * (self.position.column - 1) + "^" * max(1, min(self.width, room))
        return f"{where}: {self.said}\n  {number} | {self.line}\n  {' ' * len(number)} | {caret}"


class MistakesError(BarrackConfigurationError):
    """What is wrong in a barrack.yaml: one or several mistakes, each with its place."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(one.said for one in self.mistakes))

    def __str__(self) -> str:
        """Each mistake with its place, its line and a caret; several lines."""
        return "\n".join(map(str, self.mistakes))


@dataclass
class ConfigDocument:
    """What files say together, and where each word of it stands.

    Attributes:
        content: all of it as one mapping.
        places: where each key and each item of a list stands.
        texts: the lines of each file, by its name.
    """

    content: dict[str, Any] = field(default_factory=dict)
    places: dict[Place, Position] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def files(self) -> list[str]:
        """The files that were read, the first one first."""
        return list(self.texts)

    def mistake(self, said: str, place: Place = (), *, at_key: bool = False) -> Mistake:
        """A mistake at a place, or at the nearest place around it that is known.

        Args:
            said: one sentence without a full stop.
            place: keys and indexes.
            at_key: the key itself is wrong, and not its value.
        """
        at = place
        while at and at not in self.places:
            at = at[:-1]
        if not at:
            first = next(iter(self.texts), None)
            return Mistake(masked(said), Position(first, 1, 1) if first else None)
        position = self.places[at]
        lines = self.texts[position.file]
        line = lines[position.line - 1] if position.line <= len(lines) else ""
        column, width = position.column, _width(line, position.column)
        if at == place and not at_key and isinstance(at[-1], str):
            column, width = _value_at(line, column, width)
        told = masked(_plain(line))[:_WIDEST].rstrip()
        return Mistake(masked(said), Position(position.file, position.line, column), told, width)


def read_document(file: Path) -> ConfigDocument:
    """Read a barrack.yaml with all that it includes.

    An included file is named from the folder of the file that names it, may be a glob, and lies in
    the folder of the first file or below. `protect`, `accounts` and `notify` add up, and so do
    sections that each name their `account`; everything else is said once.

    Raises:
        MistakesError: a file cannot be read, includes what it must not, or says again what another
            has said.

    Example:
        >>> read_document(Path("barrack.yaml")).content["name"]
        'team-a'
    """
    document = ConfigDocument()
    _read(document, file, _real(file).parent, (), None)
    return document


def _read(
    document: ConfigDocument,
    file: Path,
    root: Path,
    above: tuple[Path, ...],
    asked: Mistake | None,
) -> None:
    name = shown(file)
    try:
        text = text_of(read_file(file, LARGEST), name)
        # Set first, so that a mistake in the text can show its line.
        document.texts[name] = _BREAK.split(text)
        lines: Lines = {}
        content = read_yaml(text, name, resolvers=_CORE, most=_MOST_VALUES, lines=lines)
    except UnreadableError as error:
        raise MistakesError([_unreadable(document, name, error, asked)]) from None
    places = {place: Position(name, *at) for place, at in lines.items()}
    if content is None:
        content = {}
    if not isinstance(content, dict):
        said = "the file must be a mapping of sections, such as `balance:`; write one"
        raise MistakesError([Mistake(f"{name}: {said}")])
    own = ConfigDocument(content, places, document.texts)
    included = _included(own, file, root, above)
    content.pop("include", None)
    _add(document, own)
    for other, mistake in included:
        if len(document.texts) >= _MOST_FILES:
            said = f"more than {_MOST_FILES} files are included; put several into one"
            raise MistakesError([own.mistake(said, ("include",))])
        if shown(other) in document.texts:
            continue
        _read(document, other, root, (*above, _real(file)), mistake)


def _real(file: Path) -> Path:
    """Where a file really is; a link that leads to itself is reported when it is read."""
    return Path(os.path.realpath(file))


def _included(
    own: ConfigDocument, file: Path, root: Path, above: tuple[Path, ...]
) -> list[tuple[Path, Mistake]]:
    """The files that a file includes, each with what is said if it cannot be read."""
    given = own.content.get("include", [])
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        said = "include must be a list of files, such as [timetables.yaml]; write one"
        raise MistakesError([own.mistake(said, ("include",))])
    found: list[tuple[Path, Mistake]] = []
    for number, pattern in enumerate(names):
        place: Place = ("include",) if isinstance(given, str) else ("include", number)
        if pattern in names[:number]:
            raise MistakesError([own.mistake(f"{pattern!r} is included twice; keep one", place)])
        is_glob = any(sign in pattern for sign in "*?[")
        try:
            matched = sorted(file.parent.glob(pattern)) if is_glob else [file.parent / pattern]
        except (ValueError, NotImplementedError, OSError):
            matched = [Path(pattern)]
        if not matched:
            said = f"no file matches {pattern!r}; correct the pattern or leave it out"
            raise MistakesError([own.mistake(said, place)])
        for other in matched:
            real = _real(other)
            if not real.is_relative_to(root):
                said = f"{pattern!r} lies outside of the folder {root.name!r}; move the file there"
                raise MistakesError([own.mistake(said, place)])
            if real in (*above, _real(file)):
                said = f"{pattern!r} includes itself; leave it out"
                raise MistakesError([own.mistake(said, place)])
            found.append((other, own.mistake("", place)))
    return found


def _add(document: ConfigDocument, own: ConfigDocument) -> None:
    """Add what one file says to what those before it said."""
    for section, value in own.content.items():
        moved = 0
        if section not in document.content:
            document.content[section] = value
        else:
            before = document.content[section]
            first = document.places[(section,)]
            are_parts = _has_accounts(before) and _has_accounts(value)
            if are_parts:
                before, value = _as_parts(document, section), _as_parts(own, section)
            is_list = isinstance(before, list) and isinstance(value, list)
            is_table = isinstance(before, dict) and isinstance(value, dict)
            if not are_parts and (section not in _ADDED or not (is_list or is_table)):
                hint = "" if section in _SAID_ONCE else ", or name the `account` in each"
                said = f"{section} is already said in {first.file}, line {first.line}; keep one"
                raise MistakesError([own.mistake(f"{said}{hint}", (section,), at_key=True)])
            if is_list:
                moved = len(before)
                document.content[section] = [*before, *value]
            else:
                twice = next((key for key in value if key in before), None)
                if twice is not None:
                    told = document.places[(section, twice)]
                    said = f"{twice!r} is already said in {told.file}, line {told.line}; keep one"
                    raise MistakesError([own.mistake(said, (section, twice), at_key=True)])
                document.content[section] = {**before, **value}
        for place, position in own.places.items():
            if place[0] != section or (len(place) == 1 and (section,) in document.places):
                continue
            if moved and len(place) > 1:
                place = (section, place[1] + moved, *place[2:])
            document.places[place] = position


def _has_accounts(value: Any) -> bool:
    """Whether a section, or each of several, names the accounts that it is for."""
    parts = value if isinstance(value, list) else [value]
    return bool(parts) and all(isinstance(p, dict) and p.keys() & _ACCOUNTS for p in parts)


def _as_parts(document: ConfigDocument, section: str) -> list[Any]:
    """A section as a list of sections, of which each is for accounts of its own."""
    value = document.content[section]
    if isinstance(value, list):
        return value
    places = dict(document.places)
    for place in [one for one in places if one[0] == section]:
        del document.places[place]
    for place, position in places.items():
        if place[0] == section:
            document.places[(section, 0, *place[1:])] = position
    document.places[(section,)] = places[(section,)]
    document.content[section] = [value]
    return [value]


def _unreadable(
    document: ConfigDocument, name: str, error: UnreadableError, asked: Mistake | None
) -> Mistake:
    found = _WHERE.fullmatch(error.where)
    if found is None:
        said = masked(str(error).removesuffix("."))
        if asked is None:
            return Mistake(said)
        return Mistake(said, asked.position, asked.line, asked.width)
    line, column = int(found[1]), int(found[2])
    lines = document.texts.get(name, [])
    text = lines[line - 1] if line <= len(lines) else ""
    told = masked(_plain(text))[:_WIDEST].rstrip()
    return Mistake(masked(error.problem), Position(name, line, column), told)


def _plain(line: str) -> str:
    """A line in which a tab is one column wide, as in the count of columns."""
    return one_line(line.replace("\t", " "))


def _width(line: str, column: int) -> int:
    """How many characters the word has that begins in a column."""
    rest = line[column - 1 :]
    if rest[:1] in ("'", '"'):
        end = rest.find(rest[0], 1)
        return end + 1 if end > 0 else 1
    found = re.match(r"[^\s,:\[\]{}#]+", rest)
    return len(found[0]) if found else 1


def _value_at(line: str, column: int, width: int) -> tuple[int, int]:
    """Column and width of the value behind a key in the same line; those of the key, if none."""
    after = line[column - 1 + width :]
    found = re.match(r"\s*:\s+(?=[^\s#])", after)
    if not found:
        return column, width
    begins = column + width + found.end()
    return begins, _width(line, begins)


def masked(text: str) -> str:
    """Text in which what looks like a key is shown as asterisks of the same length.

    Example:
        >>> masked("api_key: abc123")
        'api_key: ******'
    """
    hidden = _SECRET_KEY.sub(lambda found: found[1] + "*" * len(found[2]), text)
    return _LONG_TOKEN.sub(lambda found: "*" * len(found[0]), hidden)


def texts_in(value: Any, place: Place = ()) -> Iterable[tuple[Place, str]]:
    """All texts in what was read, keys included, each with its place.

    Example:
        >>> list(texts_in({"a": ["b"]}))
        [(('a',), 'a'), (('a', 0), 'b')]
    """
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield (*place, key), key
            yield from texts_in(inner, (*place, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from texts_in(inner, (*place, number))
