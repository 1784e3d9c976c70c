"""The pre-flight guard's decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.plans.guard import Asked, Caps, Means, rule, today_of, within_caps
from barrack_tasks.plans.money.burn import Tariff
from barrack_tasks.plans.steps import Finished, Next, Step

ASKED = Asked("train", "H100-PCIe-80GB", 4, "CANADA-1")


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
    return "; ".join(rule(ASKED, Decimal(price), Caps(**caps), had or means()).refused)


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
        began = had.with_begun(Asked(f"new-{n}", "L40", 2, "CANADA-1"), Decimal(3))
        assert began.burn == had.burn + 3
        assert len(began.instances) == len(had.instances) + 1
        had = began
    assert "there are 5 instances, the cap is 5" in refused({"instances": 5}, had=had)
    assert "12 GPUs would be in use" in refused({"gpus": 11}, had=had)
    back = means().with_begun(Asked("b", "L40", 2, "CANADA-1", comes_back=True), Decimal(2))
    assert [(i.name, i.status) for i in back.instances] == [("a", "ACTIVE"), ("b", "ACTIVE")]


@pytest.mark.parametrize("cap", [{"burn": 900}, {"lasts": "1h"}, {"daily_budget": 9000}])
def test_a_price_that_is_not_known_refuses_what_needs_the_sum(cap: dict[str, Any]) -> None:
    had = means(unknown=("instance odd",), spent_today=Decimal(0))
    assert "the price of instance odd is not known" in refused(cap, had=had)
    assert refused({"hourly_price": 900}, had=had) == ""
    later = means().seen([machine("odd", "ACTIVE", price=None)])
    assert later.unknown == ("instance odd",)
    known = Tariff({("L40", 2, None): Decimal(4)})
    assert means(tariff=known).seen([machine("odd", "ACTIVE", price=None)]).burn == 4


def test_a_person_is_asked_only_above_the_soft_cap() -> None:
    assert rule(ASKED, Decimal(9), Caps(approve_over=9), means()).to_approve == ()
    [question] = rule(ASKED, Decimal(9), Caps(approve_over=8), means()).to_approve
    assert question == (
        "4x H100-PCIe-80GB in CANADA-1 as 'train' costs 9.00 USD an hour, above 8.00 USD"
    )


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


OPERATIONS = ["restore_instance", "start_instance", "hibernate_instance"]


@given(
    wishes=st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.decimals("0.1", 20, places=2)), max_size=8
    ),
    cap=st.integers(0, 60),
)
def test_a_plan_within_the_caps_never_raises_the_burn_above_them(
    wishes: list[tuple[str, Decimal]], cap: int
) -> None:
    instances = {str(n): machine(str(n), price=f"{price:f}") for n, (_, price) in enumerate(wishes)}
    plan: dict[str, Next] = {
        str(n): Step(operation, str(n), str(n)) for n, (operation, _) in enumerate(wishes)
    }
    had = Means(Balance(amount="900", currency="USD"), Decimal(10), tuple(instances.values()))
    allowed = within_caps(plan, instances, Caps(burn=cap), had)
    restored = [
        instances[id_].hourly_price or 0
        for id_, step in allowed.items()
        if isinstance(step, Step) and step.operation == "restore_instance"
    ]
    assert not restored or 10 + sum(restored) <= cap
    for id_, step in plan.items():
        assert isinstance(step, Step)
        if step.operation != "restore_instance":
            assert allowed[id_] is step, "what costs nothing more is not held back"
        elif not isinstance(allowed[id_], Step):
            assert 10 + sum(restored) + (instances[id_].hourly_price or 0) > cap
    assert within_caps(plan, instances, None, had) == plan


def test_gpus_are_counted_as_they_come_up() -> None:
    instances = {n: machine(n) for n in "abc"}
    plan: dict[str, Next] = {n: Step("restore_instance", n, n) for n in "abc"}
    had = Means(Balance(amount="900", currency="USD"), Decimal(0), tuple(instances.values()))
    allowed = within_caps(plan, instances, Caps(gpus=4), had)
    assert [isinstance(n, Step) for n in allowed.values()] == [True, True, False]


def test_a_price_that_is_not_known_is_refused() -> None:
    instances = {"a": machine("a", price=None)}
    step = Step("restore_instance", "a", "a")
    found = within_caps({"a": step}, instances, Caps(burn=99), means())["a"]
    assert found == Finished("failed", "its price cannot be read, so the caps refuse it")


def test_one_that_stands_in_is_judged_by_its_own_price() -> None:
    instances = {"a": machine("a", price="1")}
    step = Step("create_instance", "a", "a-alt", {"gpu_model": "H100", "gpu_count": "2"})
    tariff = Tariff({("H100", 2, None): Decimal(8)})
    found = within_caps({"a": step}, instances, Caps(hourly_price=7), means(tariff=tariff))["a"]
    assert isinstance(found, Finished)
    assert "it costs 8.00 USD an hour, the cap is 7.00 USD" in found.why
    assert within_caps({"a": step}, instances, Caps(hourly_price=8), means(tariff=tariff)) == {
        "a": step
    }


def test_the_day_ends_at_midnight_utc() -> None:
    now = datetime(2026, 3, 20, 18, 30, tzinfo=UTC)
    assert today_of(now) == (now - timedelta(hours=18, minutes=30), Decimal("5.5"))
