"""deployments/prefect.yaml, applied to a real Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client

import barrack_tasks.flows
from barrack_tasks.cli.upgrade import with_stance
from barrack_tasks.plans.account_changes import MOVED
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.events import emit
from tests.deployments import playing
from tests.deployments.playing import ROOT, start, wait_for

pytestmark = pytest.mark.slow
FILE = ROOT / "deployments" / "prefect.yaml"
FLOWS = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
ONLY_LOOK = {"watch_account", "report_costs", "doctor"}
ASKED_FOR = {"end_expired"}
"""Acts only on what a person has given an end."""
ON_DEMAND = {
    "snapshot_before_stop",
    "keep_machine",
    "hibernate",
    "restore",
    "restore_from_snapshot",
    "publish_image",
}


def prefect(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def applied(prefect_server: str) -> list[dict[str, Any]]:
    """All deployments as the server has them, after they were applied twice."""
    prefect("work-pool", "create", "barrack", "--type", "process", "--overwrite")
    for _ in range(2):
        prefect("deploy", "--all", "--prefect-file", str(FILE))
    with get_client(sync_client=True) as client:
        wanted = {"deployments": {"tags": {"all_": ["barrack"]}}}
        found: list[dict[str, Any]] = client.request(
            "POST", "/deployments/filter", json=wanted
        ).json()
        for one in found:
            flow = client.request("GET", f"/flows/{one['flow_id']}").json()
            one["flow"] = playing.function_of(flow["name"])
    return found


def test_every_flow_is_deployed_once_however_often_it_is_applied(
    applied: list[dict[str, Any]],
) -> None:
    assert sorted(one["flow"] for one in applied) == sorted(FLOWS)
    for one in applied:
        assert one["description"]
        assert one["work_pool_name"] == "barrack"
        described = one["parameter_openapi_schema"]["properties"]
        assert "credentials" in described, one["flow"]


def test_nothing_destructive_is_on_by_default(applied: list[dict[str, Any]]) -> None:
    for one in applied:
        if one["flow"] in ONLY_LOOK | ASKED_FOR:
            continue
        if one["flow"] in ON_DEMAND:
            assert one["schedules"] == [], "it runs only when somebody starts it"
        else:
            assert one["parameters"]["dry_run"] is True, one["flow"]
            # More than one, for the run of a worker that was lost keeps its slot for minutes; and
            # some limit, for all runs that were due in a night without a worker are due at once.
            assert one["global_concurrency_limit"]["limit"] == 3


def test_every_trigger_takes_the_events_of_one_account_and_passes_no_names() -> None:
    triggers = [
        trigger
        for one in yaml.safe_load(FILE.read_text())["deployments"]
        for trigger in one.get("triggers", [])
    ]
    assert triggers
    for trigger in triggers:
        assert trigger["match_related"] == {
            "prefect.resource.id": "barrack.account.barrack",
            "prefect.resource.role": "account",
        }
        assert "name" not in str(trigger.get("parameters", {}))


def test_the_file_names_what_exists() -> None:
    written = yaml.safe_load(FILE.read_text())["deployments"]
    for one in written:
        function = one["entrypoint"].rpartition(".")[2]
        assert one["name"] == function.replace("_", "-"), "the name says what it is"
        flow = getattr(barrack_tasks.flows, function)
        stance = with_stance([*one["tags"], "dry"], one.get("parameters", {}).get("dry_run"))[-1]
        told = {"dry", "armed"} & set(one["tags"])
        assert told == ({stance} if "dry_run" in flow.parameters.properties else set())
    assert {d["entrypoint"].rpartition(".")[2] for d in written} == FLOWS
    assert {d["entrypoint"].rpartition(".")[0] for d in written} == {"barrack_tasks.flows"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(fleet=2, balance="20", speed=60) as cloud:
        yield cloud


@pytest.fixture
def worker(applied: list[dict[str, Any]], sandbox: Sandbox) -> Iterator[None]:
    """A worker whose environment names the sandbox."""
    with playing.worker(sandbox):
        yield


def test_a_worker_runs_a_guard_as_it_was_deployed_and_armed(
    applied: list[dict[str, Any]], sandbox: Sandbox, worker: None
) -> None:
    [guard] = [one["id"] for one in applied if one["flow"] == "watch_balance"]
    assert wait_for(start(guard)) == "Completed"
    assert {i["status"] for i in sandbox.state()["instances"]} == {"ACTIVE"}
    assert wait_for(start(guard, dry_run=False)) == "Completed"
    assert "HIBERNATED" in {i["status"] for i in sandbox.state()["instances"]}


def test_a_run_of_a_deployment_is_suspended_until_a_person_answers(
    applied: list[dict[str, Any]], sandbox: Sandbox, worker: None
) -> None:
    entrypoint = f"{Path(__file__).parent / 'asking.py'}:deploy_with_approval"
    prefect("deploy", entrypoint, "--name", "asking", "--pool", "barrack")
    with get_client(sync_client=True) as client:
        path = "/deployments/name/deploy-with-approval/asking"
        deployment = client.request("GET", path).json()["id"]
        run = start(deployment)
        yes = {"run_input": {"approve": True, "by": "me"}}
        for made in (0, 1):
            # One answer is for one question: the second instance is asked for by itself.
            assert wait_for(run, "Suspended") == "Suspended"
            assert len(sandbox.state()["instances"]) == 2 + made
            client.request("POST", f"/flow_runs/{run}/resume", json=yes)
            wait_for(run, "Running", "Pending")
    assert wait_for(run) == "Completed"
    assert {"approved", "dearer"} < {i["name"] for i in sandbox.state()["instances"]}


def test_an_event_starts_the_run_that_its_trigger_names(applied: list[dict[str, Any]]) -> None:
    [schedule] = [one["id"] for one in applied if one["flow"] == "follow_schedule"]
    wanted = {"deployments": {"id": {"any_": [schedule]}}}
    with get_client(sync_client=True) as client:

        def runs() -> int:
            return len(client.request("POST", "/flow_runs/filter", json=wanted).json())

        before = runs()
        by_hand = {MOVED: "otherwise"}
        emit("barrack.instance.appeared", "BRK-OTHER", "by-hand", account="other", labels=by_hand)
        for how in ("by-a-run", "on-its-way"):
            mine = {MOVED: how}
            emit("barrack.instance.changed", "BRK-OURS", "ours", account="barrack", labels=mine)
        for name in ("BRK-TRIGGER", "BRK-LATER", "BRK-LAST"):
            emit("barrack.instance.appeared", name, "by-hand", account="barrack", labels=by_hand)
        for _ in range(100):
            if runs() > before:
                break
            time.sleep(0.3)
        time.sleep(2)
        assert runs() == before + 1, "events of others and of our own start none, and a wave one"


def test_status_tells_of_the_last_run_that_began_and_not_of_one_that_waits(
    applied: list[dict[str, Any]], sandbox: Sandbox
) -> None:
    [waits] = [one["id"] for one in applied if one["flow"] == "publish_image"]
    start(waits, source="builder", family="base")
    done = playing.barrack("status", **sandbox.env)
    assert done.returncode == 0, done.stdout + done.stderr
    [line] = [row for row in done.stdout.splitlines() if "publish-image" in row]
    assert "never" in line


def test_a_trigger_that_is_switched_on_fills_the_parameters_from_its_event(
    applied: list[dict[str, Any]],
) -> None:
    [hibernate] = [one["id"] for one in applied if one["flow"] == "hibernate"]
    wanted = {"deployments": {"id": {"any_": [hibernate]}}}
    name = "barrack - a claimed instance is up, show what hibernating it would do"
    started_by = {"type": "AUTOMATION", "display_value": name}
    with get_client(sync_client=True) as client:
        [trigger] = client.read_automations_by_name(name)
        assert trigger.enabled is False
        client.resume_automation(trigger.id)
        found: list[dict[str, Any]] = []
        for _ in range(100):
            # The server takes a moment to know that it is switched on.
            emit("barrack.instance.claimed", "BRK-FILLED", "claimed-1", account="barrack")
            time.sleep(0.3)
            runs = client.request("POST", "/flow_runs/filter", json=wanted).json()
            # Other tests start this deployment too, on the same server.
            found = [one for one in runs if started_by.items() <= (one["created_by"] or {}).items()]
            if found:
                break
        client.pause_automation(trigger.id)
    assert found, "no run was started"
    assert found[0]["parameters"]["select"] == {"ids": ["BRK-FILLED"]}, "the id, not the name"
    assert found[0]["parameters"]["dry_run"] is True
