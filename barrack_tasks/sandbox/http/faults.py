"""Injected faults: what may go wrong between a client and a cloud, on demand."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal[
    "latency",
    "status",
    "refuse",
    "reset_before",
    "reset_after",
    "timeout_before",
    "timeout_after",
    "error_after",
    "html",
    "truncated",
    "malformed",
    "mislabelled",
    "stuck",
    "fail",
    "vanish",
    "differ",
    "addressless",
]
TWISTS = frozenset({"stuck", "fail", "vanish", "differ", "addressless"})
"""Faults of the cloud itself: the answer is in order, what follows is not."""
AFTER_EFFECT = frozenset(
    {"reset_after", "timeout_after", "error_after", "truncated", "malformed", "mislabelled"}
)
"""Faults of the answer: the effect happens."""
BEFORE_EFFECT = frozenset({"status", "refuse", "reset_before", "timeout_before", "html"})
"""Faults that keep the effect from happening."""


class Fault(BaseModel):
    """A rule about which requests go wrong, and how.

    `operation` is a name of the operation table or "*"; `match` a glob over the ids and names
    that the request is about. `after` lets so many matching requests pass first, `count` is how
    many it then hits (None: all), `probability` is how likely each hit is.

    By kind:
        latency: `seconds` (real) before anything else.
        status: an error answer with `status`, `message`, `error_reason`, and `retry_after`
            seconds (`retry_after_date` writes it as an HTTP date); no effect.
        refuse, reset_before: the connection is reset; no effect.
        reset_after: the effect, then a reset in place of the answer.
        timeout_before: held for `seconds` (real), then 504; no effect.
        timeout_after: the effect, then held for `seconds` (real) before the answer.
        error_after: the effect, then `status` (500).
        html: a page of HTML with `status` (502); no effect.
        truncated: the effect, then an answer that breaks off in the middle of its JSON.
        malformed: the effect, then an answer that is not JSON.
        mislabelled: the effect, then the answer as usual, under the content type of HTML.
        stuck: the work that the request begins is never done.
        fail: the work ends in ERROR, or the snapshot in FAILED.
        vanish: what is created is gone after `seconds` (of the sandbox).
        differ: the instance that is restored has half the vCPUs and RAM.
        addressless: the address of the instance that is made stays `pending`.

    Example:
        >>> Fault(kind="status", status=429, retry_after=2, operation="create_snapshot", count=3)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    operation: str = "*"
    match: str | None = None
    count: int | None = Field(default=1, ge=1)
    after: int = Field(default=0, ge=0)
    probability: float = Field(default=1.0, ge=0, le=1)
    seconds: float = Field(default=30.0, ge=0)
    status: int | None = Field(default=None, ge=200, le=599)
    message: str | None = None
    error_reason: str | None = None
    retry_after: float | None = Field(default=None, ge=0)
    retry_after_date: bool = False

    @model_validator(mode="after")
    def _status_where_needed(self) -> Self:
        if self.kind == "status" and (self.status is None or self.status < 400):
            raise ValueError("kind 'status' needs a status of 400 or more, for example 503")
        return self


class _Armed:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.passed = 0
        self.hits = 0


class Faults:
    """The rules in force, and what they have hit."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"faults {seed}")
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> None:
        """Put a rule into force, behind the others."""
        self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Take all rules out of force."""
        self._armed.clear()

    def take(self, operation: str, about: Iterable[str]) -> list[Fault]:
        """What goes wrong with a request: any latencies and twists, and at most one other."""
        if not self._armed:
            return []
        about = list(about)
        hit: list[Fault] = []
        for armed in self._armed:
            fault = armed.fault
            is_plain = fault.kind not in TWISTS and fault.kind != "latency"
            if is_plain and any(f.kind not in TWISTS and f.kind != "latency" for f in hit):
                continue
            if self._hits(armed, operation, about):
                hit.append(fault)
        return hit

    def _hits(self, armed: _Armed, operation: str, about: list[str]) -> bool:
        fault = armed.fault
        if fault.operation not in ("*", operation):
            return False
        if fault.match is not None and not any(fnmatchcase(a, fault.match) for a in about):
            return False
        if fault.count is not None and armed.hits >= fault.count:
            return False
        if armed.passed < fault.after:
            armed.passed += 1
            return False
        if fault.probability < 1 and self._rng.random() >= fault.probability:
            return False
        armed.hits += 1
        return True

    def dump(self) -> list[dict[str, Any]]:
        """The rules as JSON values, each with how often it hit."""
        return [{**a.fault.model_dump(), "hits": a.hits} for a in self._armed]
