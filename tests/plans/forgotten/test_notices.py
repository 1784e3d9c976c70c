"""Notices: nothing happens before people were told that it does, whatever is set meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.forgotten.notices import Notice, Stage, stage_of
from tests.plans.worlds import NOW

minutes = st.integers(1, 60 * 24 * 60).map(lambda n: timedelta(minutes=n))


@given(minutes, minutes, minutes)
def test_nothing_happens_before_the_moment_that_people_were_told(
    grace: timedelta, changed: timedelta, passed: timedelta
) -> None:
    _, acts_at = stage_of(None, NOW, grace)
    stage, now_at = stage_of(Notice(NOW, acts_at), NOW + passed, changed)
    if stage is Stage.DUE:
        assert passed >= max(grace, changed)
    assert now_at >= acts_at, "a later moment may be told, and no earlier one"


@given(minutes)
def test_every_notice_is_acted_on_in_the_end_however_long_the_grace_is(grace: timedelta) -> None:
    _, acts_at = stage_of(None, NOW, grace)
    assert stage_of(Notice(NOW, acts_at), acts_at, grace) == (Stage.DUE, acts_at)


def test_a_notice_of_an_earlier_release_counts_from_when_it_was_told() -> None:
    told, grace = int(NOW.timestamp()), timedelta(hours=1)
    notice = Notice.read(told)
    assert stage_of(notice, NOW + grace / 2, grace) == (Stage.GRACE, NOW + grace)
    assert Notice.read(notice.written()) == notice


@pytest.mark.parametrize("written", [None, "soon", [1], [1, 2, 3], [None, 1]])
def test_what_is_no_notice_is_refused(written: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Notice.read(written)
