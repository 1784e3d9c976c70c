"""Which instances are meant, and what is said of those that do not exist."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.selection import (
    SelectionError,
    Selector,
    matches,
    models_in_vain,
    named_in_vain,
    refuse,
    select_instances,
    selected_in_vain,
    selected_that_exist,
    selector_of,
    what_exists,
)
from tests.plans.worlds import vm

FLEET = [
    vm("train-1", region="CANADA-1", gpu_model="H100-SXM5-80GB"),
    vm("train-2", "HIBERNATED", region="NORWAY-1", gpu_model="L40"),
    vm("eval", region="CANADA-1", gpu_model="A100-PCIe-80GB"),
    vm("no facts", "PAUSED"),
]


def names(select: Any, **more: Any) -> list[str]:
    return [i.name for i in select_instances(selector_of(select), FLEET, **more)]


BOTH = [vm("eval", "ACTIVE"), vm("BRK-eval", "ACTIVE"), vm("other", "ACTIVE")]
UNCLEAR = (
    "'BRK-eval' is the id of one instance, eval, and the name of another, BRK-BRK-eval; give the "
    "name of the one, or the id of the other"
)


def test_what_is_the_id_of_one_and_the_name_of_another_selects_neither() -> None:
    for select in (["BRK-eval"], ["other", "BRK-eval"], {"names": ["BRK-eval"], "ids": ["BRK-x"]}):
        selector = selector_of(select)
        with pytest.raises(SelectionError) as caught:
            select_instances(selector, BOTH)
        assert str(caught.value) == UNCLEAR
        assert f"select: {UNCLEAR}" in [one.text for one in selected_in_vain(selector, BOTH)]
        found = [i.name for i in selected_that_exist(selector, BOTH)]
        assert found == (["other"] if "other" in select else [])
    assert [i.name for i in select_instances(selector_of(["BRK-*", "eval"]), BOTH)] == [
        "eval",
        "BRK-eval",
    ], "a glob, a name and an id of its own are clear"
    same = [vm("BRK-1", "ACTIVE").model_copy(update={"id": "BRK-1"})]
    assert select_instances(selector_of(["BRK-1"]), same) == same


def test_a_list_that_keeps_from_harm_means_both() -> None:
    [one] = named_in_vain("priority", ["BRK-eval"], BOTH)
    assert (one.text, one.is_error) == (f"priority: {UNCLEAR}", True)
    for keeps in ("protect", "exclude"):
        assert named_in_vain(keeps, ["BRK-eval"], BOTH) == []
    assert [i.name for i in BOTH if is_protected(["BRK-eval"], i.id, i.name)] == [
        "eval",
        "BRK-eval",
    ]


@pytest.mark.parametrize(
    ("select", "found"),
    [
        ("eval", ["eval"]),
        (["eval", "train-1"], ["train-1", "eval"]),
        (("train-*",), ["train-1", "train-2"]),
        (["*"], ["train-1", "train-2", "eval", "no facts"]),
        (["train-[13]", "BRK-eval"], ["train-1", "eval"]),
        (["no facts"], ["no facts"]),
        ({"ids": ["BRK-train-2"]}, ["train-2"]),
        ({"names": ["train-1"], "ids": ["BRK-eval"]}, ["train-1", "eval"]),
        ({"regions": ["canada-1"]}, ["train-1", "eval"]),
        ({"regions": ["*"]}, ["train-1", "train-2", "eval"]),
        ({"models": ["h100-*", "L40"]}, ["train-1", "train-2"]),
        ({"states": ["hibernated"]}, ["train-2"]),
        ({"states": ["ERROR"]}, []),
        ({"names": ["train-*"], "states": ["ACTIVE"]}, ["train-1"]),
        (Selector(names=("*",), regions=("NORWAY-1",), models=("L40",)), ["train-2"]),
    ],
    ids=str,
)
def test_what_is_selected(select: Any, found: list[str]) -> None:
    assert names(select) == found


EMPTY = (
    'the selection is empty, and that does not mean everything; name instances, or say select=["*"]'
)
ALL = "there are eval, no facts, train-1, train-2"
KINDS = "select must be a list of names, globs and ids, or a selector; got "


@pytest.mark.parametrize(
    ("select", "says"),
    [
        (None, EMPTY),
        ([], EMPTY),
        ((), EMPTY),
        ({}, EMPTY),
        (Selector(), EMPTY),
        ({"names": []}, EMPTY),
        ("", "the selection holds an empty name; leave it out, or write '*' for all"),
        (["eval", "  "], "the selection holds an empty name; leave it out, or write '*' for all"),
        (
            {"regions": [""]},
            "the selection holds an empty name; leave it out, or write '*' for all",
        ),
        (7, f"{KINDS}7"),
        ([7], f"{KINDS}[7]"),
        ({"eval"}, f"{KINDS}{{'eval'}}"),
        (
            {"states": ["SLEEPING"]},
            "no instance state is called 'SLEEPING'; known are ACTIVE, SHUTOFF, HIBERNATED, "
            "DELETED, CREATING, BUILD, STARTING, STOPPING, REBOOTING, HIBERNATING, RESTORING, "
            "DELETING, ERROR",
        ),
        (
            {"colour": ["red"]},
            "select: no such key 'colour'; there are names, ids, regions, models, states",
        ),
        ({"names": 7}, "select: names must be a list, such as [a, b] (it is 7)"),
    ],
    ids=str,
)
def test_what_says_nothing_is_refused(select: Any, says: str) -> None:
    with pytest.raises(SelectionError) as caught:
        selector_of(select)
    assert str(caught.value) == says


def test_an_id_is_no_name_that_looks_like_one() -> None:
    both = [vm("eval", "ACTIVE"), vm("BRK-eval", "ACTIVE")]
    found = select_instances(selector_of({"ids": ["BRK-eval"]}), both)
    assert [i.name for i in found] == ["eval"]
    for told in ("eval", "BRK-*"):
        with pytest.raises(SelectionError, match="no instance matches"):
            select_instances(selector_of({"ids": [told]}), both)


@pytest.mark.parametrize(
    ("select", "says"),
    [
        (["trian-1"], "no instance matches 'trian-1'; the nearest are train-1, train-2"),
        (["eval", "zzz*"], f"no instance matches 'zzz*'; {ALL}"),
        (["EVAL"], f"no instance matches 'EVAL'; {ALL}"),
        ({"ids": ["BRK-9"]}, f"no instance matches 'BRK-9'; {ALL}"),
        (
            {"regions": ["CANADA-2"]},
            "no instance has the region 'CANADA-2'; the nearest is CANADA-1",
        ),
        (
            {"models": ["B200"]},
            "no instance has the GPU model 'B200'; there are A100-PCIe-80GB, H100-SXM5-80GB, L40",
        ),
    ],
    ids=str,
)
def test_what_does_not_exist_is_said_with_what_does(select: Any, says: str) -> None:
    with pytest.raises(SelectionError) as caught:
        names(select)
    assert str(caught.value) == says


def test_an_account_with_nothing_and_one_with_much() -> None:
    with pytest.raises(SelectionError, match=r"^no instance matches 'x'; the account has none$"):
        select_instances(selector_of("x"), [])
    with pytest.raises(SelectionError, match=r"the region 'X'; the account has none$"):
        select_instances(selector_of({"regions": ["X"]}), [])
    many = [vm(f"m{number:02}") for number in range(12)]
    with pytest.raises(SelectionError, match=r"; there are m00, .*, m09 and 2 more$"):
        select_instances(selector_of("zzz"), many)


def test_names_that_an_earlier_start_dealt_with_need_not_exist() -> None:
    assert names(["old", "eval"], known_before=["old", "BRK-old"]) == ["eval"]
    assert names(["old*", "eval"], known_before=["older"]) == ["eval"]
    assert names(["BRK-old"], known_before=["BRK-old", "old"]) == []
    with pytest.raises(SelectionError, match="no instance matches 'other'"):
        names(["old", "other"], known_before=["old"])


@pytest.mark.parametrize("select", [{"regions": ["MARS-1"]}, {"models": ["B200"]}])
def test_nor_do_the_regions_and_models_that_they_had(select: Any) -> None:
    assert names(select, known_before=["BRK-old", "old"]) == []


@given(st.lists(st.sampled_from(["*", "train-*", "eval", "BRK-eval", "no facts"]), min_size=1))
def test_a_selection_is_the_union_of_its_names_in_the_order_of_the_account(
    chosen: list[str],
) -> None:
    found = names(chosen)
    assert found == [i.name for i in FLEET if matches(i, chosen)]
    assert set(found) == {name for one in chosen for name in names([one])}


@pytest.mark.parametrize(
    ("select", "found", "said"),
    [
        (["train-1", "train-9"], ["train-1"], ["no instance matches 'train-9'; the nearest are"]),
        (["gone", "*"], ["train-1", "train-2", "eval", "no facts"], ["no instance matches 'gone'"]),
        (["gone"], [], ["no instance matches 'gone'"]),
        ({"ids": ["BRK-eval", "BRK-9"]}, ["eval"], ["no instance matches 'BRK-9'"]),
        ({"regions": ["NORWAY-1", "US-1"]}, ["train-2"], ["no instance has the region 'US-1'"]),
        ({"regions": ["US-1"]}, [], ["no instance has the region 'US-1'"]),
        (None, [], []),
    ],
)
def test_a_guardrail_goes_on_with_what_is_still_there(
    select: Any, found: list[str], said: list[str]
) -> None:
    assert [i.name for i in selected_that_exist(select, FLEET)] == found
    selector = None if select is None else selector_of(select)
    unmet = [one.text for one in selected_in_vain(selector, FLEET)]
    assert len(unmet) == len(said)
    assert all(u.startswith(f"select: {s}") for u, s in zip(unmet, said, strict=True))


def in_vain(list_name: str, *listed: str, **more: Any) -> list[tuple[str, bool]]:
    found = named_in_vain(list_name, listed, FLEET, **more)
    return [(one.text, one.is_error) for one in found]


@pytest.mark.parametrize("list_name", ["protect", "exclude", "priority"])
def test_all_lists_of_names_tell_what_they_name_in_vain(list_name: str) -> None:
    assert in_vain(list_name, "train-1", "BRK-eval", "train-*", "no facts") == []
    names = [i.name for i in FLEET]
    assert in_vain(list_name, "trian-1") == [
        (f"{list_name}: no instance is called 'trian-1'; {what_exists('trian-1', names)}", True)
    ]
    assert in_vain(list_name, "trian-*") == [
        (f"{list_name}: no instance matches 'trian-*'; {what_exists('trian-*', names)}", True)
    ]
    assert in_vain(list_name, "zzz") == [(f"{list_name}: no instance is called 'zzz'; {ALL}", True)]
    assert in_vain(list_name, "zzz*") == [
        (f"{list_name}: no instance matches 'zzz*'; {ALL}", False)
    ]
    assert [error for _, error in in_vain(list_name, "zzz", "trian-*", standing=True)] == [
        False,
        False,
    ]


def test_letter_case_makes_no_difference_to_what_keeps_instances_from_being_touched() -> None:
    assert in_vain("protect", "TRAIN-*", "Eval") == []
    assert in_vain("exclude", "TRAIN-*", "Eval") == []
    assert in_vain("priority", "TRAIN-*") == [
        (f"priority: no instance matches 'TRAIN-*'; {ALL}", True)
    ]


def test_a_misspelt_list_is_refused_with_all_that_is_wrong_in_it() -> None:
    with pytest.raises(SelectionError) as caught:
        refuse(named_in_vain("exclude", ["trian-1", "zzz*", "evl"], FLEET))
    assert str(caught.value) == (
        "exclude: no instance is called 'trian-1'; the nearest are train-1, train-2. "
        "exclude: no instance is called 'evl'; the nearest is eval. "
        "Correct it, or take it out if it is gone"
    )
    refuse(named_in_vain("exclude", ["zzz*", "train-1"], FLEET))


def test_models_that_the_stock_does_not_name_are_told_and_are_no_error() -> None:
    stock = {("CANADA-1", "A100-PCIe-80GB"): {1: 0}}
    assert models_in_vain("substitutes", ["a100-*"], stock) == []
    assert [one.is_error for one in models_in_vain("substitutes", ["A10-*"], stock)] == [False]
    assert models_in_vain("substitutes", ["A10-*"], None) == []
