"""Whatever an API calls things, as long as the names can be told: it reads the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.dialects.learn import learn_openapi
from tests.dialects.learn.helpers import assert_reads_the_same, furnish, furnished, served
from tests.dialects.learn.making import random_dialect

_MORE = [pytest.param(part, 8, marks=pytest.mark.slow) for part in (0, 1, 2)]


@pytest.mark.parametrize(("part", "examples"), [(0, 3), *_MORE])
def test_a_dialect_made_by_chance_is_learned(part: int, examples: int) -> None:
    @given(seed=st.integers(0, 10**9))
    @settings(max_examples=examples)
    def run(seed: int) -> None:
        true = random_dialect(3 * seed + part)
        with furnished(true) as sandbox:
            learned = learn_openapi(served(sandbox))
            mine = merged(learned.dialect(), "learned.yaml")
            assert (mine.auth, mine.paging) == (true.auth, true.paging)
            assert (mine.envelope, mine.error_envelope) == (true.envelope, true.error_envelope)
            assert {n: (w.method, w.path) for n, w in mine.operations.items()} == {
                n: (w.method, w.path) for n, w in true.operations.items()
            }
            assert assert_reads_the_same(sandbox, learned, furnish(sandbox)) >= 30

    run()
