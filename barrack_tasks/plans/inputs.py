"""What people give to flows: how it is read, and what is said of what cannot be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

M = TypeVar("M", bound=BaseModel)
NO_SUCH_KEY: Literal["no_such_key"] = "no_such_key"
"""The type of the error about a key that does not exist; its context holds the `key`."""
_LONGEST_KEY = 60
_QUOTED = re.compile(r"'([^']*)'")
_KEY = re.compile(r"[a-z_][a-z0-9_]*")


def no_such_key(key: str, known: Iterable[str]) -> str:
    """One sentence about a key that does not exist, with the nearest that does."""
    names = list(known)
    key = key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}..."
    near = get_close_matches(key.casefold(), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    return f"no such key {key!r}; {hint}"


class Given(BaseModel):
    """Base of what people write, typed or as a dict: a misspelt key is named with the nearest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_each_key(cls, data: Any) -> Any:
        for key in data if isinstance(data, Mapping) else ():
            if key not in cls.model_fields:
                said = {"said": no_such_key(str(key), cls.model_fields), "key": str(key)}
                raise PydanticCustomError(NO_SUCH_KEY, "{said}", said)
        return data


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
    "date": "a day, such as 2026-11-02",
    "datetime": "a moment, such as 2026-11-02T08:00:00+01:00",
    "time": "a duration, such as 8h",
    "path": "the path of a file",
    "finite": "a number",
}


def sentence_of(problem: ErrorDetails, what: str) -> str:
    """One sentence about what cannot be read, without a full stop, in the words of a person.

    Args:
        problem: one of the errors of a `ValidationError`.
        what: what is wrong is called, such as the name of its key.

    Example:
        >>> sentence_of({"type": "greater_than", "ctx": {"gt": 0}, "input": -5, ...}, "max_cost")
        'max_cost must be more than 0, and is -5'
    """
    kind = problem["type"]
    context: Mapping[str, Any] = problem.get("ctx") or {}
    given = shortened(problem["input"])
    if kind == "literal_error":
        allowed = _QUOTED.findall(str(context["expected"]))
        near = did_you_mean(str(problem["input"]), allowed)
        return f"{what} must be one of {', '.join(allowed)}, and is {given}{near}"
    if kind.startswith("union_tag"):
        key = str(context["discriminator"]).strip("'")
        if kind == "union_tag_not_found":
            return f"{what}: {key} is missing; add it"
        allowed = _QUOTED.findall(str(context["expected_tags"]))
        near = did_you_mean(str(context["tag"]), allowed)
        return f"{what}: {key} must be one of {', '.join(allowed)}, and is {context['tag']}{near}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{what} must be {words.format(context[name])}, and is {given}"
    if kind == "missing":
        return f"{what} is missing; add it"
    if kind in ("too_short", "string_too_short"):
        return f"{what} is empty; write at least one, or leave it out"
    if kind in ("too_long", "string_too_long"):
        return f"{what} is too long; {context['max_length']} are possible"
    if kind in ("value_error", NO_SUCH_KEY):
        return str(context.get("error") or context["said"]).partition("\n")[0].rstrip(".")
    wanted = _TYPES.get(kind.partition("_")[0])
    if kind in ("list_type", "tuple_type") and isinstance(problem["input"], str):
        wanted = f"a list, such as [{given}]"
    if wanted:
        return f"{what} must be {wanted} (it is {given})"
    return f"{what} cannot be read (it is {given}); `--help` and the documentation show examples"


def shortened(value: object) -> str:
    """A value as a person writes it, in at most so many characters.

    Example:
        >>> shortened(None), shortened(True), shortened("a")
        ('nothing', 'true', "'a'")
    """
    if value is None:
        text = "nothing"
    elif isinstance(value, bool | list | tuple | Mapping):
        text = json.dumps(value, default=str, ensure_ascii=False)
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about a word that does not exist; empty if none is near.

    Example:
        >>> did_you_mean("hibernat", ["alert", "hibernate"])
        "; did you mean 'hibernate'?"
    """
    near = get_close_matches(word.casefold(), [*known], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def said_of(error: ValidationError, what: str = "it") -> str:
    """The first thing that is wrong, in one sentence, with its place.

    Args:
        error: what was raised.
        what: what was read as a whole is called.
    """
    return about_problem(error.errors(include_url=False)[0], what)


def about_problem(problem: ErrorDetails, what: str = "it") -> str:
    """One sentence about one of the errors of a `ValidationError`, with its place."""
    # Of unions and calls, pydantic names the branch besides: that is no place in what was given.
    place = [str(p) for p in problem["loc"] if isinstance(p, int) or _KEY.fullmatch(p)]
    key = next((part for part in reversed(place) if not part.isdigit()), "")
    said = sentence_of(problem, key or what)
    if problem["type"] not in ("value_error", NO_SUCH_KEY):
        # The sentence itself begins with the key.
        place = place[: len(place) - 1 - place[::-1].index(key)] if key else []
    where = ".".join(place)
    return f"{where}: {said}" if where else said


def read_each(model: type[M], values: Iterable[Any], what: str) -> list[M]:
    """Read models, typed or as dicts.

    Raises:
        ValueError: one cannot be read; says which, counted from 1, and why.
    """
    found = []
    for number, value in enumerate(values, 1):
        try:
            found.append(value if isinstance(value, model) else model.model_validate(value))
        except ValidationError as error:
            raise ValueError(f"{what} {number}: {said_of(error)}") from None
    return found


def _as_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Several = BeforeValidator(_as_several)
"""Reads one text where several are taken: `"alert"` for `["alert"]`."""

Texts = Annotated[tuple[str, ...], Several]
"""Texts; one alone needs no brackets."""


def _read_amount(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return Decimal(value.strip())
    except InvalidOperation:
        raise ValueError(
            f"{value!r} is not an amount; write a number such as 5 or 2.50, without a currency: "
            "the account's currency is meant"
        ) from None


Amount = Annotated[Decimal, Field(ge=0), BeforeValidator(_read_amount)]
"""Money in the account's currency: a number, or a number as text."""

PositiveAmount = Annotated[Decimal, Field(gt=0), BeforeValidator(_read_amount)]
"""The same, and more than nothing."""
