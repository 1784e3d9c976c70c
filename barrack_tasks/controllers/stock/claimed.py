"""What watchers claimed and nobody was told of yet: in one run, or where every run sees it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol

from barrack_tasks.api.models import UserVM
from barrack_tasks.controllers.expiry import Ends
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.making import NOTHING_CAME, Making
from barrack_tasks.plans.stock.announcing import Claimed
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.withdrawing import Notes
from barrack_tasks.server.variables import Records, key_of_id

Log = logging.Logger | logging.LoggerAdapter[Any]


class ClaimsToTell(Protocol):
    """What was claimed and nobody was told of yet."""

    def asking(self, requests: Sequence[Making], ids: Mapping[str, str], now: datetime) -> None:
        """Note requests before they are sent; ids, by name, of what exists and is brought back."""

    def refused(self, name: str) -> None:
        """Note that a request surely came to nothing."""

    def add(self, id_: str, name: str, now: datetime) -> None:
        """Note that a request was accepted."""

    def with_id(self, one: Claimed, instances: Sequence[UserVM], cloud_now: datetime) -> Claimed:
        """The same, with its id if one of these surely is what a run that was cut off asked for."""

    def waiting(self) -> list[Claimed]:
        """What was claimed and is not announced yet."""

    def take(self, one: Claimed) -> bool:
        """Whether it is this run's to announce. Done with once it is taken."""


class OwnLedger:
    """What one watcher claimed, for itself alone."""

    def __init__(self) -> None:
        self._waiting: dict[str, Claimed] = {}

    def asking(self, requests: Sequence[Making], ids: Mapping[str, str], now: datetime) -> None:
        """Note requests before they are sent: what is gone with this run needs no note."""

    def refused(self, name: str) -> None:
        """Note that a request surely came to nothing."""

    def with_id(self, one: Claimed, instances: Sequence[UserVM], cloud_now: datetime) -> Claimed:
        """The same: whatever is here has its id."""
        return one

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

    Each request is noted before it is sent, and with it when what it makes ends.

    Args:
        account: see `BarrackCredentials.account`.
        ends: of what is claimed.
        hold: of the run.
        log: of the run.
    """

    account: str
    ends: Ends
    hold: Hold
    log: Log
    _unwritten: list[Claimed] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def asking(self, requests: Sequence[Making], ids: Mapping[str, str], now: datetime) -> None:
        """Note requests before they are sent; ids, by name, of what exists and is brought back."""
        self.ends.note(requests, ids)
        claimed = [self._claimed("", by.name, now, by) for by in requests]
        written = {one.key: [*_written(one), self.hold.attempt] for one in claimed}
        self._notes.put(written, lambda key, _: written[key])

    def refused(self, name: str) -> None:
        """Note that a request surely came to nothing; see `Notes.withdraw`."""
        with self._lock:
            try:
                self.ends.not_made(name, lease_keys.claim(name))
                self._notes.withdraw(Claimed("", name, _moment(0)).key, lease_keys.claim(name))
            except Exception as error:  # noqa: BLE001 - a note that stays does no harm
                self.log.warning("a failed claim stays on record for a day: %s", error)

    def add(self, id_: str, name: str, now: datetime) -> None:
        """Note that a request was accepted."""
        with self._lock:
            self._unwritten.append(self._claimed(id_, name, now))
        self._write()

    def with_id(self, one: Claimed, instances: Sequence[UserVM], cloud_now: datetime) -> Claimed:
        """The same, with its id if one of these surely is what a run that was cut off asked for.

        What no list has shown for a day is forgotten: nothing came of it.
        """
        by = one.by
        if by is None or self.hold.claim({lease_keys.claim(one.name): one.name}):
            return one  # the run that asks for it lives
        made = next((i.id for i in instances if by.has_made(i)), "")
        with Records(self._prefix) as records:
            if made:
                records.put(key_of_id(made), _written(replace(one, id=made, by=None)))
            if made or cloud_now >= by.asked + NOTHING_CAME:
                records.drop(key_of_id(one.key))
        return replace(one, id=made, by=None) if made else one

    def waiting(self) -> list[Claimed]:
        """What any run claimed and none announced yet; what cannot be read is left out."""
        self._write()
        found = []
        with Records(self._prefix) as records:
            for written in records.all().values():
                with suppress(TypeError, ValueError):
                    found.append(_read(written))
        return sorted(found, key=lambda one: (one.at, one.key))

    def take(self, one: Claimed) -> bool:
        """Whether it is this run's to announce: no other run announces it, or has done so."""
        if self.hold.claim({lease_keys.announcement(one.id): one.name}):
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
                self.log.error("the claim cannot be recorded, and the run tries again: %s", error)

    def _write_one(self, one: Claimed) -> None:
        self.ends.made(one.name, one.id)
        with Records(self._prefix) as records:
            records.put(key_of_id(one.id), _written(one))
            records.drop(key_of_id(replace(one, id="").key))
        self._notes.settled(replace(one, id="").key)

    @cached_property
    def _notes(self) -> Notes:
        return Notes(self._prefix, self.hold)

    def _claimed(self, id_: str, name: str, now: datetime, by: Making | None = None) -> Claimed:
        span = self.ends.span
        return Claimed(id_, name, now, None if span is None else now + span, self.ends.how, by)

    @property
    def _prefix(self) -> str:
        return f"barrack_claimed_{self.account}_"


def _written(one: Claimed) -> list[Any]:
    ends = None if one.ends is None else int(one.ends.timestamp())
    done = [one.id, one.name, int(one.at.timestamp()), ends, one.how]
    return done if one.by is None else [*done, one.by.written()]


def _read(written: Any) -> Claimed:
    id_, name, at, ends, how, *by = written
    request = Making.read(name, by[0]) if by else None
    return Claimed(id_, name, _moment(at), None if ends is None else _moment(ends), how, request)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
