"""verify_snapshots against a real Prefect server and a real local cloud."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.controllers.proofs import Open, proven_snapshots, read_open, write_open
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.plans.selection import SelectionError
from barrack_tasks.plans.snapshots.drill import drill_name
from barrack_tasks.runtime.alerts import NobodyTold
from barrack_tasks.sandbox import Sandbox
from flows.prune_snapshots import prune_snapshots
from flows.verify_snapshots import verify_snapshots
from tests.conftest import free_port
from tests.flows.conftest import account_of, effects, states
from tests.flows.killing import Point, killed_and_rerun
from tests.flows.receivers import Webhook

Cloud = Callable[..., Sandbox]
OK = [sys.executable, "-c", "import sys; assert sys.argv[1].count('.') == 3"]
BAD = [sys.executable, "-c", "import sys; sys.exit('the disk is empty')"]


def with_snapshots(cloud: Cloud, *names: str) -> tuple[Sandbox, BarrackCredentials]:
    """A cloud with instances, each with a snapshot that this library took."""
    sandbox = cloud(fleet=0, balance="500")
    account = account_of(sandbox)
    for name in names:
        id_ = sandbox.seed_instance(name, gpu_model="L40")
        snapshot(sandbox, account, name, id_)
    return sandbox, account


def snapshot(sandbox: Sandbox, account: BarrackCredentials, name: str, id_: str) -> str:
    made = account.get_client().snapshots.create(
        id_, snapshot_name(name, id_, sandbox.now()), snapshot_description(id_)
    )
    sandbox.advance(600)
    return made.id


def test_snapshots_are_proven_in_turn_and_nothing_is_left(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, notifier = hook
    sandbox, account = with_snapshots(cloud, "alpha", "beta")
    how: dict[str, Any] = {"select": ["*"], "probe": {"command": OK}, "credentials": account}
    plan = verify_snapshots(**how, dry_run=True)
    assert [r.outcome for r in plan.rows] == ["planned"]
    assert list(states(sandbox)) == ["alpha", "beta"]
    first = verify_snapshots(**how, notify=[notifier])
    assert [(r.outcome, r.why) for r in first.rows] == [("done", "proven")]
    assert len(kept.received) == 1, "one of them is not proven yet"
    assert first.cost is not None
    assert first.cost > 0
    assert [d.instance for d in first.drilled] == [r.instance for r in first.rows]
    assert all(timedelta(0) < d.took < timedelta(minutes=5) for d in first.drilled)
    assert first.cost == sum(d.cost or 0 for d in first.drilled)
    assert "| drill | duration | maximum cost |" in first.markdown()
    second = verify_snapshots(**how, notify=[notifier])
    assert {r.snapshot for r in (*first.rows, *second.rows)} == {
        s["name"] for s in sandbox.state()["snapshots"]
    }
    assert "over:" in kept.received[-1]["subject"]
    with pytest.raises(ValueError, match="no command 'nosuchprog' on this machine"):
        verify_snapshots(**{**how, "probe": {"command": ["nosuchprog"]}})
    third = verify_snapshots(**how)
    assert third.rows == (), "all are proven"
    assert [cells[2] != "never" for cells in third.ages] == [True, True]
    assert sorted(states(sandbox)) == ["alpha", "beta"]
    assert len(effects(sandbox, "restore_snapshot")) == 2
    assert read_open(account.account) == {}


@pytest.mark.slow
def test_two_deployments_for_different_instances_tell_each_thing_once(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, notifier = hook
    _, account = with_snapshots(cloud, "alpha", "beta")
    for name in ("alpha", "beta", "alpha", "beta"):
        with pytest.raises(WorkFailed, match="of the cap is left"):
            verify_snapshots(select=[name], max_cost="0.01", notify=[notifier], credentials=account)
    told = [m["subject"] for m in kept.received if "proven to restore" in m["subject"] + m["body"]]
    assert len(told) == 2


@pytest.mark.slow
def test_a_proof_that_is_missing_and_that_nobody_hears_of_fails_the_run_after_the_work(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, notifier = hook
    kept.status = 500
    sandbox, account = with_snapshots(cloud, "alpha", "beta")
    with pytest.raises(
        NobodyTold,
        match=r"has no snapshot that was proven to restore.*no notification could be sent",
    ):
        verify_snapshots(select=["*"], notify=[notifier], credentials=account)
    assert len(proven_snapshots(account.account)) == 1
    assert sorted(states(sandbox)) == ["alpha", "beta"]


@pytest.mark.slow
def test_a_probe_that_is_not_content_fails_the_drill_and_nothing_is_left(cloud: Cloud) -> None:
    sandbox, account = with_snapshots(cloud, "alpha")
    probe = {"command": BAD, "within": "0.2s"}
    with pytest.raises(WorkFailed, match="the probe ended with 1: the disk is empty"):
        verify_snapshots(select=["*"], probe=probe, credentials=account)
    assert list(states(sandbox)) == ["alpha"]
    assert proven_snapshots(account.account) == frozenset()


@pytest.mark.slow
def test_a_probe_that_hangs_is_not_waited_for_longer_than_the_drill(cloud: Cloud) -> None:
    sandbox, account = with_snapshots(cloud, "alpha", "beta")
    hangs = {"command": ["python3", "-c", "import time; time.sleep(300)"], "within": "5m"}
    with pytest.raises(WorkFailed) as failed:
        verify_snapshots(select=["*"], at_most=2, probe=hangs, timeout=25, credentials=account)
    said = [row.why for row in failed.value.report.rows]
    # On a slow machine no time may be left for any.
    assert all("no time was left for the probe" in s or "timed out after" in s for s in said)
    assert "no time was left for the probe" in said[0] + said[1]
    sandbox.advance(600)
    assert sorted(states(sandbox)) == ["alpha", "beta"]


@pytest.mark.slow
def test_a_port_that_must_answer(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox, account = with_snapshots(cloud, "alpha")
    connect = socket.create_connection

    def here(address: tuple[str, int], *more: Any, **named: Any) -> socket.socket:
        """The sandbox's addresses lead nowhere; its machines are this one."""
        return connect(("127.0.0.1", address[1]), *more, **named)

    monkeypatch.setattr("barrack_tasks.controllers.drills.socket.create_connection", here)
    port = free_port()
    how: dict[str, Any] = {"select": ["*"], "credentials": account}
    with pytest.raises(WorkFailed, match=rf"port {port} at \S+ does not answer"):
        verify_snapshots(**how, probe={"port": port, "within": "0.2s"})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        assert verify_snapshots(**how, probe={"port": port}).ok
    assert list(states(sandbox)) == ["alpha"]


