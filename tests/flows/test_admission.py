"""The admission, for real: what begins at once over several flows stays within the caps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks.controllers.guard import GuardRefused, guarded_create_instance
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.sandbox import Sandbox
from flows.restore import restore
from flows.restore_from_snapshot import restore_from_snapshot
from flows.watch_gpu_stock import watch_gpu_stock
from tests.flows.conftest import account_of, effects, states

Cloud = Callable[..., Sandbox]
L40 = {"region": "CANADA-1", "gpu_model": "L40"}


def asleep(cloud: Cloud, *names: str, **how: Any) -> Sandbox:
    """Hibernated instances, and stock enough to bring them all back."""
    sandbox = cloud(fleet=0, balance="5000", **{"speed": 60, **how})
    sandbox.set_stock("CANADA-1", "L40", 2 * len(names) + 8)
    for name in names:
        sandbox.seed_instance(name, gpu_count=1, status="HIBERNATED", **L40)
    return sandbox


def awake(sandbox: Sandbox) -> list[str]:
    return [name for name, status in states(sandbox).items() if status != "HIBERNATED"]


def together(*begin: Callable[[], Any]) -> list[str]:
    """Begin all at the same moment; what became of each: nothing, or what was refused."""
    ready = threading.Barrier(len(begin))
    told = [""] * len(begin)

    def run(number: int, one: Callable[[], Any]) -> None:
        ready.wait()
        try:
            one()
        except (WorkFailed, GuardRefused) as error:
            told[number] = str(error)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(begin)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


@pytest.mark.slow
def test_of_two_restores_at_once_only_one_gets_the_room_that_is_left(cloud: Cloud) -> None:
    sandbox = asleep(cloud, "alpha", "beta", latency=0.5)
    account = account_of(sandbox, caps={"gpus": 1})
    told = together(
        lambda: restore(select=["alpha"], credentials=account),
        lambda: restore(select=["beta"], credentials=account),
    )
    assert len(awake(sandbox)) == 1
    assert len(effects(sandbox, "restore_instance")) == 1
    [refused] = [text for text in told if text]
    assert "refused by the caps: 2 GPUs would be in use, the cap is 1" in refused


def test_restores_claims_and_guarded_tasks_at_once_share_one_admission(
    cloud: Cloud, tmp_path: Path
) -> None:
    sandbox = asleep(cloud, "alpha", latency=0.3)
    sandbox.advance(900)
    sandbox.settings(list_lag=120)
    account = account_of(sandbox, caps={"gpus": 1})
    want = {**L40, "regions": ["CANADA-1"], "claim": {"name": "claimed", "image_id": "1"}}
    del want["region"]
    told = together(
        lambda: restore(select=["alpha"], credentials=account),
        lambda: watch_gpu_stock([want], history=tmp_path, credentials=account),
        lambda: guarded_create_instance(account, None, "made", **L40, image_id="1"),
    )
    assert len(awake(sandbox)) == 1, told
    assert sum("2 GPUs would be in use, the cap is 1" in text for text in told) == 2


@pytest.mark.slow
def test_what_a_run_was_let_begin_and_lists_do_not_show_counts_for_the_next(cloud: Cloud) -> None:
    sandbox = asleep(cloud, "alpha", speed=0)
    sandbox.advance(900)
    sandbox.settings(list_lag=600)
    account = account_of(sandbox, caps={"instances": 2})
    guarded_create_instance(account, None, "made", **L40, image_id="1")
    with pytest.raises(GuardRefused, match="there are 2 instances, the cap is 2"):
        guarded_create_instance(account, None, "more", **L40, image_id="1")
    assert sorted(states(sandbox)) == ["alpha", "made"]


def test_a_request_that_surely_failed_leaves_its_room_to_the_next(cloud: Cloud) -> None:
    sandbox = asleep(cloud, "alpha")
    account = account_of(sandbox, caps={"gpus": 1})
    sandbox.fault("status", operation="create_instance", status=422, count=1)
    with pytest.raises(Exception, match="422"):
        guarded_create_instance(account, None, "made", **L40, image_id="1")
    restore(select=["alpha"], credentials=account)
    assert awake(sandbox) == ["alpha"]


@pytest.mark.slow
def test_a_fleet_comes_back_in_few_admissions(cloud: Cloud) -> None:
    names = [f"n-{number}" for number in range(200)]
    sandbox = asleep(cloud, *names, speed=120)
    account = account_of(sandbox, caps={"burn": 900, "gpus": 900})
    report = restore(select=["*"], at_once=200, credentials=account)
    assert {row.outcome for row in report.rows} == {"done"}
    read = [r["operation"] for r in sandbox.requests()]
    assert read.count("list_volumes") <= 3, "only the admission reads volumes, once for a batch"


def test_a_plan_that_begins_nothing_reads_nothing_for_the_caps(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, balance="5000")
    sandbox.seed_instance("up", gpu_count=1, **L40)
    restore(select=["up"], credentials=account_of(sandbox, caps={"burn": 900}))
    read = {r["operation"] for r in sandbox.requests()}
    assert not read & {"list_volumes", "list_snapshots", "get_pricing"}


# A guard needs what its caps need, and nothing else
def unreadable(sandbox: Sandbox, *operations: str) -> None:
    for operation in operations:
        sandbox.fault("status", operation=operation, status=404, count=None)


def saved(cloud: Cloud) -> Sandbox:
    sandbox = cloud(fleet=0, balance="5000", speed=120)
    id_ = sandbox.seed_instance("base", gpu_count=1, **L40)
    account_of(sandbox).get_client().snapshots.create(id_, "saved")
    sandbox.advance(900)
    return sandbox


@pytest.mark.slow
def test_without_caps_nothing_that_only_caps_need_stops_a_restore(cloud: Cloud) -> None:
    sandbox = saved(cloud)
    unreadable(sandbox, "list_volumes", "get_pricing", "get_credit_balance", "quote_price")
    account = account_of(sandbox)
    report = restore_from_snapshot("saved", credentials=account)
    assert report.ok
    assert any("The balance cannot be read" in note for note in report.notes)
    [id_] = [i["id"] for i in sandbox.state()["instances"] if i["name"] == "base"]
    sandbox.set_instance_status(id_, "HIBERNATED")
    unreadable(sandbox, "list_snapshots")
    again = restore(select=["base"], credentials=account)
    assert again.rows[0].outcome == "done"
    assert any("The balance cannot be read" in note for note in again.notes)
    guarded_create_instance(account, None, "made", **L40, image_id="1")


@pytest.mark.slow
def test_a_cap_names_the_operation_that_it_needs_and_others_do_not_mind(cloud: Cloud) -> None:
    sandbox = saved(cloud)
    unreadable(sandbox, "list_volumes", "get_credit_balance", "get_pricing")
    account = account_of(sandbox)
    with pytest.raises(WorkFailed, match="list_volumes cannot be read, and the cap burn needs it"):
        restore_from_snapshot("saved", caps={"burn": 90}, credentials=account)
    assert effects(sandbox, "restore_snapshot") == []
    caps = {"gpus": 8, "instances": 8, "regions": ["CANADA-*"]}
    assert restore_from_snapshot("saved", caps=caps, credentials=account).ok
    guarded_create_instance(account, caps, "made", **L40, image_id="1")
    with pytest.raises(GuardRefused, match="get_credit_balance"):
        guarded_create_instance(account, {"lasts": "1h"}, "more", **L40, image_id="1")
