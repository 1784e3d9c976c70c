"""What people write is read as it is meant, or refused in one sentence that says what to write."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from barrack_tasks.plans import Retention, Selector
from barrack_tasks.plans.inputs import said_of
from barrack_tasks.plans.money.budgets import Budget, read_budgets
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.money.thresholds import Threshold
from barrack_tasks.plans.power.schedule import Rule, read_rules
from barrack_tasks.plans.snapshots.drill import Probe
from barrack_tasks.plans.stock.wants import Claim, Want, read_wants


@pytest.mark.parametrize(
    ("model", "wrong", "meant"),
    [
        (Want, "gpu_modle", "gpu_model"),
        (Want, "Regions", "regions"),
        (Claim, "ssh_key", "ssh_key_id"),
        (Rule, "time_table", "timetable"),
        (Threshold, "runaway", "runway"),
        (Budget, "sofft", "soft"),
        (Caps, "gpu_model", "gpu_models"),
        (Probe, "comand", "command"),
        (Retention, "day", "daily"),
        (Selector, "name", "names"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_nearest(
    model: type[BaseModel], wrong: str, meant: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({wrong: "x"})
    assert said_of(caught.value) == f"no such key {wrong!r}; did you mean {meant!r}?"


def test_a_key_that_is_like_none_is_answered_with_all() -> None:
    with pytest.raises(ValidationError) as caught:
        Probe.model_validate({"xyz": 1})
    assert said_of(caught.value) == "no such key 'xyz'; there are port, command, within"


def test_what_is_wrong_in_a_list_is_numbered() -> None:
    inner: dict[str, Any] = {"gpu_model": "L40", "claim": {"nam": "a"}}
    with pytest.raises(ValueError, match=r"^want 2: claim: no such key 'nam'; did you mean 'name'"):
        read_wants([{"gpu_model": "L40"}, inner])
    with pytest.raises(ValueError, match=r"^budget 1: per must be one of hour, day, month"):
        read_budgets([{"per": "week", "soft": 1}])
    with pytest.raises(ValueError, match=r"^rule 1: select: .*no such key 'name'; did you mean"):
        read_rules([{"select": {"name": ["a"]}, "timetable": "Mon 08:00-20:00 UTC"}])


def test_one_text_serves_where_several_are_taken() -> None:
    assert Threshold.model_validate({"runway": "2h", "actions": "hibernate"}).actions == (
        "hibernate",
    )
    assert Selector.model_validate({"names": "train-*", "states": "ACTIVE"}).names == ("train-*",)
    assert Caps.model_validate({"regions": "CANADA-1"}).regions == ("CANADA-1",)
    assert Budget.model_validate({"per": "day", "soft": 1, "names": "a"}).names == ("a",)
    assert Want.model_validate({"gpu_model": "L40", "regions": "CANADA-1"}).regions == ("CANADA-1",)


def test_a_command_is_one_text_or_words() -> None:
    assert Probe.model_validate({"command": "true"}).command == ("true",)
    text = "ssh -o 'User=my name'"
    assert Probe.model_validate({"command": text}).command == ("ssh", "-o", "User=my name")
    assert Probe.model_validate({"command": ["a b", "c"]}).command == ("a b", "c")
    with pytest.raises(ValidationError, match=r"cannot be divided into words \(No closing quot"):
        Probe.model_validate({"command": "echo 'a"})
    for empty in ("", " ", []):
        with pytest.raises(ValidationError, match="either a port or a command"):
            Probe.model_validate({"command": empty})


def test_an_amount_is_a_number_in_the_currency_of_the_account() -> None:
    assert Caps.model_validate({"burn": " 2.50 "}).burn == Decimal("2.5")
    for text in ("5 USD", "$5", "", "five"):
        with pytest.raises(ValidationError) as caught:
            Caps.model_validate({"burn": text})
        assert said_of(caught.value) == (
            f"burn: {text!r} is not an amount; write a number such as 5 or 2.50, without a "
            "currency: the account's currency is meant"
        )
