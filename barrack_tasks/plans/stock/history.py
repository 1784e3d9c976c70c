"""When which stock was there: at which hours does a model appear, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from barrack_tasks.plans.stock.wants import Place

HOUR = timedelta(hours=1)


@dataclass(frozen=True, order=True)
class Spell:
    """A stretch of time in which a place had stock, and the highest count."""

    place: Place
    start: datetime
    end: datetime
    most: int


@dataclass(frozen=True)
class Summary:
    """What is known of one place.

    `hours` is the share of each hour of the day (0 to 23, in the zone) that had stock.
    """

    place: Place
    spells: int
    total: timedelta
    typical: timedelta
    most: int
    hours: tuple[float, ...]


def joined(spells: Iterable[Spell]) -> list[Spell]:
    """Spells without overlaps: several watchers may have noted the same one."""
    found: list[Spell] = []
    for spell in sorted(spells):
        last = found[-1] if found else None
        if last is not None and last.place == spell.place and spell.start <= last.end:
            end, most = max(last.end, spell.end), max(last.most, spell.most)
            found[-1] = Spell(last.place, last.start, end, most)
        else:
            found.append(spell)
    return found


def summaries(
    spells: Iterable[Spell], since: datetime, until: datetime, zone: str
) -> list[Summary]:
    """What is known of each place between two moments.

    Args:
        spells: in any order; may overlap.
        since: when watching began.
        until: zone-aware, after `since`.
        zone: whose hours.
    """
    places: dict[Place, list[Spell]] = {}
    for spell in joined(spells):
        start, end = max(spell.start, since), min(spell.end, until)
        if start <= end:
            places.setdefault(spell.place, []).append(Spell(spell.place, start, end, spell.most))
    watched = _by_hour([(since, until)], zone)
    return [_summary(place, own, watched, zone) for place, own in sorted(places.items())]


def _summary(place: Place, own: list[Spell], watched: list[timedelta], zone: str) -> Summary:
    lengths = [s.end - s.start for s in own]
    there = _by_hour([(s.start, s.end) for s in own], zone)
    return Summary(
        place,
        len(own),
        sum(lengths, timedelta(0)),
        timedelta(seconds=median(length.total_seconds() for length in lengths)),
        max(s.most for s in own),
        tuple(t / w if w else 0.0 for t, w in zip(there, watched, strict=True)),
    )


def _by_hour(spans: Iterable[tuple[datetime, datetime]], zone: str) -> list[timedelta]:
    """How much of the spans lies in each hour of the day."""
    hours = [timedelta(0)] * 24
    at = ZoneInfo(zone)
    for start, end in spans:
        # Hours begin at full hours of real time; those of a half-hour zone are moved by the half.
        moment = start
        while moment < end:
            local = moment.astimezone(at)
            past = timedelta(
                minutes=local.minute, seconds=local.second, microseconds=local.microsecond
            )
            step = min(HOUR - past, end - moment)
            hours[local.hour] += step
            moment += step
    return hours
