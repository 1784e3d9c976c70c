"""Whether guards complete their runs, and what hangs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from barrack_tasks.api.models import Snapshot
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.names import is_marked

MISSED = 3
"""A guard that has not completed for so many of its intervals is blind."""
_ON_ITS_WAY = timedelta(minutes=10)
_KEPT = timedelta(days=3)
_SOON = timedelta(minutes=1)
"""So long anything may take before it counts as hanging."""


@dataclass(frozen=True)
class UnfinishedRun:
    """A run of a flow that has not ended, as the Prefect server has it.

    `type` and `state` are Prefect's words, such as `SCHEDULED` and `Late`; it is in that state
    since `at`, and was to begin at `due`.
    """

    name: str
    type: str
    state: str
    at: datetime
    due: datetime


def blind_from(completed: datetime, due: Sequence[datetime]) -> datetime | None:
    """When a guard becomes blind, if it does not complete again.

    That is three of its intervals after it last completed, and not before the third run was due:
    a guard that rests over the weekend is not blind on Monday morning.

    Args:
        completed: when it last completed; when its schedule was set, if it never has.
        due: the times after that at which it is to run, the first ones in order.

    Returns:
        The moment; None if it is not to run so often any more.

    Example:
        >>> blind_from(at_noon, [five_past, ten_past, quarter_past])  # a quarter past noon
    """
    if len(due) < MISSED:
        return None
    gaps = (later - earlier for earlier, later in pairwise(due))
    return max(completed + MISSED * min(gaps), due[MISSED - 1])


def why_it_hangs(run: UnfinishedRun, now: datetime, longest: timedelta) -> str | None:
    """What a run waits for, as the end of a sentence that begins with it; None if it does not hang.

    Args:
        run: one that has not ended.
        now: zone-aware.
        longest: so long a run may be at work.
    """
    since = now - run.at
    match run.type:
        case "SCHEDULED" if now - run.due > _SOON:
            late = said(now - run.due)
            if run.state == "AwaitingConcurrencySlot":
                return f"waits for a slot that other runs hold, and was due {late} ago"
            return f"was due {late} ago, and no worker has taken it"
        case "PENDING" if since > _SOON:
            return f"was taken {said(since)} ago and has not begun; its worker was probably lost"
        case "RUNNING" if since > longest:
            return f"has been running for {said(since)}"
        case "PAUSED":
            return f"has waited for {said(since)} for somebody to answer"
        case "CANCELLING" if since > _SOON:
            return f"has been cancelling for {said(since)}"
    return None


def taken_lately(snapshots: Iterable[Snapshot], now: datetime) -> list[Snapshot]:
    """The snapshots that this library took in the last days, whichever Prefect server was told.

    Left out are those so new that the event about them may still be on its way, and those so old
    that a server may have forgotten it.
    """
    return [
        s
        for s in snapshots
        if is_marked(s) and s.created_at and _ON_ITS_WAY < now - s.created_at < _KEPT
    ]


def blindness(name: str, completed: datetime, now: datetime, hanging: Iterable[str]) -> str:
    """The sentence that tells of a blind guard.

    Args:
        name: of its deployment.
        completed: when it last completed, or was set to run.
        now: zone-aware.
        hanging: why runs of it hang, as sentences.
    """
    why = "; ".join(hanging) or "none of its runs hangs: look at how the last ones ended"
    ago = said(now - completed)
    return f"{name} has completed no run for {ago}, and watches nothing meanwhile: {why}"
