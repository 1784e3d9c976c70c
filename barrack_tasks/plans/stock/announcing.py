"""What was claimed and not announced yet, whichever run claimed it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.making import Making

_COMES_UP = timedelta(hours=1)
"""So long what is not up yet may be what it was before it was claimed."""
_LOST = (VMStatus.DELETED, VMStatus.ERROR)
_ASLEEP = (VMStatus.HIBERNATED, VMStatus.SHUTOFF)


@dataclass(frozen=True)
class Claimed:
    """A request that was accepted: the instance, when that was, when it ends and how.

    While it is not known whether it was accepted, `id` is empty, and `by` is the request.
    """

    id: str
    name: str
    at: datetime
    ends: datetime | None = None
    how: str = ""
    by: Making | None = None

    @property
    def key(self) -> str:
        """By which it is remembered: the id, or the name as long as that is all there is."""
        return self.id or f"name:{self.name}"


def standing(
    claimed: Claimed, instance: UserVM | None, now: datetime
) -> Literal["up", "waiting", "lost"]:
    """Whether what was claimed is up, still comes up, or never will.

    Args:
        claimed: what was claimed.
        instance: of that id, as it is now; None if it is not among the account's.
        now: zone-aware.
    """
    if instance is not None and instance.has_come_up:
        return "up"
    if instance is not None and instance.status in _LOST:
        return "lost"
    settled = instance is None or instance.status in _ASLEEP
    return "lost" if settled and now - claimed.at > _COMES_UP else "waiting"
