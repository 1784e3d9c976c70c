"""A command ends within seconds, also where the Prefect server has gone away under it.

Prefect's client asks again for minutes, and at the end of a process Prefect waits for what its
senders of log lines and events have not sent. That is right while the server is there.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, NoReturn

import httpx

from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import problem_at, spoken_with_last

_SENDERS = "prefect._internal.concurrency.services"
_LOOKS_EVERY = 5.0
_FEW_SECONDS = 2.0
_PATIENCE = 300.0
"""Seconds that a run waits for its server; its lock is over by then, and it may send nothing."""
_AGAIN = (
    "What was requested continues at Barrack: `barrack ls` shows it, and the same command takes it "
    "up again."
)


def interruption(at_work: tuple[str, ...]) -> str:
    """What is said at Ctrl-C.

    Args:
        at_work: names of the instances that the flow was not done with.

    Example:
        >>> interruption(("train-1",))[:41]
        'interrupted; still in progress: train-1. '
    """
    return f"interrupted; still in progress: {', '.join(at_work) or 'nothing'}. {_AGAIN}"


def ends_without_a_server(main: Callable[[], None]) -> Callable[[], None]:
    """The entry point of the command line, which does not wait for a server that has gone.

    Args:
        main: exits with a code.
    """

    @wraps(main)
    def run() -> None:
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            try:
                is_done = _is_all_sent()
            except KeyboardInterrupt:
                is_done = False
            if not is_done:
                _leave(code)
            raise

    return run


def _is_all_sent() -> bool:
    """Send what is left for the server, for as long as it answers; whether that was all."""
    senders: Any = sys.modules.get(_SENDERS)
    if senders is None:
        return True
    left = senders.QueueService.drain_all(timeout=_FEW_SECONDS).not_done
    while left:
        if _is_away():
            return False
        left = concurrent.futures.wait(left, timeout=_FEW_SECONDS).not_done
    return True


def _is_away() -> bool:
    """Whether the server that was spoken with last has gone."""
    with spoken_with_last() as url:
        return url is not None and not _is_there(url)


def _is_there(url: str) -> bool:
    """Whether a server answers, whatever it says, now or a moment later; in doubt it is there."""
    for pause in (0.0, 1.0):
        time.sleep(pause)
        try:
            if not isinstance(problem_at(url), httpx.TransportError):
                return True
        except Exception:  # noqa: BLE001 - see `problem_at`
            return True
    return False


@contextmanager
def aware_of_its_server(told: Screen, at_work: Callable[[], tuple[str, ...]]) -> Iterator[None]:
    """Say so when the server goes away while a flow runs, and leave at Ctrl-C or when it stays so.

    Args:
        told: where it is said.
        at_work: names the instances that the flow is not done with.
    """
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if url is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    is_over, is_interrupted = threading.Event(), threading.Event()

    def interrupt(*_: object) -> NoReturn:
        is_interrupted.set()
        raise KeyboardInterrupt

    def look() -> None:
        since: float | None = None
        looked = time.monotonic()
        while not is_over.wait(1.0):
            now = time.monotonic()
            if now - looked < _LOOKS_EVERY and since is None and not is_interrupted.is_set():
                continue
            is_there = _is_there(str(url))
            looked = time.monotonic()
            if is_over.is_set():
                return
            if is_there:
                if since is not None:
                    told.print("The Prefect server answers again.", style="dim")
                since = None
                continue
            if is_interrupted.is_set():
                told.print(f"barrack: {interruption(at_work())}", style="yellow")
                told.print("The Prefect server is away and was not told.", style="yellow")
                _leave(130)
            if since is None:
                since = now
                told.print(
                    f"The Prefect server at {url} does not answer any more; the run waits for it. "
                    f"Ctrl-C ends this command.",
                    style="yellow",
                )
            elif now - since > _PATIENCE:
                told.print(
                    f"barrack: the Prefect server at {url} has not answered for minutes, so the "
                    f"run has ended. {_AGAIN}",
                    style="red",
                )
                _leave(1)

    context = contextvars.copy_context()
    threading.Thread(
        target=lambda: context.run(look), name="barrack-server-watch", daemon=True
    ).start()
    # A command in the background of a script ignores Ctrl-C, and stays so.
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_usual:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        is_over.set()
        if is_usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(code: int) -> NoReturn:
    """End this process now: nothing that waits for the server would end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
