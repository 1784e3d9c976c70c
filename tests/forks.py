"""Processes that have everything loaded before they begin; and the command line in them.

To load Prefect takes a process seconds of CPU time, and most commands need a tenth of one. One
process of the tests loads, once, all that commands and flows use, and forks itself for each.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import io
import multiprocessing
import os
import signal
import sys
import tempfile
import termios
import threading
from collections.abc import Mapping
from importlib import import_module
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import IO, Any

from barrack_tasks import flows

ROOT = Path(__file__).resolve().parents[1]
BARRACK = "barrack_tasks.cli:main"
PREFECT = "prefect.cli:app"
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.forks",
        "tests.flows.killing",
        "barrack_tasks.cli.main",
        "prefect.cli.deploy",
        "prefect.deployments.steps.pull",
        "prefect.client.orchestration",
        "prefect.flow_engine",
        "anyio._backends._asyncio",
        "tests.campaigns.leaps",
        *(f"flows.{name}" for name in flows.__all__),
    ]
)


def end_with_this_process() -> None:
    """Called in a child before it runs: it ends with the test run, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG


class _Passed:
    """A descriptor that is passed to a process, where it arrives as a number."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _taken, (DupFd(self._descriptor),)


def _taken(passed: Any) -> int:
    return int(passed.detach())


def started(
    *words: str,
    program: str = BARRACK,
    env: Mapping[str, str],
    cwd: Path | str = ROOT,
    streams: tuple[int, int, int],
    is_at_terminal: bool = False,
) -> BaseProcess:
    """Start a program with these words.

    Args:
        program: what is called, as `module:function`; our command line, if not given.
        env: its whole environment; what it says of Prefect holds as it would in a new process.
        cwd: its folder.
        streams: the descriptors of what it reads, of what it prints, and of its errors.
        is_at_terminal: whether the first of these is the terminal that controls it.
    """
    process = FORKS.Process(
        target=_be,
        args=(
            program,
            words,
            dict(env),
            str(cwd),
            [_Passed(one) for one in streams],
            is_at_terminal,
        ),
        daemon=True,
    )
    process.start()
    return process


def run_in_fork(
    *words: str,
    program: str = BARRACK,
    env: Mapping[str, str],
    cwd: Path | str = ROOT,
    stdin: int | None = None,
    timeout: float = 240,
) -> CompletedProcess[str]:
    """Run a program with these words, as `subprocess.run` would.

    Args:
        program: what is called, as `module:function`; our command line, if not given.
        env: its whole environment.
        cwd: its folder.
        stdin: the descriptor of what it reads; nothing, if not given.
        timeout: seconds after which it is killed.

    Raises:
        TimeoutExpired: it has not ended by then.
    """
    with (
        Path(os.devnull).open("rb") as nothing,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        read = nothing.fileno() if stdin is None else stdin
        streams = (read, out.fileno(), err.fileno())
        process = started(*words, program=program, env=env, cwd=cwd, streams=streams)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(words, timeout, _text_of(out), _text_of(err))
        return CompletedProcess(words, process.exitcode, _text_of(out), _text_of(err))


def _text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _be(
    program: str,
    words: tuple[str, ...],
    env: dict[str, str],
    cwd: str,
    streams: list[int],
    is_at_terminal: bool,
) -> None:
    """Be the program, in a fork, as if nothing of the tests had been before it."""
    from prefect.context import refresh_global_settings_context

    if threading.active_count() > 1:
        raise SystemExit("a process with several threads was forked")
    os.setsid()
    end_with_this_process()
    for place, descriptor in enumerate(streams):
        os.dup2(descriptor, place)
        os.close(descriptor)
    if is_at_terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for place, name in enumerate(("stdin", "stdout", "stderr")):
        stream = io.TextIOWrapper(
            open(place, "wb" if place else "rb", closefd=False),  # noqa: SIM115 - until it ends
            encoding="utf-8",
            line_buffering=name == "stderr" or os.isatty(place),
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    refresh_global_settings_context()
    module, _, called = program.partition(":")
    sys.argv = [module, *words]
    try:
        code = getattr(import_module(module), called)()
        sys.exit(code if isinstance(code, int) else 0)
    finally:  # a fork of this kind would end without what is done at the end of a process
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()  # type: ignore[attr-defined]
