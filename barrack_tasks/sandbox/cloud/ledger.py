"""What happened, and what was asked: the sandbox's memory, for tests to judge by."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

CLOCK = "clock"
"""The operation of effects that time brought about."""
PERSON = "person"
"""The operation of effects that someone brought about past the API."""


@dataclass(frozen=True)
class Effect:
    """One change of the world. `time` is the sandbox's, ISO 8601."""

    time: str
    operation: str
    kind: str
    id: str
    name: str
    detail: str
    request_id: str | None


@dataclass
class LoggedRequest:
    """One request. `status` is None when no answer left the server."""

    time: str
    request_id: str
    method: str
    path: str
    operation: str | None
    parameters: dict[str, str]
    query: dict[str, str]
    body: Any = None
    status: int | None = None
    fault: str | None = None


class Ledger:
    """Effects in order, append only."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self.by: tuple[str, str | None] = (CLOCK, None)
        """Operation and request id that effects are put down to."""

    def __len__(self) -> int:
        return len(self._effects)

    def record(self, time: str, kind: str, id_: str, name: str, detail: str) -> None:
        """Append an effect."""
        operation, request_id = self.by
        self._effects.append(Effect(time, operation, kind, id_, name, detail, request_id))

    def dump(self) -> list[dict[str, Any]]:
        """All effects as JSON values."""
        return [dict(vars(effect)) for effect in self._effects]


class RequestLog:
    """The latest requests, and counters of all of them."""

    KEPT = 200_000

    def __init__(self) -> None:
        self.entries: deque[LoggedRequest] = deque(maxlen=self.KEPT)
        self.by_operation: Counter[str] = Counter()
        self.total = 0
        self.peak_per_second = 0
        self._last_second: deque[float] = deque()

    def add(self, asked: LoggedRequest, real: float) -> None:
        """Count and keep a request that came at a real moment, in seconds of any clock."""
        self.entries.append(asked)
        self.total += 1
        self.by_operation[asked.operation or "unknown"] += 1
        window = self._last_second
        window.append(real)
        while real - window[0] >= 1:
            window.popleft()
        self.peak_per_second = max(self.peak_per_second, len(window))

    def dump(self) -> list[dict[str, Any]]:
        """The requests as JSON values."""
        return [dict(vars(asked)) for asked in self.entries]

    def counters(self) -> dict[str, Any]:
        """How many, of what, and the most that came within one real second."""
        return {
            "total": self.total,
            "by_operation": dict(self.by_operation),
            "peak_per_second": self.peak_per_second,
        }
