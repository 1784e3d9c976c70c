"""A bill in its parts: what was spent on what, when and in which state."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from barrack_tasks.api.models import BillingRecord, CurrencyEnum, VMStatus
from barrack_tasks.api.models.text import csv_cell
from barrack_tasks.api.models.volumes import VolumeBillingRecord
from barrack_tasks.plans.prices import HIBERNATED_HOURLY
from barrack_tasks.plans.selection import is_named

UNIT = Decimal("0.000001")
ZERO = Decimal(0)
LONGEST_PERIOD = timedelta(days=400)
"""Nothing is asked for that was spent longer ago than this, so what is gone for longer is left
out of bills: `report_costs` looks back a year at most."""


@dataclass(frozen=True)
class Thing:
    """Something that is paid for. `hourly` is what it costs when it is up."""

    kind: str
    id: str
    name: str
    model: str = ""
    region: str = ""
    hourly: Decimal | None = None

    def is_called(self, names: Sequence[str]) -> bool:
        """Whether it is an instance of one of these names, globs or ids."""
        return self.kind == "instance" and is_named(self.id, self.name, names)


@dataclass(frozen=True)
class Sighting:
    """Something that was seen in the account, and since when it is gone, if it is.

    Of one that is `settled` the API has no bill any more.
    """

    thing: Thing
    gone: datetime | None = None
    settled: bool = False

    def is_billed(self, now: datetime) -> bool:
        """Whether there may be charges of it in a period that somebody asks for."""
        return not self.settled and (self.gone is None or now - self.gone < LONGEST_PERIOD)


def sightings(
    there: Iterable[Thing],
    before: Iterable[Sighting],
    sources: Collection[str | None],
    now: datetime,
) -> list[Sighting]:
    """What is worth remembering: what is there, and what is gone and is still needed.

    Args:
        there: all that is paid for now.
        before: what was remembered.
        sources: ids of the instances that snapshots were taken of: what hardware they had is
            needed for as long as there is something to restore.
        now: zone-aware.
    """
    found = [Sighting(thing) for thing in there]
    known = {(s.thing.kind, s.thing.id) for s in found}
    for old in before:
        if (old.thing.kind, old.thing.id) in known:
            continue
        gone = replace(old, gone=old.gone or now)
        if gone.is_billed(now) or (old.thing.kind == "instance" and old.thing.id in sources):
            found.append(gone)
    return found


@dataclass(frozen=True)
class Charge:
    """What one thing cost in one stretch of time, in one state."""

    thing: Thing
    start: datetime
    end: datetime
    state: str
    minutes: int
    cost: Decimal
    rate: Decimal | None = None

    def on_days(self, zone: ZoneInfo) -> Iterator[tuple[str, Charge]]:
        """The charge in parts, one a day of the zone; the parts add up to it exactly."""
        edges = [self.start, *_midnights(self.start, self.end, zone), self.end]
        span = self.end - self.start
        cost_left, minutes_left = self.cost, self.minutes
        for start, end in pairwise(edges):
            day = start.astimezone(zone).date().isoformat()
            if end == self.end:
                yield day, replace(self, start=start, cost=cost_left, minutes=minutes_left)
                return
            share = Decimal((end - start) / timedelta(microseconds=1)) / Decimal(
                span / timedelta(microseconds=1)
            )
            cost = (self.cost * share).quantize(UNIT, rounding=ROUND_HALF_EVEN)
            minutes = min(int(self.minutes * share), minutes_left)
            cost_left -= cost
            minutes_left -= minutes
            yield day, replace(self, start=start, end=end, cost=cost, minutes=minutes)


def charge_of(thing: Thing, record: BillingRecord | VolumeBillingRecord, now: datetime) -> Charge:
    """A billing record as a charge; one that is still open ends now."""
    end = record.end or now
    minutes = record.minutes
    if minutes is None:
        minutes = max(0, int((end - record.start).total_seconds() // 60))
    status = getattr(record, "status", None)
    state = str(status) if thing.kind == "instance" and status else thing.kind
    return Charge(thing, record.start, end, state, minutes, record.cost, record.rate_per_hour)


@dataclass(frozen=True)
class Bill:
    """All charges of an account in a stretch of time.

    `missing` names things whose bill could not be read: the totals lack them.

    Example:
        >>> bill.by("instance"), bill.total
        >>> pandas.DataFrame(bill.records())
    """

    start: datetime
    end: datetime
    currency: str
    zone: str
    charges: tuple[Charge, ...]
    missing: tuple[str, ...] = ()

    @property
    def total(self) -> Decimal:
        """The sum of all charges."""
        return sum((c.cost for c in self.charges), ZERO)

    def by(self, key: str) -> dict[str, Decimal]:
        """Sums by `thing`, `kind`, `model`, `region`, `state` or `day`, the largest first; days
        in their order."""
        if key == "day":
            days: dict[str, Decimal] = {}
            for day, charge in self._on_days():
                days[day] = days.get(day, ZERO) + charge.cost
            return dict(sorted(days.items()))
        sums: dict[str, Decimal] = {}
        for charge in self.charges:
            name = _KEYS[key](charge)
            sums[name] = sums.get(name, ZERO) + charge.cost
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def by_day_and(self, key: str) -> dict[str, dict[str, Decimal]]:
        """Sums by day, and in each by another key: what a stacked chart shows."""
        days: dict[str, dict[str, Decimal]] = {}
        for day, charge in self._on_days():
            name = _KEYS[key](charge)
            sums = days.setdefault(day, {})
            sums[name] = sums.get(name, ZERO) + charge.cost
        return dict(sorted(days.items()))

    @property
    def saved_by_hibernation(self) -> Decimal:
        """What the hours in HIBERNATED would have cost more, had they been ACTIVE."""
        saved = ZERO
        for charge in self._in(VMStatus.HIBERNATED):
            if charge.thing.hourly is not None:
                saved += charge.thing.hourly * charge.minutes / 60 - charge.cost
        return max(ZERO, saved)

    @property
    def wasted_by_stopping(self) -> Decimal:
        """What the hours in SHUTOFF cost more than HIBERNATED would have."""
        asleep = HIBERNATED_HOURLY.get(CurrencyEnum(self.currency), ZERO)
        spent = sum((c.cost for c in self._in(VMStatus.SHUTOFF)), ZERO)
        hours = Decimal(sum(c.minutes for c in self._in(VMStatus.SHUTOFF))) / 60
        return max(ZERO, spent - asleep * hours)

    def from_day(self, start: datetime) -> Bill:
        """The part of the bill from a midnight of its zone on."""
        first = start.astimezone(ZoneInfo(self.zone)).date().isoformat()
        later = tuple(charge for day, charge in self._on_days() if day >= first)
        return replace(self, start=max(start, self.start), charges=later)

    def since(self, start: datetime, names: Sequence[str] = ()) -> Decimal:
        """What was spent since a midnight of the bill's zone.

        Args:
            start: the midnight.
            names: names, globs and ids of instances; everything, if there are none.
        """
        first = start.astimezone(ZoneInfo(self.zone)).date().isoformat()
        return sum(
            (
                charge.cost
                for day, charge in self._on_days()
                if day >= first and (not names or charge.thing.is_called(names))
            ),
            ZERO,
        )

    def records(self) -> list[dict[str, Any]]:
        """One dict for each day and charge: what a DataFrame is made of."""
        return [
            {
                "day": day,
                "kind": c.thing.kind,
                "id": c.thing.id,
                "name": c.thing.name,
                "model": c.thing.model,
                "region": c.thing.region,
                "state": c.state,
                "start": c.start,
                "end": c.end,
                "minutes": c.minutes,
                "cost": c.cost,
                "currency": self.currency,
            }
            for day, c in self._on_days()
        ]

    def csv(self) -> str:
        """The records as CSV, times in ISO 8601, money to the smallest unit.

        A name that a spreadsheet would take for a formula has an apostrophe before it.
        """
        out = io.StringIO()
        writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        for record in self.records():
            writer.writerow({k: _cell(v) for k, v in record.items()})
        return out.getvalue()

    def json(self) -> str:
        """Totals and records as JSON; money as text, for it is exact."""
        content = {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "currency": self.currency,
            "total": f"{self.total:f}",
            "saved_by_hibernation": f"{self.saved_by_hibernation:f}",
            "wasted_by_stopping": f"{self.wasted_by_stopping:f}",
            "missing": list(self.missing),
            "records": [{k: _plain(v) for k, v in r.items()} for r in self.records()],
        }
        return json.dumps(content, indent=1)

    def _in(self, state: VMStatus) -> Iterator[Charge]:
        return (c for c in self.charges if c.state == str(state))

    def _on_days(self) -> Iterator[tuple[str, Charge]]:
        zone = ZoneInfo(self.zone)
        for charge in self.charges:
            yield from charge.on_days(zone)


def _cell(value: Any) -> Any:
    return csv_cell(value) if isinstance(value, str) else _plain(value)


_KEYS: dict[str, Callable[[Charge], str]] = {
    "thing": lambda c: f"{c.thing.kind} {c.thing.name}",
    "kind": lambda c: c.thing.kind,
    "model": lambda c: c.thing.model or c.thing.kind,
    "region": lambda c: c.thing.region or "elsewhere",
    "state": lambda c: c.state,
}
_COLUMNS = (
    "day",
    "kind",
    "id",
    "name",
    "model",
    "region",
    "state",
    "start",
    "end",
    "minutes",
    "cost",
    "currency",
)


def clipped(charges: Iterable[Charge], start: datetime, end: datetime) -> tuple[Charge, ...]:
    """The charges that lie in a stretch of time and cost anything."""
    return tuple(c for c in charges if (c.cost or c.minutes) and c.start < end and c.end > start)


def _midnights(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """The midnights of a zone strictly between two moments."""
    found: list[datetime] = []
    day = start.astimezone(zone).date()
    while True:
        day += timedelta(days=1)
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        if midnight.timestamp() >= end.timestamp():
            return found
        if midnight.timestamp() > start.timestamp():
            found.append(midnight.astimezone(start.tzinfo))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else value
