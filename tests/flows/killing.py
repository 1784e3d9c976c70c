"""Runs a flow in a process of its own that kills or stops itself at a chosen request.

Processes are forked from a server that has imported everything, so that each costs little.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from tests.forks import FORKS

HIDDEN = "TESTS_HIDE_MACHINE"
"""Set for a process that cannot know who else is on its machine, as in a container: the file to
which it writes what leases tell."""
LEAPS = "TESTS_CLOUD_SPEED"
"""Set for a process that moves time on instead of sleeping: the speed of its cloud."""


WRITE = "TESTS_KILL_AFTER_WRITE"
"""Set for a process that is killed once it has written so many records to the Prefect server."""


class Point(NamedTuple):
    """The `nth` request of an operation, just before it is sent or just after its answer."""

    operation: str
    nth: int
    phase: str
    by: signal.Signals = signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.by.name} {self.phase} {self.operation} {self.nth}"


def start_in_process(
    flow: str,
    environment: dict[str, str],
    arguments: dict[str, Any],
    point: Point | None = None,
) -> tuple[Any, Any]:
    """Start a flow in a process of its own; the process, and where its rows will arrive."""
    receive, send = FORKS.Pipe(duplex=False)
    child = FORKS.Process(target=_child, args=(flow, environment, arguments, point, send))
    child.start()
    send.close()
    return child, receive


def ended(child: Any, receive: Any, patience: float = 60) -> tuple[int, Any]:
    """Wait for a flow's process; its exit code (negative: the signal) and its rows."""
    rows: Any = None
    with contextlib.suppress(EOFError):  # it was killed before it could tell
        rows = receive.recv()
    child.join(patience)
    if child.is_alive():
        child.kill()
        raise AssertionError("the flow's process hangs")
    assert child.exitcode is not None
    return child.exitcode, rows


def killed_and_rerun(
    flow: str, environment: dict[str, str], arguments: dict[str, Any], point: Point
) -> Any:
    """Run a flow that is killed at a point, and run it again; the rows of the second run."""
    code, _ = ended(*start_in_process(flow, environment, arguments, point))
    assert code == -9, "the flow never came to the point where it was to be killed"
    code, rows = ended(*start_in_process(flow, environment, arguments))
    assert code == 0
    return rows


def _child(
    flow: str,
    environment: dict[str, str],
    arguments: dict[str, Any],
    point: Point | None,
    send: Any,
) -> None:
    os.environ.update(environment)
    demand_permits()
    if HIDDEN in environment:
        from barrack_tasks.server import processes

        processes._BOOT = Path("/nowhere")
        told = logging.FileHandler(environment[HIDDEN])
        logging.getLogger("barrack_tasks.runtime.leases").addHandler(told)
    if LEAPS in environment:
        _leap(float(environment[LEAPS]), environment["BARRACK_BASE_URL"])
    if point is not None:
        _die_at(point)
    if WRITE in environment:
        _die_after_write(int(environment[WRITE]))
    report = getattr(import_module(f"flows.{flow}"), flow)(**arguments)
    send.send([row.model_dump() for row in report.rows])


def _leap(speed: float, url: str) -> None:
    import httpx
    import pytest

    from tests.campaigns import leaps

    cloud = httpx.Client(base_url=httpx.URL(url).join("/_sandbox/"), timeout=30, trust_env=False)

    def advance(seconds: float) -> None:
        cloud.post("clock", json={"advance": seconds * speed}).raise_for_status()

    leaps.CURRENT.set(leaps.Leaps(advance))
    leaps.install(pytest.MonkeyPatch())


def demand_permits(concerns: Callable[[], bool] = lambda: True) -> list[str]:
    """Let every request that changes something ask the lease; those that do not are not sent.

    Gives a list that fills with their names, in case whoever sent one swallows the failure.

    Args:
        concerns: whether what is sent at this moment is meant.
    """
    from barrack_tasks.api.transport.exchange import Exchange

    original = Exchange._send
    unasked: list[str] = []

    def sending(self: Any, call: Any, timeout: float) -> Any:
        if call.operation.changes and call.permit is None and concerns():
            unasked.append(call.operation.name)
            raise AssertionError(f"{call.operation.name} is sent and does not ask the lease")
        return original(self, call, timeout)

    Exchange._send = sending  # type: ignore[method-assign]
    return unasked


def _die_after_write(last: int) -> None:
    from barrack_tasks.server.variables import Records

    count = iter(range(1, last))

    def counted(write: Any) -> Any:
        def writing(*given: Any) -> Any:
            answer = write(*given)
            if next(count, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return writing

    for name in ("create", "change", "rename", "drop"):
        setattr(Records, name, counted(getattr(Records, name)))


def _die_at(point: Point) -> None:
    from barrack_tasks.api.transport.exchange import Exchange

    original = Exchange._send
    seen = 0

    def sending(self: Any, call: Any, timeout: float) -> Any:
        nonlocal seen
        hit = False
        if call.operation.name == point.operation:
            seen += 1
            hit = seen == point.nth
        if hit and point.phase == "before":
            os.kill(os.getpid(), point.by)
        answer = original(self, call, timeout)
        if hit and point.phase == "after":
            os.kill(os.getpid(), point.by)
        return answer

    Exchange._send = sending  # type: ignore[method-assign]
