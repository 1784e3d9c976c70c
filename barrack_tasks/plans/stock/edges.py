"""When stock appears, goes and changes, without being told of every flicker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from barrack_tasks.plans.stock.wants import Place

SETTLES = timedelta(minutes=2)
"""So long stock must be gone before it counts as gone, and changed before that is told again."""


@dataclass(frozen=True)
class Seen:
    """What is remembered of a place.

    `since` is when its stock appeared; None while it has none. `zero_since` is when it was last
    seen to be empty, while that is not yet certain. `most` is the highest count since it appeared.
    """

    since: datetime | None = None
    count: int = 0
    most: int = 0
    told: int = 0
    told_at: datetime | None = None
    zero_since: datetime | None = None


@dataclass(frozen=True)
class Edge:
    """Something that moved: the event's last word, the place, counts, and how long it lasted."""

    kind: Literal["available", "depleted", "changed"]
    place: Place
    count: int
    since: datetime
    until: datetime | None = None
    most: int = 0


def advance(
    seen: Mapping[Place, Seen],
    places: Mapping[Place, int],
    now: datetime,
    settles: timedelta = SETTLES,
) -> tuple[dict[Place, Seen], list[Edge]]:
    """What is remembered next, and what moved.

    Stock that appears is told at once. It counts as gone only after it was empty for `settles`;
    if it comes back before that, nothing is told. A changed count is told at most as often.

    Args:
        seen: what is remembered.
        places: the stock now; a place that is missing has none.
        now: zone-aware.
        settles: see above.
    """
    after: dict[Place, Seen] = {}
    edges: list[Edge] = []
    for place in {**dict.fromkeys(seen), **dict.fromkeys(places)}:
        new, edge = _one(seen.get(place, Seen()), place, places.get(place, 0), now, settles)
        after[place] = new
        if edge is not None:
            edges.append(edge)
    return after, edges


def _one(
    was: Seen, place: Place, count: int, now: datetime, settles: timedelta
) -> tuple[Seen, Edge | None]:
    if was.since is None:
        if count == 0:
            return was, None
        new = Seen(now, count, count, count, now)
        return new, Edge("available", place, count, now, most=count)
    if count > 0:
        return _still_there(was, place, count, now, settles)
    empty_since = was.zero_since or now
    if now - empty_since < settles:
        return replace(was, count=0, zero_since=empty_since), None
    return Seen(), Edge("depleted", place, 0, was.since, empty_since, was.most)


def _still_there(
    was: Seen, place: Place, count: int, now: datetime, settles: timedelta
) -> tuple[Seen, Edge | None]:
    new = replace(was, count=count, most=max(was.most, count), zero_since=None)
    if count == was.told or (was.told_at is not None and now - was.told_at < settles):
        return new, None
    edge = Edge("changed", place, count, was.since or now, most=new.most)
    return replace(new, told=count, told_at=now), edge
