"""A worker of a process pool, as Prefect has it, whose runs start as forks of one process.

Everything else is Prefect's own: schedules, limits, parameters, cancellation, and what is told of a
run that crashed.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.settings import get_current_settings
from prefect.utilities.processutils import setup_signal_handlers_worker
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from barrack_tasks.server.forks import FORKS, words_for

_MODULE = "barrack_tasks.flows"
_COMMAND = Path(__file__).with_name("run_in_fork.py")


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


def work(pool: str) -> None:
    """Do the runs of a pool until told to end.

    Args:
        pool: name of a process pool.
    """
    worker = ProcessWorker(work_pool_name=pool)
    setup_signal_handlers_worker(os.getpid(), f"the worker {worker.name!r}", print)
    with tempfile.TemporaryDirectory(prefix="barrack-") as folder:  # for its owner alone
        if sys.platform == "linux":  # elsewhere a process that has loaded much must not be forked
            with suppress(OSError):  # a path may be too long for a socket
                _start_forks(Path(folder) / "forks")
                # A subclass would take the place of Prefect's own worker, with a warning.
                worker.job_configuration = _InFork
        with suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(worker.start())


def _start_forks(place: Path) -> None:
    """Start the process that forks for runs; it ends after this one."""
    lifeline, _ = os.pipe()  # the other end is closed when this process ends, however it ends
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(128)
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        kept = (listener.fileno(), lifeline)
        subprocess.Popen(  # noqa: S603 - our own words
            [*words_for(_MODULE), *map(str, kept)],
            env={**os.environ, **settings},
            pass_fds=kept,
        )
    os.close(lifeline)
    os.environ[FORKS] = str(place)


if __name__ == "__main__":
    work(sys.argv[1])
