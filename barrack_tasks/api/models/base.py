"""What every model shares: open enums, money, ids, times.

The models use this library's own (canonical) field names. What a field is called on the wire is
the business of the dialect (`barrack_tasks.api.dialect`), never of a model.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from barrack_tasks.api.models.shown import page_of

__all__ = ["Answer", "Id", "Model", "Money", "OpenEnum", "OpenIntEnum", "Request", "Timestamp"]


class OpenEnum(StrEnum):
    """A string enum that keeps words it does not know instead of failing on them.

    `VMStatus("PAUSED")` is a `VMStatus` whose `known` is False. Known words match in any case.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        for member in cls:
            if member.value.casefold() == value.casefold():
                return member
        stranger = str.__new__(cls, value)
        stranger._name_ = value
        stranger._value_ = value
        return stranger

    @property
    def known(self) -> bool:
        """Whether this library knows the word."""
        return self._name_ in type(self).__members__


class OpenIntEnum(IntEnum):
    """An integer enum that keeps numbers it does not know."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if isinstance(value, str) and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        for member in cls:
            if member.value == value:
                return member
        stranger = int.__new__(cls, value)
        stranger._name_ = str(value)
        stranger._value_ = value
        return stranger

    @property
    def known(self) -> bool:
        """Whether this library knows the number."""
        return self._name_ in type(self).__members__


def _as_text(value: object) -> object:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return value


def _as_decimal(value: object) -> object:
    """Money as an exact decimal; a float is read by its shortest text, never by its bits.

    An amount beyond all money is refused: to write one out could take all memory there is.
    """
    if isinstance(value, float | str):
        try:
            value = Decimal(str(value))
        except InvalidOperation:
            return value
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > _MOST_DIGITS:
        raise ValueError(f"an amount has at most {_MOST_DIGITS} digits")
    return value


_MOST_DIGITS = 400


def _in_utc(value: datetime) -> datetime:
    """A time without a zone is read as UTC, which is what the API is taken to speak [I]."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


Id = Annotated[str, BeforeValidator(_as_text)]
"""An opaque identifier. Numbers and strings are read alike."""
Money = Annotated[Decimal, BeforeValidator(_as_decimal)]
"""An amount of money. Always a Decimal; its currency stands beside it."""
Timestamp = Annotated[datetime, AfterValidator(_in_utc)]
"""A zone-aware moment."""


def _fail_fast(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "list":
            schema["fail_fast"] = True
        for inner in schema.values():
            _fail_fast(inner)


class Model(BaseModel):
    """Something the API answers with. Unknown fields are kept and readable as attributes."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False, defer_build=True)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Lists are read up to the first item that cannot be: a million errors help nobody."""
        schema = handler(source)
        _fail_fast(schema)
        return schema

    def _repr_html_(self) -> str:
        return page_of(self).html()

    def _repr_markdown_(self) -> str:
        return page_of(self).markdown()

    @property
    def unknown(self) -> dict[str, Any]:
        """Fields of the answer that this library does not know."""
        return dict(self.model_extra or {})


class Answer(Model):
    """The body of a success. `status` and `message` stand beside the data [U]."""

    status: Any = None
    message: Any = None


class Request(BaseModel):
    """Something the API is asked for. Unknown fields are refused: they are typing errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, defer_build=True)
