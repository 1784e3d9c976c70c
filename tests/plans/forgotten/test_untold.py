"""Machines of which nobody can be told."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.forgotten.untold import Untold, late_of, said_of_late
from tests.plans.worlds import NOW

DAY = timedelta(days=1)
moments = st.none() | st.integers(0, 10).map(lambda days: NOW - days * DAY)


@given(st.dictionaries(st.text("ab", min_size=1), moments), st.integers(1, 9))
def test_what_waits_for_as_long_as_was_set_is_late(
    since: dict[str, datetime | None], days: int
) -> None:
    late = late_of(since, NOW, Untold(days * DAY))
    for key, at in since.items():
        assert (key in late) == (at is not None and at + days * DAY <= NOW)


def test_the_sentence_says_what_happens_and_what_to_do() -> None:
    lines = [Reading("lease 1 BRK-a", True, False, "the lease of ann on a ends")]
    stays, acts = (said_of_late(lines, Untold(3 * DAY, then)) for then in ("stay", "act"))  # type: ignore[arg-type]
    assert "nobody could be told of this: the lease of ann on a ends" in stays
    assert "stay as they are and are billed" in stays
    assert "the run goes on" in acts
