"""What watchers claimed and nobody was told of yet: in one run, or where every run sees it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from barrack_tasks.expiring import add_expiries
from barrack_tasks.plans.expiring import Expiry
from barrack_tasks.plans.stock.announcing import Claimed
from barrack_tasks.records import Records, key_of_id

Log = logging.Logger | logging.LoggerAdapter[Any]


class Ledger(Protocol):
    """What was claimed and nobody was told of yet."""

    def add(self, id_: str, name: str, now: datetime) -> None:
        """Note that a request was accepted."""

    def waiting(self) -> list[Claimed]:
        """What was claimed and is not announced yet."""

    def take(self, one: Claimed) -> bool:
        """Whether it is this run's to announce. Done with once it is taken."""


class OwnLedger:
    """What one watcher claimed, for itself alone."""

    def __init__(self) -> None:
        self._waiting: dict[str, Claimed] = {}

    def add(self, id_: str, name: str, now: datetime) -> None:
        """Note that a request was accepted."""
        self._waiting[id_] = Claimed(id_, name, now)

    def waiting(self) -> list[Claimed]:
        """What was claimed and is not announced yet."""
        return list(self._waiting.values())

    def take(self, one: Claimed) -> bool:
        """Whether it is this run's to announce. Done with once it is taken."""
        return self._waiting.pop(one.id, None) is not None


@dataclass
class SharedLedger:
    """What the watchers of an account claimed: announced by whichever run looks next.

    Args:
        account: see `BarrackCredentials.account`.
        expires: what is claimed ends after so long; None for never.
        on_expiry: `hibernate` or `delete`.
        hold: holds keys with their names for this run; gives those that another run holds.
        log: of the run.
    """

    account: str
    expires: timedelta | None
    on_expiry: str
    hold: Callable[[Mapping[str, str]], Mapping[str, str]]
    log: Log
    _unwritten: list[Claimed] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, id_: str, name: str, now: datetime) -> None:
        """Note it, and when it ends, before anything else: this run may not live to see it up."""
        ends = None if self.expires is None else now + self.expires
        with self._lock:
            self._unwritten.append(Claimed(id_, name, now, ends, self.on_expiry))
        self._write()

    def waiting(self) -> list[Claimed]:
        """What any run claimed and none announced yet; what cannot be read is left out."""
        self._write()
        found = []
        with Records(self._prefix) as records:
            for written in records.all().values():
                with suppress(TypeError, ValueError):
                    id_, name, at, ends, how = written
                    found.append(Claimed(id_, name, _moment(at), ends and _moment(ends), how))
        return sorted(found, key=lambda one: (one.at, one.id))

    def take(self, one: Claimed) -> bool:
        """Whether it is this run's to announce: no other run announces it, or has done so."""
        if self.hold({f"announce:{one.id}": one.name}):
            return False
        with Records(self._prefix) as records:
            # Another run may have held it, announced it and let go since it was read.
            if f"{self._prefix}{key_of_id(one.id)}" not in records.all():
                return False
            records.drop(key_of_id(one.id))
        return True

    def _write(self) -> None:
        with self._lock:
            try:
                while self._unwritten:
                    self._write_one(self._unwritten[0])
                    del self._unwritten[0]
            except Exception as error:  # noqa: BLE001 - what is paid for must not be lost to it
                self.log.error("what was claimed cannot be noted, and is tried again: %s", error)

    def _write_one(self, one: Claimed) -> None:
        if one.ends is not None:
            add_expiries(self.account, [Expiry(one.id, one.name, one.ends, one.how)])
        ends = None if one.ends is None else int(one.ends.timestamp())
        with Records(self._prefix) as records:
            at = int(one.at.timestamp())
            records.put(key_of_id(one.id), [one.id, one.name, at, ends, one.how])

    @property
    def _prefix(self) -> str:
        return f"barrack_claimed_{self.account}_"


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
