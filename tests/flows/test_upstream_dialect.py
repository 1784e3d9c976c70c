"""Six flows against the sandbox in the dialect of the upstream provider's public document.

The dialect that ships is spoken, and the one that is learned from the document with a few answers.
The document itself is not part of this repository: `BARRACK_UPSTREAM_DOCUMENT` names its file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.dialect import load_dialect
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.flows import (
    follow_schedule,
    hibernate,
    restore,
    restore_from_snapshot,
    snapshot_before_stop,
    watch_balance,
    watch_gpu_stock,
)
from barrack_tasks.sandbox import Sandbox
from tests.dialects.learn.upstream import ANSWERS, learned_from
from tests.flows.conftest import DIALECTS, account_of, effects

Cloud = Callable[..., Sandbox]
DOCUMENT = os.environ.get("BARRACK_UPSTREAM_DOCUMENT", "")


@pytest.fixture(params=["shipped", "learned"])
def upstream(
    request: pytest.FixtureRequest, cloud: Cloud, tmp_path: Path
) -> tuple[Sandbox, BarrackCredentials]:
    file = DIALECTS / "hyperstack.yaml"
    if request.param == "learned":
        if not DOCUMENT:
            pytest.skip("BARRACK_UPSTREAM_DOCUMENT names no OpenAPI document of the upstream API")
        assert len(ANSWERS) <= 10
        file = tmp_path / "learned.yaml"
        file.write_text(learned_from(Path(DOCUMENT)))
    sandbox = cloud(dialect=load_dialect(file))
    return sandbox, account_of(sandbox, dialect=str(file))


def states(sandbox: Sandbox) -> set[str]:
    return {i["status"] for i in sandbox.state()["instances"]}


def changes(sandbox: Sandbox) -> list[str]:
    return [
        str(entry["operation"]) for entry in sandbox.ledger() if entry["operation"] in OPERATIONS
    ]


@pytest.mark.slow
def test_snapshots_come_before_the_stop_and_what_sleeps_wakes(
    upstream: tuple[Sandbox, BarrackCredentials],
) -> None:
    sandbox, account = upstream
    report = snapshot_before_stop(select=["*"], credentials=account)
    assert {row.outcome for row in report.rows} == {"done"}
    assert states(sandbox) == {"HIBERNATED"}
    assert len(effects(sandbox, "create_snapshot")) == 3
    for instance in sandbox.state()["instances"]:
        about = [e for e in sandbox.ledger() if instance["id"] in str(e)]
        order = [e["operation"] for e in about if e["operation"] in _ORDER]
        assert order == list(_ORDER)
    assert any("get_gpu_specs" in note for note in report.notes), "what it does without is said"
    asked = {r["path"] for r in sandbox.requests() if r["method"] == "POST"}
    assert all(path.endswith("/snapshots") for path in asked)

    again = snapshot_before_stop(select=["*"], credentials=account)
    assert len(effects(sandbox, "create_snapshot")) == 3, "nothing is done twice"
    assert {row.outcome for row in again.rows} <= {"already", "skipped"}

    woken = restore(select=["*"], credentials=account)
    assert {row.outcome for row in woken.rows} == {"done"}
    assert states(sandbox) == {"ACTIVE"}

    follow_schedule(rules=[{"select": ["alpha"], "timetable": "never"}], credentials=account)
    hibernate(select=["beta"], credentials=account)
    by_name = {i["name"]: i["status"] for i in sandbox.state()["instances"]}
    assert by_name == {"alpha": "HIBERNATED", "beta": "HIBERNATED", "gamma": "ACTIVE"}


_ORDER = ("create_snapshot", "hibernate_instance")


def test_a_lost_answer_makes_no_second_snapshot(
    upstream: tuple[Sandbox, BarrackCredentials],
) -> None:
    sandbox, account = upstream
    sandbox.fault("reset_after", "create_snapshot", count=2)
    sandbox.fault("error_after", "hibernate_instance", count=2)
    report = snapshot_before_stop(select=["*"], credentials=account)
    assert {row.outcome for row in report.rows} == {"done"}
    assert len(effects(sandbox, "create_snapshot")) == 3
    assert len(effects(sandbox, "hibernate_instance")) == 3


def test_the_balance_and_the_stock_are_watched(
    upstream: tuple[Sandbox, BarrackCredentials],
) -> None:
    sandbox, account = upstream
    report = watch_balance(thresholds=[{"amount": 50}], credentials=account)
    assert Decimal(4990) < report.balance <= Decimal(5000)
    assert report.burn_hourly == Decimal("2.25") + 2 * Decimal("1.55") + Decimal("1.19")
    stock = watch_gpu_stock(
        [{"gpu_model": "L40", "gpu_count": 1, "claim": None}], watch_for=None, credentials=account
    )
    assert stock.stock == {f"1x L40 in {r}": 250 for r in ("CANADA-1", "NORWAY-1", "US-1")}
    if "create_instance" not in account.get_client().dialect.operations:
        assert any("create_instance" in note for note in stock.notes), "it says what it lacks"
    assert "create_instance" not in changes(sandbox)


@pytest.mark.slow
def test_stock_is_claimed_and_instances_are_made_by_names_that_lists_tell(
    cloud: Cloud, tmp_path: Path
) -> None:
    file = DIALECTS / "hyperstack.yaml"
    sandbox = cloud(dialect=load_dialect(file))
    account = account_of(sandbox, dialect=str(file))
    want = {"gpu_model": "L40", "gpu_count": 2, "claim": {"name": "claimed", "image_id": "1"}}
    report = watch_gpu_stock([want], watch_for="30s", history=tmp_path, credentials=account)
    assert [(row.instance, row.now) for row in report.rows] == [("claimed", "ACTIVE")]
    [made] = [i for i in sandbox.state()["instances"] if i["name"] == "claimed"]
    assert (made["gpu_model"], made["gpu_count"]) == ("L40", 2)
    [sent] = [
        r["body"] for r in sandbox.requests() if r["path"].endswith("/core/virtual-machines")
        and r["method"] == "POST"
    ]  # fmt: skip
    assert sent["flavor_name"].endswith("L40-2")
    assert not {"gpu_model", "gpu_count", "region"} & set(sent)

    snapshot_before_stop(select=["claimed"], credentials=account)
    restored = restore_from_snapshot("latest:claimed", name="again", credentials=account)
    [made] = [i for i in sandbox.state()["instances"] if i["name"] == "again"]
    assert [(one.id, one.address) for one in restored.restored] == [(made["id"], made["public_ip"])]


def test_what_the_dialect_lacks_is_refused_before_the_first_change(
    cloud: Cloud, tmp_path: Path
) -> None:
    text = (DIALECTS / "hyperstack.yaml").read_text()
    line = '  stop_instance: {method: GET, path: "/core/virtual-machines/{instance_id}/stop"}\n'
    file = tmp_path / "less.yaml"
    file.write_text(text.replace(line, "  stop_instance: null\n"))
    sandbox = cloud(dialect=load_dialect(file))
    account: Any = account_of(sandbox, dialect=str(file))
    with pytest.raises(BarrackConfigurationError, match=r"operations\.stop_instance"):
        snapshot_before_stop(select=["*"], then="stop", credentials=account)
    assert changes(sandbox) == []
