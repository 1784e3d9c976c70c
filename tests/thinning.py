"""Combinations of parameters: the fast tests run a few that meet everything, the slow ones all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest


def thinned(*axes: Sequence[Any]) -> list[Any]:
    """Every combination of one value of each axis; most of them are marked as slow.

    What is left to the fast tests meets all combinations of all axes but one, whichever that is:
    each value of two axes, each pair of values of three.

    Example:
        >>> @pytest.mark.parametrize(("kind", "lag"), thinned(["reset", "html"], [0.5, 2, 60]))
    """
    smallest = min(range(len(axes)), key=lambda n: len(axes[n]))
    found = []
    for places in product(*(range(len(axis)) for axis in axes)):
        others = sum(places) - places[smallest]
        is_fast = others % len(axes[smallest]) == places[smallest]
        values = [axis[place] for axis, place in zip(axes, places, strict=True)]
        found.append(pytest.param(*values, marks=() if is_fast else pytest.mark.slow))
    return found


def some_slow(fast: Sequence[Any], slow: Sequence[Any]) -> list[Any]:
    """Values of one parameter, of which the fast tests try some and the slow ones the others.

    Example:
        >>> @pytest.mark.parametrize("step", some_slow([12], [4]))
    """
    return [*fast, *(pytest.param(value, marks=pytest.mark.slow) for value in slow)]
