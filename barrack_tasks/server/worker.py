"""A worker of a process pool, as Prefect has it, whose runs start as forks of one process.

When it is told to end, its runs end before it does, and the server is told how. Prefect's own
worker kills their processes at once, and the server then believes for ever that they are at work.

Everything else is Prefect's own: schedules, limits, parameters, cancellation, and what is told of a
run that crashed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.logging import get_logger
from prefect.settings import get_current_settings
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from barrack_tasks.server.forks import FORKS, words_for
from barrack_tasks.server.processes import born, has_ended

_MODULE = "barrack_tasks.flows"
_COMMAND = Path(__file__).with_name("run_in_fork.py")
_PATIENCE = 30.0
"""Seconds that runs are given to end when the worker is told to; then they are killed."""
_LOOKS_EVERY = 1.0
_LONG = 600.0
_LONGEST_PAUSE = 300.0
_SHORT = "/tmp"  # noqa: S108 - where the usual folder has a longer path than a socket can have
_LONGEST_PATH = 80
"""Of the usual folder: Linux gives the path of a socket 107 bytes."""


class _InFork(ProcessJobConfiguration):
    """A run of what is loaded starts in a fork; any other starts as in Prefect's own worker."""

    def prepare_for_flow_run(
        self, flow_run: Any, deployment: Any = None, *arguments: Any, **named: Any
    ) -> None:
        of = str(deployment.entrypoint) if deployment is not None else ""
        if self.command is None and of.startswith(_MODULE + "."):
            # It loads nothing but what Python itself needs.
            self.command = shlex.join([sys.executable, "-I", "-S", str(_COMMAND)])
        super().prepare_for_flow_run(flow_run, deployment, *arguments, **named)


class BarrackWorker(
    ProcessWorker, ABC
):  # what is abstract does not take the place of Prefect's own
    """Prefect's worker, which waits for its runs when it is told to end."""

    def __init__(self, work_pool_name: str, limit: int | None = None) -> None:
        super().__init__(work_pool_name=work_pool_name, limit=limit)
        self._waits: asyncio.Task[Any] | None = None
        """What asks for runs, or still starts the worker."""
        self._ends_runs_by: signal.Signals | None = None
        self._of_runs: dict[int, str | None] = {}
        """When the process of each run began: once it has ended, another may have its number."""

    async def work(self) -> None:
        """Do runs until told to end by a signal."""
        loop = asyncio.get_running_loop()
        self._waits = asyncio.current_task()
        for which in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(which, self.end)
        with suppress(asyncio.CancelledError):  # the worker had not started yet
            await self.start()

    def end(self) -> None:
        """Take no more runs and end those that are at work; at the second call, kill them."""
        if self._ends_runs_by is None:
            self._ends_runs_by = signal.SIGTERM
            asyncio.get_running_loop().call_later(_PATIENCE, self.end)
            if self._waits is not None:
                # Where the loop of requests ends by itself, Prefect waits for the runs.
                self._waits.cancel()
        else:
            self._ends_runs_by = signal.SIGKILL
        for pid, since in self._of_runs.items():
            _send(pid, since, self._ends_runs_by)

    async def get_and_submit_flow_runs(self) -> list[Any]:
        """Ask for runs, see Prefect."""
        self._waits = asyncio.current_task()
        return await super().get_and_submit_flow_runs()

    async def run(
        self, flow_run: Any, configuration: ProcessJobConfiguration, task_status: Any = None
    ) -> ProcessWorkerResult:
        """Do a run, see Prefect."""
        started = _Started(self, task_status)
        try:
            return await super().run(flow_run, configuration, started)  # type: ignore[arg-type]
        finally:
            self._of_runs.pop(started.pid, None)

    def has_started(self, pid: int) -> None:
        """Know the process of a run, which may have been on its way when the worker was ended."""
        since = self._of_runs[pid] = born(pid)
        if self._ends_runs_by is not None:
            _send(pid, since, self._ends_runs_by)


@dataclass
class _Started:
    """Tells the worker, and Prefect, which process a run has."""

    worker: BarrackWorker
    prefects: Any
    pid: int = 0

    def started(self, pid: int) -> None:
        self.pid = pid
        if self.prefects is not None:
            self.prefects.started(pid)
        self.worker.has_started(pid)


def _send(pid: int, since: str | None, which: signal.Signals) -> None:
    if not has_ended(pid, since):
        with suppress(ProcessLookupError):
            os.kill(pid, which)


async def _keep_forks() -> None:
    """Have a process that forks for runs, and start another one where it, or its socket, has gone.

    Until that has loaded everything, runs wait for it; where none can be started, runs start in the
    usual way. One that ends soon after its start is given longer and longer pauses.
    """
    lifeline, _ = os.pipe()  # the other end is closed when this process ends, however it ends
    log = get_logger("worker")
    pause = _LOOKS_EVERY
    while True:
        began = time.monotonic()
        try:
            with _own_folder() as folder:
                place = Path(folder) / "forks"
                forks = _start_forks(place, lifeline)
                while forks.poll() is None and place.exists():
                    await asyncio.sleep(_LOOKS_EVERY)
        except OSError as error:
            log.warning("no process that forks for runs could be started: %s", error)
        else:
            # Where only its socket was deleted, it stays until its runs and the worker have ended.
            log.warning(
                "the process that forks for runs has ended (%s) or its socket was deleted; another "
                "one is started",
                forks.returncode,
            )
        pause = _LOOKS_EVERY if time.monotonic() - began > _LONG else pause
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for its owner alone, whose path is short enough for a socket."""
    usual = tempfile.gettempdir()
    is_long = len(os.fsencode(usual)) > _LONGEST_PATH
    return tempfile.TemporaryDirectory(
        prefix="barrack-", dir=_SHORT if is_long else usual, ignore_cleanup_errors=True
    )


def _start_forks(place: Path, lifeline: int) -> subprocess.Popen[bytes]:
    """Start the process that forks for runs; it ends after this one."""
    os.environ.pop(FORKS, None)  # the environment of a run has it no more, either
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(128)
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        kept = (listener.fileno(), lifeline)
        forks = subprocess.Popen(  # noqa: S603 - our own words
            [*words_for(_MODULE), *map(str, kept)],
            env={**os.environ, **settings},
            pass_fds=kept,
        )
    os.environ[FORKS] = str(place)
    return forks


async def _work(pool: str, limit: int | None) -> None:
    worker = BarrackWorker(pool, limit)
    if sys.platform != "linux":  # there a process that has loaded much must not be forked
        await worker.work()
        return
    worker.job_configuration = _InFork
    keeping = asyncio.create_task(_keep_forks())
    try:
        await worker.work()
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):  # its folder is deleted
            await keeping


def work(pool: str, limit: int | None = None) -> None:
    """Do the runs of a pool until told to end.

    Args:
        pool: name of a process pool.
        limit: at most so many runs at a time.
    """
    asyncio.run(_work(pool, limit))


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What `python -m barrack_tasks.server.worker` is told: a pool, and a limit if one is given.

    Args:
        words: of the command, without the module; those of this process, if not given.

    Example:
        >>> arguments(["barrack", "--limit", "8"])
        Namespace(pool='barrack', limit=8)
    """
    parser = argparse.ArgumentParser(
        prog="python -m barrack_tasks.server.worker",
        description="Do the runs of a process pool of the Prefect server until told to end.",
    )
    parser.add_argument("pool", help="name of the pool, such as barrack")
    parser.add_argument("--limit", type=_positive, help="do at most so many runs at a time")
    return parser.parse_args(words)


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    given = arguments()
    work(given.pool, given.limit)
