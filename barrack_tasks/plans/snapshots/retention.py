"""Which snapshots are kept: the last ones, and the newest of so many days, weeks and months."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from barrack_tasks.api.models import Snapshot
from barrack_tasks.api.models.times import Moment, read_moment
from barrack_tasks.plans.inputs import Given
from barrack_tasks.plans.timetable.zone_names import zone_named
from barrack_tasks.plans.world import lies_ahead


@dataclass(frozen=True)
class Fate:
    """What becomes of a snapshot, and why. `kept` is empty if it is dropped."""

    snapshot: Snapshot
    kept: tuple[str, ...] = ()


class Retention(Given):
    """How many snapshots of each instance are kept, in the words of backup tools.

    Every snapshot that is given counts. `prune_snapshots` gives those that this library made, so
    that none made by hand takes the place of an own one.

    Attributes:
        last: the newest so many.
        daily: the newest of each of the last so many days that have one.
        weekly: the same of weeks (ISO, from Monday).
        monthly: the same of months.
        zone: whose calendar counts.

    Example:
        >>> keep, drop = Retention(last=3, daily=7).split(snapshots, now)
    """

    last: int = Field(default=3, ge=0)
    daily: int = Field(default=7, ge=0)
    weekly: int = Field(default=4, ge=0)
    monthly: int = Field(default=6, ge=0)
    zone: str = "UTC"

    @field_validator("zone", mode="before")
    @classmethod
    def _exists(cls, zone: Any) -> str:
        return zone_named(zone)

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if not (self.last or self.daily or self.weekly or self.monthly):
            raise ValueError(
                "retention keeps nothing; give at least one of last, daily, weekly, monthly"
            )
        return self

    def split(
        self, snapshots: Iterable[Snapshot], now: Moment, keep: Collection[str] = ()
    ) -> tuple[list[Snapshot], list[Snapshot]]:
        """Divide snapshots into those that are kept and those that are dropped.

        Each instance has a history of its own. Never dropped are the newest ready snapshot of an
        instance, and what is not ready, is an image, has no time, or lies in the future.

        Args:
            snapshots: of any instances, in any order.
            now: zone-aware.
            keep: ids that are kept whatever the numbers say: what images depend on, what was
                proven, what others made.

        Returns:
            Two lists, keep and drop, each in the order given.
        """
        fates = self.fates(snapshots, now, dict.fromkeys(keep, "asked to keep"))
        return [f.snapshot for f in fates if f.kept], [f.snapshot for f in fates if not f.kept]

    def fates(self, snapshots: Iterable[Snapshot], now: Moment, keep: dict[str, str]) -> list[Fate]:
        """What becomes of each snapshot, and why, in the order given.

        Args:
            snapshots: of any instances, in any order.
            now: zone-aware.
            keep: ids that are kept whatever the numbers say, and why.
        """
        given, now = list(snapshots), read_moment(now)
        reasons: list[tuple[str, ...]] = []
        histories: dict[str | None, list[int]] = {}
        for number, snapshot in enumerate(given):
            uncounted = _uncounted(snapshot, now)
            asked = keep.get(snapshot.id, "")
            image = "it is an image" if snapshot.is_image else ""
            reasons.append(tuple(filter(None, (asked, image, uncounted))))
            if not uncounted:
                histories.setdefault(snapshot.instance_id, []).append(number)
        zone = ZoneInfo(self.zone)
        for numbers in histories.values():
            newest_first = sorted(numbers, key=lambda n: _age(given[n]), reverse=True)
            days = [_age(given[n])[0].astimezone(zone).date() for n in newest_first]
            self._count(newest_first, days, reasons)
        return [Fate(s, why) for s, why in zip(given, reasons, strict=True)]

    def _count(
        self, newest_first: Sequence[int], days: Sequence[date], reasons: list[tuple[str, ...]]
    ) -> None:
        reasons[newest_first[0]] += ("newest ready",)
        for place, number in enumerate(newest_first[: self.last], 1):
            reasons[number] += (f"last {place}",)
        for count, bucket in (
            (self.daily, _day),
            (self.weekly, _week),
            (self.monthly, _month),
        ):
            seen: list[str] = []
            for number, day in zip(newest_first, days, strict=True):
                if len(seen) == count:
                    break
                reason = bucket(day)
                if reason not in seen:
                    seen.append(reason)
                    reasons[number] += (reason,)


def _uncounted(snapshot: Snapshot, now: datetime) -> str:
    """Why a snapshot takes no part in the counting; empty if it does."""
    if snapshot.instance_id is None:
        return "it does not tell its instance"
    if not snapshot.status.is_ready:
        return f"not ready: {snapshot.status}"
    if snapshot.created_at is None:
        return "its age is not known"
    if lies_ahead(snapshot, now):
        return "its time of creation is in the future"
    return ""


def _age(snapshot: Snapshot) -> tuple[datetime, str]:
    assert snapshot.created_at is not None  # noqa: S101 - those without take no part
    return snapshot.created_at, snapshot.id


# Most snapshots were taken on the same days: a fleet is put to rest together.
@lru_cache(maxsize=10_000)
def _day(day: date) -> str:
    return f"daily {day}"


@lru_cache(maxsize=10_000)
def _week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"weekly {year}-W{week:02}"


@lru_cache(maxsize=10_000)
def _month(day: date) -> str:
    return f"monthly {day:%Y-%m}"
