"""Parameters of flows as flags: what there is to give, and what the words of a person mean."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from textwrap import wrap
from typing import Any, get_type_hints

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from barrack_tasks.cli.failing import WrongWordsError
from barrack_tasks.plans.durations import exactly
from barrack_tasks.plans.inputs import said_of
from barrack_tasks.plans.plain_words import plainly

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
WIDTH = 80
"""Of help, which is text that is folded between words."""
_INDENT = " " * 6
_OF_A_LIST = ("select", "protect", "exclude", "notify", "priority", "snapshot")
"""Parameters of which several words are several names."""


@dataclass(frozen=True)
class Flag:
    """One parameter of a flow, as a flag.

    Attributes:
        name: of the parameter.
        default: as a sentence has it; None if it must be given.
        is_switch: it takes no value: `--dry-run` or `--no-dry-run`.
        kind: its type, which reads what is given.
        about: a sentence.
    """

    name: str
    default: str | None
    is_switch: bool
    kind: Any
    about: str

    @property
    def word(self) -> str:
        """As it is written.

        Example:
            >>> Flag("dry_run", "False", True, bool, "").word
            '--dry-run'
        """
        # A name that ends in _ stands beside a word of Python, such as `for_`.
        return f"--{self.name.rstrip('_').replace('_', '-')}"


def flags_of(function: Callable[..., Any]) -> list[Flag]:
    """The flags of a flow, those that must be given first, made from its signature."""
    hints = get_type_hints(function, include_extras=True)
    about = described(function.__doc__ or "")
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        is_needed = parameter.default is parameter.empty
        default = None if is_needed else _default_text(parameter.default)
        is_switch = hints[name] is bool
        found.append(Flag(name, default, is_switch, hints[name], about.get(name, "")))
    return found


_EXAMPLES = {
    "select": "'train-*'",
    "protect": "'prod-*'",
    "exclude": "'prod-*'",
    "priority": "'scratch-*'",
    "snapshot": "latest:train-1",
    "notify": "team-slack",
    "timeout": "10m",
    "days": "30",
    "zone": "Europe/Berlin",
    "credentials": "team-a",
    "rules": "'[{select: [\"*\"], timetable: always}]'",
    "budgets": "'[{per: day, hard: 50}]'",
    "thresholds": "'[{runway: 24h}]'",
    "wants": "'[{gpu_model: L40}]'",
    "family": "golden",
    "source": "train-1",
}


def _default_text(value: Any) -> str:
    if isinstance(value, timedelta):
        return exactly(value).replace(" ", "")
    models = value if isinstance(value, list) else [value]
    if models and all(isinstance(one, BaseModel) for one in models):
        texts = [one.model_dump(mode="json", exclude_defaults=True) for one in models]
        return json.dumps(texts if isinstance(value, list) else texts[0], default=str)
    return str(value)


def _such_as(flag: Flag) -> str:
    """The end of a sentence about a flag without a value: an example, or what it is about."""
    example = _EXAMPLES.get(flag.name)
    if example:
        return f", such as `{flag.word} {example}`"
    return f" (it is {flag.about.rstrip('.')})" if flag.about else ""


def described(documentation: str) -> dict[str, str]:
    """The sentence about each parameter, from the `Args:` of a docstring.

    Example:
        >>> described("Do.\\n\\n    Args:\\n        a: one thing,\\n            and more.\\n")
        {'a': 'one thing, and more.'}
    """
    _, _, rest = inspect.cleandoc(documentation).partition("\nArgs:\n")
    found: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if line[:1].strip():
            break
        if start := re.match(r" {4}(\w+): (.*)", line):
            name = start[1]
            found[name] = start[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {name: plainly(text) for name, text in found.items()}


def given_by(words: Sequence[str], flags: Sequence[Flag]) -> dict[str, list[str] | bool]:
    """What the words of a command give, by the name of the parameter.

    A word that belongs to no flag is a name for `select`, or else for the first parameter that must
    be given. A flag may be given several times, and takes several words where it takes names.

    Args:
        words: behind the flow's name.
        flags: of the flow.

    Raises:
        WrongWordsError: a flag does not exist, or lacks its value.

    Example:
        >>> given_by(["--select", "train-*", "--dry-run"], flags_of(hibernate.fn))
        {'select': ['train-*'], 'dry_run': True}
    """
    known = {flag.word: flag for flag in flags}
    found: dict[str, list[str] | bool] = {}
    rest = list(words)
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        if not word.startswith("--"):
            word = f"{word}{equals}{value}"
            first = [f.name for f in flags if f.name == "select" or f.default is None][:1]
            if not first:
                raise WrongWordsError(f"the flow takes no names; leave out {word!r}")
            _add(found, first[0], word)
            continue
        plain = word.replace("_", "-")
        switch = known.get(f"--{plain.removeprefix('--no-')}")
        if plain.startswith("--no-") and switch and switch.is_switch and not equals:
            found[switch.name] = False
            continue
        flag = known.get(plain)
        if flag is None:
            raise WrongWordsError(_no_such_flag(word, known))
        if flag.is_switch:
            found[flag.name] = _boolean(flag, value) if equals else True
            continue
        values = [value] if equals else _values(flag, rest)
        if not values:
            raise WrongWordsError(f"{flag.word} needs a value{_such_as(flag)}")
        for one in values:
            _add(found, flag.name, one)
    return found


def _add(found: dict[str, list[str] | bool], name: str, word: str) -> None:
    before = found.setdefault(name, [])
    if isinstance(before, list):
        before.append(word)


def _values(flag: Flag, rest: list[str]) -> list[str]:
    """The words behind a flag that belong to it, which are taken out of the rest."""
    taken: list[str] = []
    most = len(rest) if flag.name in _OF_A_LIST else 1
    while rest and len(taken) < most and not rest[0].startswith("--"):
        taken.append(rest.pop(0))
    return taken


def _boolean(flag: Flag, value: str) -> bool:
    if value.casefold() not in _BOOLEANS:
        raise WrongWordsError(
            f"{flag.word} is true or false; leave out ={value}, or write "
            f"--no-{flag.word.removeprefix('--')}"
        )
    return _BOOLEANS[value.casefold()]


def _no_such_flag(word: str, known: Mapping[str, Flag]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"there is no flag {word}; {hint}"


def parameters_of(flags: Sequence[Flag], given: Mapping[str, list[str] | bool]) -> dict[str, Any]:
    """The values that a flow is called with.

    A text is taken as it is, if that is what the parameter takes; otherwise it is read as YAML, of
    which JSON is a part.

    Args:
        flags: of the flow.
        given: see `given_by`.

    Raises:
        WrongWordsError: one is missing, or cannot be read; says which and why.

    Example:
        >>> parameters_of(flags_of(hibernate.fn), {"select": ["{regions: [CANADA-1]}"]})
        {'select': {'regions': ['CANADA-1']}}
    """
    missing = [f for f in flags if f.default is None and f.name not in given]
    if missing:
        needed = missing[0]
        raise WrongWordsError(f"{needed.word} is missing; add it{_such_as(needed)}")
    by_name = {flag.name: flag for flag in flags}
    return {name: _read(by_name[name], value) for name, value in given.items()}


def _read(flag: Flag, given: list[str] | bool) -> Any:
    if isinstance(given, bool):
        return given
    problem = ""
    for candidate in _candidates(given, flag.name in _OF_A_LIST):
        try:
            TypeAdapter(flag.kind).validate_python(candidate)
        except ValidationError as error:
            problem = problem or said_of(error, flag.word)
        except ValueError as error:
            problem = problem or str(error)
        else:
            return candidate
    problem = plainly(problem.removeprefix(f"{flag.name}: "))
    raise WrongWordsError(
        problem if problem.startswith(f"{flag.word} ") else f"{flag.word}: {problem}"
    )


def _candidates(texts: list[str], are_names: bool) -> list[Any]:
    """What some words may mean, what is most likely meant first."""
    read = [_yaml(text) for text in texts]
    if len(texts) > 1:
        return [texts, read]
    [text], [value] = texts, read
    if isinstance(value, dict | list):
        return [value] if are_names else [value, text]
    return [text, value, [text]]


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def help_of(name: str, function: Callable[..., Any]) -> list[str]:
    """The lines that `barrack run FLOW --help` shows."""
    summary = inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    flags = flags_of(function)
    lines = [f"Usage: barrack run {name} [NAMES...] [FLAGS]", "", *wrap(summary, WIDTH), ""]
    for flag in flags:
        word = flag.word
        if flag.is_switch:
            word += f", --no-{word.removeprefix('--')}"
        default = "must be given" if flag.default is None else f"default: {_short(flag.default)}"
        lines += [f"  {word} ({default})", *_indented(flag.about)]
    lines += ["", "Values are text, or JSON or YAML where a parameter has parts."]
    return lines


def _indented(text: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _short(default: str) -> str:
    shown = {"[]": "none", "None": "not given", "False": "no", "True": "yes"}.get(default, default)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def jsonable(value: Any) -> Any:
    """Whatever a flow returned, as JSON takes it."""
    try:
        return TypeAdapter(type(value)).dump_python(value, mode="json")
    except Exception:  # noqa: BLE001 - a type that pydantic does not know
        return json.loads(json.dumps(value, default=str))
