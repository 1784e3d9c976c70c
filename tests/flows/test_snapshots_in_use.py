"""What a run uses at this moment no other run deletes, and both say so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.models import Snapshot
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.plans.report import Report
from barrack_tasks.runtime.leases import holding
from barrack_tasks.sandbox import Sandbox
from flows.prune_snapshots import prune_snapshots
from flows.publish_image import publish_image
from flows.restore_from_snapshot import restore_from_snapshot
from flows.snapshot_before_stop import snapshot_before_stop
from flows.verify_snapshots import verify_snapshots
from flows.watch_gpu_stock import watch_gpu_stock
from tests.flows.conftest import account_of, effects, states

Cloud = Callable[..., Sandbox]
ONE = {"last": 1, "daily": 0, "weekly": 0, "monthly": 0}
LONG = 6000


def with_snapshots(cloud: Cloud, count: int = 1) -> tuple[Sandbox, BarrackCredentials, str]:
    """A cloud whose clock stands, with an instance of which this library took snapshots."""
    sandbox = cloud(fleet=0, speed=0)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    account = account_of(sandbox)
    for _ in range(count):
        take(sandbox, account, id_)
    return sandbox, account, id_


def take(sandbox: Sandbox, account: BarrackCredentials, id_: str) -> None:
    account.get_client().snapshots.create(
        id_, snapshot_name("alpha", id_, sandbox.now()), snapshot_description(id_)
    )
    sandbox.advance(300)


def restore(oldest: Snapshot, account: BarrackCredentials) -> Report:
    return restore_from_snapshot(oldest.id, credentials=account)


def drill(_: Snapshot, account: BarrackCredentials) -> Report:
    return verify_snapshots(select=["alpha"], credentials=account)


def publish(oldest: Snapshot, account: BarrackCredentials) -> Report:
    return publish_image(oldest.name, "base", credentials=account)


def under_way(sandbox: Sandbox, work: Callable[[], Report], operation: str) -> Callable[[], Report]:
    """Begin a run that goes on until its end is asked for; its report."""
    before = len(effects(sandbox, operation))
    reports: list[Report] = []
    thread = threading.Thread(target=lambda: reports.append(work()), daemon=True)
    thread.start()
    for _ in range(400):
        if len(effects(sandbox, operation)) > before:
            break
        time.sleep(0.05)
    else:
        raise AssertionError(f"the run never came to {operation}")

    def end() -> Report:
        sandbox.advance(LONG * 2)
        sandbox.set_speed(120)
        thread.join(60)
        [report] = reports
        return report

    return end


@pytest.mark.parametrize(
    ("use", "operation"),
    [
        (restore, "restore_snapshot"),
        pytest.param(drill, "restore_snapshot", marks=pytest.mark.slow),
        pytest.param(publish, "create_image", marks=pytest.mark.slow),
    ],
)
def test_a_snapshot_that_a_run_uses_is_not_pruned(cloud: Cloud, use: Any, operation: str) -> None:
    sandbox, account, id_ = with_snapshots(cloud)
    [oldest] = account.get_client().snapshots.list()
    sandbox.settings(durations={"create": LONG, "image": LONG})
    end = under_way(sandbox, lambda: use(oldest, account), operation)
    take(sandbox, account, id_)
    take(sandbox, account, id_)
    report = prune_snapshots(select=["alpha"], retention=ONE, credentials=account)
    sandbox.advance(60)
    [row] = [r for r in report.rows if r.snapshot == oldest.name]
    assert (row.outcome, row.why.endswith(" is using it")) == ("already", True), row
    assert oldest.id in {s["id"] for s in sandbox.state()["snapshots"]}
    assert len(sandbox.state()["snapshots"]) == 2, "the other old one went"
    assert end().ok


@pytest.mark.slow
def test_a_snapshot_that_a_watcher_is_to_claim_is_not_pruned(cloud: Cloud, tmp_path: Path) -> None:
    sandbox, account, id_ = with_snapshots(cloud)
    [oldest] = account.get_client().snapshots.list()
    take(sandbox, account, id_)
    sandbox.set_stock("CANADA-1", "L40", 0)
    claim = {"how": "snapshot", "snapshot_id": oldest.id, "name": "back"}
    wants = [{"gpu_model": "L40", "claim": claim}]
    how: dict[str, Any] = {"watch_for": 60, "interval": 1, "history": tmp_path}
    watching = threading.Thread(
        target=lambda: watch_gpu_stock(wants, credentials=account, **how)  # type: ignore[arg-type]
    )
    watching.start()
    while len([r for r in sandbox.requests() if r["operation"] == "get_gpu_stock"]) < 2:
        time.sleep(0.05)
    report = prune_snapshots(select=["alpha"], retention=ONE, credentials=account)
    sandbox.set_stock("CANADA-1", "L40", 4)
    sandbox.set_speed(120)
    watching.join()
    [row] = [r for r in report.rows if r.snapshot == oldest.name]
    assert (row.outcome, row.why.endswith(" is using it")) == ("already", True), row
    assert "back" in states(sandbox)


@pytest.mark.slow
def test_restores_and_a_drill_of_one_snapshot_go_side_by_side(cloud: Cloud) -> None:
    sandbox, account, _ = with_snapshots(cloud)
    [only] = account.get_client().snapshots.list()
    sandbox.settings(durations={"create": LONG})
    ends = [
        under_way(sandbox, work, "restore_snapshot")
        for work in (
            lambda: restore_from_snapshot(only.id, name="one", credentials=account),
            lambda: restore_from_snapshot(only.id, name="two", credentials=account),
            lambda: drill(only, account),
        )
    ]
    assert all(end().ok for end in ends)
    sandbox.advance(600)
    assert sorted(states(sandbox)) == ["alpha", "one", "two"]


@pytest.mark.slow
def test_a_snapshot_that_is_about_to_be_deleted_is_not_restored_and_the_row_says_why(
    cloud: Cloud,
) -> None:
    sandbox, account, _ = with_snapshots(cloud)
    [only] = account.get_client().snapshots.list()
    with holding(account.account, "other", "run other", "other", timedelta(0)) as hold:
        assert hold.claim_snapshots([only.id]) == {}
        with pytest.raises(WorkFailed, match="not finished within 2 s: run other is working on it"):
            restore_from_snapshot(only.id, timeout=2, credentials=account)
        report = publish_image(only.name, "base", timeout=10, credentials=account)
        assert [(r.outcome, r.why) for r in report.rows] == [
            ("skipped", "run other is working on it")
        ]
        drilled = verify_snapshots(select=["alpha"], dry_run=True, credentials=account)
        assert [r.outcome for r in drilled.rows] == ["planned"], "a dry run holds nothing"
    assert effects(sandbox, "restore_snapshot") == []
    assert effects(sandbox, "create_image") == []


@pytest.mark.slow
def test_a_stop_does_not_drop_an_old_snapshot_that_a_run_uses(cloud: Cloud) -> None:
    sandbox, account, _ = with_snapshots(cloud, 3)
    oldest = min(account.get_client().snapshots.list(), key=lambda s: s.name)
    with holding(account.account, "other", "run other", "other", timedelta(0)) as hold:
        assert hold.share_snapshots([oldest.id]) == {}
        sandbox.set_speed(120)
        report = snapshot_before_stop(select=["alpha"], keep=1, credentials=account)
    [row] = report.rows
    assert row.outcome == "done"
    assert "run other is using it" in row.why
    sandbox.advance(60)
    left = {s["id"] for s in sandbox.state()["snapshots"]}
    assert len(left) == 2
    assert oldest.id in left


def test_a_publish_of_an_instance_that_another_run_holds_sends_nothing(cloud: Cloud) -> None:
    sandbox, account, id_ = with_snapshots(cloud, 0)
    before = sandbox.ledger()
    with holding(account.account, "other", "run other", "other", timedelta(0)) as hold:
        assert hold.claim({id_: "alpha"}) == {}
        report = publish_image("alpha", "base", timeout=10, credentials=account)
        plan = publish_image("alpha", "base", dry_run=True, credentials=account)
    assert [(r.outcome, r.why, r.did) for r in report.rows] == [
        ("skipped", "run other is working on it", ())
    ]
    assert report.image_id is None
    assert [r.outcome for r in plan.rows] == ["planned"], "a dry run holds nothing"
    assert sandbox.ledger() == before


@pytest.mark.slow
def test_an_instance_is_held_while_its_snapshot_is_taken_for_an_image(cloud: Cloud) -> None:
    sandbox, account, id_ = with_snapshots(cloud, 0)
    sandbox.settings(durations={"snapshot": LONG})
    end = under_way(
        sandbox, lambda: publish_image("alpha", "base", credentials=account), "create_snapshot"
    )
    with holding(account.account, "other", "run other", "other", timedelta(0)) as hold:
        assert list(hold.claim({id_: "alpha"})) == [id_]
    assert end().ok
