"""A mapping kept in several records is whole at every moment, whoever reads or dies in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.shelves import write_all


class Kept:
    """Records that note what could be read after each write."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.moments: list[set[str]] = []

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: Any) -> None: ...

    def all(self) -> dict[str, Any]:
        return dict(self.content)

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        self.content[f"p_{name}"] = value
        self._note()

    def drop(self, name: str) -> None:
        del self.content[name]
        self._note()

    def _note(self) -> None:
        self.moments.append({key for part in self.content.values() for key in part})


@given(st.lists(st.integers(0, 250), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_what_stands_before_and_after_stands_in_between(sizes: list[int], chance: Any) -> None:
    kept = Kept({})
    before: set[str] = set()
    for size in sizes:
        after = {f"k{n:04}" for n in chance.sample(range(300), size)}
        kept.moments.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("barrack_tasks.shelves.Records", lambda _: kept)
            write_all("p_", dict.fromkeys(after, "x" * chance.choice([1, 40, 41])))
        assert all(before & after <= moment for moment in kept.moments)
        assert {key for part in kept.content.values() for key in part} == after
        assert all(len(json.dumps(part)) < 5000 for part in kept.content.values())
        before = after