@pytest.mark.slow
def test_the_cap_on_the_cost_and_a_stuck_restore(cloud: Cloud) -> None:
    sandbox, account = with_snapshots(cloud, "alpha")
    with pytest.raises(
        WorkFailed, match=r"it may cost 0\.6\d USD, and 0\.10 USD of the cap is left"
    ):
        verify_snapshots(select=["*"], max_cost="0.10", credentials=account)
    assert effects(sandbox, "restore_snapshot") == []
    sandbox.fault("stuck", operation="restore_snapshot")
    with pytest.raises(WorkFailed, match="did not come up in time"):
        verify_snapshots(select=["*"], timeout=2, credentials=account)
    assert list(states(sandbox)) == ["alpha"]


@pytest.mark.slow
def test_the_newest_proven_snapshot_is_never_pruned(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, account = with_snapshots(cloud, "alpha")
    verify_snapshots(select=["*"], credentials=account)
    [proven] = proven_snapshots(account.account)
    [machine] = sandbox.state()["instances"]
    for _ in range(4):
        sandbox.advance(86400)
        snapshot(sandbox, account, "alpha", machine["id"])
    one = {"last": 1, "daily": 0, "weekly": 0, "monthly": 0}
    prune_snapshots(select=["*"], retention=one, credentials=account)
    sandbox.advance(60)
    left = {s["id"] for s in sandbox.state()["snapshots"]}
    assert proven in left
    assert len(left) == 2


def test_what_a_drill_did_not_make_is_never_ended_whatever_its_name(cloud: Cloud) -> None:
    sandbox, account = with_snapshots(cloud, "alpha")
    [only] = account.get_client().snapshots.list()
    name = drill_name(only)
    sandbox.seed_instance(name, gpu_model="A40")
    sandbox.seed_instance("drill-old-12345678", gpu_model="A40")
    before = datetime.now(UTC) - timedelta(hours=1)
    write_open(account.account, {name: Open(before), "drill-old-12345678": Open(before, "x")})
    with pytest.raises(WorkFailed, match="duplicate instance name"):
        verify_snapshots(select=["*"], credentials=account)
    assert sorted(states(sandbox)) == sorted(["alpha", name, "drill-old-12345678"])
    assert effects(sandbox, "delete_instance") == []


@pytest.mark.slow
def test_a_leftover_that_cannot_be_deleted_holds_up_nothing_and_stays_on_record(
    cloud: Cloud,
) -> None:
    sandbox, account = with_snapshots(cloud, "alpha")
    api = account.get_client()
    [only] = api.snapshots.list()
    left = api.snapshots.restore(only.id, "drill-stuck").id
    sandbox.advance(600)
    write_open(account.account, {"drill-stuck": Open(datetime.now(UTC), left)})
    sandbox.fault("status", status=409, operation="delete_instance", match=left, count=None)
    assert verify_snapshots(select=["alpha"], credentials=account).ok
    assert list(read_open(account.account)) == ["drill-stuck"]
    assert sorted(states(sandbox)) == ["alpha", "drill-stuck"]
    sandbox.clear_faults()
    verify_snapshots(select=["alpha"], credentials=account)
    sandbox.advance(600)
    assert list(states(sandbox)) == ["alpha"]
    assert read_open(account.account) == {}


@pytest.mark.slow
def test_a_leftover_of_the_snapshot_that_is_drilled_again_stays_on_record(cloud: Cloud) -> None:
    sandbox, account = with_snapshots(cloud, "alpha")
    api = account.get_client()
    [only] = api.snapshots.list()
    name = drill_name(only)
    left = api.snapshots.restore(only.id, name).id
    sandbox.advance(600)
    write_open(account.account, {name: Open(datetime.now(UTC), left)})
    sandbox.fault("status", status=409, operation="delete_instance", match=left, count=None)
    for _ in range(2):
        with pytest.raises(WorkFailed, match="duplicate instance name"):
            verify_snapshots(select=["alpha"], credentials=account)
        assert read_open(account.account)[name].id == left
    sandbox.clear_faults()
    assert verify_snapshots(select=["alpha"], credentials=account).ok
    sandbox.advance(600)
    assert list(states(sandbox)) == ["alpha"]
    assert read_open(account.account) == {}


POINTS = [
    Point("restore_snapshot", 1, "before"),
    Point("restore_snapshot", 1, "after"),
    Point("list_instances", 5, "after"),
    Point("delete_instance", 1, "before"),
    Point("delete_instance", 1, "after"),
]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed_and_started_again_nothing_is_left(
    cloud: Cloud, prefect_server: str, point: Point
) -> None:
    sandbox, _ = with_snapshots(cloud, "alpha")
    sandbox.settings(list_lag=240)
    environment = {**sandbox.env, "PREFECT_API_URL": prefect_server}
    killed_and_rerun("verify_snapshots", environment, {"select": ["*"]}, point)
    sandbox.advance(600)
    assert list(states(sandbox)) == ["alpha"]
    made, gone = effects(sandbox, "restore_snapshot"), effects(sandbox, "delete_instance")
    assert len({e["id"] for e in made}) == len({e["id"] for e in gone})


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"select": {"regions": ["CANADA-9"]}}, "in the region 'CANADA-9'; there are CANADA-1"),
        ({"select": ["*"], "protect": ["*"]}, "no snapshot would ever be proven"),
    ],
)
def test_drills_of_nothing_are_refused(cloud: Cloud, how: dict[str, Any], sentence: str) -> None:
    sandbox = cloud(fleet=0)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    account = account_of(sandbox)
    account.get_client().snapshots.create(id_, "base")
    sandbox.advance(300)
    for dry_run in (True, False):
        with pytest.raises(SelectionError, match=sentence):
            verify_snapshots(**how, dry_run=dry_run, credentials=account)
