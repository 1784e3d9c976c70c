"""A clock that can run fast, and that can be put forward."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
"""Microseconds in a second."""
MINUTE = 60 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """A zone-aware moment as whole microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_datetime(micros: int) -> datetime:
    """Microseconds since 1970 as a moment in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


class Clock:
    """The sandbox's time.

    Moments are whole microseconds since 1970: sums of floats would put a moment on the wrong side
    of a full minute, and billing counts full minutes.

    Args:
        start: the moment to begin at, zone-aware; now, if not given.
        speed: sandbox seconds per real second. 0 stands still until it is put forward.
        monotonic: source of real seconds.

    Raises:
        ValueError: a negative speed, or a start without a zone.

    Example:
        >>> clock = Clock(speed=0)
        >>> before = clock.now()
        >>> clock.advance(90)
        >>> (clock.now() - before).total_seconds()
        90.0
    """

    def __init__(
        self,
        start: datetime | None = None,
        speed: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        start = datetime.now(UTC) if start is None else start
        if start.tzinfo is None:
            raise ValueError("start must be zone-aware, for example datetime.now(UTC)")
        self._monotonic = monotonic
        self._base = to_micros(start)
        self._since = monotonic()
        self._speed = 0.0
        self.set_speed(speed)

    @property
    def speed(self) -> float:
        """Sandbox seconds per real second."""
        return self._speed

    def micros(self) -> int:
        """Now, in microseconds since 1970."""
        real = self._monotonic() - self._since
        return self._base + int(real * self._speed * SECOND)

    def now(self) -> datetime:
        """Now, in UTC."""
        return to_datetime(self.micros())

    def advance(self, seconds: float) -> None:
        """Put the clock forward.

        Raises:
            ValueError: a negative number; time does not run back.
        """
        if not 0 <= seconds <= 10 * 366 * 86400:
            raise ValueError(f"advance must be between 0 seconds and ten years, got {seconds}")
        self._base += round(seconds * SECOND)

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on.

        Raises:
            ValueError: negative, or faster than a million.
        """
        if not 0 <= speed <= 1_000_000:
            raise ValueError(f"speed must be between 0 and 1000000, got {speed}")
        self._base, self._since = self.micros(), self._monotonic()
        self._speed = speed
