"""The few combinations that the fast tests keep meet each value and each pair."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import pytest

from tests.thinning import some_slow, thinned


@pytest.mark.parametrize("sizes", [(31, 8), (2, 9), (1, 4), (3, 8, 3), (3, 5, 3), (4, 2, 6)])
def test_all_but_one_axis_are_met_in_full_and_nothing_is_lost(sizes: tuple[int, ...]) -> None:
    axes = [range(size) for size in sizes]
    made = thinned(*axes)
    assert [one.values for one in made] == list(product(*axes))
    fast: list[Any] = [one.values for one in made if not one.marks]
    for kept in combinations(range(len(axes)), len(axes) - 1):
        met = {tuple(values[n] for n in kept) for values in fast}
        assert met == set(product(*(axes[n] for n in kept)))
    assert len(fast) * min(sizes) == len(made)


def test_what_is_slow_of_one_parameter_is_marked_and_the_rest_is_not() -> None:
    fast, *slow = some_slow([1], [2, 3])
    assert fast == 1
    assert [(one.values, [m.name for m in one.marks]) for one in slow] == [
        ((2,), ["slow"]),
        ((3,), ["slow"]),
    ]
