"""Who works on which instances: one writer an instance, whatever the fleet.

Each run that changes instances keeps a record of those it holds, where every worker sees it. To
claim instances, a run first writes them into its own record and then reads all others; what
another live record names as well, it takes out of its own again. Two runs that claim at the same
moment see at least one of each other, so never both hold; they may both step back, and then try
again after a random pause. This costs a handful of requests for any number of instances.

What is only used, such as a snapshot that is restored, is shared: any number of runs may share it
at once, and it cannot be claimed while one does, nor shared while another run has claimed it.

A record holds for `LEASE` and is renewed while its run lives. That of a process that died on
this machine is known to be dead at once. A dead record of a run that wanted the same is taken
over: the run goes on where it was cut off, under the same moment, and so finds its own snapshots.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from barrack_tasks.processes import born, machine, runs
from barrack_tasks.records import MOST_CHARACTERS, Records

LEASE = timedelta(seconds=120)
_MARGIN = timedelta(seconds=30)
_FORGET_AFTER = timedelta(days=2)
_SWEEP_AFTER = timedelta(hours=1)
_SWEPT_AT_ONCE = 20
_TRIES = 4
_SHARED = "shared:"
_SNAPSHOT = "snapshot:"

_log = logging.getLogger(__name__)


class Inherited(str):
    """What a run that was cut off held."""

    moment: datetime
    asked: datetime | None

    def __new__(cls, name: str, moment: datetime, asked: datetime | None = None) -> Inherited:
        found = super().__new__(cls, name)
        found.moment, found.asked = moment, asked
        return found

    @property
    def name(self) -> str:
        """Of what was held."""
        return str(self)


class Record(BaseModel):
    """What one run holds. Long ones are spread over several variables."""

    model_config = ConfigDict(frozen=True)

    run: str
    by: str
    intent: str
    moment: datetime
    until: datetime
    machine: str
    pid: int
    born: str | None = None
    finished: bool = False
    asked: dict[str, datetime] = {}
    held: dict[str, str]
    """Names of the instances held, by id; what is shared is marked as such in its key."""

    def is_live(self, now: datetime) -> bool:
        """Whether its run still works, as far as can be known from here."""
        if self.finished or now >= self.until:
            return False
        return self.machine != machine() or runs(self.pid, self.born)


class Hold:
    """The instances that this run may change. Made by `holding`."""

    def __init__(
        self,
        records: Records,
        run: str,
        by: str,
        intent: str,
        moment: datetime,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._records = records
        self._run = run
        self._by = by
        self._intent = intent
        self._now = now
        self._sleep = sleep
        self._lock = threading.RLock()
        self._held: dict[str, str] = {}
        self._until = now()
        self._parts = 0
        self._asked: dict[str, datetime] = {}
        self.moment = moment
        self.inherited: dict[str, Inherited] = {}
        """Instances of a run that was cut off and that this one takes up, names by id."""

    @property
    def is_valid(self) -> bool:
        """Whether what is held may still be relied on."""
        return self._now() < self._until - _MARGIN

    def claim(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Claim instances, names by id; gives those refused, each with who holds it."""
        refused: dict[str, str] = {}
        with self._lock:
            for attempt in range(_TRIES):
                missing = {k: v for k, v in wanted.items() if k not in self._held}
                if not missing:
                    return {}
                if attempt:
                    self._sleep(random.uniform(0.05, 0.4) * attempt)
                self._write({**self._held, **missing})
                refused = self._conflicts(missing)
                self._held.update({k: v for k, v in missing.items() if k not in refused})
                if not refused:
                    return {}
                self._write(self._held)
        return refused

    @contextmanager
    def briefly(self, wanted: Mapping[str, str]) -> Iterator[dict[str, str]]:
        """Claim more while the block runs; gives those refused, each with who holds it.

        What was held before stays held.
        """
        with self._lock:
            before = set(self._held)
        refused = self.claim(wanted)
        try:
            yield refused
        finally:
            self.let_go(wanted.keys() - before)

    def let_go(self, keys: Iterable[str]) -> None:
        """Give back some of what is held; what is not held is passed over."""
        with self._lock:
            given_back = set(keys)
            left = {k: name for k, name in self._held.items() if k not in given_back}
            if left != self._held:
                self._held = left
                self._write(left)

    def share_snapshots(self, ids: Iterable[str]) -> dict[str, str]:
        """Use snapshots, which others may use too, so that none of them is deleted.

        Gives by id those that another run has claimed to delete, and which run.
        """
        return self._claim_snapshots(_SHARED, ids)

    def claim_snapshots(self, ids: Iterable[str]) -> dict[str, str]:
        """Claim snapshots, to delete them; gives by id those that others use, and who."""
        return self._claim_snapshots("", ids)

    def _claim_snapshots(self, mark: str, ids: Iterable[str]) -> dict[str, str]:
        keys = {f"{mark}{_SNAPSHOT}{id_}": id_ for id_ in ids}
        return {keys[key]: by for key, by in self.claim(dict.fromkeys(keys, "")).items()}

    def note_asked(self, asked: Mapping[str, datetime]) -> None:
        """Note, durably, that something is about to be asked for, by the cloud's clock."""
        with self._lock:
            self._asked.update(asked)
            self._write(self._held)

    def guarded(self, account: Any) -> Any:
        """The same account; its client asks before every send whether this hold is valid."""
        return account

    def release(self) -> None:
        """Give back everything."""
        with self._lock:
            self._held = {}
            if self._parts:
                # Deleting a variable while events are written makes an SQLite server stumble for
                # seconds, so later runs sweep up what is long finished.
                self._write({}, lease=timedelta(0), finished=True)

    def renew(self) -> None:
        """Prolong the lease."""
        with self._lock:
            if self._parts:
                self._write(self._held)

    def abandon(self) -> None:
        """Let go without having finished, so that a run with the same intent may go on."""
        with self._lock:
            self._write(self._held, lease=timedelta(0))

    def take_over(self, fresh: timedelta) -> None:
        """Adopt what a run with the same intent left behind when it was cut off.

        Only if it began less than `fresh` ago: a snapshot that it took must still be worth what
        one taken now would be.
        """
        now = self._now()
        left = [
            (name, record)
            for name, record in self._all().items()
            if record.intent == self._intent
            and not record.finished
            # A record of this very run is of an attempt before this one.
            and (record.run == self._run or not record.is_live(now))
            and now - record.moment <= fresh
        ]
        if not left:
            return
        newest = max(record.moment for _, record in left)
        for _, record in left:
            if record.moment == newest:
                self.inherited.update(
                    {
                        k: Inherited(n, record.moment, record.asked.get(k))
                        for k, n in _to_take_up(record.held).items()
                    }
                )
                self._asked.update(record.asked)
        self.moment = newest
        self._parts = 1 + max((_part_of(n) for n, r in left if r.run == self._run), default=-1)
        self._write(self.inherited, lease=timedelta(0))
        for name, record in left:
            if record.run != self._run:
                self._records.drop(name)

    def rivals(self) -> list[str]:
        """Other runs, as people call them, that live and have the same intent."""
        now = self._now()
        others = self._others().values()
        return [r.by for r in others if r.intent == self._intent and r.is_live(now)]

    def _others(self) -> dict[str, Record]:
        return {name: r for name, r in self._all().items() if r.run != self._run}

    def _all(self) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for name, value in self._records.all().items():
            try:
                record = Record.model_validate(value)
            except ValidationError:
                _log.warning("the variable %s holds no record of held instances", name)
                continue
            found[name] = record
        return found

    def sweep(self) -> None:
        """Delete records that nobody needs any more."""
        now = self._now()
        useless = [
            name
            for name, record in self._others().items()
            if record.until + (_SWEEP_AFTER if record.finished else _FORGET_AFTER) < now
        ]
        for name in useless[:_SWEPT_AT_ONCE]:
            self._records.drop(name)

    def _conflicts(self, wanted: Mapping[str, str]) -> dict[str, str]:
        now = self._now()
        taken: dict[str, str] = {}
        for record in self._others().values():
            if record.is_live(now):
                against = (k for k in wanted if any(r in record.held for r in _rivals_of(k)))
                taken.update(dict.fromkeys(against, record.by))
        return taken

    def _write(
        self, held: Mapping[str, str], lease: timedelta = LEASE, finished: bool = False
    ) -> None:
        until = self._now() + lease
        parts = _in_parts(held)
        for number, part in enumerate(parts):
            record = Record(
                run=self._run,
                by=self._by,
                intent=self._intent,
                moment=self.moment,
                until=until,
                machine=machine(),
                pid=os.getpid(),
                born=born(os.getpid()),
                finished=finished,
                asked={k: at for k, at in self._asked.items() if k in part},
                held=part,
            )
            self._records.put(f"{self._run}_{number}", record.model_dump(mode="json"))
        for number in range(len(parts), self._parts):
            self._records.drop(f"{self._run}_{number}")
        self._parts = len(parts)
        self._until = until


