"""What is wrong in a barrack.yaml, each mistake in one sentence with its place; or what it says."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from barrack_tasks.api.dialect.reading import Place, clipped
from barrack_tasks.config.reading import (
    Document,
    Mistake,
    MistakesError,
    Position,
    read_document,
    texts_in,
)
from barrack_tasks.config.sections import (
    KEY_VARIABLE,
    KINDS,
    NAME_PATTERN,
    Account,
    Schedule,
    file_model,
    model_of,
)
from barrack_tasks.plans.inputs import NO_SUCH_KEY, no_such_key
from barrack_tasks.plans.timetable.errors import TimetableError

_BLOCK_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KEY_WORDS = frozenset({"api_key", "apikey", "key", "token", "secret", "password", "passwd"})
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*")
_MOST = 30
_QUOTED = re.compile(r"'([^']*)'")
_TEMPLATES = ("{{", "}}")


@dataclass(frozen=True)
class Section:
    """What a file says in one section.

    Attributes:
        armed: whether it acts.
        parameters: of its flow, as they are written in the file.
        schedule: when it runs; as the release has it, if None.
    """

    armed: bool
    parameters: Mapping[str, Any]
    schedule: Schedule | None = None


@dataclass(frozen=True)
class Config:
    """What a barrack.yaml says, checked.

    Attributes:
        name: of the file, on the server.
        files: all that were read.
        accounts: names of blocks; None is the account of the worker's environment.
        protect: never touched; None if the file says nothing of it.
        caps: what may be spent, as it is written; None if the file says nothing of it.
        sections: by name.
    """

    name: str = "barrack"
    files: tuple[str, ...] = ()
    accounts: tuple[str | None, ...] = ("barrack",)
    protect: tuple[str, ...] | None = None
    caps: Mapping[str, Any] | None = None
    sections: Mapping[str, Section] = field(default_factory=dict)


def read_config(file: Path, key: str = "") -> Config:
    """Read and check a barrack.yaml with all that it includes; neither a server nor an account.

    Args:
        file: the first file.
        key: an API key that is known, which must not stand in a file.

    Raises:
        MistakesError: what is wrong, all of it, each with its place.

    Example:
        >>> read_config(Path("barrack.yaml")).sections["balance"].armed
        False
    """
    return config_of(read_document(file), key)


def config_of(document: Document, key: str = "") -> Config:
    """What a document says, checked; see `read_config`."""
    secret = list(_secrets(document, key))
    if secret:
        # Nothing else is said, so that no other sentence can show it.
        raise MistakesError(secret)
    checker = _Checker(document)
    found = checker.config()
    if checker.mistakes:
        files = {name: number for number, name in enumerate(document.files)}

        def order(one: Mistake) -> tuple[int, int, int]:
            at = one.position
            return (files[at.file], at.line, at.column) if at else (0, 0, 0)

        raise MistakesError(sorted(checker.mistakes, key=order)[:_MOST])
    return found


def _secrets(document: Document, key: str) -> Iterator[Mistake]:
    lines: set[tuple[str, int] | None] = set()
    for place, text in texts_in(document.content):
        is_key = place[-1] == text and text.casefold() in _KEY_WORDS
        if is_key or (len(key) >= 8 and key in text):
            found = document.mistake(
                "a key must not stand in a file; save it as a block, and name the block in "
                "`accounts`",
                place,
                at_key=True,
            )
            at = found.position
            line = (at.file, at.line) if at else None
            if line not in lines:
                lines.add(line)
                yield Mistake(found.said, at)


class _Checker:
    """Collects the mistakes of a document."""

    def __init__(self, document: Document) -> None:
        self.mistakes: list[Mistake] = []
        self._document = document
        # Names of timetables are resolved in it, and all else is as it is written.
        self._content = copy.deepcopy(document.content)

    def config(self) -> Config:
        known = file_model().model_fields
        for key in [k for k in self._content if k not in known]:
            self._say(no_such_key(key, known), (key,), at_key=True)
            del self._content[key]
        for place, text in texts_in(self._content):
            if any(sign in text for sign in _TEMPLATES):
                said = "{{ and }} are filled in by nobody here; write the value itself"
                self._say(said, place, at_key=place[-1] == text)
                return Config()
        top = {k: v for k, v in self._content.items() if k not in KINDS}
        self._validate(file_model(), top, ())
        name = self._name()
        accounts = self._accounts()
        self._check_block(accounts)
        channels = self._content.get("notify")
        channels = channels if isinstance(channels, dict) else {}
        sections: dict[str, Section] = {}
        for kind in KINDS:
            if kind in self._content:
                made = self._section(kind, channels)
                if made is not None:
                    sections[kind] = made
        protect = self._content.get("protect")
        return Config(
            name,
            tuple(self._document.files),
            tuple(accounts),
            tuple(protect) if isinstance(protect, list) else None,
            self._content.get("caps"),
            sections,
        )

    def _say(self, said: str, place: Place, *, at_key: bool = False, shift: int = -1) -> None:
        made = self._document.mistake(said, place, at_key=at_key)
        if shift >= 0 and made.position is not None:
            at = made.position
            is_quoted = made.line[at.column - 1 : at.column] in ("'", '"')
            made = Mistake(
                made.said, Position(at.file, at.line, at.column + shift + is_quoted), made.line
            )
        if all(one.position != made.position for one in self.mistakes):
            self.mistakes.append(made)

    def _name(self) -> str:
        name = self._content.get("name", "barrack")
        if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
            said = "name must be lower case letters, digits and hyphens, 40 at most"
            self._say(said, ("name",))
            return "barrack"
        return name

    def _accounts(self) -> list[str | None]:
        given = self._content.get("accounts", ["barrack"])
        found: list[str | None] = []
        for number, one in enumerate(given if isinstance(given, list) else []):
            place: Place = ("accounts", number)
            if isinstance(one, str):
                one = {"block": one}
            if not isinstance(one, dict):
                continue
            try:
                account = Account.model_validate(one)
            except ValidationError:
                continue  # said already
            if (account.block is None) == (account.environment is None):
                said = "an account has either `block` or `environment`: give one of the two"
                self._say(said, place)
            elif account.environment not in (None, KEY_VARIABLE):
                said = f"workers read their account's key from {KEY_VARIABLE} alone; name that one"
                self._say(said, (*place, "environment"))
            elif account.block is not None and not _BLOCK_NAME.fullmatch(account.block):
                self.mistakes.append(self._not_a_block(place))
            elif account.block in found:
                self._say("this account is named twice; keep one", place)
            else:
                found.append(account.block)
        return found

    def _not_a_block(self, place: Place) -> Mistake:
        said = (
            "this is not the name of a block, which has lower case letters, digits and hyphens; "
            "it is not repeated here, because it may be a key"
        )
        return Mistake(said, self._document.mistake(said, place).position)

    def _check_block(self, accounts: list[str | None]) -> None:
        for what in ("protect", "caps"):
            if self._content.get(what) is not None and None in accounts:
                said = (
                    f"{what} is kept in an account's block, and the account of the environment "
                    f"has none; save the account as a block, and name it in `accounts`"
                )
                self._say(said, (what,), at_key=True)

    def _section(self, name: str, channels: Mapping[str, Any]) -> Section | None:
        given = self._content[name]
        if given is None:
            given = {}
        if not isinstance(given, dict):
            self._say(f"{name} must be a mapping, such as `{name}: {{armed: false}}`", (name,))
            return None
        if name == "timetables":
            self._name_timetables(given)
        read = self._validate(model_of(name), given, (name,))
        if read is None:
            return None
        try:
            KINDS[name].check(read)
        except ValueError as error:
            self._say(_first_line(error), (name,), at_key=True)
        parameters = {k: v for k, v in given.items() if k not in ("armed", "schedule", "named")}
        if "notify" in model_of(name).model_fields:
            told = given.get("notify", list(channels))
            parameters["notify"] = self._blocks(told, channels, name)
            if not parameters["notify"]:
                del parameters["notify"]
        return Section(
            bool(getattr(read, "armed", False)), parameters, getattr(read, "schedule", None)
        )

    def _blocks(self, told: list[str], channels: Mapping[str, Any], section: str) -> list[str]:
        for number, channel in enumerate(told):
            if channel not in channels:
                hint = _nearest(channel, channels) or "; add it to `notify` at the top"
                said = f"no channel is called {clipped(channel)!r}{hint}"
                self._say(said, (section, "notify", number))
        return [channels[one] for one in told if one in channels]

    def _name_timetables(self, given: dict[str, Any]) -> None:
        """Put named timetables into the rules that call them by name."""
        named = given.get("named")
        names = named if isinstance(named, dict) else {}
        rules = given.get("rules")
        for number, rule in enumerate(rules if isinstance(rules, list) else []):
            text = rule.get("timetable") if isinstance(rule, dict) else None
            if not isinstance(text, str):
                continue
            if text in names:
                rule["timetable"] = names[text]
            elif _WORD.fullmatch(text) and text.casefold() not in ("always", "never") and names:
                hint = _nearest(text, names) or f"; there are {', '.join(names)}"
                said = f"no timetable is called {clipped(text)!r}{hint}"
                self._say(said, ("timetables", "rules", number, "timetable"))

    def _validate(
        self, model: type[BaseModel], given: Mapping[str, Any], at: Place
    ) -> BaseModel | None:
        left: Any = given
        misspelt: set[Place] = set()
        for _ in range(_MOST):
            try:
                read = model.model_validate(left)
            except ValidationError as error:
                errors = error.errors(include_url=False)
            else:
                return read if left is given else None
            for one in errors:
                # What is lacking may be just what the key that is not known was meant to be.
                if _inside(one["loc"], left) not in misspelt or one["type"] == NO_SUCH_KEY:
                    self._tell(one, at, left)
            unknown = [one for one in errors if one["type"] == NO_SUCH_KEY]
            if not unknown:
                break
            # A key that is not known hides what else is wrong beside it.
            left = copy.deepcopy(left)
            for one in unknown:
                place = _inside(one["loc"], left)
                misspelt.add(place)
                _without(left, place, str(one["ctx"]["key"]))
        return None

    def _tell(self, one: ErrorDetails, at: Place, given: Mapping[str, Any]) -> None:
        inside = _inside(one["loc"], given)
        place: Place = (*at, *inside)
        kind = one["type"]
        context: Mapping[str, Any] = one.get("ctx") or {}
        if kind == NO_SUCH_KEY:
            self._say(str(context["said"]), (*place, context["key"]), at_key=True)
            return
        if kind == "missing":
            key = str(one["loc"][-1])
            what = f"{place[-1]} " if place and isinstance(place[-1], str) else "this "
            self._say(f"{what}lacks `{key}`; add it", place, at_key=True)
            return
        problem = context.get("error")
        if isinstance(problem, TimetableError):
            shift = problem.start if problem.text == one["input"] else -1
            self._say(problem.problem, place, shift=shift)
            return
        key = next((part for part in reversed(place) if isinstance(part, str)), "")
        self._say(_sentence(kind, context, one, key), place)


def _inside(loc: Iterable[int | str], given: Any) -> Place:
    """Where in what was given an error is: pydantic names branches of unions and calls besides."""
    found: list[int | str] = []
    here = given
    for part in loc:
        is_key = isinstance(here, Mapping) and part in here
        is_index = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if is_key or is_index:
            here = here[part]
            found.append(part)
    return tuple(found)


def _without(value: Any, place: Place, key: str) -> None:
    for part in place:
        value = value[part]
    value.pop(key, None)


_BOUNDS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "{} or less"),
}
_TYPES = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "string": "text; put it in quotes",
    "list": "a list, such as [a, b]",
    "tuple": "a list, such as [a, b]",
    "dict": "a mapping of keys, such as {a: 1}",
    "model": "a mapping of keys, such as {a: 1}",
    "mapping": "a mapping of keys, such as {a: 1}",
}


def _sentence(kind: str, context: Mapping[str, Any], one: ErrorDetails, key: str) -> str:
    what, given = key or "this", clipped(repr(one["input"]))
    if kind == "literal_error":
        allowed = _QUOTED.findall(str(context["expected"]))
        near = _nearest(str(one["input"]), allowed)
        return f"{what} must be one of {', '.join(allowed)}, and is {given}{near}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{what} must be {words.format(context[name])}, and is {given}"
    if kind in ("too_short", "string_too_short"):
        return f"{what} is empty; write at least one, or leave it out"
    if kind == "too_long":
        return f"{what} holds too many; {context['max_length']} are possible"
    if kind == "value_error":
        return _first_line(context["error"])
    wanted = _TYPES.get(kind.partition("_")[0])
    if wanted:
        return f"{what} must be {wanted} (it is {given})"
    return f"{what}: {one['msg']}"


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _nearest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word.casefold(), [*known], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
