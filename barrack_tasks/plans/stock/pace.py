"""How often to look at the stock: fast while it moves, slowly at night, never in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from barrack_tasks.plans.timetable import Timetable

LEAST_INTERVAL = timedelta(seconds=1)
_FAST_FOR = timedelta(minutes=10)
_FASTER = 4
_SLOWER = 10
_JITTER = 0.2


@dataclass
class Pace:
    """The interval between looks.

    Args:
        interval: between two looks, as a rule; a second or more.
        per_second: no more looks a second than this; None for no limit.
        quiet: while this timetable is on, a tenth as often.
        dice: a number in [0, 1), anew each time.
    """

    interval: timedelta
    dice: Callable[[], float]
    per_second: float | None = None
    quiet: Timetable | None = None
    _moved: datetime | None = None

    def __post_init__(self) -> None:
        if self.interval < LEAST_INTERVAL:
            seconds = self.interval.total_seconds()
            raise ValueError(f"the interval must be 1 s or more, and is {seconds:g} s")

    def next_wait(self, moved: bool, now: datetime) -> float:
        """Seconds until the next look. `moved` is whether the last look showed anything new."""
        if moved:
            self._moved = now
        seconds = self.interval.total_seconds()
        if self._moved is not None and now - self._moved < _FAST_FOR:
            seconds /= _FASTER
        elif self.quiet is not None and self.quiet.is_on(now):
            seconds *= _SLOWER
        seconds *= 1 + _JITTER * (2 * self.dice() - 1)
        least = 1 / self.per_second if self.per_second else 0.0
        return max(seconds, least)