def _rivals_of(key: str) -> tuple[str, ...]:
    """The keys of others that keep one from being held: of what is shared, only a claim."""
    return (key.removeprefix(_SHARED),) if key.startswith(_SHARED) else (key, _SHARED + key)


def _to_take_up(held: Mapping[str, str]) -> dict[str, str]:
    """What a run has in hand that was cut off. Snapshots that it used it only uses again."""
    return {k: name for k, name in held.items() if not k.startswith((_SHARED, _SNAPSHOT))}


def _part_of(name: str) -> int:
    """The number of a part, from the name of its variable."""
    return int(name.rpartition("_")[2])


def _in_parts(held: Mapping[str, str]) -> list[dict[str, str]]:
    """Spread what is held so that each part fits into one variable."""
    parts: list[dict[str, str]] = [{}]
    room = MOST_CHARACTERS - 600
    size = 0
    for key, name in held.items():
        cost = len(json.dumps({key: name}))
        if size + cost > room:
            parts.append({})
            size = 0
        parts[-1][key] = name
        size += cost
    return parts


@contextmanager
def holding(
    account: str,
    run: str,
    by: str,
    intent: str,
    fresh: timedelta,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Hold]:
    """Hold instances while the block runs.

    Args:
        account: whose instances they are; see `BarrackCredentials.account`.
        run: id of the run, unique.
        by: what a person calls the run; those who must wait are told.
        intent: what the run is for. One that was cut off is taken up by the next with the same,
        fresh: if it began no longer ago than this.
    """
    with Records(f"barrack_hold_{account}_") as records:
        moment = now().replace(microsecond=0)
        hold = Hold(records, run.replace("-", ""), by, intent, moment, now, sleep)
        hold.sweep()
        hold.take_over(fresh)
        stop = threading.Event()
        renewer = _start_renewing(hold, stop)
        try:
            yield hold
        except BaseException:
            _stop_renewing(renewer, stop)
            hold.abandon()
            raise
        _stop_renewing(renewer, stop)
        hold.release()


def _start_renewing(hold: Hold, stop: threading.Event) -> threading.Thread:
    def renew() -> None:
        while not stop.wait(LEASE.total_seconds() / 4):
            try:
                hold.renew()
            except Exception as error:  # noqa: BLE001 - the lease runs out, and steps stop
                _log.warning("the hold on instances could not be renewed: %s", error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(renew), name="barrack-hold", daemon=True)
    thread.start()
    return thread


def _stop_renewing(renewer: threading.Thread, stop: threading.Event) -> None:
    stop.set()
    renewer.join()


def intent_of(*parts: Any) -> str:
    """A short text that is the same for the same intent."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return uuid.uuid5(uuid.NAMESPACE_OID, text).hex[:16]
