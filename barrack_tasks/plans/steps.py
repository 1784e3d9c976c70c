"""What a decision is made of. Every flow decides in these words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Wait:
    """Nothing to do for this instance until the world changes."""

    why: str


Outcome = Literal["done", "already", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class Finished:
    """This instance needs nothing more."""

    outcome: Outcome
    why: str = ""


Next = Step | Wait | Finished
