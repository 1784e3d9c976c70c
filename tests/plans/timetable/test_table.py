"""Reading timetables, and the refusals of those that cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans import Timetable
from barrack_tasks.plans.timetable import TimetableError, Wish

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("", ""),
        ("Mon-Fry 08:00-20:00 UTC", "Fry"),
        ("Mon-Fri 08:00-25:00 UTC", "25:00"),
        ("Mon-Fri 08:00-08:00 UTC", "08:00-08:00"),
        ("Mon-Fri 08:00-20:00", ""),
        ("Mon-Fri 08:00-20:00 Europe/Berlim", "Europe/Berlim"),
        ("2026-12-26T08:00:00Z-2026-12-24T08:00:00Z", ""),
        ("always,", ""),
        ("sometimes", "sometimes"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place_marked(text: str, marked: str) -> None:
    with pytest.raises(TimetableError) as caught:
        Timetable.parse(text)
    message = str(caught.value)
    assert isinstance(caught.value, ValueError)
    if text:
        line, carets = message.splitlines()[-2:]
        start, width = carets.index("^"), carets.count("^")
        assert text in line
        assert marked in line[start : start + max(width, len(marked))] or marked == ""


def test_an_unknown_zone_names_the_nearest() -> None:
    with pytest.raises(TimetableError, match="Europe/Berlin"):
        Timetable.parse("Mon 08:00-20:00 Europe/Berlim")


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Timetable.parse("always").is_on(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "moment", "on"),
    [
        ("Mon-Fri 08:00-20:00 Europe/Berlin", NOON, True),
        ("Mon-Fri 08:00-20:00 Europe/Berlin", datetime(2026, 11, 25, 6, 59, tzinfo=UTC), False),
        ("Sun-Thu 10:00-14:00 UTC", NOON, True),
        ("Fri 22:00-06:00 UTC", datetime(2026, 11, 28, 5, tzinfo=UTC), True),
        ("Fri 22:00-06:00 UTC", datetime(2026, 11, 28, 6, tzinfo=UTC), False),
        ("Mon,Wed 11:00-13:00 UTC", NOON, True),
        ("Mon,Thu 11:00-13:00 UTC", NOON, False),
        ("mon-fri 08:00-20:00 utc, Sat 10:00-12:00 UTC", NOON, True),
        ("Mon-Fri 08:00-20:00 UTC except 2026-11-25", NOON, False),
        ("2026-11-25T11:00:00+00:00-2026-11-25T13:00:00+00:00", NOON, True),
        ("always", NOON, True),
        ("never", NOON, False),
        ("Mon-Sun -22:00 UTC", NOON, False),
        ("Mon-Sun 08:00- UTC", NOON, True),
    ],
)
def test_what_is_on_and_what_is_off(text: str, moment: datetime, on: bool) -> None:
    timetable = Timetable.parse(text)
    assert timetable.is_on(moment) is on
    assert Timetable.parse(str(timetable)) == timetable


# Offsets of 2026 and 2027, written down by hand from the zones' rules: hours from UTC before and
# after each change, and the moment of it in UTC.
CHANGES = {
    "Australia/Lord_Howe": [
        ("2026-04-04T15:00", 11.0, 10.5),
        ("2026-10-03T15:30", 10.5, 11.0),
        ("2027-04-03T15:00", 11.0, 10.5),
        ("2027-10-02T15:30", 10.5, 11.0),
    ],
    "Pacific/Chatham": [
        ("2026-04-04T14:00", 13.75, 12.75),
        ("2026-09-26T14:00", 12.75, 13.75),
        ("2027-04-03T14:00", 13.75, 12.75),
        ("2027-09-25T14:00", 12.75, 13.75),
    ],
    "Antarctica/Troll": [
        ("2026-03-29T01:00", 0.0, 2.0),
        ("2026-10-25T01:00", 2.0, 0.0),
        ("2027-03-28T01:00", 0.0, 2.0),
        ("2027-10-31T01:00", 2.0, 0.0),
    ],
    "Asia/Kathmandu": [],
}


@pytest.mark.parametrize("zone", CHANGES)
def test_boundaries_hold_the_local_time_over_odd_changes_of_2026_and_2027(zone: str) -> None:
    timetable = Timetable.parse(f"Mon-Sun 08:00-20:00 {zone}")
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    boundaries = list(timetable.boundaries(start, end))
    local = {(b.wish, b.moment.astimezone(ZoneInfo(zone)).strftime("%H:%M")) for b in boundaries}
    assert local == {(Wish.UP, "08:00"), (Wish.DOWN, "20:00")}
    gaps = [
        (a.moment, (b.moment - a.moment).total_seconds() / 3600)
        for a, b in zip(boundaries, boundaries[2:], strict=False)
        if a.wish is Wish.UP
    ]
    odd = [(moment, hours) for moment, hours in gaps if hours != 24]
    expected = [
        (datetime.fromisoformat(at + "+00:00"), 24 - (after - before))
        for at, before, after in CHANGES[zone]
    ]
    assert [hours for _, hours in odd] == [hours for _, hours in expected]
    for (began, _), (change, _) in zip(odd, expected, strict=True):
        assert began < change <= began + timedelta(hours=26)


def test_casablanca_follows_the_data_that_is_in_use() -> None:
    zone = ZoneInfo("Africa/Casablanca")
    timetable = Timetable.parse("Mon-Sun 08:00-20:00 Africa/Casablanca")
    for day in range(0, 730, 5):
        moment = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        local = moment.astimezone(zone)
        assert timetable.is_on(moment) == (8 <= local.hour < 20)


@given(
    hour=st.integers(0, 23),
    length=st.integers(1, 23),
    days=st.sampled_from(["Mon-Fri", "Sat,Sun", "Wed", "Sun-Thu"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
    minutes=st.integers(0, 60 * 24 * 365),
)
def test_the_next_change_is_one_and_there_is_none_before(
    hour: int, length: int, days: str, zone: str, minutes: int
) -> None:
    text = f"{days} {hour:02}:00-{(hour + length) % 24:02}:00 {zone}"
    timetable = Timetable.parse(text)
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    following = timetable.next_change(moment)
    assert following is not None
    assert following > moment
    assert timetable.is_on(following) != timetable.is_on(moment)
    middle = moment + (following - moment) / 2
    assert timetable.is_on(middle) == timetable.is_on(moment)
    assert timetable.previous_change(following) == following
