"""The admission under every interleaving: several runs, lists that lag, requests that fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.controllers.admission import BEGUN_COUNTS_FOR, Admission
from barrack_tasks.plans.money.caps import Caps, Means, Proposed, admit
from barrack_tasks.runtime.leases import LEASE
from barrack_tasks.server.variables import Stamped

CAPS = Caps(gpus=4, burn=Decimal(8))
SIZES = {"a": 2, "b": 3, "c": 2, "d": 3, "e": 2}
RUNS = range(3)
SKEWS = (timedelta(minutes=-15), timedelta(0), timedelta(hours=2))
"""By so much the clocks of the workers are off."""


def asked(name: str) -> Proposed:
    return Proposed(name, "L40", SIZES[name], "CANADA-1", name in "abc", Decimal(2 * SIZES[name]))


class Store(dict[str, Stamped]):
    """Prefect's variables, as one process sees them; the server's clock stamps each."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock

    def stamped(self) -> dict[str, Stamped]:
        return deepcopy(dict(self))

    def put(self, name: str, value: Any) -> None:
        self[name] = Stamped(deepcopy(value), self.clock())

    def drop(self, name: str) -> None:
        self.pop(name, None)


class Turns:
    """The guard's turn, which whoever has it may lose by sleeping too long."""

    holder: list[Any]

    def __init__(self, holder: list[Any]) -> None:
        self.holder = holder

    def take(self) -> bool:
        if not self.holder:
            self.holder.append(self)
        return self.is_mine

    def give_back(self) -> None:
        if self.is_mine:
            self.holder.clear()

    @property
    def is_mine(self) -> bool:
        return self in self.holder


class Run:
    """A run: its admission, the turn that it may be in, and requests that are not answered."""

    def __init__(self, model: Interleaved, skew: timedelta = timedelta(0)) -> None:
        self.turn = Turns(model.holder)
        store: Callable[[], AbstractContextManager[Store]] = lambda: nullcontext(model.store)  # noqa: E731
        self.admission = Admission(
            BarrackCredentials(api_key="k", caps=CAPS),
            now=lambda: model.now + skew,
            turn=self.turn,
            store=store,
            read=model.means,
        )
        self.block: AbstractContextManager[Means | None] | None = None
        self.had: Means | None = None
        self.unsent: dict[str, datetime] = {}


