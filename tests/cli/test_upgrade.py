"""What survives when a new release is applied over what people changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.cli.upgrade import (
    FORMER,
    AnotherAccountError,
    handed_over,
    successor_of,
    suffix_for,
    upgraded,
    with_stance,
)
from barrack_tasks.plans import lease_keys

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


@pytest.mark.parametrize("flow", FORMER)
def test_each_deployment_of_an_earlier_release_has_one_successor(flow: str) -> None:
    new = flow.replace("_", "-")
    assert successor_of(flow, FORMER[flow]) == (f"barrack-{new}", new)
    assert successor_of(flow, f"{FORMER[flow]}-team-b") == (f"barrack-{new}", f"{new}-team-b")


def test_what_somebody_else_has_deployed_has_no_successor() -> None:
    assert successor_of("hibernate", "mine") is None
    assert successor_of("hibernate", "on-demanding") is None
    assert successor_of("theirs", "on-demand") is None
    assert successor_of("barrack-hibernate", "on-demand") is None


@given(st.lists(st.sampled_from(["barrack", "guard", "mine"])), st.booleans() | st.none())
def test_a_tag_says_how_the_dry_run_stands(tags: list[str], dry_run: bool | None) -> None:
    assert with_stance(tags, dry_run) == tags, "a flow without a dry run has no such tag"
    for before in ("dry", "armed"):
        assert with_stance([*tags, before], dry_run) == [*tags, "dry" if dry_run else "armed"]


@given(st.uuids(), st.uuids(), st.uuids())
def test_what_a_deployment_remembers_goes_over_to_the_one_that_took_its_place(
    first: UUID, second: UUID, other: UUID
) -> None:
    took_over = lease_keys.deployment(str(second), ["barrack", f"{lease_keys.TOOK_OVER}{first}"])
    assert took_over == lease_keys.deployment(str(first), ["barrack"])
    if other != first:
        assert took_over != lease_keys.deployment(str(other), ["barrack"])
