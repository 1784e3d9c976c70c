"""A bill in its parts: what was spent on what, when and in which state."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cached_property, lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from barrack_tasks.api.models import BillingRecord, CurrencyEnum, VMStatus
from barrack_tasks.api.models.text import csv_cell
from barrack_tasks.api.models.volumes import VolumeBillingRecord
from barrack_tasks.plans.prices import HIBERNATED_HOURLY
from barrack_tasks.plans.selection import is_named
from barrack_tasks.plans.timetable.civil import last_moment

UNIT = Decimal("0.000001")
ZERO = Decimal(0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_MICROSECOND = timedelta(microseconds=1)
_AT_FULL_RATE = (str(VMStatus.ACTIVE), str(VMStatus.SHUTOFF))


@dataclass(frozen=True)
class Thing:
    """Something that is paid for. `hourly` is what it costs when it is up."""

    kind: str
    id: str
    name: str
    model: str = ""
    region: str = ""
    hourly: Decimal | None = None

    def or_as(self, before: Thing) -> Thing:
        """The same, with what is not known of it now as it was known before."""
        return replace(
            self,
            model=self.model or before.model,
            region=self.region or before.region,
            hourly=before.hourly if self.hourly is None else self.hourly,
        )

    def is_called(self, names: Sequence[str]) -> bool:
        """Whether it is an instance of one of these names, globs or ids."""
        return self.kind == "instance" and is_named(self.id, self.name, names)


def day_begins(day: date, zone: ZoneInfo) -> datetime:
    """When a day of a zone begins, in UTC: at its midnight, or where the clock leaps over that.

    Where the clock goes back over a midnight, the second one counts: no moment after it is named
    by an earlier day.
    """
    return _day_begins(day.toordinal(), zone)


@lru_cache(maxsize=10_000)
def _day_begins(ordinal: int, zone: ZoneInfo) -> datetime:
    return last_moment(datetime.fromordinal(ordinal), zone)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The day of a zone that a moment lies in; see `day_begins`."""
    day = moment.astimezone(zone).date()
    return day if moment >= day_begins(day, zone) else day - timedelta(days=1)


def days_back(now: datetime, days: int, zone: str) -> datetime:
    """When the day of a zone began that was so many days of the calendar ago.

    Example:
        >>> days_back(datetime(2026, 3, 30, 22, 30, tzinfo=UTC), 2, "Europe/Berlin")
        datetime.datetime(2026, 3, 28, 23, 0, tzinfo=datetime.timezone.utc)
    """
    at = ZoneInfo(zone)
    return day_begins(day_of(now, at) - timedelta(days=days), at)


