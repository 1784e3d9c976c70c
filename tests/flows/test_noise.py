"""What a run leaves on the Prefect server: task runs, log lines, artifacts and events."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from barrack_tasks.flows import snapshot_before_stop, watch_balance
from barrack_tasks.sandbox import Sandbox
from tests.flows.conftest import account_of, fleet

Cloud = Callable[..., Sandbox]
BY_PREFECT = 3
"""Lines that Prefect writes of every run: that it begins, where to see it, and how it ended."""
OF_A_RUN = {f"prefect.flow-run.{name}": 1 for name in ("Pending", "Running", "Completed")}
INFO = 20


class Left:
    """What a run has left, once the server has it all."""

    def __init__(self, state: State[Any], account: str, ours: Mapping[str, int]) -> None:
        """Wait for the events of this library that are given, and for the end of the run."""
        assert state.name == "Completed", state
        run = str(state.state_details.flow_run_id)
        for service in (EventsWorker, APILogWorker):
            service.drain_all(timeout=120)
        of_run = {"flow_run_id": {"any_": [run]}}
        with get_client(sync_client=True) as client:

            def found(path: Any, **asked: Any) -> Any:
                return client.request("POST", path, json={**asked, "limit": 50}).json()

            def events(**about: Any) -> Counter[str]:
                told = found("/events/filter", filter=about)["events"]
                return Counter(one["event"] for one in told)

            for _ in range(600):  # the server writes an event down a moment after it got it
                self.ours = events(
                    event={"prefix": ["barrack."]},
                    related={"id": [f"barrack.account.{account}"]},
                )
                self.by_prefect = events(
                    event={"prefix": ["prefect."]},
                    any_resource={"id": [f"prefect.flow-run.{run}"]},
                )
                if self.by_prefect["prefect.flow-run.Completed"] and self.ours >= Counter(ours):
                    break
                time.sleep(0.2)
            tasks = found("/task_runs/filter", flow_runs={"id": {"any_": [run]}})
            self.tasks = Counter(one["name"].split()[0] for one in tasks)
            lines = found("/logs/filter", logs=of_run)
            self.lines = [one["message"] for one in lines if one["level"] >= INFO]
            artifacts = found("/artifacts/filter", artifacts=of_run)
            self.artifacts = sorted(one["type"] for one in artifacts)


def test_a_task_run_is_what_changes_something_and_a_line_is_a_step(
    cloud: Cloud, prefect_home: Path
) -> None:
    """Three instances once took 46 lines, 28 of them of a task run for every look."""
    sandbox = cloud(fleet=0)
    for n in range(3):
        sandbox.seed_instance(f"noise-{n}-{uuid.uuid4().hex[:6]}", gpu_model="L40")
    account = account_of(sandbox)
    ours = {"barrack.snapshot.created": 3, "barrack.instance.hibernated": 3}
    state = snapshot_before_stop(["*"], credentials=account, return_state=True)
    left = Left(state, account.account, ours)
    assert left.tasks == {"create_snapshot": 3, "hibernate_instance": 3}
    # Of each instance: two steps, each with the end of its task run, two waits at most, and `done`.
    assert len(left.lines) <= BY_PREFECT + 3 * 7, left.lines
    assert not [line for line in left.lines if "list_" in line or "get_" in line]
    assert left.artifacts == ["markdown", "progress"], "the report, and how far it is"
    assert left.ours == ours
    # Three of the run and of each task run, and those of the two artifacts.
    assert left.by_prefect.total() <= 3 + 6 * 3 + 8, left.by_prefect


def test_a_guard_that_finds_nothing_new_leaves_its_run_and_no_more(
    cloud: Cloud, prefect_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = fleet(cloud, "100000", "noise-a", "noise-b", "noise-c")
    account = account_of(sandbox)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid.uuid4()))
    watch_balance(credentials=account)
    left = Left(watch_balance(credentials=account, return_state=True), account.account, {})
    assert left.tasks == {}
    assert len(left.lines) <= BY_PREFECT + 1, left.lines
    assert left.artifacts == []
    assert left.by_prefect == OF_A_RUN
    assert left.ours == {}
