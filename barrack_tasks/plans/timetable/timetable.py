"""When an instance should be up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import dropwhile
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from barrack_tasks.api.models.times import EVER, FOREVER, Day, Moment, read_day, read_moment
from barrack_tasks.plans.timetable.advice import advice
from barrack_tasks.plans.timetable.boundaries import (
    Boundary,
    Window,
    Wish,
    boundaries_from,
    is_always,
)
from barrack_tasks.plans.timetable.dates import Dates
from barrack_tasks.plans.timetable.errors import TimetableError
from barrack_tasks.plans.timetable.grammar import read
from barrack_tasks.plans.timetable.rules import LAST_DAY, Constant, Rule, Weekly

_DAYS_BACK = (4, 32, 400, 9 * 366, 60 * 366, LAST_DAY)
_EARLIEST = datetime(2, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False, repr=False)
class Timetable:
    """When an instance should be up, as a sequence of boundaries: from a moment on, up or down.

    Several rules are a union: an instance is wanted up if one of them wants it up.

    | text | meaning |
    | --- | --- |
    | `Mon-Fri 08:00-20:00 Europe/Berlin` | windows; days wrap around: `Sun-Thu`, `Sat,Mon-Wed` |
    | `Fri 22:00-06:00 UTC` | over midnight; belongs to the day on which it begins |
    | `Sat 20:00-24:00 UTC` | up to the end of the day |
    | `Mon-Fri -22:00 UTC` | one-sided: only hibernate then, and leave the morning to people |
    | `Mon-Fri 08:00- UTC` | one-sided: only restore then |
    | `... UTC except 2026-12-24, 2026-12-27..2026-12-31, 01-01` | on these local dates, the last \