class Interleaved(RuleBasedStateMachine):
    """Runs that bring back instances, or make them, in one account with caps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.store = Store(lambda: self.now)
        self.holder: list[Any] = []
        self.up: set[str] = set()
        self.listed: set[str] = set()
        self.runs = {number: Run(self, SKEWS[number]) for number in RUNS}

    def lists(self) -> tuple[UserVM, ...]:
        """`a` to `c` exist and hibernate at first; the others are made."""
        return tuple(
            UserVM(
                id=name,
                name=name,
                status="ACTIVE" if name in self.listed else "HIBERNATED",
                gpu_count=size,
                gpu_model="L40",
                region="CANADA-1",
                hourly_price=str(2 * size),
                currency="USD",
            )
            for name, size in SIZES.items()
            if name in "abc" or name in self.listed
        )

    def means(self, *_: Any, **__: Any) -> Means:
        burn = Decimal(sum(2 * SIZES[name] for name in self.listed))
        return Means(Balance(amount="900", currency="USD"), burn, self.lists())

    @rule(number=st.sampled_from(RUNS))
    def ask(self, number: int) -> None:
        run = self.runs[number]
        if run.block is None:
            run.block = run.admission.judging()
            run.had = run.block.__enter__()

    @rule(number=st.sampled_from(RUNS), names=st.lists(st.sampled_from(sorted(SIZES)), min_size=1))
    def judge(self, number: int, names: list[str]) -> None:
        """Judge by what was read, however long ago that was."""
        self.ask(number)
        run = self.runs[number]
        assert run.block is not None
        if run.had is not None:
            # Two runs never have the same instance in hand: they hold it.
            busy = self.up.union(*(other.unsent for other in self.runs.values()))
            asking = {name: asked(name) for name in dict.fromkeys(names) if name not in busy}
            rulings = admit(asking, [CAPS], run.had)
            allowed = {name: asking[name] for name, said in rulings.items() if not said.refused}
            if run.admission.let_begin(allowed, run.had):
                run.unsent.update(dict.fromkeys(allowed, self.now))
        run.block.__exit__(None, None, None)
        run.block = None

    @rule(number=st.sampled_from(RUNS), pick=st.integers(0, 9), answer=st.sampled_from("ynlL"))
    def send(self, number: int, pick: int, answer: str) -> None:
        """Sent, and granted (y), refused (n), or lost on the way there (l) or back (L)."""
        run = self.runs[number]
        if not run.unsent:
            return
        name = sorted(run.unsent)[pick % len(run.unsent)]
        del run.unsent[name]
        if answer in "yL":
            self.up.add(name)
        if answer == "n":
            run.admission.settle(failed=[name])

    @rule(number=st.sampled_from(RUNS))
    def look(self, number: int) -> None:
        run = self.runs[number]
        run.unsent = dict.fromkeys(run.unsent, self.now)
        run.admission.settle(self.lists())

    @rule()
    def lists_catch_up(self) -> None:
        self.listed = set(self.up)

    @precondition(lambda self: self.holder)
    @rule()
    def sleep_through_the_turn(self) -> None:
        self.holder.clear()

    @rule(number=st.sampled_from(RUNS), sent=st.booleans())
    def die(self, number: int, sent: bool) -> None:
        """Killed, with its requests still to be sent or on the wire."""
        run = self.runs[number]
        if sent:
            self.up |= run.unsent.keys()
        run.turn.give_back()
        self.runs[number] = Run(self, SKEWS[number])

    @rule(minutes=st.integers(1, 12))
    def time_passes(self, minutes: int) -> None:
        """Lists lag for seconds, and what a lease no longer covers is not sent any more."""
        self.listed = set(self.up)
        self.now += timedelta(minutes=minutes)
        for run in self.runs.values():
            late = [n for n, at in run.unsent.items() if self.now - at > LEASE]
            for name in late:
                del run.unsent[name]

    @invariant()
    def no_cap_is_ever_exceeded(self) -> None:
        begun = self.up.union(*(run.unsent for run in self.runs.values()))
        assert sum(SIZES[name] for name in begun) <= CAPS.gpus  # type: ignore[operator]

    def teardown(self) -> None:
        """Nothing is held back for ever: what is left of the caps is to be had in the end."""
        self.listed = set(self.up)
        self.now += 2 * BEGUN_COUNTS_FOR
        self.holder.clear()
        left = 4 - sum(SIZES[name] for name in self.up)
        for name in sorted(SIZES.keys() - self.up):
            found = Run(self).admission.admit({name: asked(name)})
            assert found is not None
            assert bool(found[name].refused) == (SIZES[name] > left)
            break


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_what_was_judged_in_a_turn_that_was_lost_does_not_begin() -> None:
    model = Interleaved()
    slow, quick = model.runs[0], model.runs[1]
    model.ask(0)
    model.sleep_through_the_turn()
    model.judge(1, ["b"])
    assert quick.unsent, "the turn was free"
    model.judge(0, ["d"])
    assert slow.unsent == {}, "it would not have been let begin after the other"
    assert Run(model).admission.admit({"c": asked("c")}) is not None


def test_what_a_run_that_died_was_let_begin_counts_for_minutes_and_no_longer() -> None:
    model = Interleaved()
    model.judge(0, ["b"])
    model.die(0, sent=False)
    found = model.runs[1].admission.admit({"d": asked("d")})
    assert found is not None
    assert found["d"].refused
    model.now += BEGUN_COUNTS_FOR + timedelta(seconds=1)
    found = model.runs[2].admission.admit({"d": asked("d")})
    assert found is not None
    assert not found["d"].refused
