"""How fast and how many at once the client sends, and how often it may try again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def elapsed() -> float:
    """Seconds that go on while the machine sleeps, unlike `time.monotonic` on some systems."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


class TooLate(Exception):
    """The turn would come after the deadline."""


class Pacer:
    """Spaces requests evenly under a rate, caps how many are under way, and honours pauses.

    A pause asked for by one answer (`Retry-After`) holds for every thread that shares the
    client, also for those that wait for their turn already: one refusal is enough to know.
    """

    def __init__(
        self,
        requests_per_second: float | None,
        max_concurrency: int,
        clock: Callable[[], float] = elapsed,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / requests_per_second if requests_per_second else 0.0
        self._slots = threading.BoundedSemaphore(max_concurrency)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_free = clock()
        self._paused_until = clock()
        self._paused = 0.0
        """Seconds of pauses so far: by so much all turns that wait are put off."""

    @contextmanager
    def turn(self, deadline: float = float("inf")) -> Iterator[None]:
        """Wait for a turn and hold a slot while the request is under way.

        Raises:
            TooLate: the turn would not come before the deadline; nothing is held.
        """
        patience = deadline - self._clock()
        # A semaphore takes no wait longer than this; a thread that waits so long waits for ever.
        if not self._slots.acquire(timeout=min(max(patience, 0.0), threading.TIMEOUT_MAX)):
            raise TooLate
        try:
            self._wait_for_turn(deadline)
            yield
        finally:
            self._slots.release()

    def _wait_for_turn(self, deadline: float) -> None:
        with self._lock:
            start = max(self._clock(), self._next_free)
            if start >= deadline:
                raise TooLate
            self._next_free = start + self._gap
            paused_before = self._paused
        while True:
            with self._lock:
                due = start + self._paused - paused_before
            if due >= deadline:
                raise TooLate
            delay = due - self._clock()
            if delay <= 0:
                return
            self._sleep(delay)

    def pause(self, seconds: float) -> None:
        """Send nothing more for so long."""
        with self._lock:
            now = self._clock()
            longer = now + seconds - max(now, self._paused_until)
            if longer > 0:
                self._paused += longer
                self._paused_until = now + seconds
                self._next_free = max(self._next_free + longer, self._paused_until)


class RetryBudget:
    """Bounds retries over all calls of a client, so that an outage is not answered by a storm.

    Each retry takes one token, each success gives a fraction back, up to the capacity.
    """

    def __init__(self, capacity: float = 200.0, refund: float = 0.5) -> None:
        self._capacity = capacity
        self._refund = refund
        self._tokens = capacity
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a token for a retry; False if none is left."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True

    def give_back(self) -> None:
        """Note a success."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + self._refund)
