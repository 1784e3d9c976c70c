"""How often is looked, and the words in which decisions are made."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.cadence import Cadence
from barrack_tasks.plans.steps import Finished, Step, Wait


def test_pauses_grow_while_nothing_moves_and_shrink_at_once() -> None:
    cadence = Cadence(1.0, 4.0, 2.0)
    moves = [False, False, False, False, False, True, True, False]
    assert [cadence.after(moved) for moved in moves] == [1, 2, 4, 4, 4, 1, 1, 2]


@given(st.lists(st.booleans(), min_size=1), st.floats(0.01, 5), st.floats(5, 60))
def test_pauses_stay_within_their_bounds(
    moves: list[bool], shortest: float, longest: float
) -> None:
    cadence = Cadence(shortest, longest)
    pauses = [cadence.after(moved) for moved in moves]
    assert all(shortest <= pause <= longest for pause in pauses)
    for (before, after), moved in zip(pairwise(pauses), moves[1:], strict=True):
        assert after == shortest if moved else after >= before


def test_a_wait_is_bounded_in_looks() -> None:
    """An hour in which nothing moves takes few looks, each at most ten seconds late."""
    cadence, passed, looks = Cadence(), 0.0, 0
    while passed < 3600:
        passed += cadence.after(moved=False)
        looks += 1
    assert looks < 3600 / 10 + 12


def test_decisions_are_values() -> None:
    step = Step("stop_instance", "BRK-1", "alpha", {"instance_id": "BRK-1"})
    assert step == Step("stop_instance", "BRK-1", "alpha", {"instance_id": "BRK-1"})
    assert Step("x", "BRK-1", "a").arguments == {}
    assert Wait("a") == Wait("a") != Wait("b")
    assert Finished("done") == Finished("done", "") != Finished("failed")
    for decision, field in ((step, "operation"), (Wait("a"), "why"), (Finished("done"), "why")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(decision, field, "other")
