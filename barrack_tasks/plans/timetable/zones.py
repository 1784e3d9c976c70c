"""Which time zone data is in use, and whether newer data would say otherwise.

Python takes the system's data first and the `tzdata` wheel where the system has none. A system
that is not kept up to date then moves clocks on the wrong day, though a newer wheel is installed.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from barrack_tasks.plans.timetable.civil import first_second

LOOK_AHEAD = timedelta(days=2 * 365)
_STEP = timedelta(hours=6)
_VERSION = re.compile(r"^#\s*version\s+(\S+)")


@dataclass(frozen=True)
class ZoneData:
    """Where time zone data comes from. `version` is the release, such as 2026a, if known."""

    source: Literal["system", "wheel"]
    version: str | None
    where: str

    def __str__(self) -> str:
        name = "the system's time zone data" if self.source == "system" else "the tzdata wheel"
        return f"{name} {self.version or 'of unknown version'} ({self.where})"


@dataclass(frozen=True)
class OffsetChange:
    """At this moment (in UTC) the clocks of a zone go to another offset."""

    moment: datetime
    before: timedelta
    after: timedelta


@dataclass(frozen=True)
class ZoneDifference:
    """From this moment (in UTC) on two sources disagree on a zone for the first time."""

    zone: str
    moment: datetime
    in_use: timedelta
    in_wheel: timedelta

    def __str__(self) -> str:
        return (
            f"{self.zone}: from {self.moment:%Y-%m-%d %H:%M} UTC on the data in use says "
            f"{offset_text(self.in_use)}, and the tzdata wheel says {offset_text(self.in_wheel)}"
        )


def data_in_use(zone: str = "UTC") -> ZoneData:
    """The data that `zoneinfo`, and pendulum through it, takes for a zone.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: neither source has the zone.
    """
    for folder in zoneinfo.TZPATH:
        if Path(folder, zone).is_file():
            return ZoneData("system", _system_version(Path(folder)), folder)
    data = wheel_data()
    if data is None or wheel_zone(zone) is None:
        raise zoneinfo.ZoneInfoNotFoundError(f"no time zone data for {zone}")
    return data


def wheel_data() -> ZoneData | None:
    """The data of the `tzdata` wheel; None if it is not installed."""
    try:
        tzdata = import_module("tzdata")
    except ImportError:
        return None
    version = getattr(tzdata, "IANA_VERSION", None)
    return ZoneData("wheel", version, f"tzdata {getattr(tzdata, '__version__', '?')}")


def wheel_zone(zone: str) -> ZoneInfo | None:
    """A zone by the data of the wheel; None if it has none, or is not installed."""
    parts = zone.split("/")
    if not all(re.fullmatch(r"\w[\w+-]*", part) for part in parts):
        return None
    try:
        with files("tzdata").joinpath("zoneinfo", *parts).open("rb") as file:
            return ZoneInfo.from_file(file, key=zone)
    except (ImportError, OSError, ValueError):
        return None


def offset_changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[OffsetChange]:
    """When the clocks of a zone change after `start` and up to `end`.

    Two changes within six hours that cancel each other are not seen; there are none.
    """
    start, end = start.astimezone(UTC).replace(microsecond=0), end.astimezone(UTC)
    looks = [start + i * _STEP for i in range((end - start) // _STEP + 1)] + [end]
    for low, high in pairwise(looks):
        before, after = _offset(zone, low), _offset(zone, high)
        if before == after:
            continue
        yield OffsetChange(_changed(zone, low, high), before, after)


def _changed(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    before = _offset(zone, low)
    return first_second(low, high, lambda moment: _offset(zone, moment) != before)


def difference(
    zone: str, now: datetime, look_ahead: timedelta = LOOK_AHEAD
) -> ZoneDifference | None:
    """Where the data in use and the wheel first disagree on a zone in the next two years.

    None if they agree, if the wheel is what is in use, or if it is not installed.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.

    Example:
        >>> difference("UTC", datetime.now(UTC)) is None
        True
    """
    ours, theirs = ZoneInfo(zone), wheel_zone(zone)
    if theirs is None or data_in_use(zone).source == "wheel":
        return None
    changes = [
        change.moment
        for data in (ours, theirs)
        for change in offset_changes(data, now, now + look_ahead)
    ]
    for moment in [now.astimezone(UTC), *sorted(changes)]:
        one, other = _offset(ours, moment), _offset(theirs, moment)
        if one != other:
            return ZoneDifference(zone, moment, one, other)
    return None


def zone_warnings(zones: Iterable[str], now: datetime) -> tuple[str, ...]:
    """A sentence for each zone on which the wheel disagrees with the data in use and is newer.

    Also where it is not known which of them is newer. Give it `Timetable.zones`.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: there is no such zone.
    """
    said = []
    wheel = wheel_data()
    for zone in dict.fromkeys(zones):
        ours = data_in_use(zone)
        if wheel is None or (ours.version and wheel.version and wheel.version <= ours.version):
            continue
        found = difference(zone, now)
        if found is not None:
            said.append(f"{found}; {ours} is in use, and {wheel} is installed")
    if said:
        said.append(
            "bring the system's time zone data up to date, "
            "or set PYTHONTZPATH to nothing to use the wheel's"
        )
    return tuple(said)


def offset_text(offset: timedelta) -> str:
    """An offset as `+05:45`."""
    minutes, seconds = divmod(abs(int(offset.total_seconds())), 60)
    sign = "-" if offset < timedelta(0) else "+"
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _system_version(folder: Path) -> str | None:
    """The release a system's folder names: in `tzdata.zi` or in `+VERSION`."""
    try:
        with (folder / "tzdata.zi").open(encoding="utf-8") as file:
            match = _VERSION.match(file.readline())
        if match:
            return match[1]
    except (OSError, UnicodeDecodeError):
        pass
    try:
        return (folder / "+VERSION").read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
