"""Real runs of the worker of `barrack up`: they start as forks, and end before the worker does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Cancelled

from barrack_tasks.cli.deployments import apply, deployments_file
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.processes import born
from tests.deployments.playing import start, until, wait_for, worker

pytestmark = pytest.mark.slow
SEEDS = count(2300)
LIMITED = ("barrack_tasks.server.worker", "barrack", "--limit", "4")
FLOW = "barrack-snapshot-before-stop/snapshot-before-stop"


def state_of(run: str, told: str = "name") -> str:
    with get_client(sync_client=True) as client:
        return str(client.request("GET", f"/flow_runs/{run}").json()["state"][told])  # type: ignore[arg-type]


def cancel(runs: list[str]) -> None:
    """Leave nothing for the worker of the next test."""
    with get_client(sync_client=True) as client:
        for run in runs:
            client.set_flow_run_state(UUID(run), Cancelled(), force=True)


def children(pid: int) -> dict[int, str]:
    """The processes that a process has started and that have not ended, with their commands."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            with suppress(OSError):
                words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                if born(child):
                    found[child] = b" ".join(words).decode()
    return found


def forks_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The process that forks for the runs of a worker."""
    return [
        pid for pid, words in children(process.pid).items() if "barrack_tasks.server.forks" in words
    ]


def runs_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes of the runs that were forked."""
    return [run for forks in forks_of(process) for run in children(forks)]


@pytest.fixture(scope="module")
def deployment(prefect_server: str) -> str:
    [found] = [d.id for d in apply(deployments_file()) if d.full_name == FLOW]
    return found


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A cloud whose time stands still, so that a snapshot is not ready before a test says so.

    Each has instances of its own, for the server remembers those of the test before.
    """
    with Sandbox(fleet=1, balance="5000", speed=0, seed=next(SEEDS)) as made:
        yield made


def snapshot_asked(sandbox: Sandbox) -> bool:
    return any(one["operation"] == "create_snapshot" for one in sandbox.requests())


def test_a_worker_that_is_told_to_end_ends_its_runs_and_the_next_goes_on(
    deployment: str, sandbox: Sandbox
) -> None:
    with worker(sandbox, *LIMITED) as first:
        run = start(deployment, select=["*"], dry_run=False)
        until(lambda: snapshot_asked(sandbox), "the run asks for a snapshot")
        # Without this a run that always falls back to the slow way would never be noticed.
        [process] = runs_of(first)
        first.terminate()
        first.wait(120)
        assert wait_for(run, "Running") == "Crashed", "the server is told before the worker ends"
        until(lambda: not born(process), "the process of the run has ended")
    with worker(sandbox, *LIMITED):
        run = start(deployment, select=["*"], dry_run=False)
        until(lambda: state_of(run) == "Running", "the next run begins")

        def has_ended() -> bool:
            sandbox.advance(600)
            return state_of(run) in ("Completed", "Failed", "Crashed", "Cancelled")

        until(has_ended, "the next run ends")
        assert state_of(run) == "Completed"
    [instance] = sandbox.state()["instances"]
    assert instance["status"] == "HIBERNATED"
    assert len(sandbox.state()["snapshots"]) == 1, "it took up what the first run had begun"


def test_what_forks_for_runs_is_started_again_when_it_was_killed(
    deployment: str, sandbox: Sandbox
) -> None:
    with worker(sandbox, *LIMITED) as working:
        run = start(deployment, select=["*"], dry_run=False)
        until(lambda: snapshot_asked(sandbox), "the run asks for a snapshot")
        [before] = forks_of(working)
        os.kill(before, signal.SIGKILL)
        assert wait_for(run) == "Crashed"
        until(lambda: set(forks_of(working)) - {before}, "another process forks")
        run = start(deployment, select=["*"], dry_run=False)
        until(lambda: runs_of(working), "a run is forked again")


def test_a_worker_that_is_told_to_end_as_it_starts_leaves_no_process(
    deployment: str, sandbox: Sandbox
) -> None:
    with worker(sandbox, *LIMITED) as working:
        until(lambda: forks_of(working), "a process forks")  # it has not loaded anything yet
        [forks] = forks_of(working)
        working.terminate()
        assert working.wait(240) == 0
        until(lambda: not born(forks), "the process that forks has ended")


def test_a_worker_that_ends_as_runs_start_leaves_none_half_started(
    deployment: str, sandbox: Sandbox
) -> None:
    with worker(sandbox, *LIMITED) as working:
        until(lambda: forks_of(working), "a process forks")
        runs = [start(deployment, select=["*"]) for _ in range(6)]  # more than it may do at once

        def types() -> set[str]:
            return {state_of(run, "type") for run in runs}

        until(lambda: types() - {"SCHEDULED"}, "a run starts")
        working.terminate()
        working.wait(240)
        # What is scheduled is done by the next worker.
        half = {"PENDING", "RUNNING", "CANCELLING"}
        until(lambda: not types() & half, "the server is told of every run that had started")
    cancel(runs)


def test_a_run_that_does_not_end_is_killed_at_the_second_signal(
    deployment: str, sandbox: Sandbox
) -> None:
    with worker(sandbox, *LIMITED) as working:
        run = start(deployment, select=["*"], dry_run=False)
        until(lambda: snapshot_asked(sandbox), "the run asks for a snapshot")
        [process] = runs_of(working)
        os.kill(process, signal.SIGSTOP)

        def has_ended() -> bool:
            working.terminate()
            return working.poll() is not None

        until(has_ended, "the worker ends")
        until(lambda: not born(process), "the process of the run has ended")
        assert state_of(run) == "Crashed"


def test_a_run_whose_worker_was_killed_ends_and_the_server_is_told(
    deployment: str, sandbox: Sandbox
) -> None:
    with worker(sandbox, *LIMITED) as working:
        run = start(deployment, select=["*"], dry_run=False)
        until(lambda: snapshot_asked(sandbox), "the run asks for a snapshot")
        [forks] = forks_of(working)
        working.kill()
        working.wait(60)

        def has_ended() -> bool:
            sandbox.advance(600)
            return state_of(run, "type") in ("COMPLETED", "CRASHED")

        # Nobody reads what it prints, so it ends at its next line unless it was nearly done.
        until(has_ended, "the run ends")
        until(lambda: not born(forks), "the process that forked it ends with it")
