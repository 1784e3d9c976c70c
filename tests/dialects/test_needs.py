"""What each flow needs of a dialect is stated."""

from __future__ import annotations

import pytest

from barrack_tasks import flows
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.dialect import load_dialect
from barrack_tasks.api.dialect.loading import merged, schema_fields
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.needs import NEEDS, check_needs
from barrack_tasks.plans.money.caps import _NEEDS, Caps
from tests.dialects.learn.helpers import DIALECTS


def test_every_flow_but_the_check_up_says_what_it_needs() -> None:
    assert set(flows.__all__) - {"doctor"} <= set(NEEDS)
    assert {o for need in NEEDS.values() for o in need.operations} <= set(OPERATIONS)


def test_every_field_that_is_needed_is_a_field() -> None:
    known = schema_fields()
    for need in NEEDS.values():
        for place in need.fields:
            schema, name = place.split(".")
            assert name in known[schema], place


@pytest.mark.parametrize("flow", ["enforce_budget", "report_costs"])
def test_a_bill_without_records_is_no_bill(flow: str) -> None:
    totals = merged({"schemas": {"AggregatedBillingResponse": {"records": None}}}, "totals.yaml")
    with pytest.raises(BarrackConfigurationError, match=r"AggregatedBillingResponse\.records"):
        check_needs(totals, flow)


def test_the_upstream_dialect_lacks_what_its_page_says() -> None:
    dialect = load_dialect(DIALECTS / "hyperstack.yaml")
    lacking = {flow for flow, need in NEEDS.items() if need.missing(dialect)}
    assert lacking == {"prune_snapshots", "publish_image", "enforce_budget", "report_costs"}


def test_every_cap_says_what_must_be_read_to_judge_it() -> None:
    assert set(_NEEDS) == set(Caps.model_fields)


@pytest.mark.parametrize(
    ("flow", "lacking"),
    [
        ("prune_snapshots", "operations.list_snapshot_images or operations.get_snapshot_image"),
        ("publish_image", "operations.create_image"),
        ("enforce_budget", "operations.get_instance_billing"),
        ("report_costs", "operations.get_instance_billing"),
    ],
)
def test_what_upstream_cannot_do_is_said_by_its_name(flow: str, lacking: str) -> None:
    upstream = load_dialect(DIALECTS / "hyperstack.yaml")
    with pytest.raises(BarrackConfigurationError, match="lacks what") as refusal:
        check_needs(upstream, flow)
    assert lacking in str(refusal.value)


def test_one_of_several_operations_is_enough() -> None:
    group = ("list_snapshot_images", "get_snapshot_image", "list_images")
    for there in group:
        less = merged({"operations": {o: None for o in group if o != there}}, "less.yaml")
        check_needs(less, "prune_snapshots")
    told = {"schemas": {"Image": {"snapshot_id": None}}}
    silent = merged({"operations": dict.fromkeys(group[:2]), **told}, "silent.yaml")
    [lacking] = NEEDS["prune_snapshots"].missing(silent)
    assert lacking.endswith("operations.get_snapshot_image or schemas.Image.snapshot_id")
    assert NEEDS["prune_snapshots"].missing(merged(told, "silent.yaml")) == []
    none = merged({"operations": dict.fromkeys(group)}, "less.yaml")
    assert NEEDS["prune_snapshots"].missing(none) == [" or ".join(f"operations.{o}" for o in group)]
