"""Models that more than one group of operations uses."""

from __future__ import annotations

from typing import Any

from barrack_tasks.api.models.base import Answer, Model, OpenEnum

__all__ = ["CurrencyEnum", "ErrorResponse", "MessageResponse", "Pagination"]


class CurrencyEnum(OpenEnum):
    """Currency of an account [D]."""

    USD = "USD"
    EUR = "EUR"
    INR = "INR"


class Pagination(Model):
    """Where a page stands in its list [U]. A cursor is there only in dialects that use one."""

    page: int | None = None
    page_size: int | None = None
    total: int | None = None
    pages: int | None = None
    offset: int | None = None
    next_cursor: str | None = None


class ErrorResponse(Model):
    """The body of a refusal [U]. `errors` holds messages by field where the API gives them [I]."""

    status: bool | None = None
    message: str | None = None
    error_reason: str | None = None
    errors: dict[str, Any] | list[Any] | None = None
    request_id: str | None = None


class MessageResponse(Answer):
    """A success that carries nothing but its message."""
