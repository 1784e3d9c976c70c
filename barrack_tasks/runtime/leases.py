"""Locks of runs: who may change which instances, one writer an instance, whatever the fleet.

People read of locks. The code calls them leases, since they run out; the leases by which people
keep machines are in `controllers/leases.py`.

An *attempt* is one process at one run. Each attempt keeps a record of the keys it holds, where
every worker sees it. To claim keys it first writes them into its own record and then reads all
others; what another live record holds as well it takes out of its own again. Two attempts that
claim at the same moment see at least one of each other, so never both hold; they may both step
back, and then try again after a random pause. This costs a handful of requests for any number of
instances.

A record is a lease. It holds for `LEASE` from its last writing, by the Prefect server's clock,
which stamps each one; no worker's clock counts. A lease is claimed, never assumed: an attempt
that was away for longer than its lease, or whose record is not as it wrote it, holds nothing
until it has claimed again. `check` asks that directly before a request is sent, and looks at the
record itself if it was last seen more than a moment ago. What was just claimed is used only once
that moment has passed, so that even an attempt whose record was deleted has noticed it by then.

What is only used, such as a snapshot that is restored, is shared: any number of attempts may
share it at once, and it cannot be claimed while one does, nor shared while another has claimed it.

An attempt that was cut off leaves its record behind. The next one with the same intent claims
that intent and takes up what all such records hold: first it writes it into its own record, then
it puts marks beside the others, which stay as they are: if one of them comes alive again, what it
writes from then on is not covered by its mark. What is inherited stays until it is claimed or
done. An attempt of which is not known whether it lives counts as alive until its lease is over;
only a process that surely has ended on this machine is known at once.
"""

from __future__ import annotations

import contextvars
import json
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from barrack_tasks.api import BarrackNotPermittedError
from barrack_tasks.api.transport.pacing import elapsed
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.making import CLOCKS_DIFFER
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import get_logger
from barrack_tasks.server.processes import born, has_ended, machine
from barrack_tasks.server.variables import MOST_CHARACTERS, Records, Stamped

LEASE = timedelta(seconds=120)
"""So long a record holds; `BARRACK_LOCK_SECONDS` sets another length."""
SEEN_WITHIN = 1.0
"""Seconds for which a look at the own record is relied on, and that a claim takes to settle."""
_LOOK_AFTER = 0.3
_LOOKS = 3
UNWATCHED = timedelta(minutes=10)
"""So long a snapshot that was taken of an instance may have been in nobody's hand."""
_LEAST_LEFT = 1 / 6
"""The part of a lease that must be left for a request to be sent."""
FORGET_AFTER = timedelta(days=2)
_SWEEP_AFTER = timedelta(minutes=3)
_SWEPT_AT_ONCE = 20
_TRIES = 4
_POLL = 1.0
_MOST_MOMENTS = 4
_NAME_LENGTH = 130
_ROOM_OF_REST = 500
"""Characters of a record beside what is held, what is noted of it, and the name of its run."""
_PENDING = "pending:"
_INTENT = "intent:"
_DONE = "done:"

_log = get_logger(__name__)


class LeaseStore(Protocol):
    """Where the records are; `Records` on a Prefect server."""

    def stamped(self) -> dict[str, Stamped]: ...
    def some(self, names: Iterable[str]) -> dict[str, Any]: ...
    def create(self, name: str, value: Any) -> bool: ...
    def put(self, name: str, value: Any) -> None: ...
    def change(self, name: str, value: Any) -> bool: ...
    def drop(self, name: str) -> None: ...


@dataclass(frozen=True)
class Process:
    """Where an attempt runs, as far as others can find out whether it still does."""

    machine: str | None = field(default_factory=machine)
    pid: int = field(default_factory=os.getpid)
    born: str | None = field(default_factory=lambda: born(os.getpid()))

    def knows_ended(self, record: Record) -> bool:
        """Whether the process of a record surely has ended."""
        return self._is_here(record) and has_ended(record.pid, record.born)

    def knows_running(self, record: Record) -> bool:
        """Whether the process of a record surely is there."""
        return self._is_here(record) and not has_ended(record.pid, record.born)

    def _is_here(self, record: Record) -> bool:
        return self.machine is not None and record.machine == self.machine


