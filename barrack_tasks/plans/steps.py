"""What a decision is made of. Every flow decides in these words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal


@dataclass(frozen=True)
class Step:
    """At most one request that changes something.

    `operation` is the operation's name, `arguments` its parameters, `subject` what a person
    would call the thing, `instance_id` the instance for whose sake it is done.
    """

    operation: str
    instance_id: str
    subject: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Reason(StrEnum):
    """Why something is not done, or is done now, in a word that decisions and programs read.

    The sentence beside it (`why`) is for people, and may be worded anew at any time.
    """

    PROTECTED = "protected"
    LEASED = "leased"
    """Somebody needs the machine for a time that is not over."""
    WORKS = "works"
    """Probes saw that the machine works, or saw nothing."""
    HELD = "held"
    """Another run works on it."""
    UNDER_WAY = "under-way"
    """A request of this run is being sent."""
    WITHDRAWN = "withdrawn"
    """A request of this run is under way that is not asked for any more."""
    OUT_OF_STOCK = "out-of-stock"
    TOO_DEAR = "too-dear"
    """It is in stock, and costs more than is wanted."""
    UNPRICED = "unpriced"
    """It is in stock, and nothing tells whether it costs more than is wanted."""
    TAKEN = "taken"
    """Something else has its name."""
    NO_TIME = "no-time"
    """The timeout is over."""
    NOT_ALLOWED = "not-allowed"
    """Balance or caps forbid it, or could not be read."""
    IN_ERROR = "in-error"
    AS_WANTED = "as-wanted"
    """It is in the state that the timetable wants."""
    NOTHING_ASKED = "nothing-asked"
    """No rule means it, or its timetable asks nothing yet."""
    MOVED = "moved"
    """A person moved it after the boundary that counts."""
    FIRST_SIGHT = "first-sight"
    """It was found hibernated when it was first looked at, and waits for the next boundary."""
    MISSED = "missed"
    """It was wanted up longer ago than may be caught up with."""
    OVERTAKEN = "overtaken"
    """What was asked of it when the run began is not asked any more."""
    DUE = "due"
    COMING = "coming"
    """It is on its way to what is wanted, and the next run looks again."""


@dataclass(frozen=True)
class Wait:
    """Nothing to do for this instance until the world changes."""

    why: str
    reason: Reason | None = field(default=None, compare=False)


Outcome = Literal["done", "already", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class Finished:
    """This instance needs nothing more."""

    outcome: Outcome
    why: str = ""
    reason: Reason | None = field(default=None, compare=False)


Next = Step | Wait | Finished