@lru_cache(maxsize=10_000)
def _day_name(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


class Share(NamedTuple):
    """What of a charge lies on one day of a zone."""

    charge: Charge
    day: str
    start: datetime
    end: datetime
    minutes: int
    cost: Decimal


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

    @property
    def is_by_the_minute(self) -> bool:
        """Whether each full minute of the clock was billed, so that its days are known exactly."""
        return self.minutes == _clock_minutes(self.start, self.end)

    @property
    def is_at_rate(self) -> bool:
        """Whether it costs its rate for each full minute of the clock."""
        return (
            self.rate is not None
            and self.is_by_the_minute
            and self.cost == cost_of(self.rate, self.minutes)
        )

    def is_of_one_day(self, zone: ZoneInfo) -> bool:
        """Whether it lies within one day of a zone."""
        return self.end <= day_begins(day_of(self.start, zone) + timedelta(days=1), zone)

    def going_on(self, until: datetime) -> Charge:
        """The charge, if the same state lasts until a later moment at the same rate."""
        if self.rate is None or until <= self.end:
            return self
        more = _clock_minutes(self.end, until)
        minutes = self.minutes + more
        is_exact = self.is_at_rate
        cost = cost_of(self.rate, minutes) if is_exact else self.cost + cost_of(self.rate, more)
        return replace(self, end=until, minutes=minutes, cost=cost)

    def within(self, start: datetime, end: datetime) -> Charge | None:
        """The part of the charge that lies between two moments; None if none does."""
        if self.start >= start and self.end <= end:
            return self if self.start < end else None
        if self.start >= end or self.end <= start:
            return None
        start, end = max(self.start, start), min(self.end, end)
        billed = self._billed_by()
        (before, spent_before), (minutes, spent) = billed(start), billed(end)
        return replace(
            self, start=start, end=end, minutes=minutes - before, cost=spent - spent_before
        )

    def on_days(self, zone: ZoneInfo) -> Iterator[tuple[str, Charge]]:
        """The charge in parts, one a day of the zone; the parts add up to it exactly."""
        for _, day, start, end, minutes, cost in self.shares(zone):
            yield day, replace(self, start=start, end=end, minutes=minutes, cost=cost)

    def shares(self, zone: ZoneInfo) -> Iterator[Share]:
        """What of the charge lies on each day of the zone; it adds up to the charge exactly.

        It is divided by the minutes that were billed on each day, where the record tells enough
        for that, and else by time.
        """
        day = day_of(self.start, zone).toordinal()
        if self.end <= _day_begins(day + 1, zone):
            yield Share(self, _day_name(day), self.start, self.end, self.minutes, self.cost)
            return
        billed = self._billed_by()
        start, before, spent_before = self.start, 0, ZERO
        while start < self.end:
            end = min(_day_begins(day + 1, zone), self.end)
            minutes, spent = billed(end)
            yield Share(self, _day_name(day), start, end, minutes - before, spent - spent_before)
            start, before, spent_before, day = end, minutes, spent, day + 1

    def _billed_by(self) -> Callable[[datetime], tuple[int, Decimal]]:
        """A function that tells what was billed until a moment: minutes and cost."""
        start, end, total, cost = self.start, self.end, self.minutes, self.cost
        rate = self.rate if self.is_at_rate else None
        by_the_minute = rate is not None or self.is_by_the_minute
        before = _minute_of(start)

        def by(moment: datetime) -> tuple[int, Decimal]:
            if moment >= end:
                return total, cost
            if moment <= start:
                return 0, ZERO
            if rate is not None:
                minutes = _minute_of(moment) - before
                return minutes, cost_of(rate, minutes)
            if by_the_minute:
                minutes = _minute_of(moment) - before
                share = Decimal(minutes) / (total or 1)
            else:
                length = Decimal((end - start) // _MICROSECOND)
                share = Decimal((moment - start) // _MICROSECOND) / length
                minutes = min(int(total * share), total)
            return minutes, (cost * share).quantize(UNIT, rounding=ROUND_HALF_EVEN)

        return by


def charge_at_rate(
    thing: Thing, start: datetime, end: datetime, state: str, rate: Decimal
) -> Charge:
    """What a thing costs in a stretch of time at an hourly rate."""
    minutes = _clock_minutes(start, end)
    return Charge(thing, start, end, state, minutes, cost_of(rate, minutes), rate)


def chat_charge(id_: str, model: str, at: datetime, cost: Decimal) -> Charge:
    """What one use of AI chat cost."""
    thing = Thing("ai chat", id_, model or "chat", model)
    return Charge(thing, at, at, "ai chat", 0, cost)


def cost_of(rate: Decimal, minutes: int) -> Decimal:
    """What some minutes cost at an hourly rate, to six places, as the cloud bills [I]."""
    return (rate * minutes / 60).quantize(UNIT, rounding=ROUND_HALF_EVEN)


def _clock_minutes(start: datetime, end: datetime) -> int:
    """How many full minutes of the clock end after one moment and not after another."""
    return max(0, _minute_of(end) - _minute_of(start))


def _minute_of(moment: datetime) -> int:
    """How many full minutes of the clock have ended since 1970."""
    return (moment - _EPOCH) // _MINUTE


def charge_of(thing: Thing, record: BillingRecord | VolumeBillingRecord, now: datetime) -> Charge:
    """A billing record as a charge; one that is still open ends now."""
    end = record.end or now
    rate, minutes = record.rate_per_hour, record.minutes
    if minutes is None:
        minutes = _clock_minutes(record.start, end)
        if rate is None or cost_of(rate, minutes) != record.cost:
            minutes = max(0, int((end - record.start).total_seconds() // 60))
    status = getattr(record, "status", None)
    state = str(status) if thing.kind == "instance" and status else thing.kind
    return Charge(thing, record.start, end, state, minutes, record.cost, rate)


def merged(charges: Iterable[Charge]) -> tuple[Charge, ...]:
    """The charges of one thing by time, those that go on in the same state at one rate as one."""
    found: list[Charge] = []
    for charge in sorted(charges, key=lambda c: c.start):
        last = found[-1] if found else None
        if last is not None and (last.end, last.state, last.rate) == (
            charge.start,
            charge.state,
            charge.rate,
        ):
            minutes, cost = last.minutes + charge.minutes, last.cost + charge.cost
            found[-1] = replace(last, end=charge.end, minutes=minutes, cost=cost)
        else:
            found.append(charge)
    return tuple(found)


@dataclass(frozen=True)
class Bill:
    """All charges of an account in a stretch of time.

    `missing` names things whose bill could not be read in full: what was read of it before counts,
    and the totals lack the rest. `is_read` tells whether nothing of it may be read another time:
    what the API has no bill of any more never can.

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
    is_read: bool = True

    @property
    def total(self) -> Decimal:
        """The sum of all charges."""
        return sum((c.cost for c in self.charges), ZERO)

    def by(self, key: str) -> dict[str, Decimal]:
        """Sums by `thing`, `kind`, `model`, `region`, `state` or `day`, the largest first; days
        in their order."""
        if key == "day":
            days = self.by_day_and("state").items()
            return {day: sum(sums.values(), ZERO) for day, sums in days}
        sums: dict[str, Decimal] = {}
        for charge in self.charges:
            name = _KEYS[key](charge)
            sums[name] = sums.get(name, ZERO) + charge.cost
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def by_day_and(self, key: str) -> dict[str, dict[str, Decimal]]:
        """Sums by day, and in each by another key: what a stacked chart shows."""
        if key not in self._sums_of_days:
            name_of = _KEYS[key]
            days: dict[str, dict[str, Decimal]] = defaultdict(dict)
            for charge, day, _, _, _, cost in self._shares():
                name, sums = name_of(charge), days[day]
                sums[name] = sums.get(name, ZERO) + cost
            self._sums_of_days[key] = dict(sorted(days.items()))
        return {day: dict(sums) for day, sums in self._sums_of_days[key].items()}

    @property
    def saved_by_hibernation(self) -> Decimal:
        """What the hours in HIBERNATED would have cost more, had they been ACTIVE."""
        saved = ZERO
        for charge in self._in(VMStatus.HIBERNATED):
            hourly = self._hourly(charge.thing)
            if hourly is not None:
                saved += hourly * charge.minutes / 60 - charge.cost
        return max(ZERO, saved)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Instances that slept and whose price is not known, so that what was saved lacks them."""
        asleep = {c.thing for c in self._in(VMStatus.HIBERNATED) if c.minutes}
        return tuple(sorted(t.name for t in asleep if self._hourly(t) is None))

    @property
    def wasted_by_stopping(self) -> Decimal:
        """What the hours in SHUTOFF cost more than HIBERNATED would have."""
        asleep = HIBERNATED_HOURLY.get(CurrencyEnum(self.currency), ZERO)
        spent = sum((c.cost for c in self._in(VMStatus.SHUTOFF)), ZERO)
        hours = Decimal(sum(c.minutes for c in self._in(VMStatus.SHUTOFF))) / 60
        return max(ZERO, spent - asleep * hours)

    @property
    def divided_by_time(self) -> tuple[Charge, ...]:
        """Charges that run over a midnight, and do not tell how many minutes were billed when.

        What they cost is exact; what of it lies on which day is an estimate.
        """
        zone = ZoneInfo(self.zone)
        return tuple(c for c in self.charges if not (c.is_by_the_minute or c.is_of_one_day(zone)))

    def since(self, start: datetime, names: Sequence[str] = ()) -> Decimal:
        """What was spent since a moment.

        Args:
            start: the moment.
            names: names, globs and ids of instances; everything, if there are none.
        """
        later = self.from_moment(start).charges
        return sum((c.cost for c in later if not names or c.thing.is_called(names)), ZERO)

    def from_moment(self, start: datetime) -> Bill:
        """The part of the bill from a moment on."""
        later = (c if c.start >= start else c.within(start, c.end) for c in self.charges)
        charges = tuple(c for c in later if c is not None)
        return replace(self, start=max(start, self.start), charges=charges)

    def records(self) -> list[dict[str, Any]]:
        """One dict for each day and charge: what a DataFrame is made of."""
        return [
            {
                "day": share.day,
                "kind": share.charge.thing.kind,
                "id": share.charge.thing.id,
                "name": share.charge.thing.name,
                "model": share.charge.thing.model,
                "region": share.charge.thing.region,
                "state": share.charge.state,
                "start": share.start,
                "end": share.end,
                "minutes": share.minutes,
                "cost": share.cost,
                "currency": self.currency,
            }
            for share in self._shares()
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

    def _hourly(self, thing: Thing) -> Decimal | None:
        """What a thing costs when it is up: as it is listed, or as it was billed."""
        return self._billed.get(thing.id) if thing.hourly is None else thing.hourly

    @cached_property
    def _billed(self) -> dict[str, Decimal]:
        up = (c for c in self.charges if c.state in _AT_FULL_RATE and c.rate is not None)
        return {c.thing.id: c.rate for c in up if c.rate is not None}

    @cached_property
    def _sums_of_days(self) -> dict[str, dict[str, dict[str, Decimal]]]:
        """What `by_day_and` has summed up, by its key."""
        return {}

    def _shares(self) -> Iterator[Share]:
        """What each charge is divided into; far too many to be kept."""
        zone = ZoneInfo(self.zone)
        return (share for charge in self.charges for share in charge.shares(zone))


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
    """What of the charges lies in a stretch of time and cost anything."""
    parts = (c.within(start, end) for c in charges)
    return tuple(c for c in parts if c is not None and (c.cost or c.minutes))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime) else value
