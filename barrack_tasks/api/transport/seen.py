"""What a client has seen: the ground for telling what is new from what was there before."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class ListMemory:
    """What this client has seen in lists, and what it has made. Safe to share between threads.

    Things are kept by the list that shows them and their id, and when that list was last read to
    its end is kept with them.
    """

    KEPT = 200_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: dict[tuple[str, str], int] = {}
        self._made: set[tuple[str, str]] = set()
        self._count = 0
        self._whole: dict[str, float] = {}
        self._turns: dict[str, threading.Lock] = {}
        self.heard_at = float("-inf")
        """When the latest answer came."""

    @property
    def mark(self) -> int:
        """A place in the order of what is seen; see `was_there`."""
        return self._count

    def note(self, kind: str, ids: Iterable[str], *, made: bool = False) -> None:
        """Keep the ids of things that the list `kind` shows, or that were just made."""
        with self._lock:
            self._count += 1
            for id_ in ids:
                self._first.setdefault((kind, id_), self._count)
                if made:
                    self._made.add((kind, id_))
            while len(self._first) > self.KEPT:
                oldest = next(iter(self._first))
                del self._first[oldest]
                self._made.discard(oldest)

    def note_whole(self, kind: str, moment: float) -> None:
        """The list was read to its end; reading began at that moment."""
        with self._lock:
            self._whole[kind] = max(moment, self._whole.get(kind, moment))

    def whole_since(self, kind: str) -> float:
        """When the latest complete reading of a list began."""
        return self._whole.get(kind, float("-inf"))

    def turn(self, kind: str) -> threading.Lock:
        """Held by the one thread that reads a list so that the others need not."""
        with self._lock:
            return self._turns.setdefault(kind, threading.Lock())

    def was_there(self, kind: str, id_: str, mark: int) -> bool:
        """Whether a thing was seen before the mark, or is the result of another request."""
        with self._lock:
            key = (kind, id_)
            return key in self._made or self._first.get(key, mark + 1) <= mark
