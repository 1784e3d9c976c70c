"""What an apply changes: what is wanted, what is there, and what was applied last."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.cli.config.changes import (
    ABSENT,
    OwnedElsewhereError,
    PlannedChange,
    Present,
    begun,
    changes,
    digest,
    digests,
    items_of,
)

VALUES = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3) | st.lists(st.integers(0, 1)))
THINGS = st.dictionaries(st.sampled_from("abcd"), VALUES)
OWNERS = st.sampled_from([None, "mine"])


@st.composite
def servers(draw: st.DrawFn) -> dict[str, Present]:
    return {key: Present(values, draw(OWNERS)) for key, values in draw(THINGS).items()}


def applied(server: dict[str, Present], found: list[PlannedChange]) -> dict[str, Present]:
    """The server after an apply."""
    after = dict(server)
    for one in found:
        if one.action == "remove":
            del after[one.key]
        elif one.is_done:
            after[one.key] = Present(one.values or {}, "mine")
    return after


def noted(wanted: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {key: digests(values) for key, values in wanted.items()}


@given(THINGS, servers(), THINGS, st.booleans())
def test_an_apply_repeated_does_nothing(
    wanted: dict[str, Any], server: dict[str, Present], last: dict[str, Any], overwrite: bool
) -> None:
    first = changes(wanted, server, noted(last), "mine", overwrite=overwrite)
    after = applied(server, first)
    again = changes(wanted, after, noted(wanted), "mine", overwrite=overwrite)
    assert not any(one.is_done for one in again)
    if overwrite:
        assert {k: dict(after[k].values) for k in wanted} == wanted
        assert all(one.action == "none" for one in again)


FILES = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), st.integers(0, 3), min_size=1)
)


@given(FILES, st.lists(st.tuples(FILES, st.sets(st.sampled_from("abc"))), max_size=3), FILES)
def test_what_applies_changed_that_did_not_end_was_not_changed_by_hand(
    first: dict[str, Any], cut: list[tuple[dict[str, Any], set[str]]], wanted: dict[str, Any]
) -> None:
    server = applied({}, changes(first, {}, {}, "mine"))
    last: dict[str, Any] = noted(first)
    for said, reached in cut:
        found = changes(said, server, last, "mine")
        assert not any(one.drifted or one.deleted_by_hand for one in found)
        for one in found:
            last[one.key] = begun(last.get(one.key, {}), digests(said.get(one.key, {})))
        server = applied(server, [one for one in found if one.key in reached])
    found = changes(wanted, server, last, "mine")
    assert not any(one.drifted or one.deleted_by_hand for one in found)
    after = applied(server, found)
    assert {key: dict(one.values) for key, one in after.items()} == wanted


@given(THINGS, servers(), THINGS)
def test_what_was_changed_by_hand_stays(
    wanted: dict[str, Any], server: dict[str, Present], last: dict[str, Any]
) -> None:
    after = applied(server, changes(wanted, server, noted(last), "mine"))
    for key in wanted.keys() & server.keys() & last.keys():
        for name in {*wanted[key], *server[key].values, *last[key]}:
            was = last[key].get(name, ABSENT)
            now = server[key].values.get(name, ABSENT)
            if now != was:
                assert after[key].values.get(name, ABSENT) == now
            else:
                assert after[key].values.get(name, ABSENT) == wanted[key].get(name, ABSENT)


@given(THINGS, servers(), THINGS, st.booleans())
def test_only_what_the_file_made_is_removed(
    wanted: dict[str, Any], server: dict[str, Present], last: dict[str, Any], overwrite: bool
) -> None:
    found = changes(wanted, server, noted(last), "mine", overwrite=overwrite)
    removed = {one.key for one in found if one.action == "remove"}
    assert removed == {k for k, p in server.items() if p.owner == "mine" and k not in wanted}


@given(THINGS)
def test_what_is_not_there_is_made_and_what_is_as_wanted_stays(wanted: dict[str, Any]) -> None:
    assert {one.action for one in changes(wanted, {}, {}, "mine")} <= {"create"}
    there = {key: Present(values, "mine") for key, values in wanted.items()}
    assert {one.action for one in changes(wanted, there, {}, "mine")} <= {"none"}


def test_what_another_file_made_is_not_taken() -> None:
    with pytest.raises(OwnedElsewhereError) as caught:
        changes({"a": {}}, {"a": Present({}, "theirs")}, {}, "mine")
    assert (caught.value.key, caught.value.owner) == ("a", "theirs")


def test_what_no_file_made_is_taken_over_and_said_so() -> None:
    [one] = changes({"a": {"x": 1}}, {"a": Present({"x": 1})}, {}, "mine")
    assert (one.action, one.taken_over, one.differences) == ("change", True, ())


def test_drift_is_told_apart_from_what_the_file_changed() -> None:
    there = {"a": Present({"x": 1, "y": 9, "z": 7}, "mine")}
    last = {"a": digests({"x": 1, "y": 1})}
    [one] = changes({"a": {"x": 2, "y": 1}}, there, last, "mine")
    told = {d.name: (d.old, d.new, d.by_hand) for d in one.differences}
    assert told == {"x": (1, 2, False), "y": (9, 1, True), "z": (7, ABSENT, True)}
    assert one.values == {"x": 2, "y": 9, "z": 7}


def test_what_somebody_deleted_is_made_again_and_said_so() -> None:
    [one] = changes({"a": {"x": 1}}, {}, {"a": digests({"x": 1})}, "mine")
    assert (one.action, one.deleted_by_hand) == ("create", True)


@given(VALUES, VALUES)
def test_two_values_have_one_digest_if_they_say_the_same(one: Any, other: Any) -> None:
    assert (digest(one) == digest(other)) == (one == other)


EVENTS = st.lists(
    st.tuples(st.sampled_from(["file", "hand", "apply"]), st.integers(0, 3)), max_size=12
)


@given(EVENTS)
def test_a_value_follows_the_file_until_a_hand_and_again_once_both_agree(
    events: list[tuple[str, int]],
) -> None:
    said, server, last = 0, {"a": Present({"x": 0}, "mine")}, {"a": digests({"x": 0})}
    is_by_hand, agreed = False, 0
    for what, value in events:
        now = server["a"].values["x"]
        if what == "file":
            said = value
        elif what == "hand":
            server["a"] = Present({"x": value}, "mine")
            is_by_hand = value != agreed
        else:
            wanted = {"a": {"x": said}}
            server = applied(server, changes(wanted, server, last, "mine"))
            last = noted(wanted)
            assert server["a"].values["x"] == (now if is_by_hand else said)
            # What the file says now is what a later change by hand is told from.
            agreed = said
            is_by_hand = server["a"].values["x"] != said


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_the_items_of_a_list_lead_from_the_old_one_to_the_new_one(
    old: list[int], new: list[int]
) -> None:
    found = items_of(old, new)
    gone = [one.value for one in found if one.sign == "-"]
    fresh = [one.value for one in found if one.sign == "+"]
    assert Counter(old) - Counter(gone) + Counter(fresh) == Counter(new)
    assert (found == ()) == (old == new)
    assert len(gone) <= len(old)


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 1)), st.randoms())
def test_the_order_of_a_mapping_does_not_count(old: dict[str, int], rng: Random) -> None:
    keys = rng.sample([*old], len(old))
    assert items_of(old, {key: old[key] for key in keys}) == ()
    assert [one.sign for one in items_of(old, {**old, "d": 1})] == ["+"]
