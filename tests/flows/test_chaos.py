"""Everything goes wrong at once, and the safety rules hold by the cloud's own ledger."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from barrack_tasks.api import Barrack, BarrackError, RetryPolicy
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans import Report
from barrack_tasks.sandbox import Sandbox
from flows.snapshot_before_stop import snapshot_before_stop
from tests.flows.conftest import account_of, effects

pytestmark = pytest.mark.slow
Cloud = Callable[..., Sandbox]
OPERATIONS = [
    "list_instances",
    "list_snapshots",
    "create_snapshot",
    "hibernate_instance",
    "delete_snapshot",
    "get_instance",
    "list_snapshot_images",
]
KINDS: list[dict[str, Any]] = [
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "error_after"},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "html"},
    {"kind": "truncated"},
    {"kind": "malformed"},
    {"kind": "timeout_after", "seconds": 0.3},
]


def break_things(sandbox: Sandbox, dice: random.Random) -> None:
    for _ in range(10):
        how = dict(dice.choice(KINDS))
        sandbox.fault(
            operation=dice.choice(OPERATIONS),
            count=dice.randint(1, 2),
            after=dice.randint(0, 4),
            **how,
        )
    if dice.random() < 0.5:
        sandbox.settings(list_lag=dice.choice([20, 60, 200]))
        sandbox.advance(300)
    sandbox.fault(dice.choice(["stuck", "fail", "vanish"]), operation="create_snapshot", after=1)


def run(sandbox: Sandbox, **more: Any) -> Report | None:
    try:
        return snapshot_before_stop(
            select=["*"], protect=["gamma"], timeout=15, credentials=account_of(sandbox), **more
        )
    except WorkFailed as failed:
        return failed.report
    except BarrackError:
        return None


def check_rules(sandbox: Sandbox) -> None:
    """The safety rules, as the ledger tells them."""
    ready: dict[str, str] = {}
    taken: dict[str, list[str]] = {}
    snapshot_of: dict[str, str] = {}
    for entry in sandbox.ledger():
        if entry["operation"] == "create_snapshot":
            instance = entry["detail"].rpartition(" of ")[2]
            snapshot_of[entry["id"]] = instance
            taken.setdefault(entry["name"], []).append(entry["id"])
        if entry["kind"] == "snapshot" and "-> SUCCESS" in entry["detail"]:
            ready[snapshot_of.get(entry["id"], "")] = entry["time"]
        if entry["operation"] == "hibernate_instance":
            assert entry["id"] in ready, "put to rest without a snapshot of its own that is ready"
            assert entry["name"] != "gamma", "protected"
    assert all(len(ids) == 1 for ids in taken.values()), "two snapshots of one run"
    for instance in {e["id"] for e in effects(sandbox, "hibernate_instance")}:
        assert len([e for e in effects(sandbox, "hibernate_instance") if e["id"] == instance]) == 1


def _once(cloud: Cloud, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(first_wait=0.05, longest_wait=0.5, timeout=3, deadline=8)
    monkeypatch.setattr(
        "barrack_tasks.server.credentials.Barrack",
        lambda *given, **known: Barrack(*given, **{**known, "retry": policy}),
    )
    sandbox = cloud(seed=seed)
    dice = random.Random(seed)
    break_things(sandbox, dice)
    person = threading.Timer(
        dice.uniform(1, 4),
        lambda: sandbox.set_instance_status(
            sandbox.state()["instances"][0]["id"], dice.choice(["SHUTOFF", "HIBERNATED"])
        ),
    )
    if dice.random() < 0.5:
        person.start()
    report = run(sandbox)
    person.cancel()
    check_rules(sandbox)
    if report is not None:
        there = {i["id"]: i["status"] for i in sandbox.state()["instances"]}
        for row in report.rows:
            if row.outcome == "done":
                assert there[row.instance_id] == "HIBERNATED", row


@pytest.mark.parametrize("seed", range(4))
def test_the_safety_rules_hold_whatever_goes_wrong(
    cloud: Cloud, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _once(cloud, seed, monkeypatch)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(100, 160))
def test_the_safety_rules_hold_many_times(
    cloud: Cloud, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _once(cloud, seed, monkeypatch)


def test_an_account_that_cannot_be_read_for_a_while_is_looked_at_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = RetryPolicy(attempts=2, first_wait=0.05, longest_wait=0.1, timeout=3, deadline=3)
    monkeypatch.setattr(
        "barrack_tasks.server.credentials.Barrack",
        lambda *given, **known: Barrack(*given, **{**known, "retry": policy}),
    )
    sandbox = cloud()
    sandbox.fault("status", operation="list_snapshots", status=503, after=3, count=12)
    report = snapshot_before_stop(select=["*"], credentials=account_of(sandbox))
    assert [row.now for row in report.rows] == ["HIBERNATED"] * 3
