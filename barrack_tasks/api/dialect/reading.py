"""Reading the files that people are sent: YAML, JSON and TOML, bounded in size, depth and time.

Whoever wrote a file may mean harm. Aliases and merge keys, which let one kilobyte stand for
gigabytes, are refused, and so are tags, second documents and keys that are there twice.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from barrack_tasks.api.errors import BarrackConfigurationError

Place = tuple[Any, ...]
Lines = dict[Place, tuple[int, int]]
"""Line and column, counted from 1, of each key and each item of a list, by its place."""
Resolvers = Mapping[str, Any]

LARGEST_FILE = 5_000_000
"""Bytes of a file that a person writes."""
MOST_VALUES = 200_000
"""Keys and values in such a file."""
DEEPEST = 100
"""Levels of lists and tables in any file."""
LARGEST_TOML = 500_000
"""Characters of a TOML text: the work on long keys grows faster than the text."""
_MOST_DOTS = 32
"""In a line of TOML, where each may begin another table."""
_LONGEST_NUMBER = 100
_SHOWN = 60

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_STRING = "tag:yaml.org,2002:str"
_TEXTS = (_STRING, "tag:yaml.org,2002:value")
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_NO_KEY = object()
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class UnreadableError(BarrackConfigurationError):
    """A file that cannot be read; says in one sentence what is wrong, where, and what to do.

    `where` is line and column, if they are known, and `problem` the sentence without them.
    """

    where = ""
    problem = ""


def read_file(file: Path, largest: int = LARGEST_FILE) -> bytes:
    """The bytes of a file.

    Args:
        file: a regular file, or a link to one.
        largest: bytes that it may have.

    Raises:
        UnreadableError: it is not there, is no regular file, may not be read, or is too large.

    Example:
        >>> read_file(Path("rules.yaml"))
    """
    try:
        # Without waiting: a pipe to which nobody writes would hold us for ever.
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UnreadableError(f"{shown(file)} is not a regular file; name one that is")
            data = opened.read(largest + 1)
    except IsADirectoryError:
        raise UnreadableError(f"{shown(file)} is a directory; name a file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have that name"
        is_there = isinstance(error, OSError) and error.errno not in _NO_SUCH_FILE
        advice = "name a file that you may read" if is_there else "correct its name"
        raise UnreadableError(f"{shown(file)} cannot be read: {reason}; {advice}") from None
    if len(data) > largest:
        raise UnreadableError(f"{shown(file)} is larger than {largest} bytes; name a smaller file")
    return data


def text_of(data: bytes, source: str) -> str:
    """The text of a file's bytes, which must be UTF-8; a byte order mark is left out.

    Raises:
        UnreadableError: it is not text in UTF-8.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableError(f"{source} is text in UTF-16; save it in UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"{source}, line {line}: it is not text in UTF-8; save it in UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UnreadableError(
            f"{source}, line {line}: it is not text, for it holds a NUL character; name a text file"
        )
    return text


def read_yaml(
    text: str,
    source: str,
    *,
    resolvers: Resolvers | None = None,
    most: int = MOST_VALUES,
    lines: Lines | None = None,
) -> Any:
    """What a YAML text says, as plain lists, dicts and scalars. Keys are text, as it is written.

    Args:
        text: one document, without aliases, merge keys, tags, or keys that are there twice.
        source: what the text is called in an error.
        resolvers: which plain scalars are what, in the form of PyYAML's implicit resolvers; those
            of its safe loader, if not given.
        most: keys and values that it may hold.
        lines: is filled with the line and column of each key and each item of a list.

    Raises:
        UnreadableError: it is not such a text.

    Example:
        >>> read_yaml("200: [1, 2]", "rules.yaml")
        {'200': [1, 2]}
    """
    builder = _Builder(source, resolvers or yaml.SafeLoader.yaml_implicit_resolvers, most, lines)
    events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
    try:
        for event in events:
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if _is_indented_by_tab(text, mark):
            builder.refuse(mark, "a tab indents this line; write spaces")
        builder.refuse(mark, f"this is not YAML ({error.problem or error.context}); correct it")
    except (yaml.YAMLError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "reason", None) or "it is damaged"
        raise UnreadableError(f"{source} is not YAML ({clipped(reason)}); correct it") from None
    return builder.root


def _is_indented_by_tab(text: str, mark: Any) -> bool:
    before = re.split(r"\r\n|[\r\n]", text)[mark.line :][:1] if mark else []
    return any("\t" in line[: len(line) - len(line.lstrip())] for line in before)


def read_json(text: str, source: str, most: int | None = None) -> Any:
    """What a JSON text says.

    Args:
        text: without keys that are there twice.
        source: what the text is called in an error.
        most: keys and values that it may hold; any number, if not given.

    Raises:
        UnreadableError: it is not such a text.
    """
    try:
        found = json.loads(text, object_pairs_hook=_table, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"{source}, line {error.lineno}, column {error.colno}"
        raise UnreadableError(f"{where}: this is not JSON ({error.msg}); correct it") from None
    except _RefusedError as refused:
        raise UnreadableError(f"{source}: {refused}") from None
    except ValueError:
        raise UnreadableError(
            f"{source} holds a number with thousands of digits; write a smaller one"
        ) from None
    except (RecursionError, MemoryError):
        raise _too_deep(source) from None
    check_depth(found, source, most)
    return found


def read_toml(text: str, source: str) -> dict[str, Any]:
    """What a TOML text says.

    Raises:
        UnreadableError: it is not TOML, or too long.
    """
    if len(text) > LARGEST_TOML:
        raise UnreadableError(f"{source} is longer than {LARGEST_TOML} characters; shorten it")
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS and not line.lstrip().startswith("#"):
            raise UnreadableError(
                f"{source}, line {number}: it holds more than {_MOST_DOTS} dots; break it up"
            )
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnreadableError(f"{source} is not TOML ({clipped(error)}); correct it") from None
    except (ValueError, RecursionError, MemoryError):
        raise UnreadableError(
            f"{source} is nested too deeply or holds too large a number; simplify it"
        ) from None
    check_depth(found, source, MOST_VALUES)
    return found


def check_depth(value: Any, source: str, most: int | None = None) -> None:
    """Refuse what is nested too deeply or holds too much.

    Raises:
        UnreadableError: it is, or does.
    """
    level, depth, count = [value] if isinstance(value, dict | list) else [], 0, 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise _too_deep(source)
        inner = [v for one in level for v in (one.values() if isinstance(one, dict) else one)]
        count += len(inner)
        if most is not None and count > most:
            raise UnreadableError(f"{source} holds more than {most} values; name a smaller file")
        level = [one for one in inner if isinstance(one, dict | list)]


class _RefusedError(Exception):
    """What `json` reads and we do not."""


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _RefusedError(f"the key {clipped(twice)!r} is given twice; keep one of them")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _RefusedError(f"{name} is not a number in JSON; write a number")


class _Builder:
    """Makes values of YAML's events, one after the other and without recursion."""

    def __init__(self, source: str, resolvers: Resolvers, most: int, lines: Lines | None) -> None:
        self.root: Any = None
        self._source = source
        self._resolvers = resolvers
        self._left = self._most = most
        self._lines = lines
        self._documents = 0
        self._open: list[Any] = []
        self._keys: list[Any] = []
        """For each open list or table the key or index of what is being read; or that none is."""
        self._constructor = yaml.constructor.SafeConstructor()

    def refuse(self, mark: Any, reason: str) -> NoReturn:
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        error = UnreadableError(f"{', '.join(filter(None, (self._source, where)))}: {reason}")
        error.where, error.problem = where, reason
        raise error

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self.refuse(event.start_mark, "a second document begins here; keep one")
            case yaml.AliasEvent():
                self.refuse(event.start_mark, f"*{clipped(event.anchor)} is an alias; {_SPELL}")
            case yaml.ScalarEvent() | yaml.CollectionStartEvent():
                self._begin(event)
            case yaml.CollectionEndEvent():
                self._open.pop()
                self._keys.pop()
                if self._open and isinstance(self._open[-1], dict):
                    self._keys[-1] = _NO_KEY

    def _begin(self, event: Any) -> None:
        self._left -= 1
        if self._left < 0:
            self.refuse(
                event.start_mark, f"there are more than {self._most} values; use a smaller file"
            )
        if event.anchor is not None:
            self.refuse(event.start_mark, f"&{clipped(event.anchor)} is an anchor; {_SPELL}")
        if event.tag is not None:
            self.refuse(
                event.start_mark,
                f"the tag {clipped(event.tag)} is not supported; leave it out, and put text in "
                "quotes",
            )
        if isinstance(event, yaml.ScalarEvent):
            self._put(self._scalar(event), event)
            return
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(value, event)
        if len(self._open) >= DEEPEST:
            self.refuse(
                event.start_mark, f"it is nested more than {DEEPEST} levels deep; flatten it"
            )
        self._open.append(value)
        self._keys.append(_NO_KEY)

    def _put(self, value: Any, event: Any) -> None:
        if not self._open:
            self.root = value
            return
        holder = self._open[-1]
        if isinstance(holder, list):
            holder.append(value)
            self._keys[-1] = len(holder) - 1
            self._note(event)
        elif self._awaits_key():
            if isinstance(value, dict | list):
                self.refuse(event.start_mark, "a key must be a single word or text; write one")
            if value in holder:
                self.refuse(
                    event.start_mark,
                    f"the key {clipped(event.value)!r} is given twice; keep one of them",
                )
            holder[value] = None
            self._keys[-1] = value
            self._note(event)
        else:
            holder[self._keys[-1]] = value
            if not isinstance(value, dict | list):  # until one of these ends, it is at the key
                self._keys[-1] = _NO_KEY

    def _note(self, event: Any) -> None:
        if self._lines is not None:
            mark = event.start_mark
            self._lines[tuple(self._keys)] = (mark.line + 1, mark.column + 1)

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1], dict) and self._keys[-1] is _NO_KEY

    def _scalar(self, event: Any) -> Any:
        text = event.value
        tag = self._tag(text) if event.implicit[0] and not event.style else _STRING
        if tag == _MERGE:
            self.refuse(event.start_mark, f"<< is a merge key; {_SPELL}")
        # Whoever writes a file can find numbers, but no texts, that a dict stores in one place.
        if tag in _TEXTS or self._awaits_key():
            return text
        if tag in _NUMBERS and len(text) > _LONGEST_NUMBER:
            self.refuse(
                event.start_mark,
                f"the number has {len(text)} characters; write a smaller one, or put it in quotes",
            )
        try:
            construct = yaml.SafeLoader.yaml_constructors[tag]
            return construct(self._constructor, yaml.ScalarNode(tag, text))
        except (ValueError, OverflowError, KeyError, yaml.YAMLError):
            self.refuse(
                event.start_mark,
                f"{clipped(text)!r} is neither a number nor a date; put it in quotes if it is text",
            )

    def _tag(self, text: str) -> str:
        for tag, pattern in (
            *self._resolvers.get(text[:1], ()),
            *self._resolvers.get(None, ()),  # type: ignore[call-overload]
        ):
            if pattern.match(text):
                return str(tag)
        return _STRING


_SPELL = "write out what it stands for"


def _too_deep(source: str) -> UnreadableError:
    return UnreadableError(
        f"{source} is nested too deeply, more than {DEEPEST} levels; use a flatter file"
    )


def shown(file: Path) -> str:
    """A file's name on one line, cut if it is long."""
    return clipped(file, 300)


def clipped(value: object, most: int = _SHOWN) -> str:
    """Text of a file on one line, cut if it is long."""
    text = "".join(c if c.isprintable() else " " for c in str(value)[: most + 1])
    return text if len(text) <= most else f"{text[: most - 3]}..."
