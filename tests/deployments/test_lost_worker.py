"""A worker is killed with a run in its hands, and the guard goes on at the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks.cli.deployments import apply, deployments_file
from barrack_tasks.sandbox import Sandbox
from tests.deployments.playing import start, wait_for, worker

pytestmark = pytest.mark.slow
PREFECTS = ("prefect", "worker", "start", "--pool", "barrack")
GUARD = "barrack-watch-balance/watch-balance"


def until(run: str, *names: str) -> str:
    """Wait until a run is in one of these states; looks often enough to see those that pass."""
    path: Any = f"/flow_runs/{run}"
    with get_client(sync_client=True) as client:
        for _ in range(6000):
            name = str(client.request("GET", path).json()["state"]["name"])
            if name in names:
                return name
            time.sleep(0.02)
    raise AssertionError(f"the run is {name}, and never was {names}")


def lose(process: subprocess.Popen[bytes], run: str) -> None:
    """Kill a worker, and the process of a run, at once and without a word."""
    process.kill()
    process.wait()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if f"PREFECT__FLOW_RUN_ID={run}".encode() in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.mark.usefixtures("no_deployments")
@pytest.mark.parametrize("state", ["Pending", "Running"])
def test_a_guard_whose_worker_is_lost_completes_at_its_next_run(
    prefect_server: str, state: str
) -> None:
    [guard] = [d.id for d in apply(deployments_file()) if d.full_name == GUARD]
    with Sandbox(fleet=2, balance="5000", speed=1, latency=1) as sandbox:
        with worker(sandbox, *PREFECTS) as lost:
            run = start(guard)
            until(run, state)
            lose(lost, run)
        with worker(sandbox, *PREFECTS):
            assert wait_for(start(guard)) == "Completed"
            assert until(run, state) == state, "the server believes that the lost run still goes on"
