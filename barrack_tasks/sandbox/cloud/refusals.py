"""Refusals: what the sandbox says when it does not do what it is asked."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """An answer other than success. Becomes an `ErrorResponse`."""

    def __init__(
        self,
        status: int,
        message: str,
        reason: str,
        errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason
        self.errors = dict(errors) if errors else None
        self.headers = dict(headers or {})


def not_found(kind: str, id_: str) -> Refused:
    """There is no such thing."""
    return Refused(404, f"{kind} {id_!r} was not found", "not_found")


def conflict(message: str, reason: str = "wrong_state") -> Refused:
    """The thing is not in a state that allows this."""
    return Refused(409, message, reason)


def duplicate(kind: str, name: str) -> Refused:
    """The name is taken."""
    return Refused(409, f"{kind} name {name!r} is already in use", "duplicate_name")


def wrong_region(called: str, region: str | None) -> Refused:
    """What is asked for in one region is in another."""
    message = f"{called} is in {region}"
    return Refused(409, message, "wrong_region", {"region": message})


def invalid(errors: Mapping[str, str], message: str = "The request is not valid") -> Refused:
    """The body or the query breaks a rule; messages by the field's name on the wire."""
    return Refused(422, message, "validation_error", errors)
