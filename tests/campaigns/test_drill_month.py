"""Thirty days of nightly snapshots, drills and retention over a fleet, with faults.

The flows themselves against a real Prefect server and the cloud stand-in; only the nights are
skipped. Snapshots are taken through the client, named and marked as the flows do it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import BarrackError
from barrack_tasks.controllers.proofs import read_open, read_proofs
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.plans.snapshots.drill_report import DrillReport
from barrack_tasks.sandbox import Sandbox
from flows.prune_snapshots import prune_snapshots
from flows.verify_snapshots import verify_snapshots
from tests.flows.conftest import account_of, cloud, effects, states

__all__ = ["cloud"]
pytestmark = pytest.mark.campaign
FLEET, DAYS, A_NIGHT = 20, 30, 4
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "restoring.md"
FAULTS = (
    ("reset_after", 0.02, "*"),
    ("error_after", 0.02, "*"),
    ("refuse", 0.02, "*"),
    ("fail", 0.05, "create_snapshot"),
    ("fail", 0.10, "restore_snapshot"),
    ("stuck", 0.05, "restore_snapshot"),
)


def test_thirty_days(cloud: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = cloud(fleet=0, balance="200000", speed=60, dialect=None)
    account = account_of(sandbox)
    client = account.get_client()
    names = [f"node-{n:02}" for n in range(FLEET)]
    ids = {name: sandbox.seed_instance(name, gpu_model="L40") for name in names}
    for place in (
        "barrack_tasks.runtime.loop.now",
        "barrack_tasks.controllers.drills.now",
        "barrack_tasks.controllers.restores.now",
        "flows.verify_snapshots.now",
    ):
        monkeypatch.setattr(place, sandbox.now)
    cost, drills, failed = Decimal(0), 0, 0
    oldest = dict.fromkeys(names, timedelta(0))
    proven: Counter[str] = Counter()
    began = sandbox.now()
    for _ in range(DAYS):
        sandbox.clear_faults()
        sandbox.set_stock("CANADA-1", "L40", 30)
        for kind, probability, operation in FAULTS:
            sandbox.fault(kind, operation=operation, probability=probability, count=None)
        evening = sandbox.now()
        for name, id_ in ids.items():
            with contextlib.suppress(BarrackError):
                moment = sandbox.now()
                client.snapshots.create(
                    id_, snapshot_name(name, id_, moment), snapshot_description(id_)
                )
        sandbox.advance(1800)
        report = drill(account)
        if report is not None:
            drills += len(report.rows)
            failed += len(report.failed)
            cost += report.cost or Decimal(0)
        for name, id_ in ids.items():
            proof = read_proofs(account.account).get(id_)
            proven[name] += bool(proof and proof.proven and proof.proven > evening)
        with contextlib.suppress(WorkFailed, BarrackError):
            prune_snapshots(
                select=["*"],
                retention={"last": 2, "daily": 4, "weekly": 1, "monthly": 1},
                failed="drop",
                credentials=account,
            )
        sandbox.advance(60)
        there = {s["id"] for s in sandbox.state()["snapshots"]}
        proofs = read_proofs(account.account)
        assert {p.snapshot_id for p in proofs.values() if p.snapshot_id} <= there
        for name, id_ in ids.items():
            at = proofs[id_].proven if id_ in proofs else None
            oldest[name] = max(oldest[name], sandbox.now() - (at or began))
        sandbox.advance(86400 - 3600)
    sandbox.clear_faults()
    drill(account)
    assert sorted(states(sandbox)) == names, "nothing is left behind"
    assert read_open(account.account) == {}
    made = {e["id"] for e in effects(sandbox, "restore_snapshot")}
    ended = {e["id"] for e in effects(sandbox, "delete_instance")}
    assert ended <= made
    assert set(read_proofs(account.account)) == set(ids.values())
    kept = Counter(s["instance_id"] for s in sandbox.state()["snapshots"])
    line = (
        f"| {FLEET} | {DAYS} | {drills} | {failed} | {said(max(oldest.values()))} | "
        f"{cost:.2f} USD | {kept.total()} | 0 |"
    )
    each = [f"| {n} | {proven[n]} | {said(oldest[n])} | {kept[ids[n]]} |" for n in names]
    written("instances", line)
    written("instance", *each)
    assert drills > DAYS
    assert failed < drills / 2


def drill(account: BarrackCredentials) -> DrillReport | None:
    """One night's drills; a run may fail, and the next goes on."""
    try:
        return verify_snapshots(
            select=["*"], at_most=A_NIGHT, timeout=600, max_cost="20", credentials=account
        )
    except WorkFailed as error:
        return cast(DrillReport, error.report)
    except BarrackError:
        return None


def written(first: str, *rows: str) -> None:
    """Put the rows under the head of the table in the docs that begins so, if that is asked for."""
    text = DOCUMENT.read_text()
    table = re.compile(rf"(^\| {first} \|.*\n\| ---.*\n)((?:\|.*\n)*)", flags=re.M)
    assert table.search(text), first
    if os.environ.get("BARRACK_WRITE_DOCS"):
        body = "".join(f"{row}\n" for row in rows)
        DOCUMENT.write_text(table.sub(lambda found: found[1] + body, text, count=1))
