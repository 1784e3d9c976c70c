"""From the windows and marks of many rules to one sequence of boundaries."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from barrack_tasks.api.models.times import EVER, FOREVER
from barrack_tasks.plans.timetable.rules import Constant, Rule, Weekly, covers_the_week

MOST_JOINED = 8000
"""Windows that join so often without a break, ten years of two a day, are taken to have no end."""

_Span = tuple[datetime, datetime]


class Wish(StrEnum):
    """What a timetable wants an instance to be: up (restored), or down (hibernated)."""

    UP = "up"
    DOWN = "down"


class Boundary(NamedTuple):
    """From this moment (in UTC) on the timetable wants this."""

    moment: datetime
    wish: Wish


class Window(NamedTuple):
    """From `start` up to, but without, `end`; both in UTC."""

    start: datetime
    end: datetime


def is_always(rules: Iterable[Rule]) -> bool:
    """Whether the rules leave no moment free, as far as single zones tell."""
    by_zone: dict[str, list[Weekly]] = {}
    for rule in rules:
        if isinstance(rule, Constant) and rule.on:
            return True
        if isinstance(rule, Weekly):
            by_zone.setdefault(rule.zone, []).append(rule)
    return any(covers_the_week(group) for group in by_zone.values())


def spans_from(windowed: Sequence[Rule], since: datetime) -> Iterator[_Span]:
    """Windows of all rules as one, overlapping and touching ones joined.

    All that end at the moment or later are given. One that began before the moment may have begun
    earlier than it says.
    """
    streams = [rule.windows(since) for rule in windowed]
    if not streams:
        return
    spans = streams[0] if len(streams) == 1 else heapq.merge(*streams)
    begun, until = next(spans, (None, EVER))
    if begun is None:
        return
    joined = 0
    for start, end in spans:
        if start > until:
            yield begun, until
            begun, until, joined = start, end, 0
        elif end > until:
            until, joined = end, joined + 1
        if joined > MOST_JOINED:
            until = FOREVER
        if until is FOREVER:
            break
    yield begun, until


def boundaries_from(
    windowed: Sequence[Rule], marking: Sequence[Weekly], since: datetime
) -> Iterator[Boundary]:
    """The boundaries in the order of time. Take no notice of those before the moment."""
    spans = spans_from(windowed, since)
    if not marking:
        for start, end in spans:
            if start is not EVER:
                yield Boundary(start, Wish.UP)
            if end is not FOREVER:
                yield Boundary(end, Wish.DOWN)
        return
    streams = [_edges(spans), *(_marks(rule, since) for rule in marking)]
    inside = False
    for moment, group in groupby(heapq.merge(*streams), key=lambda event: event[0]):
        kinds = {kind for _, kind in group}
        if _OPENS in kinds:
            inside = True
            if moment is not EVER:
                yield Boundary(moment, Wish.UP)
            if _FOR_GOOD in kinds:
                return
        elif _CLOSES in kinds or not inside:
            inside = False
            yield Boundary(moment, Wish.UP if _MARKS_UP in kinds else Wish.DOWN)


_OPENS, _FOR_GOOD, _CLOSES, _MARKS_UP, _MARKS_DOWN = range(5)


def _edges(spans: Iterable[_Span]) -> Iterator[tuple[datetime, int]]:
    for start, end in spans:
        yield start, _OPENS
        if end is FOREVER:
            yield start, _FOR_GOOD
        else:
            yield end, _CLOSES


def _marks(rule: Weekly, since: datetime) -> Iterator[tuple[datetime, int]]:
    kind = _MARKS_DOWN if rule.start is None else _MARKS_UP
    return ((moment, kind) for moment in rule.marks(since))
