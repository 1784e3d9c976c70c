"""Which time zone data is in use, and where a newer wheel disagrees."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from barrack_tasks.plans.timetable import Timetable, zones
from barrack_tasks.plans.timetable.zone_names import zone_named

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def test_the_data_in_use_is_named() -> None:
    data = zones.data_in_use("Europe/Berlin")
    assert data.source in ("system", "wheel")
    assert data.where in str(data)


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("EST", "write America/New_York"),
        ("MST", "write America/Denver"),
        ("HST", "write Pacific/Honolulu"),
        ("Etc/GMT+2", "is UTC-2 (its sign is reversed)"),
        ("Etc/GMT-10", "is UTC+10 (its sign is reversed)"),
        *((zone, "") for zone in ("UTC", "Etc/GMT", "Europe/Berlin", "America/Phoenix", "EST5EDT")),
    ],
)
def test_a_zone_without_summer_time_is_warned_of_with_the_city_meant(zone: str, hint: str) -> None:
    text = f"Mon-Fri 08:00-20:00 {zone}, 2030-12-24-2030-12-26 {zone}"
    said = Timetable.parse(text).warnings(NOW)
    assert len(said) == bool(hint)
    assert all(hint in one and "no summer time" in one for one in said)
    if hint.startswith("write"):
        zone_named(hint.removeprefix("write "))


def test_zones_that_agree_are_not_warned_of() -> None:
    assert zones.difference("UTC", NOW) is None
    assert zones.zone_warnings(["UTC", "UTC"], NOW) == ()
    with pytest.raises(zoneinfo.ZoneInfoNotFoundError):
        zones.data_in_use("Mars/Base")


def test_a_zone_on_which_a_newer_wheel_disagrees_is_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    berlin, lisbon = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Lisbon")
    monkeypatch.setattr(zones, "wheel_zone", lambda zone: lisbon if "Berlin" in zone else berlin)
    system = zones.ZoneData("system", "2025b", "/somewhere")
    monkeypatch.setattr(zones, "data_in_use", lambda zone="UTC": system)
    monkeypatch.setattr(
        zones, "wheel_data", lambda: zones.ZoneData("wheel", "2026f", "tzdata 2026.6")
    )
    [said, advice] = zones.zone_warnings(["Europe/Berlin"], NOW)
    assert "Europe/Berlin: from 2026-11-25 00:00 UTC on the data in use says +01:00" in said
    assert "PYTHONTZPATH" in advice
    older = zones.ZoneData("wheel", "2025a", "tzdata 2025.1")
    monkeypatch.setattr(zones, "wheel_data", lambda: older)
    assert zones.zone_warnings(["Europe/Berlin"], NOW) == ()


@pytest.mark.parametrize(
    ("zone", "offsets"),
    [("Australia/Lord_Howe", {10.5, 11.0}), ("Antarctica/Troll", {0.0, 2.0}), ("UTC", set())],
)
def test_changes_of_offset_are_found_to_the_second(zone: str, offsets: set[float]) -> None:
    changes = list(zones.offset_changes(ZoneInfo(zone), NOW, NOW + timedelta(days=730)))
    assert {c.after.total_seconds() / 3600 for c in changes} == offsets
    for change in changes:
        before = change.moment - timedelta(seconds=1)
        assert before.astimezone(ZoneInfo(zone)).utcoffset() == change.before
        assert change.moment.astimezone(ZoneInfo(zone)).utcoffset() == change.after
