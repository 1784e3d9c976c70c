"""How fast and how many at once the client sends, and how often it may try again."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def elapsed() -> float:
    """Seconds that go on while the machine sleeps, unlike `time.monotonic` on some systems."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


class TooLate(Exception):
    """The turn would come after the deadline."""


@dataclass(eq=False)
class _Turn:
    """When a request may go out, as long as nothing puts it off."""

    due: float
    is_read: bool


class Pacer:
    """Spaces requests evenly under a rate, caps how many are under way, and honours pauses.

    A pause asked for by one answer (`Retry-After`) holds for every thread that shares the
    client, also for those that wait for their turn already: one refusal is enough to know.

    Reads go first: one takes the next slot that becomes free, and under a rate every other turn.
    What changes something never fills all slots, so that a look is possible however long its
    answers take. Rate and cap hold over all of them together.
    """

    def __init__(
        self,
        requests_per_second: float | None,
        max_concurrency: int,
        clock: Callable[[], float] = elapsed,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / requests_per_second if requests_per_second else 0.0
        self._slots = _Slots(max_concurrency)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_free = clock()
        self._paused_until = clock()
        self._waiting: list[_Turn] = []

    @contextmanager
    def turn(self, deadline: float = float("inf"), is_read: bool = False) -> Iterator[None]:
        """Wait for a turn and hold a slot while the request is under way.

        Args:
            deadline: when it is too late, by the clock.
            is_read: whether the request changes nothing.

        Raises:
            TooLate: the turn would not come before the deadline; nothing is held.
        """
        patience = deadline - self._clock()
        # A lock takes no wait longer than this; a thread that waits so long waits for ever.
        if not self._slots.acquire(is_read, min(max(patience, 0.0), threading.TIMEOUT_MAX)):
            raise TooLate
        try:
            self._wait_for_turn(deadline, is_read)
            yield
        finally:
            self._slots.release(is_read)

    def _wait_for_turn(self, deadline: float, is_read: bool) -> None:
        with self._lock:
            turn = self._line_up(deadline, is_read)
        try:
            while True:
                with self._lock:
                    due = turn.due
                if due >= deadline:
                    raise TooLate
                delay = due - self._clock()
                if delay <= 0:
                    return
                self._sleep(delay)
        finally:
            with self._lock:
                self._waiting.remove(turn)

    def _line_up(self, deadline: float, is_read: bool) -> _Turn:
        now = self._clock()
        due = max(now, self._next_free)
        if is_read and self._gap and due > now:
            due = min(due, self._before_changes(now))
        if due >= deadline:
            raise TooLate
        for other in self._waiting:
            if other.due > due - self._gap / 2:
                other.due += self._gap
        self._next_free = max(self._next_free, due) + self._gap
        turn = _Turn(due, is_read)
        self._waiting.append(turn)
        return turn

    def _before_changes(self, now: float) -> float:
        """The first turn that a read can have: between two that change something."""
        # The turn of this very moment is given away.
        earliest = max(now + self._gap / 1000, self._paused_until)
        for other in self._waiting:
            if other.is_read:
                earliest = max(earliest, other.due + 2 * self._gap)
        # Turns that are given away lie side by side up to the first free one.
        back = max(0, int((self._next_free - earliest) / self._gap + 1e-6))
        return self._next_free - back * self._gap

    def pause(self, seconds: float) -> None:
        """Send nothing more for so long."""
        with self._lock:
            now = self._clock()
            longer = now + seconds - max(now, self._paused_until)
            if longer > 0:
                for turn in self._waiting:
                    turn.due += longer
                self._paused_until = now + seconds
                self._next_free = max(self._next_free + longer, self._paused_until)


class _Slots:
    """Slots that reads get before all others, and that others never fill."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._for_changes = count - max(1, count // 16) if count > 1 else count
        self._lock = threading.Lock()
        self._reads: deque[threading.Lock] = deque()
        self._changes: deque[threading.Lock] = deque()

    def acquire(self, is_read: bool, timeout: float) -> bool:
        """Take a slot; False if none became free within so many seconds."""
        line = self._reads if is_read else self._changes
        gate = threading.Lock()
        gate.acquire()
        with self._lock:
            line.append(gate)
            self._let_in()
        if gate.acquire(timeout=timeout):
            return True
        with self._lock:
            if gate in line:
                line.remove(gate)
                return False
        return True  # it was let in at the last moment

    def release(self, is_read: bool) -> None:
        """Give a slot back."""
        with self._lock:
            self._free += 1
            if not is_read:
                self._for_changes += 1
            self._let_in()

    def _let_in(self) -> None:
        while self._free and (self._reads or (self._changes and self._for_changes)):
            self._free -= 1
            if self._reads:
                self._reads.popleft().release()
            else:
                self._for_changes -= 1
                self._changes.popleft().release()


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
