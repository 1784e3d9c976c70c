"""Processes that have everything loaded before they begin; and the command line in them.

To load Prefect takes a process seconds of CPU time, and most commands need a tenth of one. One
process of the tests loads, once, all that commands and flows use, and forks itself for each.
"""

from __future__ import annotations

import atexit
import fcntl
import io
import multiprocessing
import os
import sys
import tempfile
import termios
import threading
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.forks",
        "tests.flows.killing",
        "barrack_tasks.cli.main",
        "prefect.client.orchestration",
        "prefect.flow_engine",
        "anyio._backends._asyncio",
        "flows.snapshot_before_stop",
        "flows.follow_schedule",
        "flows.restore_from_snapshot",
        "flows.publish_image",
        "flows.verify_snapshots",
        "flows.watch_gpu_stock",
        "flows.end_expired",
        "flows.reap_forgotten",
    ]
)


class _Passed:
    """A descriptor that is passed to a process, where it arrives as a number."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _taken, (DupFd(self._descriptor),)


def _taken(passed: Any) -> int:
    return int(passed.detach())


def start_barrack(
    *words: str,
    env: Mapping[str, str],
    cwd: Path | str = ROOT,
    streams: tuple[int, int, int],
    is_at_terminal: bool = False,
) -> BaseProcess:
    """Start the command line with these words.

    Args:
        env: its whole environment; what it says of Prefect holds as it would in a new process.
        cwd: its folder.
        streams: the descriptors of what it reads, of what it prints, and of its errors.
        is_at_terminal: whether the first of these is the terminal that controls it.
    """
    process = FORKS.Process(
        target=_be_barrack,
        args=(words, dict(env), str(cwd), [_Passed(one) for one in streams], is_at_terminal),
        daemon=True,
    )
    process.start()
    return process


def run_barrack(
    *words: str,
    env: Mapping[str, str],
    cwd: Path | str = ROOT,
    stdin: int | None = None,
    timeout: float = 240,
) -> CompletedProcess[str]:
    """Run the command line with these words, as `subprocess.run` would.

    Args:
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
        process = start_barrack(*words, env=env, cwd=cwd, streams=streams)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(words, timeout, _text_of(out), _text_of(err))
        return CompletedProcess(words, process.exitcode, _text_of(out), _text_of(err))


def _text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _be_barrack(
    words: tuple[str, ...],
    env: dict[str, str],
    cwd: str,
    streams: list[int],
    is_at_terminal: bool,
) -> None:
    """Be the command, in a fork, as if nothing of the tests had been before it."""
    from prefect.context import refresh_global_settings_context

    from barrack_tasks.cli import main

    if threading.active_count() > 1:
        raise SystemExit("a process with several threads was forked")
    os.setsid()
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
    sys.argv = ["barrack", *words]
    try:
        main()
    finally:  # a fork of this kind would end without what is done at the end of a process
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()  # type: ignore[attr-defined]
