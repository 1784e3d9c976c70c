"""When stock appears, goes and changes, without being told of every flicker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from barrack_tasks.plans.stock.wants import Place

SETTLES = timedelta(minutes=2)
"""So long stock must be gone before it counts as gone, and changed before that is told again."""
LONGEST_GAP = timedelta(hours=1)
"""What lies between two looks that are further apart was watched by nobody."""


@dataclass(frozen=True)
class PlaceSeen:
    """What is remembered of a place.

    `since` is when its stock appeared; None while it has none. `zero_since` is when it was last
    seen to be empty, while that is not yet certain. `most` is the highest count since it appeared.
    `last` is the last look at which there was any.
    """

    since: datetime | None = None
    count: int = 0
    most: int = 0
    told: int = 0
    told_at: datetime | None = None
    zero_since: datetime | None = None
    last: datetime | None = None

    @property
    def until(self) -> datetime | None:
        """Until when its stock was seen; None while it has none."""
        return None if self.since is None else self.last or self.since


@dataclass(frozen=True)
class Edge:
    """Something that moved: the event's last word, the place, counts, and how long it lasted.

    `until` is the last look at which there was stock. `unwatched` is for the history alone: stock
    was there and is there, and nobody looked for so long that nothing is known of the time between.
    """

    kind: Literal["available", "depleted", "changed", "unwatched"]
    place: Place
    count: int
    since: datetime
    until: datetime | None = None
    most: int = 0


def advance(
    seen: Mapping[Place, PlaceSeen],
    places: Mapping[Place, int],
    now: datetime,
    settles: timedelta = SETTLES,
) -> tuple[dict[Place, PlaceSeen], list[Edge]]:
    """What is remembered next, and what moved.

    Stock that appears is told at once. It counts as gone once it was seen empty and no look has
    shown any for `settles`; if one does before that, nothing is told. A changed count is told at
    most as often.

    Args:
        seen: what is remembered.
        places: the stock now; a place that is missing has none.
        now: zone-aware.
        settles: see above.
    """
    after: dict[Place, PlaceSeen] = {}
    edges: list[Edge] = []
    for place in {**dict.fromkeys(seen), **dict.fromkeys(places)}:
        new, moved = _one(seen.get(place, PlaceSeen()), place, places.get(place, 0), now, settles)
        after[place] = new
        edges += moved
    return after, edges


def _one(
    was: PlaceSeen, place: Place, count: int, now: datetime, settles: timedelta
) -> tuple[PlaceSeen, list[Edge]]:
    edges: list[Edge] = []
    empty_since = was.zero_since or (now if count == 0 else None)
    if was.since is not None and empty_since is not None and now - empty_since >= settles:
        edges.append(Edge("depleted", place, 0, was.since, was.until, was.most))
        was = PlaceSeen()
    if was.since is None:
        if count == 0:
            return was, edges
        edges.append(Edge("available", place, count, now, most=count))
        return PlaceSeen(now, count, count, count, now, last=now), edges
    if count == 0:
        return replace(was, count=0, zero_since=empty_since), edges
    if was.until is not None and now - was.until > LONGEST_GAP:
        edges.append(Edge("unwatched", place, count, was.since, was.until, was.most))
        was = replace(was, since=now, most=count)
    new = replace(was, count=count, most=max(was.most, count), zero_since=None, last=now)
    if count == was.told or (was.told_at is not None and now - was.told_at < settles):
        return new, edges
    edges.append(Edge("changed", place, count, new.since or now, most=new.most))
    return replace(new, told=count, told_at=now), edges
