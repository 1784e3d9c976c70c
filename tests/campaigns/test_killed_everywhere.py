"""SIGKILL at each request of a restore and of a drill, then a rerun: one instance, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.flows.conftest import account_of, cloud, effects, states
from tests.flows.killing import Point, ended, start_in_process

__all__ = ["cloud"]
pytestmark = pytest.mark.campaign
ASKED: dict[str, dict[str, Any]] = {
    "restore_from_snapshot": {"snapshot": "base", "caps": {"burn": "90"}},
    "verify_snapshots": {"select": ["*"], "caps": {"burn": "90"}},
}
LEFT = {
    "restore_from_snapshot": ["alpha", "base-restored"],
    "verify_snapshots": ["alpha"],
}
POLLS = 4
"""Lists are read again and again; the first so many times of each are tried."""


def prepared(cloud: Callable[..., Sandbox], server: str) -> tuple[Sandbox, dict[str, str]]:
    sandbox = cloud(fleet=0, balance="500", dialect=None)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    account_of(sandbox).get_client().snapshots.create(id_, "base")
    sandbox.advance(300)
    sandbox.settings(list_lag=240)
    return sandbox, {**sandbox.env, "PREFECT_API_URL": server}


def points_of(flow: str, cloud: Callable[..., Sandbox], server: str) -> list[Point]:
    """Every request of a run that is left alone."""
    sandbox, environment = prepared(cloud, server)
    before = len(sandbox.requests())
    code, _ = ended(*start_in_process(flow, environment, ASKED[flow]))
    assert code == 0
    counts = Counter(r["operation"] for r in sandbox.requests()[before:])
    return [
        Point(operation, nth, phase)
        for operation, count in sorted(counts.items())
        for nth in range(1, min(count, POLLS) + 1)
        for phase in ("before", "after")
    ]


@pytest.mark.parametrize("flow", ASKED)
def test_at_each_request(flow: str, cloud: Callable[..., Sandbox], prefect_server: str) -> None:
    tried = 0
    for point in points_of(flow, cloud, prefect_server):
        sandbox, environment = prepared(cloud, prefect_server)
        code, _ = ended(*start_in_process(flow, environment, ASKED[flow], point))
        if code == 0:
            continue  # this run needed fewer polls
        assert code == -9, point
        tried += 1
        code, _ = ended(*start_in_process(flow, environment, ASKED[flow]))
        assert code == 0, point
        sandbox.advance(600)
        assert sorted(states(sandbox)) == LEFT[flow], point
        made = {e["id"] for e in effects(sandbox, "restore_snapshot")}
        gone = {e["id"] for e in effects(sandbox, "delete_instance")}
        assert len(made - gone) == len(LEFT[flow]) - 1, point
        sandbox.stop()
    print(f"{flow}: killed at {tried} requests")  # noqa: T201 - the figure for the docs
    assert tried >= 14