one every year, no window begins; for all rules at once write `; except ...` at the end |
    | `2026-12-24T08:00+01:00-2026-12-26T20:00+01:00` | once; without offsets a zone follows |
    | `2026-12-24-2026-12-26 Europe/Berlin` | whole days, both included |
    | `always`, `never` | |

    Rules are separated by commas or semicolons; a range of dates after an exception needs the
    semicolon. Names of days and zones may be written in any case.

    Where clocks are moved: a window lasts from the first moment at which they show a time in it
    to the last. So a time that occurs twice restores at its first occurrence and hibernates at
    its last, and no wanted hour is slept through; but where clocks go back to just the time of
    the end, nothing wanted comes after the first. A time that is skipped is the first moment
    after the gap, and a window that is skipped whole does not occur.

    One-sided rules say nothing about what happens between their moments, so the last boundary
    decides. Inside a window of another rule they have no effect; where up and down meet in one
    moment it is up.

    Moments that are given are datetimes or pendulum's, or ISO 8601, and must have a time zone; a
    day stands for its beginning in UTC. Those returned are in UTC, since datetimes in one zone
    that moves its clocks neither compare nor subtract by the time that passes.

    Example:
        >>> timetable = Timetable.parse("Mon-Fri 08:00-20:00 Europe/Berlin")
        >>> timetable.is_on(datetime(2026, 11, 25, 12, tzinfo=UTC))
        True
        >>> timetable.next_change(datetime(2026, 11, 25, 12, tzinfo=UTC)).isoformat()
        '2026-11-25T19:00:00+00:00'
    """

    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, text: str) -> Timetable:
        """Read a timetable.

        Raises:
            TimetableError: the text cannot be read; a ValueError that marks the place.
        """
        if not isinstance(text, str):
            raise TimetableError(f"a timetable is a text, not {text!r}", repr(text), 0, 1)
        return cls(read(text))

    def is_on(self, moment: Moment) -> bool:
        """Whether the instance should be up at the moment: whether the wish is up.

        Where there is no wish at all, which takes one-sided rules alone and no boundary before,
        this is True: a machine that is not meant to sleep may have somebody's work in it.

        Raises:
            ValueError: the moment has no time zone.
        """
        return self.wish(moment) is not Wish.DOWN

    def wish(self, moment: Moment) -> Wish | None:
        """What is wanted at the moment: up inside a window, else what the last boundary says.

        Before the first boundary it is down if there is a window or `never` among the rules, and
        None if all of them are one-sided.

        Raises:
            ValueError: the moment has no time zone.
        """
        moment = read_moment(moment)
        if self._in_a_window(moment):
            return Wish.UP
        if self._marking:
            last = self._last(moment)
            if last is not None:
                return last.wish
            if len(self._marking) == len(self.rules):
                return None
        return Wish.DOWN

    def next_change(self, after: Moment) -> datetime | None:
        """The moment of the first boundary after this moment; None if there is none.

        With windows alone `is_on` changes there. A one-sided rule has a boundary whenever it
        acts, though the wish may stay the same: `Mon-Fri -22:00 UTC` hibernates every evening.
        Windows that join without a break for ten years and more may count as endless.

        Raises:
            ValueError: the moment has no time zone.
        """
        after = read_moment(after)
        for boundary in self._from(after):
            if boundary.moment > after:
                return boundary.moment
        return None

    def previous_change(self, moment: Moment) -> datetime | None:
        """The moment of the last boundary at or before this moment; None if there is none."""
        last = self.last_boundary(moment)
        return last.moment if last else None

    def last_boundary(self, moment: Moment) -> Boundary | None:
        """The last boundary at or before this moment; None if there is none.

        Raises:
            ValueError: the moment has no time zone.
        """
        return self._last(read_moment(moment))

    def boundaries(self, start: Moment, end: Moment) -> Iterator[Boundary]:
        """Boundaries from `start` up to, but without, `end`, in the order of time.

        Raises:
            ValueError: a moment has no time zone, or `end` is before `start`.
        """
        first, last = _in_order(start, end)
        return self._between(first, last)

    def windows(self, start: Moment, end: Moment) -> Iterator[Window]:
        """The times from `start` to `end` in which `is_on`, cut off at both, in the order of time.

        Raises:
            ValueError: a moment has no time zone, or `end` is before `start`.
        """
        first, last = _in_order(start, end)
        return self._windows(first, last)

    def duration_on(self, start: Moment, end: Moment) -> timedelta:
        """How long it is on from `start` to `end`, in time that passes (and is billed).

        Raises:
            ValueError: a moment has no time zone, or `end` is before `start`.
        """
        return sum((w.end - w.start for w in self.windows(start, end)), timedelta(0))

    def warnings(self, now: Moment) -> tuple[str, ...]:
        """Sentences about what can be read but is hardly meant, such as a window in the past.

        Raises:
            ValueError: the moment has no time zone.
        """
        return advice(self.rules, read_moment(now))

    def without(self, dates: Iterable[Day]) -> Timetable:
        """The same with more exceptions for all weekly rules: the holidays of a calendar, say.

        Example:
            >>> timetable = Timetable.parse("Mon-Fri 08:00-20:00 UTC")
            >>> str(timetable.without([date(2027, 5, 3)]))
            'Mon-Fri 08:00-20:00 UTC except 2027-05-03'
        """
        out = Dates.of((day, day) for day in map(date.toordinal, map(read_day, dates)))
        return Timetable(
            tuple(
                replace(rule, exceptions=rule.exceptions | out)
                if isinstance(rule, Weekly)
                else rule
                for rule in self.rules
            )
        )

    def is_one_sided(self, boundary: Boundary) -> bool:
        """Whether a boundary comes of a one-sided rule alone: it asks for something once.

        After one that opens or closes a window the timetable goes on to want what it wants.
        """
        if not self._marking:
            return False
        windows = boundaries_from(self._windowed, (), boundary.moment)
        after = dropwhile(lambda one: one.moment < boundary.moment, windows)
        return next(after, None) != boundary

    @property
    def zones(self) -> tuple[str, ...]:
        """The time zones named in it, each once. `zones` tells of their data."""
        named = (None if isinstance(rule, Constant) else rule.zone for rule in self.rules)
        return tuple(dict.fromkeys(zone for zone in named if zone))

    def __str__(self) -> str:
        text = ""
        for rule in self.rules:
            text += str(rule)
            text += "; " if isinstance(rule, Weekly) and rule.exceptions else ", "
        return text[:-2]

    def __repr__(self) -> str:
        return f"Timetable.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Equal are timetables of the same rules, in whatever order and writing."""
        if not isinstance(other, Timetable):
            return NotImplemented
        return frozenset(self.rules) == frozenset(other.rules)

    def __hash__(self) -> int:
        return hash(frozenset(self.rules))

    @cached_property
    def _windowed(self) -> tuple[Rule, ...]:
        if is_always(self.rules):
            return (Constant(True),)
        return tuple(r for r in self.rules if not (isinstance(r, Weekly) and r.one_sided))

    @cached_property
    def _marking(self) -> tuple[Weekly, ...]:
        return tuple(r for r in self.rules if isinstance(r, Weekly) and r.one_sided)

    def _in_a_window(self, moment: datetime) -> bool:
        for rule in self._windowed:
            for start, end in rule.windows(moment):
                if start > moment:
                    break
                if moment < end:
                    return True
        return False

    def _from(self, moment: datetime) -> Iterator[Boundary]:
        return boundaries_from(self._windowed, self._marking, moment)

    def _between(self, start: datetime, end: datetime) -> Iterator[Boundary]:
        for boundary in self._from(start):
            if boundary.moment >= end:
                return
            if boundary.moment >= start:
                yield boundary

    def _last(self, moment: datetime) -> Boundary | None:
        until = _plus(moment, timedelta(microseconds=1))
        for days in _DAYS_BACK:
            since = max(_EARLIEST, _plus(moment, timedelta(days=-days)))
            newest = deque(self._between(since, until), maxlen=1)
            if newest:
                return newest[0]
            until = since
        return None

    def _windows(self, start: datetime, end: datetime) -> Iterator[Window]:
        begun = start if self.is_on(start) else None
        for moment, wish in self._between(start, end):
            if wish is Wish.UP:
                begun = begun or moment
            elif begun is not None:
                if begun < moment:
                    yield Window(begun, moment)
                begun = None
        if begun is not None and begun < end:
            yield Window(begun, end)

    @classmethod
    def _validate(cls, value: object) -> Timetable:
        return value if isinstance(value, Timetable) else cls.parse(value)  # type: ignore[arg-type]

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            "type": "string",
            "description": "When an instance should be up",
            "examples": ["Mon-Fri 08:00-20:00 Europe/Berlin", "Fri 22:00-06:00 UTC", "always"],
        }


def _in_order(start: Moment, end: Moment) -> tuple[datetime, datetime]:
    first, last = read_moment(start), read_moment(end)
    if last < first:
        raise ValueError(f"the end {last.isoformat()} is before the start {first.isoformat()}")
    return first, last


def _plus(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment + span
    except OverflowError:
        return FOREVER if span > timedelta(0) else EVER
