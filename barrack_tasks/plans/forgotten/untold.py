"""What happens to machines of which nobody can be told: they stay up, and that is said loudly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.durations import said

IfUntold = Literal["stay", "act"]
LATE = timedelta(days=3)
"""So long nobody may have heard of what is to happen before that itself is an alarm."""


@dataclass(frozen=True)
class Untold:
    """What a run does about machines of which nobody could be told for long.

    Attributes:
        after: how long that is.
        then: `stay` leaves them as they are, and the run fails with the reason; `act` goes on as
            if people had been told at that moment.
    """

    after: timedelta = LATE
    then: IfUntold = "stay"


def late_of(since: Mapping[str, datetime | None], now: datetime, untold: Untold) -> frozenset[str]:
    """Keys of the lines that nobody has heard of for too long.

    Args:
        since: when each was to be told first; None where that is not known.
        now: by the cloud's clock.
        untold: how long is too long.

    Example:
        >>> late_of({"lease BRK-1": now - timedelta(days=4)}, now, Untold())
        frozenset({'lease BRK-1'})
    """
    return frozenset(key for key, at in since.items() if at and now - at >= untold.after)


def said_of_late(late: Sequence[Reading], untold: Untold) -> str:
    """The sentence about what nobody could be told of for too long."""
    what = "; ".join(one.text for one in late)
    does = (
        "The machines stay as they are and are billed. Repair the notification blocks, or set "
        "if_untold='act'."
        if untold.then == "stay"
        else "if_untold='act' is set, so the run goes on as if people had been told now."
    )
    return f"For {said(untold.after)} nobody could be told of this: {what}. {does}"
