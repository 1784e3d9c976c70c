"""Durations, moments and days: whoever writes them, and however, the same is read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from barrack_tasks.api.models.times import read_day, read_moment, read_positive, read_span

NOVEMBER = pendulum.datetime(2026, 11, 1)


def spans_of(seconds: int) -> list[Any]:
    """A duration in all the forms that people and programs give it."""
    whole = pendulum.duration(seconds=seconds)
    return [
        timedelta(seconds=seconds),
        whole,
        NOVEMBER.add(seconds=seconds) - NOVEMBER,
        pendulum.interval(NOVEMBER, NOVEMBER.add(seconds=seconds)),
        seconds,
        float(seconds),
        f"{seconds}s",
        f" {seconds} seconds ",
        f"{seconds // 3600}h{seconds % 3600}s",
        whole.in_words(),
        f"PT{seconds}S",
        f"pt{seconds // 60}m{seconds % 60}s",
        # What Prefect makes of a timedelta on its way to a deployment's run.
        TypeAdapter(timedelta).dump_python(timedelta(seconds=seconds), mode="json"),
    ]


@given(st.integers(1, 10 * 365 * 86_400))
def test_all_forms_of_a_duration_are_read_alike_and_as_a_plain_timedelta(seconds: int) -> None:
    for form in spans_of(seconds):
        read = read_span(form)
        assert read == read_positive(form) == timedelta(seconds=seconds), form
        assert type(read) is timedelta, form


@pytest.mark.parametrize(
    "text", ["72h", "72 hours", "3d", "3 days", "PT72H", "P3D", "2 days 24 hours", "1d, 48 hrs"]
)
def test_texts_of_three_days(text: str) -> None:
    assert read_span(text) == timedelta(days=3)


@pytest.mark.parametrize("span", [pendulum.duration(months=1), "P1M", "P1Y2M"])
def test_months_are_not_equally_long(span: Any) -> None:
    with pytest.raises(ValueError, match="counts months, which are not equally long; write days"):
        read_span(span)


def test_an_interval_over_months_is_as_long_as_it_is() -> None:
    assert read_span(NOVEMBER.add(months=3) - NOVEMBER) == timedelta(days=92)


@pytest.mark.parametrize("text", ["PT9999999999999999999999H", "P99999999999D", f"{9**99}d"])
def test_what_no_duration_can_hold_is_not_read_as_a_shorter_one(text: str) -> None:
    with pytest.raises(ValueError, match="is longer than any duration can be"):
        read_span(text)


@pytest.mark.parametrize("text", ["P", "PT", "8", "1h30", "h", "5 months", "--5h", "now"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        read_span(text)


def moments_of(moment: datetime) -> list[Any]:
    """A moment in all its forms."""
    theirs = pendulum.instance(moment)
    return [
        moment,
        theirs,
        moment.isoformat(),
        f" {moment.isoformat(' ')} ",
        str(theirs),
        theirs.to_iso8601_string(),
        moment.astimezone(UTC).isoformat().replace("+00:00", "z"),
        theirs.in_timezone("Asia/Kathmandu"),
    ]


@given(
    st.datetimes(
        datetime(1980, 1, 1),  # noqa: DTZ001
        datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.timezones(),
        allow_imaginary=False,
    )
)
def test_all_forms_of_a_moment_are_read_alike_and_as_plain_datetimes_in_utc(
    moment: datetime,
) -> None:
    for form in moments_of(moment):
        read = read_moment(form)
        assert read == moment.astimezone(UTC), form
        assert type(read) is datetime, form
        assert read.tzinfo is UTC, form


@given(st.dates(date(2, 1, 1), date(9998, 12, 31)))
def test_all_forms_of_a_day_are_read_alike(day: date) -> None:
    theirs = pendulum.date(day.year, day.month, day.day)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for form in (day, theirs, day.isoformat(), day.strftime("%Y%m%d").zfill(8), midnight):
        read = read_day(form)
        assert read == day
        assert type(read) is date
        assert read_moment(form) == midnight


@pytest.mark.parametrize(
    "moment",
    [datetime(2026, 1, 1), pendulum.naive(2026, 1, 1), "2026-01-01T08:00"],  # noqa: DTZ001
)
def test_without_a_zone_it_is_no_moment(moment: Any) -> None:
    with pytest.raises(ValueError, match="has no time zone, so it is no moment"):
        read_moment(moment)


@pytest.mark.parametrize(
    "moment",
    ["now", "2026", "2026-11", "08:00", "2026-13-01", "2026-11-01/2026-11-02", 5, None, "PT5H"],
)
def test_what_is_no_moment_and_no_day_is_refused(moment: Any) -> None:
    with pytest.raises(ValueError, match="is not a moment; write one such as 2026-11-02T08:00"):
        read_moment(moment)
    with pytest.raises(ValueError, match="is not a day; write one such as 2026-11-02"):
        read_day(moment)


def test_the_ends_of_time_stay_within_it() -> None:
    assert read_moment("0001-01-01T00:00:00+14:00") == datetime.min.replace(tzinfo=UTC)
    assert read_moment("9999-12-31T23:59:59-12:00") == datetime.max.replace(tzinfo=UTC)