class Record(BaseModel):
    """What one attempt holds. A long record is spread over several variables."""

    model_config = ConfigDict(frozen=True)

    run: str
    attempt: str = ""
    by: str
    intent: str
    moment: datetime
    until: datetime
    """By the writer's clock; for people, and for releases that judged by it."""
    lease: float = LEASE.total_seconds()
    """Seconds that the record holds from its last writing."""
    machine: str | None = None
    pid: int = 0
    born: str | None = None
    finished: bool = False
    left: bool = False
    """Whether the attempt ended without having done what it was for."""
    written: int = 0
    """Grows with each writing, so that no two are alike."""
    held: dict[str, str]
    """Names by key. What is shared, inherited and not claimed yet, or done is marked in its key."""
    notes: dict[str, tuple[list[int], int | None]] = Field(default_factory=dict)
    """By key: see `Inherited`; moments, and when something was asked for."""

    @property
    def who(self) -> str:
        """The attempt; records of earlier releases name their run instead."""
        return self.attempt or self.run

    @property
    def may_have_made(self) -> bool:
        """Whether something may have been asked for that makes an instance: it never ages."""
        if not self.attempt:  # earlier releases did not tell what was asked from what was reserved
            return any(":" in key for key in self.held)
        return any(asked is not None for _, asked in self.notes.values())


class Mark(BaseModel):
    """Says that what an attempt had written by then was taken up by another."""

    model_config = ConfigDict(frozen=True)

    of: str
    written: int
    taken_by: str


@dataclass(frozen=True)
class Inherited:
    """What an attempt had in hand that was cut off.

    Attributes:
        name: of the instance.
        moments: when the attempts that had it began, the latest last; they name snapshots.
        asked: the cloud's time just before something was asked for that makes an instance of
            this name; None if its name was only reserved.
        unwatched: how long nobody had it in hand, by the Prefect server's clock.
    """

    name: str
    moments: tuple[datetime, ...]
    asked: datetime | None = None
    unwatched: timedelta = timedelta(0)

    @property
    def moment(self) -> datetime:
        """When the last attempt began that had it."""
        return self.moments[-1]

    @property
    def is_fresh(self) -> bool:
        """Whether it was in somebody's hand until a few minutes ago."""
        return self.unwatched <= UNWATCHED


