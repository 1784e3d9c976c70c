"""A world for leases in which a test decides what happens next: who runs, who pauses, who dies.

Each attempt is a thread that stops before and after each of its requests to the store, and
whenever it sleeps. Only one thread runs at a time, and only when the test lets it, so every
interleaving can be played, and played again. Time is the test's, too.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from barrack_tasks.api import BarrackNotPermittedError
from barrack_tasks.runtime.leases import SEEN_WITHIN, Hold, Process, Record
from barrack_tasks.server.variables import Stamped

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=120)


class Killed(BaseException):
    """Ends an attempt's thread where it stands; nothing of its code runs after that."""


@dataclass
class World:
    """What all attempts share: the time, the store, the cloud, and who is alive where."""

    now: float = 0.0
    records: dict[str, tuple[Any, float]] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    sends: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unfinished: str | None = None
    """Who asked for a machine that nobody has finished yet."""
    destroyed: bool = False
    """Whether a person has deleted a record: then what stood there cannot be inherited."""

    def send(self, by: Attempt, key: str) -> None:
        """A request takes effect at this moment: only one attempt may believe that it holds."""
        self.sends.append((by.name, key))
        others = [a.name for a in self.attempts if a is not by and a.may_send(key)]
        if others:
            self.problems.append(f"{by.name} sends about {key}, and {others[0]} may as well")

    def create(self, by: Attempt, key: str) -> None:
        """A machine is asked for. Names are not unique here: only leases keep a second away."""
        self.send(by, key)
        if self.unfinished is not None and not self.destroyed:
            self.problems.append(f"{by.name} makes a second machine after {self.unfinished}")
        self.unfinished = by.name


