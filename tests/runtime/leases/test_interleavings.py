"""Two and three attempts, with a pause or a death at every single stop of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.runtime.leases.world import Attempt, World, restores, stops
from tests.thinning import some_slow

PAUSES = (0.0, 95.0, 125.0)
Script = type(restores)


def stops_of(script: Script) -> int:
    """How many stops an attempt has that is left alone."""
    world = World()
    one = Attempt(world, script, "same", "one")
    for number in itertools.count(1):
        one.step()
        if one.is_over:
            return number
    raise AssertionError


def at_each_stop(script: Script, step: int, most: int = 40) -> Iterator[int]:
    return iter(range(1, min(most, stops_of(script)), step))


def ended(world: World, *attempts: Attempt) -> None:
    for one in attempts:
        one.finish()
    assert not world.problems, world.problems
    for one in world.attempts:
        one.kill()


def paused_at_each_stop(script: Script, intents: tuple[str, str], step: int) -> int:
    """The first pauses, the second runs to some stop or to its end, then the first goes on."""
    sends = 0
    for at, pause, until in itertools.product(
        at_each_stop(script, step), PAUSES, [*at_each_stop(script, 3 * step), 3000]
    ):
        world = World()
        first = Attempt(world, script, intents[0], "one")
        first.step(at)
        world.now += pause
        second = Attempt(world, script, intents[1], "other", run="run0")
        second.step(until)
        ended(world, first, second)
        sends += len(world.sends)
    return sends


def killed_at_each_stop(machine: str | None, step: int) -> int:
    """The first dies, the second dies, the third finds what both have left."""
    machines = 0
    for at, then, pause in itertools.product(
        at_each_stop(restores, step), at_each_stop(restores, step), PAUSES
    ):
        world = World()
        first = Attempt(world, restores, "same", machine)
        first.step(at)
        first.kill()
        world.now += pause
        second = Attempt(world, restores, "same", machine)
        second.step(then)
        second.kill()
        third = Attempt(world, restores, "same", machine)
        ended(world, third)
        machines += len(world.sends)
        assert third.hold.rival or len(world.sends) >= 1
    return machines


def paused_while_taken_up(step: int) -> int:
    """The second stands still while it takes up the first, which comes alive, asks, and dies."""
    sends = 0
    for at, then, more in itertools.product(
        at_each_stop(restores, step), at_each_stop(restores, step, 30), (6, 14, 22, 30)
    ):
        world = World()
        first = Attempt(world, restores, "same", "one")
        first.step(at)
        world.now += 125
        second = Attempt(world, restores, "same", "other")
        second.step(then)
        first.step(more)
        first.kill()
        ended(world, second)
        third = Attempt(world, restores, "same", "third")
        ended(world, third)
        sends += len(world.sends)
    return sends


def killed_after_its_lease_was_lost(step: int) -> int:
    """One pauses past its lease, goes on for a little, and dies; the next finds what it asked."""
    sends = 0
    for at, more in itertools.product(at_each_stop(restores, step), range(1, 30, step)):
        world = World()
        first = Attempt(world, restores, "same", "one")
        first.step(at)
        world.now += 125
        first.step(more)
        first.kill()
        world.now += 125
        ended(world, Attempt(world, restores, "same", None))
        sends += len(world.sends)
    return sends


@pytest.mark.parametrize("intents", [("same", "same"), ("one", "other")], ids=["same", "other"])
def test_one_that_pauses_anywhere_sends_nothing_that_another_may_send(
    intents: tuple[str, str],
) -> None:
    assert paused_at_each_stop(stops, intents, 7) > 40


def test_two_attempts_of_one_restore_make_one_machine() -> None:
    assert paused_at_each_stop(restores, ("same", "same"), 5) > 10


@pytest.mark.parametrize("machine", ["one", None], ids=["known", "unknown"])
def test_what_was_asked_for_is_inherited_over_two_deaths(machine: str | None) -> None:
    assert killed_at_each_stop(machine, 7) > 10


def test_what_a_run_asks_for_while_it_is_taken_up_is_not_lost() -> None:
    assert paused_while_taken_up(9) > 10


def test_an_heir_that_dies_at_any_stop_loses_nothing() -> None:
    for then in range(1, 45):
        world = World()
        first = Attempt(world, restores, "same", "one")
        while not world.sends:
            first.step()
        first.kill()
        second = Attempt(world, restores, "same", "one")
        second.step(then)
        second.kill()
        ended(world, Attempt(world, restores, "same", "one"))


def test_what_a_run_has_asked_for_outlives_its_lease() -> None:
    assert killed_after_its_lease_was_lost(3) > 10


@pytest.mark.slow
def test_all_of_it_at_every_single_stop() -> None:
    for intents in (("same", "same"), ("one", "other")):
        paused_at_each_stop(stops, intents, 1)
    paused_at_each_stop(restores, ("same", "same"), 1)
    for machine in ("one", None):
        killed_at_each_stop(machine, 1)
    paused_while_taken_up(1)
    killed_after_its_lease_was_lost(1)


@pytest.mark.parametrize("step", some_slow([7], [2]))
def test_a_record_that_a_person_deletes_is_noticed_before_another_may_send(step: int) -> None:
    for at, until, delay in itertools.product(
        range(1, 60, step), (14, 20, 30, 3000), (0.0, 0.6, 5.0)
    ):
        world = World(destroyed=True)
        first = Attempt(world, stops, "one", "one")
        first.step(at)
        world.records.clear()
        world.now += delay
        second = Attempt(world, stops, "other", "other")
        second.step(until)
        ended(world, first, second)
