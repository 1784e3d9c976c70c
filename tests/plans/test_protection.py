"""Protection is judged at each decision, by every name that is known at that moment."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.memory import Memory, protected_targets
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.power.rest import decide_rest
from barrack_tasks.plans.power.rise import Shortage, decide_rise
from barrack_tasks.plans.power.snapshot_then import Target, decide, drop_candidates
from barrack_tasks.plans.protection import is_protected, why_protected
from barrack_tasks.plans.snapshots.prune import Pruning, keepers, with_names
from barrack_tasks.plans.snapshots.retention import Retention
from barrack_tasks.plans.steps import Finished, Step
from barrack_tasks.plans.world import World
from tests.plans.worlds import HOUR, NOW, account, days, intent, snap, vm

SPARED = Finished("skipped", "protected")
NAMES = st.sampled_from(["prod-1", "Prod-1", "PROD-1", "scratch-1", "train", "gpu[1]", "élan"])
PATTERNS = st.lists(
    st.sampled_from(["prod-*", "PROD-*", " prod-1 ", "[!A-Z]*", "gpu[1]", "élan", "*", "none"]),
    max_size=3,
)


@pytest.mark.parametrize(
    ("protect", "known", "is_it"),
    [
        (["prod-*"], ["BRK-1", "prod-1"], True),
        (["PROD-*"], ["BRK-1", "prod-1"], True),
        (["prod-1"], ["BRK-1", "Prod-1"], True),
        ([" prod-1"], ["BRK-1", "prod-1 "], True),
        (["brk-1"], ["BRK-1", "x"], True),
        (["[!A-Z]*"], ["BRK-1", "prod-1"], True),
        (["gpu[1]"], ["BRK-1", "GPU[1]"], True),
        (["élan"], ["BRK-1", "élan"], True),
        (["prod-*"], ["BRK-1", "scratch", None, "prod-1"], True),
        (["STRASSE-*"], ["BRK-1", "straße-1"], True),
        (["İZMİR-*"], ["BRK-1", "izmir-1"], True),
        (["ISPARTA"], ["BRK-1", "ısparta"], True),
        (["ΟΔΟΣ"], ["BRK-1", "οδος"], True),
        (["ＰＲＯＤ-*"], ["BRK-1", "prod-1"], True),
        (["prod-*"], ["BRK-1", "train-1"], False),
        (["prod-1"], ["BRK-1", "prod-10"], False),
        ([""], ["BRK-1", "x", None], False),
        ([], ["BRK-1", "prod-1"], False),
    ],
)
def test_what_a_list_protects_whatever_the_letter_case(
    protect: list[str], known: list[str | None], is_it: bool
) -> None:
    assert is_protected(protect, *known) is is_it


@given(PATTERNS, PATTERNS, st.lists(NAMES, min_size=1), NAMES)
def test_more_that_is_protected_or_known_never_protects_less(
    protect: list[str], more: list[str], known: list[str], also: str
) -> None:
    if is_protected(protect, *known):
        assert is_protected([*protect, *more], *known)
        assert is_protected(protect, *known, also)
        assert is_protected([p.swapcase() for p in protect if "[" not in p] or protect, *known)


@pytest.mark.parametrize("then", ["hibernate", "stop", "delete"])
def test_an_instance_that_is_renamed_into_protection_is_left_alone_from_then_on(then: str) -> None:
    was = vm("scratch")
    run = intent(was, then=then, protect=["prod-*"])
    now = NOW + timedelta(minutes=1)
    [before] = decide(account(was, snapshots=[snap(was)]), run, Memory(), now).values()
    assert isinstance(before, Step)
    assert before.operation == f"{then}_instance"
    renamed = was.model_copy(update={"name": "prod-1"})
    [after] = decide(account(renamed, snapshots=[snap(was)]), run, Memory(), now).values()
    assert after == SPARED


def test_one_that_was_protected_when_the_run_began_stays_so() -> None:
    was = vm("prod-1")
    renamed = account(was.model_copy(update={"name": "scratch"}))
    run = intent(was, protect=["prod-*"])
    assert decide(renamed, run, Memory(), NOW) == {was.id: SPARED}


@pytest.mark.parametrize("protect", [["prod-*"], ["BRK-new"]])
def test_what_was_made_for_a_target_is_judged_by_its_own_name(protect: list[str]) -> None:
    made = vm("prod-9", id_="BRK-new")
    memory = Memory(made={"drill:1": "BRK-new"})
    target = Target("drill:1", "drill-x", NOW)
    assert protected_targets([target], account(made), protect, memory) == {"drill:1"}
    assert protected_targets([target], account(), ["other"], memory) == frozenset()


def test_each_decision_judges_by_the_world_that_it_is_given() -> None:
    was = vm("scratch", "HIBERNATED")
    renamed = account(was.model_copy(update={"name": "prod-1"}))
    targets = (Target(was.id, was.name, NOW, was),)
    run = intent(was, protect=["prod-*"])
    plans = [
        decide_rest(renamed, run, Memory(), Manner(), frozenset(), True, NOW),
        decide_rise(targets, renamed, Memory(), ["prod-*"], HOUR, Shortage(), 9, [was.id], NOW),
    ]
    assert plans == [{was.id: SPARED}] * 2


def test_old_snapshots_that_carry_a_protected_name_are_not_tidied_away() -> None:
    there = vm("scratch")
    every = [
        snap(there, days(n), instance_name="prod-1" if n == 3 else "scratch") for n in range(5)
    ]
    run = intent(there, keep=1, protect=["prod-*"])
    [target] = run.targets
    world = account(there, snapshots=every)
    assert every[3] not in drop_candidates(target, world, run)
    assert len(drop_candidates(target, world, run)) == 3


# Snapshots of instances that are renamed, or gone


def kept(snapshot: Any, *instances: Any, protect: tuple[str, ...] = ("prod-*",)) -> str | None:
    how = Pruning(Retention(), protect=protect)
    there = {i.id: i for i in instances}
    return keepers([snapshot], how, frozenset(), {}, instances=there).get(snapshot.id)


SAME = "its instance is protected"
UNKNOWN = "it is not known what its instance was called, so it may be protected"


@pytest.mark.parametrize(
    ("carried", "current", "why"),
    [
        ("prod-1", "scratch", SAME),
        ("scratch", "prod-1", SAME),
        ("scratch", "PROD-1", SAME),
        (None, "prod-1", SAME),
        ("prod-1", None, SAME),
        (None, None, UNKNOWN),
        ("", None, UNKNOWN),
        ("scratch", "scratch", None),
        (None, "scratch", None),
        ("scratch", None, None),
    ],
)
def test_snapshots_are_judged_by_the_name_now_and_by_the_name_that_they_carry(
    carried: str | None, current: str | None, why: str | None
) -> None:
    machine = vm("x")
    snapshot = snap(machine, instance_name=carried)
    there = [machine.model_copy(update={"name": current})] if current else []
    assert kept(snapshot, *there) == why


def test_where_only_ids_are_protected_a_name_that_is_not_known_does_not_matter() -> None:
    other, gone = vm("other"), vm("gone")
    snapshot = snap(gone, instance_name=None)
    assert kept(snapshot, other, protect=(other.id,)) is None
    assert kept(snapshot, other, protect=(gone.id,)) == SAME
    assert kept(snapshot, other, protect=(other.id, "prod-1")) == UNKNOWN
    assert kept(snapshot, protect=()) is None


@given(PATTERNS, st.none() | NAMES, st.none() | NAMES)
def test_no_snapshot_goes_of_which_any_known_name_is_protected(
    protect: list[str], carried: str | None, current: str | None
) -> None:
    machine = vm("x")
    there = {machine.id: machine.model_copy(update={"name": current})} if current else {}
    snapshot = snap(machine, instance_name=carried)
    why = why_protected(snapshot, protect, there)
    if is_protected(protect, machine.id, carried, current):
        assert why == SAME
    elif carried is None and current is None and protect:
        assert why == UNKNOWN
    else:
        assert why is None


def test_a_snapshot_that_carries_no_name_gets_the_one_that_its_instance_has() -> None:
    machine = vm("alpha")
    bare, told, gone = (
        snap(machine, id=id_, **more)
        for id_, more in (
            ("1", {"instance_name": None}),
            ("2", {"instance_name": "old"}),
            ("3", {"instance_name": None, "instance_id": "BRK-gone"}),
        )
    )
    named = with_names([bare, told, gone], World({machine.id: machine}).instances)
    assert [s.instance_name for s in named] == ["alpha", "old", None]


_TEXTS = st.text(alphabet="aAé*?[]!-\\.|() \u0301", max_size=6)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@given(protect=st.lists(_TEXTS, max_size=4), known=st.lists(_TEXTS, max_size=3))
def test_many_patterns_protect_what_one_of_them_protects(
    protect: list[str], known: list[str]
) -> None:
    """Whatever signs are in a name, and in whatever order the patterns are given."""
    expected = any(
        text == pattern or fnmatchcase(text, pattern)
        for one in protect
        for pattern in (one, _folded(one))
        for name in known
        if name
        for text in (name, _folded(name))
    )
    assert is_protected(protect, *known) is expected


def test_an_instance_is_found_by_its_name() -> None:
    first, second, other = (
        vm(name, "ACTIVE", id_)
        for name, id_ in (("alpha", "BRK-1"), ("alpha", "BRK-2"), ("beta", "BRK-3"))
    )
    assert account(first, second, other).by_name == {"alpha": first, "beta": other}
