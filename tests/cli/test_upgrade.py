"""What survives when a new release is applied over what people changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.cli.upgrade import (
    AnotherAccountError,
    handed_over,
    suffix_for,
    upgraded,
)

VALUES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), max_size=6)


@given(VALUES)
def test_what_was_never_applied_is_as_the_release_says(new: dict[str, Any]) -> None:
    assert upgraded(new, None, None) == new


@given(VALUES, VALUES)
def test_what_nobody_touched_follows_the_release(new: dict[str, Any], last: dict[str, Any]) -> None:
    assert upgraded(new, last, last) == new


@given(VALUES, VALUES, VALUES)
def test_what_somebody_changed_stays_whatever_the_release_says(
    new: dict[str, Any], last: dict[str, Any], there: dict[str, Any]
) -> None:
    found = upgraded(new, last, there)
    for name in {*new, *last, *there}:
        changed = there.get(name) != last.get(name)
        want = there.get(name) if changed else new.get(name)
        assert found.get(name) == want, name


@given(VALUES, VALUES, VALUES)
def test_to_apply_it_again_changes_nothing(
    new: dict[str, Any], last: dict[str, Any], there: dict[str, Any]
) -> None:
    once = upgraded(new, last, there)
    assert upgraded(new, new, once) == once


@given(VALUES, VALUES)
def test_where_the_last_time_is_not_known_what_is_there_stays(
    new: dict[str, Any], there: dict[str, Any]
) -> None:
    found = upgraded(new, None, there)
    assert {k: found[k] for k in there} == there


OWNERS = st.sets(st.sampled_from(["a", "b", None]))


@given(OWNERS, st.booleans())
def test_deployments_of_another_account_are_not_touched_unless_it_is_asked_for(
    owners: set[str | None], has_own: bool
) -> None:
    if has_own:
        assert suffix_for("b", "team-b", owners, has_own, "refuse") == "-team-b"
    elif owners <= {"b"}:
        assert suffix_for("b", "team-b", owners, has_own, "refuse") == ""
    else:
        with pytest.raises(AnotherAccountError):
            suffix_for("b", "team-b", owners, has_own, "refuse")
        assert suffix_for("b", "team-b", owners, has_own, "beside") == "-team-b"
    assert suffix_for("b", "team-b", owners, has_own, "move") == ""


def test_what_was_armed_for_one_account_is_a_dry_run_for_another() -> None:
    new = {
        "parameter credentials": "b",
        "parameter dry_run": True,
        "parameter select": ["*"],
        "schedules": [{"interval": 60, "active": False}],
        "trigger x": False,
    }
    armed = {
        "parameter credentials": "a",
        "parameter dry_run": False,
        "parameter select": ["train-*"],
        "schedules": [{"interval": 60, "active": True}],
        "trigger x": True,
    }
    found = upgraded(new, {**new, "parameter credentials": "a"}, handed_over(new, armed))
    assert found == {**new, "parameter select": ["train-*"]}
