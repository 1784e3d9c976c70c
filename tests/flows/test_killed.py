"""A run that is killed anywhere and started again finishes the job, and keeps the safety rules."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from barrack_tasks.api import Barrack
from barrack_tasks.plans.names import snapshot_description
from barrack_tasks.sandbox import Sandbox
from tests.flows.conftest import effects, spoken
from tests.flows.killing import Point, killed_and_rerun

pytestmark = pytest.mark.slow
POINTS = [
    Point("list_instances", 1, "after"),
    Point("list_snapshots", 2, "before"),
    Point("create_snapshot", 1, "before"),
    Point("create_snapshot", 1, "after"),
    Point("list_instances", 4, "after"),
    Point("hibernate_instance", 1, "before"),
    Point("hibernate_instance", 1, "after"),
    Point("list_snapshots", 6, "after"),
    Point("delete_snapshot", 1, "before"),
    Point("delete_snapshot", 1, "after"),
]


@pytest.fixture(scope="module")
def sandbox(prefect_server: str) -> Any:
    with Sandbox(speed=120, balance="5000", fleet=0, dialect=spoken()) as running:
        yield running


def _with_history(sandbox: Sandbox, name: str, prefect_server: str) -> str:
    """An instance that has two snapshots of earlier runs, of which one is to be dropped."""
    id_ = sandbox.seed_instance(name, gpu_model="L40")
    with Barrack(sandbox.api_key, sandbox.url, dialect=sandbox.dialect) as client:
        for hour in (1, 2):
            client.snapshots.create(id_, f"{name}-20260101T0{hour}0000Z", snapshot_description(id_))
            sandbox.advance(600)
    return id_


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed_and_started_again(
    point: Point, sandbox: Sandbox, prefect_server: str, cloud: Callable[..., Sandbox]
) -> None:
    name = f"m{POINTS.index(point)}-{os.getpid() % 1000}"
    id_ = _with_history(sandbox, name, prefect_server)
    environment = {**sandbox.env, "PREFECT_API_URL": prefect_server}
    arguments = {"select": [name], "keep": 2}

    rows = killed_and_rerun("snapshot_before_stop", environment, arguments, point)
    assert [(row["instance"], row["outcome"], row["now"]) for row in rows] == [
        (name, "done", "HIBERNATED")
    ]
    own = [e for e in sandbox.ledger() if e["name"].startswith(name) or e["id"] == id_]
    taken = [e for e in own if e["operation"] == "create_snapshot" and "2026010" not in e["name"]]
    assert len(taken) == 1, "one run, one snapshot"
    slept = [e for e in own if e["operation"] == "hibernate_instance"]
    assert len(slept) == 1
    ready = [e for e in own if e["id"] == taken[0]["id"] and "-> SUCCESS" in e["detail"]]
    assert ready
    assert ready[0]["time"] < slept[0]["time"], "the snapshot was ready before the stop"
    dropped = {e["name"] for e in effects(sandbox, "delete_snapshot") if e["name"].startswith(name)}
    assert dropped == {f"{name}-20260101T010000Z"}, "the oldest beyond the newest two"
