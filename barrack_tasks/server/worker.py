"""A worker of a process pool, as Prefect has it, whose runs start as forks of one process.

Everything else is Prefect's own: schedules, limits, parameters, cancellation, and what is told of a
run that crashed.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from prefect.settings import get_current_settings
from prefect.utilities.processutils import setup_signal_handlers_worker
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from barrack_tasks.server.forks import FORKS, words_for

_COMMAND = Path(__file__).with_name("run_in_fork.py")


class _InFork(ProcessJobConfiguration):
    """A run without a command of its own starts in a fork."""

    def prepare_for_flow_run(self, *arguments: Any, **named: Any) -> None:
        if self.command is None:
            # Nothing is loaded for it but what Python itself needs.
            self.command = shlex.join([sys.executable, "-I", "-S", str(_COMMAND)])
        super().prepare_for_flow_run(*arguments, **named)


def work(pool: str, module: str) -> None:
    """Do the runs of a pool until told to end.

    Args:
        pool: name of a process pool.
        module: is loaded once for all runs, with all that its `__all__` names.
    """
    worker = ProcessWorker(work_pool_name=pool)
    setup_signal_handlers_worker(os.getpid(), f"the worker {worker.name}", print)
    if sys.platform != "linux":  # elsewhere a process that has loaded much must not be forked
        anyio.run(worker.start)
        return
    # A subclass would take the place of Prefect's own worker, with a warning.
    worker.job_configuration = _InFork
    with tempfile.TemporaryDirectory(prefix="barrack-") as folder:  # for its owner alone
        path = str(Path(folder) / "forks")
        lifeline, _held = os.pipe()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(128)
            settings = get_current_settings().to_environment_variables(exclude_unset=True)
            kept = (listener.fileno(), lifeline)
            subprocess.Popen(  # noqa: S603 - our own words
                [*words_for(module), *map(str, kept)],
                env={**os.environ, **settings},
                pass_fds=kept,
            )
        os.close(lifeline)
        os.environ[FORKS] = path
        anyio.run(worker.start)


if __name__ == "__main__":
    work(*sys.argv[1:])
