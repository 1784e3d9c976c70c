"""Everything through Prefect's API: applying, starting runs, waiting, reading events."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect.client.orchestration import get_client

from barrack_tasks.sandbox import Sandbox
from tests.forks import ROOT, run_in_fork


def barrack(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line."""
    return run_in_fork(
        *words,
        cwd=ROOT / "docs",
        env={**os.environ, "COLUMNS": "200", "PYTHONPATH": str(ROOT), **env},
    )


def function_of(flow: str) -> str:
    """The function of a flow of the library, by what Prefect calls the flow."""
    assert flow.startswith("barrack-"), flow
    return flow.removeprefix("barrack-").replace("-", "_")


def deployments() -> dict[str, dict[str, Any]]:
    """All deployments of the library by the function of their flow."""
    with get_client(sync_client=True) as client:
        wanted = {"deployments": {"tags": {"all_": ["barrack"]}}}
        found = client.request("POST", "/deployments/filter", json=wanted).json()
        names = {one["id"]: function_of(client.read_flow(one["flow_id"]).name) for one in found}
    return {names[one["id"]]: one for one in found}


def change(deployment: dict[str, Any], **what: Any) -> None:
    """Change a deployment, as a person does in the UI."""
    with get_client(sync_client=True) as client:
        path: Any = f"/deployments/{deployment['id']}"
        client.request("PATCH", path, json=what)


@contextmanager
def worker(sandbox: Sandbox, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker whose environment names a sandbox, in a group of its own.

    Args:
        sandbox: what its runs act on.
        words: of its module, behind `python -m`; the worker of `barrack up`, if not given.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", *(words or ("barrack_tasks.server.worker", "barrack"))],
        cwd=ROOT / "docs",
        env={**os.environ, **sandbox.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(120)  # it ends its runs first
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: it never is; `what` says what was waited for.
    """
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"it never came to this: {what}")


def start(deployment: str, **parameters: Any) -> str:
    """Start a run of a deployment; its id."""
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
    with get_client(sync_client=True) as client:
        path: Any = f"/deployments/{deployment}/create_flow_run"
        return str(client.request("POST", path, json=body).json()["id"])


def wait_for(run: str, *names: str) -> str:
    """Wait until a run is in one of these states, or has ended; the state's name."""
    ended = {"Completed", "Skipped", "Failed", "Crashed", "Cancelled"}
    path: Any = f"/flow_runs/{run}"
    with get_client(sync_client=True) as client:
        for _ in range(240):
            name = str(client.request("GET", path).json()["state"]["name"])
            if name in ended | set(names):
                return name
            time.sleep(0.5)
    return "hangs"
