"""The pre-flight guard's decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.plans.money.burn import Tariff
from barrack_tasks.plans.money.caps import (
    Caps,
    Means,
    Proposed,
    admit,
    beginning,
    coming_back,
    is_seen,
    needs_price,
    readings,
    rule,
    today_of,
)
from barrack_tasks.plans.steps import Finished, Next, Step, Wait

ASKED = Proposed("train", "H100-PCIe-80GB", 4, "CANADA-1")


def machine(name: str, status: str = "HIBERNATED", price: str | None = "2") -> UserVM:
    return UserVM(
        id=name,
        name=name,
        status=status,
        gpu_model="L40",
        gpu_count=2,
        region="CANADA-1",
        hourly_price=price,
        currency="USD",
    )


def means(balance: Any = 1000, burn: Any = 10, **more: Any) -> Means:
    money = Balance(amount=str(balance), currency="USD")
    return Means(money, Decimal(burn), (machine("a", "ACTIVE"), machine("b")), **more)


def refused(caps: dict[str, Any], price: Any = 9, had: Means | None = None) -> str:
    asked = replace(ASKED, price=Decimal(price))
    return "; ".join(rule(asked, Caps(**caps), had or means()).refused)


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        ({"hourly_price": 8}, "it costs 9.00 USD an hour, the cap is 8.00 USD"),
        ({"burn": 18}, "the account would burn 19.00 USD an hour, the cap is 18.00 USD"),
        ({"gpus": 5}, "6 GPUs would be in use, the cap is 5"),
        ({"instances": 2}, "there are 2 instances, the cap is 2"),
        ({"regions": ["NORWAY-*"]}, "the region CANADA-1 is not allowed; allowed are NORWAY-*"),
        ({"gpu_models": ["L40"]}, "the GPU model H100-PCIe-80GB is not allowed; allowed are L40"),
        (
            {"lasts": "100h"},
            "the balance of 1000.00 USD would not last 4 days at 19.00 USD an hour: "
            "900.00 USD are missing",
        ),
        ({"daily_budget": 50}, "what was spent today cannot be read, and daily_budget needs it"),
    ],
)
def test_a_refusal_carries_the_numbers(caps: dict[str, Any], said: str) -> None:
    assert refused(caps) == said


def test_a_daily_budget_counts_what_the_rest_of_the_day_will_cost() -> None:
    had = means(spent_today=Decimal(30), hours_left_today=Decimal(2))
    assert refused({"daily_budget": 68}, had=had) == ""
    assert refused({"daily_budget": 67}, had=had) == (
        "today would come to 68.00 USD (30.00 USD spent so far), the daily budget is 67.00 USD"
    )


def test_everything_that_is_wrong_is_said_at_once() -> None:
    said = refused({"hourly_price": 1, "burn": 1, "instances": 0}, had=means(balance="0.5"))
    assert said.count(";") == 3
    assert said.startswith("the balance is 0.50 USD, and 1.00 USD needed")


def test_what_has_begun_counts_for_the_next() -> None:
    had = means()
    for n in range(3):
        began = had.with_begun(Proposed(f"new-{n}", "L40", 2, "CANADA-1", price=Decimal(3)))
        assert began.burn == had.burn + 3
        had = began
    assert "there are 5 instances, the cap is 5" in refused({"instances": 5}, had=had)
    assert "12 GPUs would be in use" in refused({"gpus": 11}, had=had)
    back = means().with_begun(coming_back(machine("b")))
    assert "8 GPUs would be in use" in refused({"gpus": 7}, had=back)
    assert refused({"gpus": 8, "instances": 3}, had=back) == ""


@pytest.mark.parametrize("cap", [{"burn": 900}, {"lasts": "1h"}, {"daily_budget": 9000}])
def test_a_price_that_is_not_known_refuses_what_needs_the_sum(cap: dict[str, Any]) -> None:
    had = means(unknown=("instance odd",), spent_today=Decimal(0))
    assert "the price of instance odd is not known" in refused(cap, had=had)
    assert refused({"hourly_price": 900}, had=had) == ""
    later = means().with_begun(Proposed("odd", "L40", 2, "CANADA-1"))
    assert later.unknown == ("instance odd",)
    known = Tariff({("L40", 2, None): Decimal(4)})
    assert means(tariff=known).with_begun(Proposed("odd", "L40", 2, "CANADA-1")).burn == 14


def test_a_person_is_asked_only_above_the_soft_cap() -> None:
    asked = replace(ASKED, price=Decimal(9))
    assert rule(asked, Caps(approve_over=9), means()).to_approve == ()
    [question] = rule(asked, Caps(approve_over=8), means()).to_approve
    assert question == (
        "4x H100-PCIe-80GB in CANADA-1 as 'train' costs 9.00 USD an hour, above 8.00 USD"
    )


def test_what_a_person_approved_counts_at_that_price_and_for_that_one_only() -> None:
    asked = replace(ASKED, price=Decimal(9))

    def may(key: str, approved: tuple[str, int]) -> bool:
        caps = [Caps(approve_over=8)]
        found = admit({key: asked}, caps, means(), lambda *one: one == approved)
        return not found[key].to_approve

    assert may("one", ("one", 9))
    assert not may("one", ("one", 10))
    assert not may("two", ("one", 9))


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        ({"regions": []}, "would allow nothing"),
        ({"approve_over": 5, "hourly_price": 5}, "must be lower"),
        ({"burn": -1}, "greater than or equal"),
        ({"price": 1}, "price"),
    ],
)
def test_caps_that_cannot_be_meant_are_refused(caps: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Caps(**caps)


# What a plan lets begin
STEPS: dict[str, Next] = {
    "a": Step("restore_instance", "a", "a", {"instance_id": "a"}),
    "b": Step("start_instance", "b", "b", {"instance_id": "b"}),
    "c": Step(
        "create_instance",
        "c",
        "c-alt",
        {"gpu_model": "H100", "gpu_count": "2", "region": "CANADA-1"},
    ),
    "d": Step("restore_snapshot", "d", "d", {"snapshot_id": "1"}),
    "e": Step("restore_snapshot", "e", "e", {"snapshot_id": "2"}),
    "f": Step("hibernate_instance", "f", "f", {"instance_id": "f"}),
    "g": Wait("another run is working on it"),
    "h": Finished("done"),
    "i": Step("restore_instance", "i", "i", {"instance_id": "gone"}),
}


def test_each_step_that_lets_something_begin_says_what() -> None:
    known = {"d": Proposed("d", "A40", 1, "US-1")}
    assert beginning(STEPS, {"a": machine("a")}, known) == {
        "a": Proposed("a", "L40", 2, "CANADA-1", comes_back=True, price=Decimal(2)),
        "c": Proposed("c-alt", "H100", 2, "CANADA-1"),
        "d": known["d"],
        "e": Proposed("e", None, 1, "?"),
        "i": Proposed("i", None, 1, "?", comes_back=True),
    }


@given(
    prices=st.lists(st.decimals("0.1", 20, places=2), max_size=8),
    cap=st.integers(0, 60),
    back=st.booleans(),
)
def test_what_is_admitted_never_raises_the_burn_above_the_cap(
    prices: list[Decimal], cap: int, back: bool
) -> None:
    asking = {
        str(n): Proposed(str(n), "L40", 1, "CANADA-1", back, price)
        for n, price in enumerate(prices)
    }
    found = admit(asking, [Caps(burn=cap)], means())
    allowed = sum((asking[k].price or 0 for k, r in found.items() if not r.refused), Decimal(0))
    assert not allowed or 10 + allowed <= cap
    for key, ruling in found.items():
        if ruling.refused:
            assert 10 + allowed + (asking[key].price or 0) > cap, "what fits is not held back"


def test_gpus_are_counted_as_they_come_up() -> None:
    asking = {n: coming_back(machine(n)) for n in "bcd"}
    found = admit(asking, [Caps(gpus=6)], means())
    assert [bool(r.refused) for r in found.values()] == [False, False, True]


def test_what_was_let_begin_counts_once_until_the_lists_show_it() -> None:
    others = [Proposed("a", None, 2, "?", price=Decimal(2)), Proposed("new", None, 8, "?")]
    had = means().with_unseen(others)
    assert list(had.begun) == ["new"], "a is up already"
    assert "14 GPUs would be in use" in refused({"gpus": 13}, had=had)
    assert "the price of instance new is not known" in refused({"burn": 900}, had=had)
    again = Proposed("new", "L40", 8, "CANADA-1", price=Decimal(1))
    assert rule(again, Caps(gpus=10, burn=11), had).refused == (), "judged anew, not besides itself"
    assert not is_seen(coming_back(machine("b")), had.instances)
    assert is_seen(coming_back(machine("b")), [machine("b", "RESTORING")])


# A guard needs what its caps need
ALL: dict[str, Any] = {
    "hourly_price": 9,
    "approve_over": 9,
    "burn": 90,
    "gpus": 99,
    "instances": 99,
    "regions": ["*"],
    "gpu_models": ["*"],
    "lasts": "1h",
    "daily_budget": 900,
}
LISTS = {"list_instances", "list_volumes", "list_snapshots", "get_pricing", "get_credit_balance"}


@pytest.mark.parametrize(
    ("caps", "operations"),
    [
        ({}, set()),
        ({"gpus": 1, "instances": 1}, {"list_instances"}),
        ({"regions": ["*"], "gpu_models": ["*"]}, set()),
        ({"hourly_price": 1}, {"get_pricing", "get_credit_balance"}),
        ({"burn": 1}, LISTS),
        ({"lasts": "1h"}, LISTS),
        ({"daily_budget": 1}, LISTS),
    ],
)
def test_only_what_the_caps_need_is_read(caps: dict[str, Any], operations: set[str]) -> None:
    assert readings([Caps(**caps)]) == operations
    assert needs_price([Caps(**caps)]) == ("get_pricing" in operations)


@given(
    chosen=st.sets(st.sampled_from(sorted(ALL)), max_size=4),
    unread=st.sets(st.sampled_from(sorted(LISTS - {"get_pricing"})), max_size=2),
)
def test_a_cap_refuses_exactly_if_what_it_needs_cannot_be_read(
    chosen: set[str], unread: set[str]
) -> None:
    if chosen >= {"hourly_price", "approve_over"}:
        chosen.remove("approve_over")
    caps = Caps(**{cap: ALL[cap] for cap in chosen})
    had = replace(means(spent_today=Decimal(0)), unread=dict.fromkeys(unread, "HTTP 404"))
    if "get_credit_balance" in unread:
        had = replace(had, balance=None)
    found = "; ".join(rule(replace(ASKED, price=Decimal(1)), caps, had).refused)
    needed = readings([caps]) & unread
    assert bool(found) == bool(needed)
    for operation in needed:
        assert f"{operation} cannot be read, and the cap" in found


def test_a_refusal_for_want_of_sight_names_the_operation_and_the_caps() -> None:
    had = replace(means(), unread={"list_volumes": "not found"})
    caps = {"burn": 90, "lasts": "1h", "gpus": 99}
    assert refused(caps, had=had) == (
        "it cannot be judged: list_volumes cannot be read, and the caps burn, lasts need it "
        "(not found)"
    )


def test_a_price_that_is_not_known_is_refused_by_the_caps_that_need_it() -> None:
    asked = coming_back(machine("b", price=None))
    assert rule(asked, Caps(gpus=99, regions=["*"]), means()).refused == ()
    said = "its price cannot be read, and the caps hourly_price, burn need it"
    assert rule(asked, Caps(burn=99, hourly_price=9), means()).refused == (said,)
    blind = replace(means(), unread={"get_pricing": "not found"})
    assert "(not found)" in rule(asked, Caps(burn=99), blind).refused[0]


def test_hardware_that_is_not_known_is_refused_by_the_caps_that_need_it() -> None:
    asked = Proposed("d", None, 1, "CANADA-1")
    assert rule(asked, Caps(instances=3, regions=["CANADA-*"]), means()).refused == ()
    assert rule(asked, Caps(gpus=9, burn=99), means()).refused == (
        "nothing tells which GPU it needs, so the caps burn, gpus cannot be judged",
    )


def test_one_that_stands_in_is_judged_by_its_own_price() -> None:
    asked = beginning(STEPS, {}, {})["c"]
    had = means(tariff=Tariff({("H100", 2, None): Decimal(8)}))
    assert rule(asked, Caps(hourly_price=7), had).refused == (
        "it costs 8.00 USD an hour, the cap is 7.00 USD",
    )
    assert rule(asked, Caps(hourly_price=8), had).refused == ()


def test_the_day_ends_at_midnight_utc() -> None:
    now = datetime(2026, 3, 20, 18, 30, tzinfo=UTC)
    assert today_of(now) == (now - timedelta(hours=18, minutes=30), Decimal("5.5"))
