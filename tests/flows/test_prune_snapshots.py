"""prune_snapshots against a real Prefect server and a real local cloud."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans import SelectionError
from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.runtime.leases import holding
from barrack_tasks.sandbox import Sandbox
from flows.prune_snapshots import prune_snapshots
from tests.flows.conftest import account_of, effects

Cloud = Callable[..., Sandbox]
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
TWO = {"last": 2, "daily": 0, "weekly": 0, "monthly": 0}


@pytest.fixture
def year(cloud: Cloud) -> Callable[..., tuple[Sandbox, BarrackCredentials]]:
    """A cloud where a snapshot was taken every so many days, by this library."""

    def make(
        count: int = 6, step: float = 1, names: tuple[str, ...] = ("alpha",)
    ) -> tuple[Sandbox, BarrackCredentials]:
        sandbox = cloud(fleet=0, balance="90000", speed=0, start=START)
        ids = {name: sandbox.seed_instance(name, gpu_model="L40") for name in names}
        account = account_of(sandbox)
        client = account.get_client()
        for _ in range(count):
            for name, id_ in ids.items():
                client.snapshots.create(
                    id_,
                    snapshot_name(name, id_, sandbox.now()),
                    description=snapshot_description(id_),
                )
            sandbox.advance(step * 86400)
        return sandbox, account

    return make


def left(sandbox: Sandbox) -> list[str]:
    sandbox.advance(60)
    return sorted(s["name"] for s in sandbox.state()["snapshots"])


def test_what_is_not_deleted_in_time_stays_and_is_told(
    year: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, account = year(count=5)
    monkeypatch.setattr("barrack_tasks.controllers.prune._BATCH", 2)
    # At the beginning, and then before and within the judgement of each batch.
    seconds = iter([0, 1, 1, 1, 700])
    monkeypatch.setattr("barrack_tasks.controllers.prune.elapsed", lambda: next(seconds))
    report = prune_snapshots(
        select=["*"], retention={**TWO, "last": 1}, timeout="10m", credentials=account
    )
    assert len(left(sandbox)) == 3
    assert sum("the time of this run ran out" in row.why for row in report.rows) == 2


@pytest.mark.slow
def test_a_year_of_snapshots_is_thinned_out(year: Any) -> None:
    sandbox, account = year(count=60, step=6)
    retention = {"last": 3, "daily": 5, "weekly": 4, "monthly": 6}
    plan = prune_snapshots(select=["*"], retention=retention, dry_run=True, credentials=account)
    assert len(left(sandbox)) == 60
    planned = {r.snapshot for r in plan.rows if r.outcome == "planned"}
    report = prune_snapshots(select=["*"], retention=retention, credentials=account)
    assert {r.snapshot for r in report.rows if r.outcome == "done"} == planned
    kept = [r.snapshot for r in report.rows if r.outcome == "already"]
    assert left(sandbox) == sorted(kept)
    assert len(effects(sandbox, "delete_snapshot")) >= len(planned)
    again = prune_snapshots(select=["*"], retention=retention, credentials=account)
    assert {r.outcome for r in again.rows} == {"already"}


def test_what_an_image_depends_on_and_what_others_made_stays(year: Any) -> None:
    sandbox, account = year()
    client = account.get_client()
    oldest = min(client.snapshots.list(), key=lambda s: s.created_at)
    client.images.create(oldest.id, "from-oldest")
    [machine] = client.instances.list()
    client.snapshots.create(machine.id, "by-hand")
    sandbox.advance(86400)
    report = prune_snapshots(select=["alpha"], retention=TWO, credentials=account)
    why = {r.snapshot: r.why for r in report.rows if r.outcome == "already"}
    assert why["by-hand"].startswith("not made by this library")
    assert why[oldest.name] == "an image depends on it"
    assert len(left(sandbox)) == 4, "these two, and the last two of its own"


@pytest.mark.usefixtures("impatient")
def test_nothing_is_deleted_when_it_is_not_known_what_depends_on_it(year: Any) -> None:
    sandbox, account = year()
    sandbox.fault("malformed", operation="list_snapshot_images", count=None)
    with pytest.raises(WorkFailed, match="it is not known whether an image depends on it") as told:
        prune_snapshots(select=["*"], retention=TWO, credentials=account)
    assert [r.outcome for r in told.value.report.rows].count("failed") == 4
    assert len(left(sandbox)) == 6


def test_protected_and_held_instances_keep_theirs(year: Any) -> None:
    sandbox, account = year(names=("alpha", "prod-1", "busy"))
    busy = next(i.id for i in account.get_client().instances.list() if i.name == "busy")
    with holding(account.account, "other", "another run", "other", timedelta(0)) as hold:
        assert hold.claim({busy: "busy"}) == {}
        report = prune_snapshots(
            select=["*"], retention=TWO, protect=["prod-*"], credentials=account
        )
    kept = [r for r in report.rows if r.outcome == "already"]
    assert [r.instance for r in kept].count("prod-1") == 6
    assert [r.instance for r in kept].count("busy") == 6
    assert any(r.why == "another run is working on its instance" for r in kept)
    assert len(left(sandbox)) == 2 + 6 + 6


def test_snapshots_of_an_instance_that_is_gone_have_their_history_too(year: Any) -> None:
    sandbox, account = year()
    client = account.get_client()
    [machine] = client.instances.list()
    client.instances.delete(machine.id)
    sandbox.advance(3600)
    prune_snapshots(select=["alpha"], retention=TWO, credentials=account)
    assert len(left(sandbox)) == 2


def test_a_deletion_that_fails_does_not_hold_up_the_others_and_fails_the_run(year: Any) -> None:
    sandbox, account = year()
    sandbox.fault("status", operation="delete_snapshot", status=409, count=1)
    sandbox.fault("reset_after", operation="delete_snapshot", count=1)
    with pytest.raises(WorkFailed, match="1 of 6 snapshots failed"):
        prune_snapshots(select=["*"], retention=TWO, credentials=account)
    assert len(left(sandbox)) == 3


def test_bad_input_is_one_sentence(year: Any) -> None:
    sandbox, account = year()
    with pytest.raises(SelectionError, match="no snapshot of 'alpa'"):
        prune_snapshots(select=["alpa"], credentials=account)
    assert effects(sandbox, "delete_snapshot") == []
