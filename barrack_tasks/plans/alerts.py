"""Who is told what, and when: one alert a crossing, reminders, a note when it is over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

_JUST = timedelta(hours=1)


@dataclass(frozen=True)
class Reading:
    """How things stand with one line.

    `is_over` when it is crossed, `is_clear` when it is so far behind that it counts as crossed
    anew the next time; between the two nothing changes, so a value that wobbles tells nothing.
    Of one that is `quiet` no notifier hears: the report and the events alone tell of it.
    """

    key: str
    is_over: bool
    is_clear: bool
    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Alarm:
    """A line that is crossed: since when, when people were last told, and who has heard of it.

    `is_over` is False for one that is crossed no more, of which somebody has yet to hear. What
    was told to nobody was not told: whoever is not in `heard` is owed it. `text` is kept of what no
    later look can word anew.
    """

    since: datetime
    told: datetime
    heard: tuple[str, ...] = ()
    is_over: bool = True
    text: str = ""


@dataclass(frozen=True)
class Message:
    """What is to be told to whom.

    `owed` is told to those who have not heard of a crossing yet, `owed recovery` to those who
    have not heard that it is over. What is over says when it was crossed, for not everybody may
    have heard of that.
    """

    key: str
    kind: Literal["crossed", "reminder", "recovered", "owed", "owed recovery"]
    text: str
    to: tuple[str, ...]

    @property
    def is_over(self) -> bool:
        """Whether it tells that something is over."""
        return self.kind in ("recovered", "owed recovery")


def messages_of(
    readings: Iterable[Reading],
    alarms: Mapping[str, Alarm],
    notifiers: Sequence[str],
    now: datetime,
    remind: timedelta | None = None,
) -> tuple[Message, ...]:
    """What is to be told now.

    Args:
        readings: how things stand.
        alarms: the lines that were crossed when last looked at.
        notifiers: all who are told.
        now: zone-aware.
        remind: tell again after so long, while a line stays crossed; None for never.
    """
    found: list[Message] = []
    for reading in readings:
        everyone = () if reading.quiet else tuple(notifiers)
        alarm = alarms.get(reading.key)
        owed = tuple(n for n in everyone if alarm is not None and n not in alarm.heard)
        if alarm is None or (reading.is_over and not alarm.is_over):
            if reading.is_over:
                found.append(Message(reading.key, "crossed", reading.text, everyone))
        elif not alarm.is_over:
            if owed:
                found.append(Message(reading.key, "owed recovery", _over(reading, alarm), owed))
        elif reading.is_clear:
            found.append(Message(reading.key, "recovered", _over(reading, alarm), everyone))
        elif remind is not None and now - alarm.told >= remind:
            found.append(Message(reading.key, "reminder", _lasting(reading, alarm), everyone))
        elif owed:
            found.append(Message(reading.key, "owed", _lasting(reading, alarm), owed))
    return tuple(found)


def _lasting(reading: Reading, alarm: Alarm) -> str:
    """How things stand with a line that was crossed, also if the value is just behind it again."""
    if reading.is_over:
        return reading.text
    return (
        f"the alarm was raised on {_said(alarm.since)} and is not yet clearly over: {reading.text}"
    )


def _over(reading: Reading, alarm: Alarm) -> str:
    return f"{reading.text} (the alarm was raised on {_said(alarm.since)})"


def _said(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d at %H:%M} UTC"


def note(
    alarms: MutableMapping[str, Alarm], message: Message, failed: Iterable[str], now: datetime
) -> None:
    """Note that a message went out, but for those notifiers that failed."""
    missed = set(failed)
    heard = tuple(name for name in message.to if name not in missed)
    before = alarms.get(message.key, Alarm(now, now))
    match message.kind:
        case "crossed":
            alarms[message.key] = Alarm(now, now, heard)
        case "reminder":
            alarms[message.key] = Alarm(before.since, now, heard)
        case "owed":
            # The others were not told anything now: their reminder comes when it would have.
            told = before.told if before.heard else now
            alarms[message.key] = Alarm(before.since, told, (*before.heard, *heard))
        case "recovered" | "owed recovery":
            alarms.pop(message.key, None)
            if missed.intersection(message.to):
                known = before.heard if message.kind == "owed recovery" else ()
                alarms[message.key] = Alarm(before.since, before.told, (*known, *heard), False)


_CHANGING = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"  # a UUID
    r"|\b(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{8,}\b"  # another id
    r"|\b\d+(?:[.:]\d+)*\b",  # a figure or a time
    re.IGNORECASE,
)


def without_ids(reason: str) -> str:
    """A reason without what changes each time it is given: ids of requests, figures, times.

    Example:
        >>> without_ids("quota reached (request 0d3b9a52-7c7e-4a30-9d0a-1f2e3d4c5b6a)")
        'quota reached (request )'
    """
    return _CHANGING.sub("", reason)


def forget_earlier(alarms: MutableMapping[str, Alarm], keys: Iterable[str], now: datetime) -> None:
    """Forget of lines that are news now what was told of them long before; it was other news.

    What was told just before stays: a run that was cut off has told it.
    """
    for key in keys:
        alarm = alarms.get(key)
        if alarm is not None and alarm.heard and now - alarm.told > _JUST:
            del alarms[key]


def forget_others(alarms: MutableMapping[str, Alarm], keys: Iterable[str]) -> bool:
    """Forget the lines that nobody draws any more; whether there were any."""
    others = alarms.keys() - set(keys)
    for key in others:
        del alarms[key]
    return bool(others)
