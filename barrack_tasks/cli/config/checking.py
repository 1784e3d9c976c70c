"""What is wrong in a barrack.yaml, each mistake in one sentence with its place; or what it says."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from barrack_tasks.api.dialect.reading import Place, clipped
from barrack_tasks.cli.config.meaning import in_vain, said_twice
from barrack_tasks.cli.config.reading import (
    ConfigDocument,
    Mistake,
    MistakesError,
    Position,
    read_document,
    texts_in,
)
from barrack_tasks.cli.config.sections import (
    KEY_VARIABLE,
    KINDS,
    NAME_PATTERN,
    Channel,
    NamedAccount,
    Schedule,
    file_model,
    model_of,
)
from barrack_tasks.plans.inputs import NO_SUCH_KEY, did_you_mean, no_such_key, sentence_of
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.plain_words import plainly
from barrack_tasks.plans.timetable.errors import TimetableError
from barrack_tasks.server.credentials import BLOCK

_BLOCK_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KEY_WORDS = frozenset({"api_key", "apikey", "key", "token", "secret", "password", "passwd"})
_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*")
_MOST = 30
_LISTS = {
    "timetables": "rules",
    "balance": "thresholds",
    "budgets": "budgets",
    "stock": "wants",
}
"""The key of each section that holds a list, which people write as the section itself."""
_TEMPLATES = ("{{", "}}")
_OF = " of "
_NOT_PARAMETERS = ("armed", "schedule", "named", "account", "accounts")


@dataclass(frozen=True)
class Section:
    """What a file says in one section.

    Attributes:
        armed: whether it acts.
        parameters: of its flow, as they are written in the file.
        schedule: when it runs; as the release has it, if None.
        accounts: that it is for; all of the file, if None.
    """

    armed: bool
    parameters: Mapping[str, Any]
    schedule: Schedule | None = None
    accounts: tuple[str | None, ...] | None = None


@dataclass(frozen=True)
class Config:
    """What a barrack.yaml says, checked.

    Attributes:
        name: of the file, on the server.
        files: all that were read.
        accounts: names of blocks; None is the account of the worker's environment.
        protect: never touched in any account; None if the file says nothing of it.
        caps: what each account may spend, as it is written; None if the file says nothing of it.
        own: what the file says of single accounts, by their blocks.
        sections: by name; of several for different accounts, the name is that of the section and
            its accounts, such as `timetables of team-a`.
    """

    name: str = "barrack"
    files: tuple[str, ...] = ()
    accounts: tuple[str | None, ...] = ("barrack",)
    protect: tuple[str, ...] | None = None
    caps: Mapping[str, Any] | None = None
    sections: Mapping[str, Section] = field(default_factory=dict)
    own: Mapping[str | None, NamedAccount] = field(default_factory=dict)

    def protect_of(self, account: str | None) -> tuple[str, ...] | None:
        """What is never touched in an account; None if the file says nothing of it.

        Args:
            account: one of `accounts`.

        Example:
            >>> Config(protect=("db",)).protect_of("barrack")
            ('db',)
        """
        own = self.own[account].protect if account in self.own else None
        if own is None:
            return self.protect
        return tuple(dict.fromkeys([*(self.protect or ()), *own]))

    def caps_of(self, account: str | None) -> Caps | None:
        """What an account may spend: its own caps, or those of all; None if the file says nothing.

        Args:
            account: one of `accounts`.

        Example:
            >>> Config(caps={"burn": 60}).caps_of("barrack").burn
            Decimal('60')
        """
        own = self.own[account].caps if account in self.own else None
        if own is not None:
            return own
        return None if self.caps is None else Caps.model_validate(self.caps)

    def of_account(self, account: str | None) -> dict[str, Section]:
        """The sections that are for an account, by the name of their kind.

        Args:
            account: one of `accounts`.
        """
        return {
            title.partition(_OF)[0]: one
            for title, one in self.sections.items()
            if one.accounts is None or account in one.accounts
        }


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


def config_of(document: ConfigDocument, key: str = "") -> Config:
    """What a document says, checked; see `read_config`."""
    secret = list(_secrets(document, key))
    if secret:
        # Nothing else is said, so that no other sentence can show it.
        raise MistakesError(secret)
    checker = _FileChecker(document)
    found = checker.config()
    if checker.mistakes:
        files = {name: number for number, name in enumerate(document.files)}

        def order(one: Mistake) -> tuple[int, int, int]:
            at = one.position
            return (files[at.file], at.line, at.column) if at else (0, 0, 0)

        raise MistakesError(sorted(checker.mistakes, key=order)[:_MOST])
    return found


def _secrets(document: ConfigDocument, key: str) -> Iterator[Mistake]:
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


class _FileChecker:
    """Collects the mistakes of a document."""

    def __init__(self, document: ConfigDocument) -> None:
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
                said = "templates such as {{ x }} are not filled in; write the value itself"
                self._say(said, place, at_key=place[-1] == text)
                return Config()
        top = {k: v for k, v in self._content.items() if k not in KINDS}
        self._validate(file_model(), top, ())
        name = self._name()
        own = self._accounts()
        accounts = list(own)
        self._check_block(accounts)
        channels = self._channels()
        protect = self._content.get("protect")
        sections: dict[str, Section] = {}
        for kind in KINDS:
            owners: dict[str | None, Place] = {}
            for place, given in self._parts(kind):
                made = self._section(kind, place, given, channels, own)
                if made is None:
                    continue
                title = kind
                if made.accounts is not None:
                    self._check_owners(kind, made.accounts, owners, place)
                    title += _OF + ", ".join(one or KEY_VARIABLE for one in made.accounts)
                sections[title] = made
        self._check_twice()
        return Config(
            name,
            tuple(self._document.files),
            tuple(accounts),
            tuple(protect) if isinstance(protect, list) else None,
            self._content.get("caps"),
            sections,
            own,
        )

    def _say(self, said: str, place: Place, *, at_key: bool = False, shift: int = -1) -> None:
        made = self._document.mistake(plainly(said), place, at_key=at_key)
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
            said = "name must have lower case letters, digits and hyphens, and 40 of them at most"
            self._say(said, ("name",))
            return "barrack"
        return name

    def _accounts(self) -> dict[str | None, NamedAccount]:
        given = self._content.get("accounts", ["barrack"])
        found: dict[str | None, NamedAccount] = {}
        for number, one in enumerate(given if isinstance(given, list) else []):
            place: Place = ("accounts", number)
            if isinstance(one, str):
                one = {"block": one}
            if not isinstance(one, dict):
                continue
            try:
                account = NamedAccount.model_validate(one)
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
                found[account.block] = account
                if account.block is None:
                    self._check_no_block(one, place)
        return found

    def _not_a_block(self, place: Place) -> Mistake:
        said = (
            "this is not the name of a block, which has lower case letters, digits and hyphens; "
            "it is not repeated here, because it may be a key"
        )
        return Mistake(said, self._document.mistake(said, place).position)

    def _check_block(self, accounts: list[str | None]) -> None:
        if None in accounts:
            self._check_no_block(self._content, ())

    def _check_no_block(self, given: Mapping[str, Any], place: Place) -> None:
        for what in ("protect", "caps"):
            if given.get(what) is not None:
                said = (
                    f"{what} is kept in an account's block, and the account of the environment "
                    f"has none; save the account as a block, and name it in `accounts`"
                )
                self._say(said, (*place, what), at_key=True)

    def _channels(self) -> dict[str, str]:
        """How flows name each channel that the file declares."""
        given = self._content.get("notify")
        found: dict[str, str] = {}
        for name, one in given.items() if isinstance(given, dict) else ():
            try:
                channel = Channel.model_validate({"block": one} if isinstance(one, str) else one)
            except ValidationError:
                continue  # said already
            if re.fullmatch(BLOCK, channel.block):
                found[name] = channel.told_as
                continue
            place: Place = ("notify", name, *(() if isinstance(one, str) else ("block",)))
            said = (
                "this is not the name of a notification block, such as slack-webhook/team; save "
                "the address with `barrack notify add`, and write the name (it is not repeated "
                "here, because it may be a secret)"
            )
            self.mistakes.append(Mistake(said, self._document.mistake(said, place).position))
        return found

    def _parts(self, kind: str) -> Iterator[tuple[Place, Any]]:
        """What the file says in sections of a kind: one, or several for different accounts."""
        if kind not in self._content:
            return
        given = self._content[kind]
        is_several = isinstance(given, list) and all(isinstance(one, dict) for one in given)
        if is_several and any(one.keys() & {"account", "accounts"} for one in given):
            for number, one in enumerate(given):
                if one.keys() & {"account", "accounts"}:
                    yield (kind, number), one
                else:
                    said = f"if there are several `{kind}`, each must name its `account`"
                    self._say(f"{said}; add it", (kind, number))
        else:
            yield (kind,), given

    def _section(
        self,
        name: str,
        place: Place,
        given: Any,
        channels: Mapping[str, str],
        own: Mapping[str | None, NamedAccount],
    ) -> Section | None:
        if given is None:
            given = {}
        if isinstance(given, list) and name in _LISTS:
            below = f"`{name}: {{{_LISTS[name]}: [...]}}`"
            self._say(
                f"{name} must be a mapping; write the list below its own key, as {below}", place
            )
            return None
        if not isinstance(given, dict):
            self._say(f"{name} must be a mapping, such as `{name}: {{armed: false}}`", place)
            return None
        if name == "timetables":
            self._name_timetables(given, place)
        read = self._validate(model_of(name), given, place)
        if read is None:
            return None
        try:
            KINDS[name].check(read)
        except ValueError as error:
            self._say(_first_line(error), place, at_key=True)
        owners = self._owners(given, place, list(own))
        for inside, said in in_vain(read, self._protected_in(owners or list(own), own)):
            self._say(said, (*place, *inside))
        parameters = {k: v for k, v in given.items() if k not in _NOT_PARAMETERS}
        if "notify" in model_of(name).model_fields:
            told = given.get("notify", list(channels))
            parameters["notify"] = self._blocks(told, channels, place)
            if not parameters["notify"]:
                del parameters["notify"]
        return Section(
            bool(getattr(read, "armed", False)),
            parameters,
            getattr(read, "schedule", None),
            owners,
        )

    def _protected_in(
        self, accounts: Iterable[str | None], own: Mapping[str | None, NamedAccount]
    ) -> list[str]:
        """What is protected in each of some accounts."""
        protect = self._content.get("protect")
        listed = protect if isinstance(protect, list) else []
        everywhere = [one for one in listed if isinstance(one, str)]
        each = [set(own[account].protect or ()) for account in accounts]
        return [*everywhere, *sorted(set.intersection(*each) if each else ())]

    def _owners(
        self, given: Mapping[str, Any], place: Place, accounts: list[str | None]
    ) -> tuple[str | None, ...] | None:
        """The accounts that a section names; None if it names none."""
        if "account" in given and "accounts" in given:
            self._say("a section has either `account` or `accounts`: give one of the two", place)
        if given.get("accounts") is not None:
            named = [((*place, "accounts", n), one) for n, one in enumerate(given["accounts"])]
        elif given.get("account") is not None:
            named = [((*place, "account"), given["account"])]
        else:
            return None
        known = {account or KEY_VARIABLE: account for account in accounts}
        for where, one in named:
            if one not in known:
                hint = did_you_mean(one, known) or f"; there are {', '.join(known) or 'none'}"
                self._say(f"`accounts` at the top has no {clipped(one)!r}{hint}", where)
        return tuple(known[one] for _, one in named if one in known)

    def _check_owners(
        self,
        kind: str,
        accounts: Iterable[str | None],
        owners: dict[str | None, Place],
        place: Place,
    ) -> None:
        for one in accounts:
            if one in owners:
                said = f"the account {one or KEY_VARIABLE} has two `{kind}`; keep one of them"
                self._say(said, place, at_key=True)
            owners[one] = place

    def _check_twice(self) -> None:
        """Say what is written twice in one list."""
        # Two files may each protect the same; and of `accounts` it is said already.
        content = {k: v for k, v in self._document.content.items() if k != "accounts"}
        for place, said in said_twice(content):
            self._say(said, place)
        accounts = self._document.content.get("accounts")
        for number, one in enumerate(accounts if isinstance(accounts, list) else []):
            for place, said in said_twice(one, ("accounts", number)):
                self._say(said, place)

    def _blocks(self, told: list[str], channels: Mapping[str, str], section: Place) -> list[str]:
        for number, channel in enumerate(told):
            if channel not in channels:
                declared = self._content.get("notify")
                if isinstance(declared, dict) and channel in declared:
                    continue  # what is wrong with it is said there
                hint = did_you_mean(channel, channels) or "; add it to `notify` at the top"
                said = f"no channel is called {clipped(channel)!r}{hint}"
                self._say(said, (*section, "notify", number))
        return [channels[one] for one in told if one in channels]

    def _name_timetables(self, given: dict[str, Any], place: Place) -> None:
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
                hint = did_you_mean(text, names) or f"; there are {', '.join(names)}"
                said = f"no timetable is called {clipped(text)!r}{hint}"
                self._say(said, (*place, "rules", number, "timetable"))

    def _validate(
        self, model: type[BaseModel], given: Mapping[str, Any], at: Place
    ) -> BaseModel | None:
        left: Any = given
        misspelt: set[Place] = set()
        for _ in range(_MOST):
            try:
                read = model.model_validate(left)
            except ValidationError as error:
                errors = _of_the_branch(error.errors(include_url=False))
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
            said = str(context["said"])
            if context["key"] == "armed" and at and place == at and not KINDS[str(at[0])].acts:
                said = f"`{at[0]}` only looks, so there is nothing to arm; leave `armed` out"
            self._say(said, (*place, context["key"]), at_key=True)
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
        self._say(sentence_of(one, key or "this"), place)


def _of_the_branch(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors of what was meant: where a mapping or a text may stand, that of the mapping."""

    def is_beside(one: ErrorDetails) -> bool:
        above = one["loc"][:-1]
        return any(other["loc"][: len(above)] == above for other in errors if other is not one)

    return [
        one
        for one in errors
        if not (
            one["type"] == "string_type" and isinstance(one["input"], Mapping) and is_beside(one)
        )
    ]


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


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0].rstrip(".")
