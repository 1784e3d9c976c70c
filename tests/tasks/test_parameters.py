"""What flows make of parameters, given in Python or as a deployment's JSON, before they begin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError

from flows.restore_from_snapshot import restore_from_snapshot
from flows.verify_snapshots import verify_snapshots
from flows.watch_balance import watch_balance

FORMS = "write '8h', '30m', '2d' or '90s', or give a number of seconds or a timedelta"


def refused(flow: Any, **given: Any) -> str:
    with pytest.raises(ParameterTypeError) as caught:
        flow.validate_parameters(given)
    [sentence] = str(caught.value).splitlines()
    head, _, problem = sentence.partition(" cannot take its parameters: ")
    assert head == f"the flow {flow.name}"
    return problem


@pytest.mark.parametrize("name", ["timeout", "expires"])
@pytest.mark.parametrize("span", ["8", "8 hourz", "-8h", 0, "0s", -3])
def test_a_duration_that_cannot_be_meant(name: str, span: Any) -> None:
    problem = refused(restore_from_snapshot, snapshot="a", **{name: span})
    assert problem.startswith(f"{name}: ")
    assert problem.endswith(FORMS)


@pytest.mark.parametrize("span", ["10m", "10 min", 600, 600.0, "PT10M", timedelta(minutes=10)])
def test_every_duration_is_written_alike(span: Any) -> None:
    flow = restore_from_snapshot
    given = flow.validate_parameters({"snapshot": "a", "timeout": span, "expires": span})
    assert given["timeout"] == given["expires"] == timedelta(minutes=10)


def test_the_form_of_a_duration_takes_numbers_and_texts() -> None:
    properties = verify_snapshots.parameters.properties
    for name in ("timeout", "within"):
        assert properties[name]["anyOf"] == [{"type": "number"}, {"type": "string"}]
    assert properties["timeout"]["default"] == "PT30M"


def test_spans_in_which_nothing_makes_no_sense() -> None:
    assert "longer than zero" in refused(verify_snapshots, select=["a"], within=0)
    assert "longer than zero" in refused(
        verify_snapshots, select=["a"], probe={"port": 1, "within": 0}
    )
    assert "longer than zero" in refused(verify_snapshots, select=["a"], caps={"lasts": 0})
    assert "longer than zero" in refused(watch_balance, remind=0)
    assert watch_balance.validate_parameters({"patience": 0})["patience"] == timedelta(0)


def test_what_a_drill_may_cost_is_a_number() -> None:
    problem = refused(verify_snapshots, select=["a"], max_cost="5 USD")
    assert "'5 USD' is not an amount; write a number such as 5 or 2.50, without a" in problem
    assert "the account's currency" in problem
