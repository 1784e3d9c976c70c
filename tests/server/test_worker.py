"""Which runs of the worker start as forks, and what keeps the process that forks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from barrack_tasks.server import worker
from barrack_tasks.server.forks import FORKS
from barrack_tasks.server.processes import born
from barrack_tasks.server.worker import BarrackWorker, _InFork


@pytest.mark.parametrize(
    ("entrypoint", "command", "forks"),
    [
        ("barrack_tasks.flows.hibernate", None, True),
        ("barrack_tasks.flows.hibernate", "nice python -m prefect.engine", False),
        ("mine.py:nightly", None, False),
        ("barrack_tasks.flows_of_mine.nightly", None, False),
        (None, None, False),
    ],
)
def test_only_flows_that_are_loaded_start_as_forks(
    entrypoint: str | None, command: str | None, forks: bool
) -> None:
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name="a run")
    deployment: Any = SimpleNamespace(
        entrypoint=entrypoint, id=uuid4(), name="one", updated=None, created_by=None, labels={}
    )
    how = _InFork(command=command)
    how.prepare_for_flow_run(run, deployment)
    assert ("run_in_fork.py" in str(how.command)) is forks
    if command:
        assert how.command == command, "what a person has set stays"


def test_a_process_that_has_the_number_of_a_run_that_ended_is_left_alone() -> None:
    ended = BarrackWorker("barrack")
    ended._ends_runs_by = signal.SIGTERM  # it was told to end
    with subprocess.Popen(["sleep", "600"]) as other, subprocess.Popen(["sleep", "600"]) as run:
        ended._of_runs = {other.pid: "1", run.pid: born(run.pid)}
        ended.end()
        assert run.wait(60) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it never came to this: {what}")


@pytest.mark.skipif(sys.platform != "linux", reason="runs are forked on Linux alone")
@pytest.mark.parametrize("depth", [1, 4])
def test_where_runs_ask_is_made_again_when_it_was_deleted_and_its_path_is_short_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name"] * depth)
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(worker, "_LOOKS_EVERY", 0.01)
    monkeypatch.setattr(
        worker, "words_for", lambda _: [sys.executable, "-c", "import time; time.sleep(600)"]
    )
    monkeypatch.setenv(FORKS, "")
    made: list[subprocess.Popen[bytes]] = []
    start = worker._start_forks

    def start_forks(place: Path, lifeline: int) -> subprocess.Popen[bytes]:
        made.append(start(place, lifeline))
        return made[-1]

    monkeypatch.setattr(worker, "_start_forks", start_forks)

    async def keep() -> None:
        keeping = asyncio.create_task(worker._keep_forks())
        await until(lambda: made, "a process forks")
        first = Path(os.environ[FORKS])
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(first))
        first.unlink()
        await until(lambda: len(made) > 1, "another process forks")
        second = Path(os.environ[FORKS])
        assert second != first
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(second))
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping
        assert not second.parent.exists()

    try:
        asyncio.run(keep())
    finally:
        for one in made:
            one.kill()
            one.wait(60)
