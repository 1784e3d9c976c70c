"""A served flow runs, its hooks are called, and an automation tells people of a deployed run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks.cli.alert_on_failure import NAME
from barrack_tasks.cli.deployments import apply, deployments_file
from barrack_tasks.sandbox import Sandbox
from tests.conftest import end_with_this_process
from tests.deployments.playing import ROOT, barrack, start, wait_for, worker
from tests.flows.conftest import cloud, hook, saved_hook
from tests.flows.receivers import Webhook, subjects

__all__ = ["cloud", "hook"]
pytestmark = pytest.mark.slow

SERVED = """
import sys
from barrack_tasks import tell_state
from barrack_tasks.flows import hibernate

if __name__ == "__main__":
    told = hibernate.with_options(on_failure=[tell_state(sys.argv[1])])
    told.serve(name="served", tags=["mine"])
"""


@contextmanager
def serving(script: Path, notifier: str, sandbox: Sandbox) -> Iterator[str]:
    """A script that serves a flow, in a process and a folder of its own; the deployment's id."""
    process = subprocess.Popen(
        [sys.executable, str(script), notifier],
        cwd=script.parent,
        env={**os.environ, **sandbox.env, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_this_process,
    )
    try:
        with get_client(sync_client=True) as client:
            for _ in range(200):
                body = {"deployments": {"name": {"any_": ["served"]}}}
                found = client.request("POST", "/deployments/filter", json=body).json()
                if found:
                    break
                time.sleep(0.2)
        yield str(found[0]["id"])
    finally:
        process.terminate()
        process.wait(60)


def wait_until_told(kept: Webhook, count: int) -> list[str]:
    for _ in range(300):
        if len(kept.received) >= count:
            break
        time.sleep(0.1)
    return subjects(kept)


def test_a_served_flow_runs_and_calls_its_hooks(
    cloud: Callable[..., Sandbox], hook: tuple[Webhook, str], tmp_path: Path
) -> None:
    kept, notifier = hook
    sandbox = cloud(fleet=0, dialect=None)
    sandbox.seed_instance("train-1", gpu_model="L40")
    script = tmp_path / "mine.py"
    script.write_text(SERVED)
    with serving(script, notifier, sandbox) as deployment:
        assert wait_for(start(deployment, select=["train-*"])) == "Completed"
        assert [i["status"] for i in sandbox.state()["instances"]] == ["HIBERNATED"]
        assert kept.received == []
        assert wait_for(start(deployment, select=[])) == "Failed"
        assert len(wait_until_told(kept, 1)) == 1
        assert "barrack-hibernate: run " in subjects(kept)[0]


def automations() -> list[Any]:
    with get_client(sync_client=True) as client:
        return list(client.read_automations_by_name(NAME))


@pytest.mark.usefixtures("no_deployments")
def test_an_automation_tells_of_a_deployed_run_that_fails(
    cloud: Callable[..., Sandbox], hook: tuple[Webhook, str]
) -> None:
    kept, notifier = hook
    sandbox = cloud(fleet=0, dialect=None)
    there = {one.full_name: one.id for one in apply(deployments_file())}
    [rest] = [id_ for name, id_ in there.items() if name.startswith("barrack-hibernate/")]
    with saved_hook() as (_, other):
        assert barrack("alert-on-failure", other).returncode == 0
    for _ in range(2):
        done = barrack("alert-on-failure", notifier)
        assert done.returncode == 0, done.stdout + done.stderr
        assert notifier in done.stdout
    [one] = automations()
    assert len(one.actions) == 1
    with worker(sandbox):
        assert wait_for(start(rest, select=[], dry_run=True)) == "Failed"
        told = wait_until_told(kept, 1)
    assert "barrack-hibernate: run" in told[0]
    assert "is Failed" in told[0]
    assert "/runs/flow-run/" in kept.received[0]["body"]
    for said in ("was deleted", "There was no such automation"):
        assert said in barrack("alert-on-failure", "--remove").stdout
    assert automations() == []


def test_who_is_told_is_said(prefect_server: str) -> None:
    for words in ([], ["team", "--remove"]):
        done = barrack("alert-on-failure", *words)
        assert done.returncode == 2
        assert "at least one notification block, or --remove" in done.stderr
    done = barrack("alert-on-failure", "nobody-has-this")
    assert done.returncode == 2
    assert "no notification block is called 'nobody-has-this'" in done.stderr