class Hold:
    """What this attempt may change. Made by `holding`.

    Args:
        records: where all attempts keep their records.
        run: id of the run.
        by: what a person calls the run; those who must wait are told.
        intent: what the run is for; None if nothing of it is ever taken up.
        moment: when the attempt begins; it names snapshots.
        lease: how long a record holds.
        fresh: what was left longer ago is not taken up, unless something may have been made.
        clock: seconds that pass, also while the machine sleeps.
        sleep: waits so many seconds.
        pause: a random number of seconds between two.
        process: where this attempt runs.
        attempt: a name that no other attempt ever has.
    """

    def __init__(
        self,
        records: LeaseStore,
        run: str,
        by: str,
        intent: str | None,
        moment: datetime,
        *,
        lease: timedelta = LEASE,
        fresh: timedelta = FORGET_AFTER,
        clock: Callable[[], float] = elapsed,
        sleep: Callable[[float], None] = time.sleep,
        pause: Callable[[float, float], float] = random.uniform,
        process: Process | None = None,
        attempt: str | None = None,
    ) -> None:
        self._records = records
        self._run = run
        self._by = by if len(by) <= _NAME_LENGTH else f"{by[: _NAME_LENGTH - 1]}…"
        self._room = MOST_CHARACTERS - _ROOM_OF_REST - len(json.dumps(self._by))
        self._intent = intent
        self._lease = lease.total_seconds()
        self._fresh = fresh
        self._clock = clock
        self._sleep = sleep
        self._pause = pause
        self._process = process or Process()
        self._attempt = attempt or uuid.uuid4().hex
        self._lock = threading.RLock()
        # These are replaced, never changed in place, so that `check` reads them without a lock.
        self._held: dict[str, str] = {}
        self._settles: dict[str, float] = {}
        self._pending: dict[str, str] = {}
        self._notes: dict[str, Inherited] = {}
        self._written: dict[str, Any] = {}
        self._parts: set[int] = set()
        self._homes: dict[str, int] = {}
        self._writings = 0
        self._until = self._seen_at = self._written_at = float("-inf")
        self._known_since = 0
        self._is_outdated = False
        self.moment = moment
        self.inherited: dict[str, Inherited] = {}
        """What attempts that were cut off had in hand and this one takes up, by key."""
        self.done: dict[str, datetime] = {}
        """When an attempt before, that did the work of this very run, asked for what it made.

        By key, and by the cloud's clock. Prefect repeats a run that it wrongly takes for crashed.
        """
        self.rival: str | None = None
        """Who was at the same when this attempt began, as people call it; None if nobody was."""
        self.claims: Mapping[str, int] = {}
        """By key held: a number that is another after each claim."""

    @property
    def first_moment(self) -> datetime:
        """When the attempt began that this one goes on with; its own beginning, if none."""
        return max((one.moment for one in self.inherited.values()), default=self.moment)

    @property
    def attempt(self) -> str:
        """A name that no other attempt ever has."""
        return self._attempt

    @property
    def is_valid(self) -> bool:
        """Whether what is held may still be relied on, as far as the time tells."""
        return self._clock() < self._until - self._lease * _LEAST_LEFT

    # Claiming

    def claim(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Claim keys, such as ids of instances, with their names.

        What is held already is kept, and claimed anew if the lock was lost meanwhile.

        Returns:
            Those refused, each with who holds it.
        """
        refused: dict[str, str] = {}
        for attempt in range(_TRIES):
            if attempt:
                self._sleep(self._pause(0.05, 0.4) * attempt)
            with self._lock:
                self._lose_if_over()
                missing = {k: v for k, v in wanted.items() if k not in self._held}
                if not missing:
                    return {}
                refused = self._try_to_claim(missing)
                if not refused:
                    return {}
        return refused

    def _try_to_claim(self, missing: Mapping[str, str]) -> dict[str, str]:
        intent = self._intent_key
        wanted = dict(missing)
        if intent and intent not in self._held:
            wanted[intent] = self._by
        seen = self._write_then_read(wanted)
        if seen is None:
            return dict.fromkeys(missing, "an unknown run (the record of this run was lost)")
        others, now = seen
        taken = self._conflicts(wanted, others, now)
        self._take({k: v for k, v in wanted.items() if k not in taken})
        if taken or self._is_outdated:
            self._write()
        if intent in self._held:
            # One that was alive when the intent was claimed may have died since.
            self._merge(others, now)
        return {k: by for k, by in taken.items() if k in missing}

    def take_up(self) -> None:
        """Claim the intent, and take up what attempts with the same left behind.

        One of which is not known whether it lives is waited for until it is: it has died when
        its lease is over, and it lives if it renews its record meanwhile. `rival` names one
        that lives, or that did its work meanwhile; then nothing is inherited until `claim`
        finds that it is gone.
        """
        intent = self._intent_key
        if intent is None:
            return
        seen: dict[str, int] = {}
        for attempt in count():
            if attempt:
                # Those that start together step back from one another a few times at first.
                self._sleep(self._pause(0.05, 0.3) if attempt <= _TRIES else _POLL)
            with self._lock:
                if attempt <= _TRIES or not self._rivals(*self._read()):
                    read = self._write_then_read({intent: self._by})
                    if read is None:
                        continue
                    others, now = read
                    rivals = self._rivals(others, now)
                    if not rivals:
                        self._take({intent: self._by})
                        self._merge(others, now)
                        return
                    self._write()
                else:
                    others, now = self._read()
                    rivals = self._rivals(others, now)
            lives = [r for r in rivals if seen.setdefault(r.who, r.written) != r.written]
            known = [r for r in rivals if self._process.knows_running(r)]
            done = [r.value for r in others if r.value.who in seen and r.value.finished]
            if done and done[0].run != self._run:
                self.rival = done[0].by
            if attempt >= _TRIES and (lives or known):
                self.rival = (lives or known)[0].by
                return
            if attempt == _TRIES and rivals:
                _log.warning(
                    "%s does the same, or was cut off a moment ago; this run waits until that is "
                    "known, %.0f seconds at most",
                    rivals[0].by,
                    max(r.lease for r in rivals),
                )

    def _rivals(self, others: Iterable[_Other], now: datetime) -> list[Record]:
        """Records of attempts that hold this attempt's intent now."""
        return [
            seen.value
            for seen in others
            if self._is_live(seen, now)
            and (
                self._intent_key in seen.value.held
                or (seen.value.intent == self._intent and not seen.value.attempt)
            )
        ]

    def _merge(self, others: Iterable[_Other], now: datetime) -> None:
        """Take up what others with this intent, which is claimed, left behind.

        That is all that a dead attempt had in hand, and of one that lives what it only knows of:
        it lost its lease, and may die before it has claimed anything again.
        """
        taken_from = []
        for seen in others:
            if seen.value.intent != self._intent:
                continue
            if seen.value.run == self._run and seen.value.finished:
                self.done.update(_done_in(seen.value))
            if not seen.is_open:
                continue
            is_live = self._is_live(seen, now)
            is_old = now - seen.written >= self._fresh and not seen.value.may_have_made
            if is_live:
                left = {k: v for k, v in seen.value.held.items() if k.startswith(_PENDING)}
                is_all = bool(left) and left.keys() == seen.value.held.keys()
            else:
                left, is_all = {} if is_old else seen.value.held, not is_old
            for key, name in _to_take_up(left).items():
                one = _inherited(key, name, seen, now)
                known = self.inherited.get(key)
                self.inherited[key] = one if known is None else _joined(known, one)
            if is_all:
                taken_from.append(seen)
        if not taken_from:
            return
        taken = {k: one.name for k, one in self.inherited.items() if k not in self._held}
        self._pending = {**taken, **self._pending}
        self._notes = {**self._notes, **self.inherited}
        if not self._write():
            return  # what was inherited is claimed and written again first
        for who, written in _latest_of(taken_from).items():
            mark = Mark(of=who, written=written, taken_by=self._attempt)
            self._records.put(f"{who}_mark", mark.model_dump())

    @contextmanager
    def briefly(self, wanted: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """Claim more while the block runs; gives those refused, each with who holds it.

        What was held before stays held.
        """
        before = set(self._held)
        refused = self.claim(wanted)
        try:
            yield refused
        finally:
            self.let_go(wanted.keys() - before)

    def share_snapshots(self, ids: Iterable[str]) -> dict[str, str]:
        """Use snapshots, which others may use too, so that none of them is deleted.

        Gives by id those that another run has claimed to delete, and which run.
        """
        return self._claim_snapshots(ids, shared=True)

    def claim_snapshots(self, ids: Iterable[str]) -> dict[str, str]:
        """Claim snapshots, to delete them; gives by id those that others use, and who."""
        return self._claim_snapshots(ids, shared=False)

    def _claim_snapshots(self, ids: Iterable[str], shared: bool) -> dict[str, str]:
        ids_by = {lease_keys.snapshot(id_, shared): id_ for id_ in ids}
        return {ids_by[key]: by for key, by in self.claim(dict.fromkeys(ids_by, "")).items()}

    # Giving back

    def let_go(self, keys: Iterable[str]) -> None:
        """Give back some of what is held, or was inherited; it is done with."""
        with self._lock:
            given_back = set(keys)
            known = {**self._held, **self._pending, **self._notes}
            if not given_back & known.keys():
                return
            self._held = _without(self._held, given_back)
            self._pending = _without(self._pending, given_back)
            self._notes = _without(self._notes, given_back)
            for key in given_back:
                self.inherited.pop(key, None)
            if self._written:
                self._write()

    def note_asked(self, asked: Mapping[str, datetime]) -> None:
        """Note, before it is sent, that something is asked for that makes an instance.

        Args:
            asked: the cloud's time just before each request, by key.

        Raises:
            BarrackNotPermittedError: a key is not held.
        """
        with self._lock:
            self._demand(asked)
            notes = dict(self._notes)
            for key, moment in asked.items():
                own = Inherited(self._held[key], (self.moment,), moment)
                notes[key] = _joined(notes[key], own) if key in notes else own
            self._notes = notes
            self._write()

    def release(self) -> None:
        """Give back everything. What was inherited and never claimed is left to the next.

        What was made stays on record: whoever repeats this run must not make it again.
        """
        with self._lock:
            made = {
                f"{_DONE}{int(one.asked.timestamp())}:{key}": one.name
                for key, one in self._notes.items()
                if key in self._held and one.asked is not None and self._intent is not None
            }
            self._held = {}
            if self._pending and not self._written:
                self._read()  # another may have taken it up since the lock was lost
            if self._parts:
                # Deleting a variable while events are written makes an SQLite server stumble for
                # seconds, so later attempts sweep up what is finished.
                self._write(made, ends=True)

    def abandon(self) -> None:
        """Let go without having finished, so that an attempt with the same intent may go on."""
        with self._lock:
            self._keep_for_later()
            self.release()

    def renew(self) -> None:
        """Prolong the lease, unless it is over or the record is not as it was written."""
        with self._lock:
            self._lose_if_over()
            if self._held or self._pending:
                self._write()

    # Asking

    def check(self, *keys: str, since: Mapping[str, int] | None = None) -> float:
        """Seconds for which the lease holds on, asked directly before a request is sent.

        Args:
            keys: what must be held.
            since: `claims` as it was when the request was decided on. What was lost and claimed
                again since then is held, but what is known of it is out of date.

        Raises:
            BarrackNotPermittedError: a key is not held, or was not all the time, or that cannot be
                found out; nothing may be sent.
        """
        self._demand(keys, since)
        settles = max((self._settles.get(key, 0.0) for key in keys), default=0.0)
        if (wait := settles - self._clock()) > 0:
            self._sleep(wait)
        for _ in range(_LOOKS):
            age = self._clock() - self._seen_at
            # While one thread looks, the others go on with what was seen a moment ago.
            if age >= _LOOK_AFTER and self._lock.acquire(blocking=age >= SEEN_WITHIN):
                try:
                    self._lose_if_over()
                except Exception as error:
                    raise BarrackNotPermittedError(
                        f"not sent: the Prefect server cannot be asked for the lock: {error}"
                    ) from error
                finally:
                    self._lock.release()
            self._demand(keys, since)
            # The answer itself may have taken so long that it tells nothing any more.
            if self._clock() - self._seen_at < SEEN_WITHIN:
                return self._until - self._clock()
        raise BarrackNotPermittedError("not sent: the Prefect server answers too slowly")

    def still_holds(self, key: str) -> bool:
        """Whether a key is held at this moment, by a look at the own record.

        Unlike `check` it does not wait until what was just claimed has settled.
        """
        try:
            with self._lock:
                self._lose_if_over(look=True)
                self._demand([key])
        except Exception as error:  # noqa: BLE001 - what cannot be found out is not relied on
            _log.warning("%s", error)
            return False
        return True

    def guarded(self, account: BarrackCredentials, *keys: str) -> BarrackCredentials:
        """The same account, whose changing requests are sent only while keys are held.

        Example:
            >>> delete_instance(hold.guarded(account, id_), id_)
        """
        since = self.claims
        return account.under(lambda: self.check(*keys, since=since))

    def _demand(self, keys: Iterable[str], since: Mapping[str, int] | None = None) -> None:
        keys = tuple(keys)
        missing = [key for key in keys if key not in self._held]
        if missing or not self.is_valid:
            raise BarrackNotPermittedError(
                f"not sent: this run does not hold {missing[0]} any more"
                if missing
                else "not sent: the lock of this run has expired and could not be renewed"
            )
        if since is not None and any(since.get(key) != self.claims.get(key) for key in keys):
            raise BarrackNotPermittedError(
                "not sent: the lock was lost and claimed again since this was decided on"
            )

    def _lose_if_over(self, look: bool = False) -> None:
        """Hold nothing any more if the lease is over or the record is not as it was written."""
        if not self._written:
            return
        began = self._clock()
        if began >= self._until:
            self._lose()
        elif look or began - self._seen_at >= _LOOK_AFTER:
            there = self._records.some(self._written)
            if there == self._written and self._clock() < self._until:
                self._seen_at = began
            else:
                self._lose()

    def _lose(self) -> None:
        self._keep_for_later()
        if self._held:
            _log.warning("the lock of this run was lost; what it holds is claimed again")
        self._held, self._settles, self._written = {}, {}, {}
        self._until = self._seen_at = float("-inf")

    def _keep_for_later(self) -> None:
        """What is held is what an attempt that takes it up must know of."""
        if self._intent is not None:
            self._pending = {**_to_take_up(self._held), **self._pending}

    # Records

    @property
    def _intent_key(self) -> str | None:
        return None if self._intent is None else f"{_INTENT}{self._intent}"

    def _take(self, got: Mapping[str, str]) -> None:
        settled = self._clock() + SEEN_WITHIN
        self._held = {**self._held, **got}
        self._pending = _without(self._pending, got)
        self._settles = {**self._settles, **dict.fromkeys(got, settled)}
        number = self._writings
        self.claims = {k: n for k, n in self.claims.items() if k in self._held} | dict.fromkeys(
            got, number
        )

    def _write_then_read(self, more: Mapping[str, str]) -> tuple[list[_Other], datetime] | None:
        """Write what is held and `more`; all records of others as read after that, and the time.

        None if the own record was not there as it was written, or not in time.
        """
        if not self._write(more):
            return None
        read = self._read()
        return read if self._written else None

    def _read(self, listed: Mapping[str, Stamped] | None = None) -> tuple[list[_Other], datetime]:
        """All records of others, and a time of the server's that is not later than now."""
        began = self._clock()
        mine: dict[str, Stamped] = {}
        others: list[_Other] = []
        marks: dict[str, int] = {}
        for full, stamped in (self._records.stamped() if listed is None else listed).items():
            record = _parsed(stamped.value)
            if isinstance(record, Mark):
                marks[record.of] = max(record.written, marks.get(record.of, -1))
            elif record is None:
                _log.warning("the variable %s holds no record of a lock", full)
            elif record.who == self._attempt:
                mine[f"{self._attempt}_{full.rpartition('_')[2]}"] = stamped
            else:
                others.append(_Other(full, record, stamped.written))
        others = [replace(s, taken=marks.get(s.value.who, -1) >= s.value.written) for s in others]
        if self._written:
            is_whole = {name: s.value for name, s in mine.items()} == self._written
            if is_whole and self._clock() < self._until:
                self._seen_at = began
            else:
                self._lose()
        if marks.get(self._attempt, -1) >= self._known_since:
            # Another has taken up what stood in this record before its lease was lost.
            self._pending, self._notes, self.inherited = {}, {}, {}
            self._known_since = self._writings
            self._is_outdated = True
        if mine:
            latest = max(s.written for s in mine.values())
            return others, latest + timedelta(seconds=max(0.0, began - self._written_at))
        return others, max((s.written for s in others), default=datetime.min.replace(tzinfo=UTC))

    def _conflicts(
        self, wanted: Mapping[str, str], others: Iterable[_Other], now: datetime
    ) -> dict[str, str]:
        taken: dict[str, str] = {}
        for seen in others:
            if self._is_live(seen, now):
                held = seen.value.held
                against = (k for k in wanted if any(r in held for r in lease_keys.rivals(k)))
                taken.update(dict.fromkeys(against, seen.value.by))
        return taken

    def _is_live(self, seen: _Other, now: datetime) -> bool:
        """Whether the attempt of a record may still work; what is not known counts as alive."""
        record = seen.value
        if not seen.is_open or record.left:
            return False
        if now - seen.written >= timedelta(seconds=record.lease):
            return False
        return not self._process.knows_ended(record)

    def sweep(self) -> None:
        """Delete records that nobody needs any more."""
        listed = self._records.stamped()
        others, now = self._read(listed)
        useless = [
            seen.name
            for seen in others
            if now - seen.written > (FORGET_AFTER if seen.is_needed else _SWEEP_AFTER)
            and not (seen.is_open and seen.value.may_have_made)
        ]
        known = {seen.value.who for seen in others}
        stale = [
            name
            for name, stamped in listed.items()
            if isinstance(mark := _parsed(stamped.value), Mark) and mark.of not in known
        ]
        for name in [*useless, *stale][:_SWEPT_AT_ONCE]:
            self._records.drop(name)

    def _write(self, more: Mapping[str, str] | None = None, ends: bool = False) -> bool:
        """Write the record: what is held, `more` that is claimed, and what is inherited.

        False if the record was not there any more: the lock was lost, and nothing is written.
        """
        pending = {f"{_PENDING}{k}": v for k, v in self._pending.items() if k not in (more or {})}
        held = {**self._held, **(more or {}), **pending}
        parts = _in_parts(held, self._notes, self._homes, self._room)
        began = self._clock()
        self._writings += 1
        written: dict[str, Any] = {}
        now = datetime.now(UTC)
        for number, (own_keys, own_notes) in parts.items():
            record = Record(
                run=self._run,
                attempt=self._attempt,
                by=self._by,
                intent=self._intent or f"none {self._attempt}",
                moment=self.moment,
                until=now if ends else now + timedelta(seconds=self._lease),
                lease=0.0 if ends else self._lease,
                machine=self._process.machine,
                pid=self._process.pid,
                born=self._process.born,
                finished=ends and not pending,
                left=ends and bool(pending),
                written=self._writings,
                held=own_keys,
                notes=own_notes,
            )
            name, value = f"{self._attempt}_{number}", record.model_dump(mode="json")
            if name in self._written:
                if not self._records.change(name, value):
                    self._lose()
                    return False
            else:
                self._records.create(name, value)
                # The stamp of a new record and that of a changed one come from different clocks
                # of a server (its own, its database's); only the latter counts.
                self._records.change(name, value)
            written[name] = value
        self._homes = {key: number for number, (keys, _) in parts.items() for key in keys}
        for number in self._parts - parts.keys():
            self._records.drop(f"{self._attempt}_{number}")
        self._parts = set(parts)
        self._written = {} if ends else written
        self._until = began + (0.0 if ends else self._lease)
        self._seen_at = began
        self._written_at = self._clock()
        self._is_outdated = False
        return True


@dataclass(frozen=True)
class _Other:
    """A record of another attempt: its variable's name, and when the server wrote it."""

    name: str
    value: Record
    written: datetime
    taken: bool = False
    """Whether an attempt has taken up what stands in it."""

    @property
    def is_open(self) -> bool:
        """Whether somebody may yet take up what stands in it."""
        return not self.value.finished and not self.taken

    @property
    def is_needed(self) -> bool:
        """Whether it tells something that somebody may yet ask for."""
        return self.is_open or bool(_done_in(self.value))


def _parsed(value: Any) -> Record | Mark | None:
    kind = Mark if isinstance(value, dict) and "taken_by" in value else Record
    try:
        return kind.model_validate(value)
    except ValidationError:
        return None


def _latest_of(some: Iterable[_Other]) -> dict[str, int]:
    """The latest writing of each attempt."""
    found: dict[str, int] = {}
    for seen in some:
        found[seen.value.who] = max(seen.value.written, found.get(seen.value.who, 0))
    return found


def names_of(inherited: Mapping[str, Inherited]) -> dict[str, str]:
    """Names by key."""
    return {key: one.name for key, one in inherited.items()}


def _without(mapping: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    left_out = set(keys)
    return {k: v for k, v in mapping.items() if k not in left_out}


def _to_take_up(held: Mapping[str, str]) -> dict[str, str]:
    """What an attempt has in hand that was cut off. Snapshots that it used it only uses again."""
    plain = {_bare(k): name for k, name in held.items()}
    return {
        k: name
        for k, name in plain.items()
        if not lease_keys.is_of_snapshot(k) and not k.startswith((_INTENT, _DONE))
    }


def _done_in(record: Record) -> dict[str, datetime]:
    """What a finished attempt has made: when it was asked for, by key."""
    marked = (key.split(":", 2) for key in record.held if key.startswith(_DONE))
    return {key: datetime.fromtimestamp(int(asked), UTC) for _, asked, key in marked}


def _inherited(key: str, name: str, seen: _Other, now: datetime) -> Inherited:
    record = seen.value
    moments, asked = record.notes.get(key, ([], None))
    of_it = {datetime.fromtimestamp(moment, UTC) for moment in moments}
    if f"{_PENDING}{key}" not in record.held:
        of_it.add(record.moment)
    at = None if asked is None else datetime.fromtimestamp(asked, UTC)
    if not record.attempt:
        # Earlier releases did not tell what was asked from what was reserved, nor by which clock.
        at = record.moment - CLOCKS_DIFFER
    ordered = tuple(sorted(of_it or {record.moment})[-_MOST_MOMENTS:])
    return Inherited(name, ordered, at, max(timedelta(0), now - seen.written))


def _joined(one: Inherited, other: Inherited) -> Inherited:
    moments = sorted({*one.moments, *other.moments})[-_MOST_MOMENTS:]
    asked = min((a for a in (one.asked, other.asked) if a is not None), default=None)
    return Inherited(other.name, tuple(moments), asked, min(one.unwatched, other.unwatched))


Notes = dict[str, tuple[list[int], int | None]]


def _in_parts(
    held: Mapping[str, str], notes: Mapping[str, Inherited], homes: Mapping[str, int], room: int
) -> dict[int, tuple[dict[str, str], Notes]]:
    """Spread what is held, and what is noted of it: each part takes at most `room` characters.

    A key stays in the part that is its home as long as it fits. No part both gains and loses keys,
    and those that gain come first: whoever reads between two writings finds every key somewhere.
    """
    parts: dict[int, tuple[dict[str, str], Notes]] = {0: ({}, {})}
    sizes = {0: 0}
    noted = {key: _note(notes[key]) for key in {_bare(k) for k in held} & notes.keys()}

    def put(number: int, key: str, cost: int) -> None:
        own_keys, own_notes = parts.setdefault(number, ({}, {}))
        own_keys[key] = held[key]
        if (bare := _bare(key)) in noted:
            own_notes[bare] = noted[bare]
        sizes[number] = sizes.get(number, 0) + cost

    left: dict[str, int] = {}
    for key, name in held.items():
        cost = len(json.dumps({key: name}))
        if (bare := _bare(key)) in noted:
            cost += len(json.dumps({bare: noted[bare]}))
        home = homes.get(key)
        if home is not None and sizes.get(home, 0) + cost <= room:
            put(home, key, cost)
        else:
            left[key] = cost
    losing = {homes[key] for key in left if key in homes}
    gaining: set[int] = set()
    for key, cost in left.items():
        fitting = (n for n in parts if n not in losing and sizes[n] + cost <= room)
        taken = {*parts, *homes.values()}
        number = next(fitting, None)
        number = next(n for n in count() if n not in taken) if number is None else number
        put(number, key, cost)
        gaining.add(number)
    return dict(sorted(parts.items(), key=lambda one: one[0] not in gaining))


def _bare(key: str) -> str:
    return key.removeprefix(_PENDING)


def _note(one: Inherited) -> tuple[list[int], int | None]:
    asked = None if one.asked is None else int(one.asked.timestamp())
    return [int(moment.timestamp()) for moment in one.moments], asked


def lease_length() -> timedelta:
    """How long a lock holds: `BARRACK_LOCK_SECONDS`, or `LEASE`.

    Earlier releases called it `BARRACK_LEASE_SECONDS`, which counts where the other is not set.

    Raises:
        ValueError: it is no number of seconds of at least 3.
    """
    names = ("BARRACK_LOCK_SECONDS", "BARRACK_LEASE_SECONDS")
    name, said = next(
        ((name, text) for name in names if (text := os.environ.get(name, "").strip())), ("", "")
    )
    if not said:
        return LEASE
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 3 <= seconds <= 3600:
        raise ValueError(f"{name} must be between 3 and 3600 seconds; got {said!r}")
    return timedelta(seconds=seconds)


@contextmanager
def holding(
    account: str,
    run: str,
    by: str,
    intent: str | None = None,
    fresh: timedelta = FORGET_AFTER,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Hold]:
    """Hold instances while the block runs.

    Args:
        account: whose instances they are; see `BarrackCredentials.account`.
        run: id of the run.
        by: what a person calls the run; those who must wait are told.
        intent: what the run is for. What was cut off is taken up by the next attempt with the
            same; None if there is nothing to take up.
        fresh: what was left longer ago is not taken up, unless something may have been made.
        now: the clock that names the attempt's moment.
        sleep: waits so many seconds.
    """
    with Records(f"barrack_hold_{account}_") as records:
        moment = now().replace(microsecond=0)
        lease = lease_length()
        name = run.replace("-", "")
        hold = Hold(records, name, by, intent, moment, lease=lease, fresh=fresh, sleep=sleep)
        hold.sweep()
        with _renewed(hold, lease.total_seconds() / 4):
            try:
                hold.take_up()
                yield hold
            except BaseException:
                hold.abandon()
                raise
            hold.release()


def held_by_runs(account: str, now: datetime) -> set[str]:
    """The keys that runs of an account have in hand, as far as their records tell.

    Args:
        account: see `BarrackCredentials.account`.
        now: zone-aware. A record that was not written for minutes tells of no run at work.
    """
    with Records(f"barrack_hold_{account}_") as records:
        there = list(records.stamped().values())
    found = (_parsed(one.value) for one in there if now - one.written < UNWATCHED)
    at_work = (r for r in found if isinstance(r, Record) and not (r.finished or r.left))
    return {_bare(key) for record in at_work for key in record.held}


@contextmanager
def _renewed(hold: Hold, every: float) -> Iterator[None]:
    """Renew a lease while the block runs."""
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(every):
            try:
                hold.renew()
            except Exception as error:  # noqa: BLE001 - the lease runs out, and steps stop
                _log.warning("the lock could not be renewed: %s", error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(renew), name="barrack-hold", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def intent_of(*parts: Any) -> str:
    """A short text that is the same for the same intent."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return uuid.uuid5(uuid.NAMESPACE_OID, text).hex[:16]
