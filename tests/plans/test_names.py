"""Names: of snapshots, valid and distinct; of flows and their runs in Prefect."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks import flows
from barrack_tasks.api.models import Snapshot
from barrack_tasks.api.models.rules import check_snapshot_name
from barrack_tasks.plans.names import (
    RUN_NAME_LENGTH,
    artifact_key,
    flow_name,
    hardware_told_by,
    is_ours,
    name_of_run,
    snapshot_description,
    snapshot_name,
)
from barrack_tasks.plans.selection import Selector
from barrack_tasks.plans.stock.wants import Want
from tests.plans.worlds import NOW, snap, vm

INSTANCE_NAMES = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.-", min_size=1, max_size=50
)
IDS = st.from_regex(r"\ABRK-[A-Z0-9]{6}D\Z")
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda m: timezone(timedelta(minutes=m)))
MOMENTS = st.datetimes(datetime(2000, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001


@given(INSTANCE_NAMES | st.text(min_size=1, max_size=80), IDS, MOMENTS)
def test_names_are_valid_and_the_same_for_the_same_run(
    name: str, id_: str, moment: datetime
) -> None:
    made = snapshot_name(name, id_, moment)
    assert check_snapshot_name(made) == made
    assert made == snapshot_name(name, id_, moment.astimezone(UTC).replace(microsecond=0))
    assert made.startswith(name[:24])
    assert made.endswith(moment.astimezone(UTC).strftime("-%Y%m%dT%H%M%SZ"))


@given(INSTANCE_NAMES, INSTANCE_NAMES, MOMENTS)
def test_names_are_distinct_for_distinct_instances(one: str, two: str, moment: datetime) -> None:
    if one != two:
        assert snapshot_name(one, "BRK-1", moment) != snapshot_name(two, "BRK-2", moment)


@given(INSTANCE_NAMES, IDS, MOMENTS, st.integers(1, 10**7))
def test_names_are_distinct_for_distinct_moments(
    name: str, id_: str, moment: datetime, seconds: int
) -> None:
    earlier = moment - timedelta(seconds=seconds)
    assert snapshot_name(name, id_, moment) != snapshot_name(name, id_, earlier)


def test_long_names_that_begin_alike_are_told_apart_by_the_ids_of_their_instances() -> None:
    long = "x" * 49
    names = {snapshot_name(f"{long}{n}", f"BRK-{n}", NOW) for n in range(1000)}
    assert len(names) == 1000
    assert all(len(name) == 50 for name in names)
    assert snapshot_name("x" * 33, "BRK-1", NOW) == "x" * 33 + "-20261125T190000Z"


@given(INSTANCE_NAMES, IDS, MOMENTS)
def test_what_this_library_took_is_known_by_name_and_mark(
    name: str, id_: str, moment: datetime
) -> None:
    taken = snap(vm(name, id_=id_), moment)
    assert is_ours(taken, id_)
    assert is_ours(taken.model_copy(update={"instance_id": None}), id_)
    assert not is_ours(taken.model_copy(update={"instance_id": "BRK-other"}), id_)
    assert not is_ours(taken, f"{id_}X")
    assert not is_ours(taken.model_copy(update={"name": name[:24]}), id_)


@pytest.mark.parametrize(
    "description",
    [None, "", "by hand", f"copy of: {snapshot_description('BRK-alpha')}", "Taken by hand"],
)
def test_what_does_not_bear_the_mark_is_not_of_this_library(description: str | None) -> None:
    assert not is_ours(snap(vm(), description=description), "BRK-alpha")


@given(
    st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1),
    st.integers(1, 99),
)
def test_a_description_tells_the_hardware_and_is_still_the_mark(model: str, count: int) -> None:
    text = snapshot_description("BRK-1", (model, count))
    one = Snapshot(id="1", name="a-20261125T190000Z", status="SUCCESS", description=text)
    assert hardware_told_by(one) == (model, count)
    assert is_ours(one, "BRK-1")
    assert not is_ours(one, "BRK-2")
    for other in (snapshot_description("BRK-1"), f"by hand; it had {count}x {model}", "", None):
        assert hardware_told_by(one.model_copy(update={"description": other})) is None


TEXTS = st.text(max_size=200)
PARAMETERS = st.dictionaries(
    st.sampled_from(["select", "snapshot", "source", "family", "wants", "then", "days", "dry_run"]),
    st.none()
    | st.booleans()
    | st.integers()
    | TEXTS
    | st.lists(TEXTS | st.builds(Want, gpu_model=st.text(min_size=1)), max_size=5)
    | st.builds(Selector, names=st.lists(TEXTS, min_size=1).map(tuple)),
)


@given(st.sampled_from(flows.__all__), PARAMETERS)
def test_a_run_has_a_name_of_one_short_line_whatever_it_was_given(
    function: str, parameters: dict[str, Any]
) -> None:
    name = name_of_run(function, parameters)
    assert 0 < len(name) <= RUN_NAME_LENGTH
    assert name.isprintable()
    assert name == name.strip()
    assert ("(dry run)" in name) >= (parameters.get("dry_run") is True)


@pytest.mark.parametrize(
    ("function", "parameters", "name"),
    [
        ("hibernate", {"select": ["train-1", "train-2"]}, "hibernate train-1, train-2"),
        (
            "hibernate",
            {"select": ["a", "b", "c"], "dry_run": True},
            "hibernate 3 instances (dry run)",
        ),
        ("hibernate", {"select": ["a-*", "b", "c"]}, "hibernate a-* and 2 more"),
        ("hibernate", {"select": "*", "snapshot": True}, "hibernate all instances"),
        ("restore", {"select": Selector(ids=("BRK-1",))}, "restore BRK-1"),
        ("restore", {"select": Selector(regions=("US-1",))}, "restore US-1"),
        ("watch_balance", {"select": ["*"], "dry_run": False}, "watch balance"),
        ("snapshot_before_stop", {"select": ["a"], "then": "delete"}, "snapshot before delete a"),
        ("restore_from_snapshot", {"snapshot": "nightly"}, "restore from snapshot nightly"),
        ("publish_image", {"source": "a", "family": "cuda"}, "publish image cuda from a"),
        ("watch_gpu_stock", {"wants": [Want(gpu_model="H100-*")]}, "watch GPU stock of H100-*"),
        ("report_costs", {"days": 30}, "report costs for 30 d"),
    ],
)
def test_a_run_is_called_by_what_it_does(
    function: str, parameters: dict[str, Any], name: str
) -> None:
    assert name_of_run(function, parameters) == name


@pytest.mark.parametrize("function", flows.__all__)
def test_a_flow_has_one_name_made_in_one_place(function: str) -> None:
    flow = getattr(flows, function)
    assert flow.name == flow_name(function) == f"barrack-{function.replace('_', '-')}"
    assert re.fullmatch("[a-z0-9-]+", artifact_key(function, "teama3e49bd"))
    assert flow.flow_run_name is not None
