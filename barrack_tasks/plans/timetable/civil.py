"""From local civil time to moments, where clocks are moved.

Two questions about a local time, answered for every zone and every change of its clocks:

- `first_moment`: when do the clocks first show it or more? An instance is restored then.
- `last_moment`: until when do the clocks show less? An instance is hibernated then.

On an ordinary day the two are the same moment. Of a time that occurs twice the first question
gives the first occurrence and the second the last, so that no hour that was asked for is ever
slept through; but if clocks go back to just that time (03:00 to 02:00, and it is 02:00), nothing
earlier is shown after the first, and both give that. A time that is skipped has the moment of the
change in both cases: the first moment that exists after the gap.

Pendulum answers neither question. Of a time that is skipped it adds the gap, so that 02:30 becomes
03:30, half an hour after the change; where clocks go back to 02:00 it takes the second 02:00; and
its arithmetic costs 20 to 1,000 times as much, which a fleet of 10,000 instances would feel.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_SECOND = timedelta(seconds=1)
_DAY, _NONE = timedelta(days=1), timedelta(0)


def first_day(since: datetime, after_midnight: timedelta) -> int:
    """A day, as a number, before which this time of day was over by then in every zone."""
    try:
        # Offsets are less than a day.
        return max(2, (since - after_midnight - _DAY).toordinal() + 1)
    except OverflowError:
        return 2


def first_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which clocks in the zone show this naive time or a later one."""
    earlier, later = _both(wall, zone)
    return earlier if earlier <= later else _after_gap(wall, zone, later, earlier)


def last_moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment after which clocks in the zone never again show less than this naive time."""
    earlier, later = _both(wall, zone)
    if earlier == later:
        return later
    if earlier > later:
        return _after_gap(wall, zone, later, earlier)
    just_before = (later - _SECOND).astimezone(zone).replace(tzinfo=None)
    return later if just_before < wall else earlier


def _both(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The moment by the offset before a change and by the one after it; mostly one and the same.

    In the order of time where the hour occurs twice, and against it where it is skipped.
    """
    before = wall.replace(tzinfo=zone).utcoffset() or _NONE
    after = wall.replace(tzinfo=zone, fold=1).utcoffset() or _NONE
    plain = wall.replace(tzinfo=UTC)
    moment = plain - before
    return moment, moment if before == after else plain - after


def _after_gap(wall: datetime, zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The moment of the change that skips this naive time, to the second."""
    return first_second(
        low, high, lambda moment: moment.astimezone(zone).replace(tzinfo=None) >= wall
    )


def first_second(low: datetime, high: datetime, is_so: Callable[[datetime], bool]) -> datetime:
    """The first whole second after `low`, and `high` at the latest, from which on it is so."""
    seconds = range(1, (high - low) // _SECOND)
    return low + (1 + bisect_left(seconds, True, key=lambda s: is_so(low + s * _SECOND))) * _SECOND
