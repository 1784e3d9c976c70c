"""Timetables at random: text in the plain form, and the same text as people might write it."""

from __future__ import annotations

import random
import re
from zoneinfo import available_timezones

from hypothesis import strategies as st

from .evaluator import NAMES

FULL = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
ZONES = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})
TWELVE = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "America/Havana",
    "Asia/Beirut",
    "America/St_Johns",
    "Africa/Cairo",
    "Pacific/Easter",
]


def clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


@st.composite
def days(draw: st.DrawFn) -> str:
    """A single day, a span, maybe around the week's end, or a list."""
    parts = []
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        first, length = draw(st.integers(0, 6)), draw(st.integers(1, 7))
        last = (first + length - 1) % 7
        parts.append(NAMES[first] if length == 1 else f"{NAMES[first]}-{NAMES[last]}")
    return ",".join(parts)


@st.composite
def times(draw: st.DrawFn) -> str:
    """A window; often at the hours at which clocks are moved."""
    minute = st.one_of(st.integers(0, 1439), st.integers(0, 16).map(lambda quarter: quarter * 15))
    start = draw(minute)
    end = draw(st.one_of(minute, st.just(1440)).filter(lambda e: e != start))
    return f"{clock(start)}-{clock(end)}"


@st.composite
def exceptions(draw: st.DrawFn, year: int) -> str:
    dates = draw(
        st.lists(
            st.one_of(
                st.dates().map(lambda d: f"{year}-{d.month:02}-{min(d.day, 28):02}"),
                st.integers(1, 27).map(lambda d: f"{year}-03-{d:02}..{year}-03-{d + 1:02}"),
                st.sampled_from(["02-29", "12-25", "03-29", "10-25"]),
            ),
            max_size=3,
        )
    )
    return f" except {', '.join(dates)}" if dates else ""


@st.composite
def texts(draw: st.DrawFn, zones: list[str] = ZONES, year: int = 2026, most: int = 3) -> str:
    """Windows between semicolons, in the plain form."""
    rules = [
        f"{draw(days())} {draw(times())} {draw(st.sampled_from(zones))}{draw(exceptions(year))}"
        for _ in range(draw(st.integers(1, most)))
    ]
    return "; ".join(rules)


@st.composite
def one_sided(draw: st.DrawFn, zones: list[str] = ZONES) -> str:
    minute = draw(st.integers(0, 1439))
    half = draw(st.sampled_from([f"{clock(minute)}-", f"-{clock(minute)}", "-24:00"]))
    return f"{draw(days())} {half} {draw(st.sampled_from(zones))}"


@st.composite
def anything(draw: st.DrawFn) -> str:
    """All kinds of rules together."""
    parts = draw(
        st.lists(
            st.one_of(
                texts(most=1),
                texts(most=1),
                one_sided(TWELVE),
                st.sampled_from(
                    [
                        "always",
                        "never",
                        "2026-05-01-2026-05-03 Europe/Berlin",
                        "2026-03-28T22:00+01:00-2026-03-29T02:30Z",
                        "2026-10-25T02:30-2026-10-25T02:45 Europe/Berlin",
                    ]
                ),
            ),
            min_size=1,
            max_size=3,
        )
    )
    return "; ".join(parts)


def as_people_write(text: str, seed: int) -> str:
    """The same text with other cases, full names, spaces and dashes."""
    dice = random.Random(seed)
    for short, full in zip(NAMES, FULL, strict=True):
        name = dice.choice([short, full])
        # A name of a day is a word of its own; America/Moncton has nothing to do with Monday.
        said = dice.choice([str.lower, str.upper, str])(name)
        text = re.sub(rf"\b{short}\b", said, text)
    text = text.replace(",", dice.choice([",", ", ", " , ", ",\n"]))
    text = text.replace("; ", dice.choice([";", "; ", " ;\n"]))
    return text.replace(" ", dice.choice([" ", "  ", "\t"]))
