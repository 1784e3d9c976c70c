"""Every interleaving of a few attempts: one valid holder at each send, and no inheritance lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.runtime.leases.world import Attempt, World, restores, stops

MACHINES = st.sampled_from(["one", "other", None])
TIMES = st.sampled_from([0.05, 0.31, 1.0, 12.0, 31.0, 95.0, 121.0, 400.0])
SKEWS = st.sampled_from([0.0, -125.0, 300.0])
WHO = st.integers(0, 3)
STEPS = st.sampled_from([1, 2, 3, 5, 8, 13, 21, 34])
MOST, MOST_IN_ALL = 4, 8


class Leases(RuleBasedStateMachine):
    """Attempts that pause, die, lose the server, and are started again."""

    scripts = (restores, stops)

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def _one(self, who: int) -> Attempt | None:
        alive = [a for a in self.world.attempts if not a.is_over]
        return alive[who % len(alive)] if alive else None

    @rule(machine=MACHINES, skew=SKEWS, kind=st.integers(0, 1), again=st.booleans())
    @precondition(lambda self: sum(not a.is_over for a in self.world.attempts) < MOST)
    @precondition(lambda self: len(self.world.attempts) < MOST_IN_ALL)
    def start(self, machine: str | None, skew: float, kind: int, again: bool) -> None:
        script = self.scripts[kind % len(self.scripts)]
        run = "same" if again else None
        Attempt(self.world, script, script.__name__, machine, run, skew)

    @rule(who=WHO, times=STEPS)
    def run(self, who: int, times: int) -> None:
        if one := self._one(who):
            one.step(times)

    @rule(first=WHO, times=st.lists(STEPS, min_size=4, max_size=12))
    def run_in_turn(self, first: int, times: list[int]) -> None:
        for number, steps in enumerate(times):
            self.run(first + number, steps)

    @rule(who=WHO, times=st.sampled_from([40, 80, 160]))
    def run_alone(self, who: int, times: int) -> None:
        if one := self._one(who):
            one.step(times)

    @rule(who=WHO, times=STEPS)
    def run_and_kill(self, who: int, times: int) -> None:
        if one := self._one(who):
            one.step(times)
            one.kill()

    @rule(seconds=TIMES)
    def wait(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(who=WHO, times=STEPS, seconds=TIMES)
    def pause(self, who: int, times: int, seconds: float) -> None:
        """One stands still, wherever it is, while another goes on and time goes by."""
        self.world.now += seconds
        if (one := self._one(who)) and (other := self._one(who + 1)) and other is not one:
            other.step(times)
            one.step(1)

    @rule(who=WHO)
    def renew(self, who: int) -> None:
        if one := self._one(who):
            one.must_renew = True

    @rule(who=WHO)
    def cut_off_or_connect(self, who: int) -> None:
        if one := self._one(who):
            one.is_cut_off = not one.is_cut_off

    @invariant()
    def all_is_well(self) -> None:
        assert not self.world.problems, self.world.problems

    def teardown(self) -> None:
        for one in self.world.attempts:
            one.kill()


class LeasesWithPeople(Leases):
    """The same, and a person deletes records."""

    scripts = (stops, stops)

    @rule(which=st.integers(0, 9))
    def delete(self, which: int) -> None:
        names = sorted(self.world.records)
        if names:
            del self.world.records[names[which % len(names)]]
            self.world.destroyed = True


COMMON: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "derandomize": True,
}
TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=40, stateful_step_count=60, **COMMON)
TestLeasesWithPeople = LeasesWithPeople.TestCase
TestLeasesWithPeople.settings = settings(max_examples=40, stateful_step_count=60, **COMMON)


@pytest.mark.slow
class TestMoreLeases(Leases.TestCase):
    settings = settings(max_examples=150, stateful_step_count=60, **COMMON)


@pytest.mark.slow
class TestMoreLeasesWithPeople(LeasesWithPeople.TestCase):
    settings = settings(max_examples=100, stateful_step_count=60, **COMMON)