class Records:
    """The store as one attempt reaches it."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def _all(self) -> dict[str, tuple[Any, float]]:
        return self._attempt.world.records

    def _request(self, effect: Callable[[], Any]) -> Any:
        self._attempt.stop()  # the request is on its way
        if self._attempt.is_cut_off:
            raise httpx.ConnectError("the Prefect server is away")
        answer = copy.deepcopy(effect())
        self._attempt.stop()  # the answer is on its way
        if self._attempt.is_cut_off:
            raise httpx.ReadError("the answer did not come")
        return answer

    def stamped(self) -> dict[str, Stamped]:
        return self._request(
            lambda: {
                f"barrack_{name}": Stamped(value, BEGIN + timedelta(seconds=at))
                for name, (value, at) in self._all().items()
            }
        )

    def some(self, names: Iterable[str]) -> dict[str, Any]:
        wanted = set(names)
        return self._request(
            lambda: {name: value for name, (value, _) in self._all().items() if name in wanted}
        )

    def create(self, name: str, value: Any) -> bool:
        return self._request(lambda: name not in self._all() and self._write(name, value))

    def put(self, name: str, value: Any) -> None:
        self._request(lambda: self._write(name, value))

    def change(self, name: str, value: Any) -> bool:
        name = name.removeprefix("barrack_")
        return self._request(lambda: name in self._all() and self._write(name, value))

    def drop(self, name: str) -> None:
        self._request(lambda: self._all().pop(name.removeprefix("barrack_"), None))

    def _write(self, name: str, value: Any) -> bool:
        self._all()[name] = (copy.deepcopy(value), self._attempt.world.now)
        return True


class Elsewhere(Process):
    """Where an attempt runs: others on the same machine know whether it has ended."""

    def __init__(self, world: World, machine: str | None, number: int) -> None:
        object.__setattr__(self, "machine", machine)
        object.__setattr__(self, "pid", number)
        object.__setattr__(self, "born", str(number))
        object.__setattr__(self, "world", world)

    def knows_ended(self, record: Record) -> bool:
        return self._is_here(record) and self.world.attempts[record.pid].is_dead  # type: ignore[attr-defined]

    def knows_running(self, record: Record) -> bool:
        return self._is_here(record) and not self.world.attempts[record.pid].is_dead  # type: ignore[attr-defined]


class Attempt:
    """One process at one run, as a thread that runs only when it is let."""

    def __init__(
        self,
        world: World,
        script: Callable[[Attempt], None],
        intent: str | None,
        machine: str | None,
        run: str | None = None,
        skew: float = 0.0,
    ) -> None:
        self.world = world
        self.number = len(world.attempts)
        self.name = f"{'abcdefgh'[self.number]}{self.number}"
        self.is_dead = False
        self.has_ended = False
        self.is_cut_off = False
        self.must_renew = False
        self.failure: BaseException | None = None
        self._wakes = 0.0
        self._renewed = world.now
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self.hold = Hold(
            Records(self),
            run or f"run{self.number}",
            f"run {self.name}",
            intent,
            BEGIN + timedelta(seconds=round(world.now + skew)),
            lease=LEASE,
            clock=lambda: world.now,
            sleep=self.sleep,
            pause=lambda low, high: low + (high - low) * (self.number + 1) / 5,
            process=Elsewhere(world, machine, self.number),
            attempt=self.name,
        )
        world.attempts.append(self)
        self._thread = threading.Thread(target=self._run, args=(script,), daemon=True)
        self._thread.start()

    def _run(self, script: Callable[[Attempt], None]) -> None:
        self._go.acquire()
        try:
            if not self.is_dead:
                script(self)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.failure = error
        self.has_ended = True
        self._stopped.release()

    # What the test does

    @property
    def is_over(self) -> bool:
        return self.has_ended or self.is_dead

    def step(self, times: int = 1) -> None:
        """Let it go on to its next stop, so many times."""
        for _ in range(times):
            if self.is_over:
                break
            self.world.now = max(self.world.now, self._wakes)
            self._go.release()
            self._stopped.acquire()
        if self.failure is not None:
            raise self.failure

    def finish(self, most: int = 3000) -> None:
        """Let it go on to its end."""
        for _ in range(most):
            if self.is_over:
                return
            self.step()
        raise AssertionError(f"{self.name} does not come to an end")

    def kill(self) -> None:
        """SIGKILL: the process is gone, with whatever request was on its way."""
        if not self.is_over:
            self.is_dead = True
            self._go.release()
            self._stopped.acquire()

    def may_send(self, key: str) -> bool:
        """Whether it would send about a key at this very moment, without looking again."""
        hold, now = self.hold, self.world.now
        return (
            not self.is_over
            and key in hold._held
            and hold.is_valid
            and hold._settles.get(key, 0.0) <= now
            and now - hold._seen_at < SEEN_WITHIN
        )

    # What its code does

    def stop(self) -> None:
        """Where the test decides what happens next."""
        self._stopped.release()
        self._go.acquire()
        if self.is_dead:
            raise Killed

    def sleep(self, seconds: float) -> None:
        self._wakes = self.world.now + seconds
        self.stop()
        self._wakes = 0.0

    def patiently(self, action: Callable[[], Any], otherwise: Any) -> Any:
        """Do something, and wait a while if the server is away or nothing may be sent."""
        try:
            if self.must_renew or self.world.now >= self._renewed + LEASE.total_seconds() / 4:
                self.must_renew, self._renewed = False, self.world.now
                self.hold.renew()
            return action()
        except (httpx.HTTPError, BarrackNotPermittedError):
            self.sleep(5.0)
            return otherwise


KEY = "restore:new"


def restores(attempt: Attempt) -> None:
    """Make one machine, as `restore_from_snapshot` does."""
    hold, world = attempt.hold, attempt.world
    while attempt.patiently(lambda: (hold.sweep(), hold.take_up()), None) is None:
        pass
    if hold.rival is not None:
        attempt.patiently(hold.release, None)
        return
    sent = False
    for _ in range(60):
        refused = attempt.patiently(lambda: hold.claim({KEY: "new"}), {KEY: "away"})
        if refused:
            attempt.sleep(4.0)
            continue
        known = hold.inherited.get(KEY)
        may_be_ours = sent or (known is not None and known.asked is not None)
        if may_be_ours and world.unfinished is not None:
            break  # it is there, and found by its name
        if attempt.patiently(lambda: _create(attempt), False):
            sent = True
    else:
        attempt.patiently(hold.abandon, None)
        return
    for _ in range(3):
        attempt.patiently(lambda: None, None)
        attempt.sleep(10.0)
    if attempt.patiently(lambda: hold.claim({KEY: "new"}), {KEY: "away"}):
        attempt.patiently(hold.abandon, None)
        return
    if attempt.patiently(lambda: hold.check(KEY), None) is None:
        attempt.patiently(hold.abandon, None)
        return
    world.unfinished = None
    attempt.patiently(lambda: hold.let_go([KEY]), None)
    attempt.patiently(hold.release, None)


def _create(attempt: Attempt) -> bool:
    hold, world = attempt.hold, attempt.world
    hold.note_asked({KEY: BEGIN + timedelta(seconds=world.now)})
    hold.check(KEY)
    world.create(attempt, KEY)
    return True


def stops(attempt: Attempt) -> None:
    """Change one instance again and again, as every flow does that stops or deletes."""
    hold = attempt.hold
    while attempt.patiently(lambda: (hold.sweep(), hold.take_up()), None) is None:
        pass
    for _ in range(5):
        wanted = {"BRK-1": "alpha", "BRK-2": "beta"}
        refused = attempt.patiently(lambda wanted=wanted: hold.claim(wanted), wanted)
        for key in wanted:
            if key not in refused:
                attempt.patiently(lambda key=key: _send(attempt, key), None)
        attempt.sleep(7.0)
        attempt.patiently(lambda: hold.let_go(["BRK-2"]), None)
    attempt.patiently(hold.release, None)


def _send(attempt: Attempt, key: str) -> None:
    attempt.hold.check(key)
    attempt.world.send(attempt, key)
