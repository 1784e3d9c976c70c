"""What people give to flows: how it is read, and what is said of what cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

M = TypeVar("M", bound=BaseModel)
NO_SUCH_KEY: Literal["no_such_key"] = "no_such_key"
"""The type of the error about a key that does not exist; its context holds the `key`."""
_LONGEST_KEY = 60


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


def said_of(error: ValidationError) -> str:
    """The first thing that is wrong, in one sentence, with its place."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    said = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if place else said


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
