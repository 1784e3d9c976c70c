"""Time that passes at once where a flow would only wait, so that an hour holds thousands of runs.

Whoever sleeps moves time on instead, and its cloud with it. What runs meanwhile runs as usual, and
so do the Prefect server and the locks that live by its clock.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest

from barrack_tasks import flows
from barrack_tasks.api import Barrack
from barrack_tasks.api.transport.pacing import elapsed
from barrack_tasks.runtime import leases, loop
from barrack_tasks.runtime.executor import Executor, Outcome
from barrack_tasks.sandbox import Sandbox

_SLEEPERS = ("controllers.admission", "controllers.drills", "controllers.stock.run")
_now = loop.now


class Leaps:
    """The time of one cloud and of the runs that work on it.

    Args:
        advance: puts the cloud forward by so many seconds of a run.
        ahead: how far the clock of whoever runs is before all others.
    """

    def __init__(self, advance: Callable[[float], None], ahead: timedelta = timedelta(0)) -> None:
        self._advance = advance
        self.ahead = ahead
        self._lock = threading.Lock()
        self.leapt = 0.0
        """Seconds that nobody has waited for."""

    @classmethod
    def of(cls, sandbox: Sandbox, speed: float, ahead: timedelta = timedelta(0)) -> Leaps:
        """Those of a cloud that runs at a speed."""
        return cls(lambda seconds: sandbox.advance(seconds * speed), ahead)

    def elapsed(self) -> float:
        """Seconds that pass."""
        return elapsed() + self.leapt

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        if seconds > 0:
            with self._lock:
                self.leapt += seconds
            self._advance(seconds)


CURRENT: ContextVar[Leaps | None] = ContextVar("CURRENT", default=None)
"""The time of whatever runs here; None if that is the real one."""
_BEGAN: ContextVar[float] = ContextVar("_BEGAN", default=0.0)


@contextmanager
def run_of_its_own() -> Iterator[None]:
    """For the length of a run: each begins at the real moment, so that no clock is far ahead."""
    leaps = CURRENT.get()
    token = _BEGAN.set(leaps.leapt if leaps else 0.0)
    try:
        yield
    finally:
        _BEGAN.reset(token)


def install(patch: pytest.MonkeyPatch) -> None:
    """Let whatever runs in a context with `CURRENT` live by that time."""
    for name in flows.__all__:
        import_module(f"flows.{name}")
    outcomes = Executor.outcomes

    def seconds() -> float:
        leaps = CURRENT.get()
        return leaps.elapsed() if leaps else elapsed()

    def now() -> datetime:
        leaps = CURRENT.get()
        if leaps is None:
            return _now()
        return _now() + leaps.ahead + timedelta(seconds=leaps.leapt - _BEGAN.get())

    def sleep(some: float) -> None:
        leaps = CURRENT.get()
        (leaps.sleep if leaps else time.sleep)(some)

    def leapt_over(default: Any) -> Any:
        return sleep if default is time.sleep else default

    def leaping(self: Executor, wait: float) -> list[Outcome]:
        leaps = CURRENT.get()
        if leaps is None or self.is_busy:
            return outcomes(self, wait)
        leaps.sleep(wait)
        return outcomes(self, 0.0)

    def client(*given: Any, **named: Any) -> Barrack:
        leaps = CURRENT.get()
        own = {"clock": leaps.elapsed, "sleep": leaps.sleep} if leaps else {}
        return Barrack(*given, **named, **own)

    patch.setattr(Executor, "outcomes", leaping)
    patch.setattr("barrack_tasks.server.credentials.Barrack", client)
    for name in ("loop", "executor"):
        patch.setattr(f"barrack_tasks.runtime.{name}.elapsed", seconds)
    for module in [m for m in sys.modules.values() if getattr(m, "now", None) is _now]:
        patch.setattr(module, "now", now)
    began: Any = vars(leases.holding)["__wrapped__"]
    patch.setattr(began, "__defaults__", (*began.__defaults__[:2], now, *began.__defaults__[3:]))
    for name in _SLEEPERS:
        found = list(_that_sleep(f"barrack_tasks.{name}"))
        assert found, f"nothing sleeps in {name}"
        for function in found:
            defaults = function.__defaults__ or ()
            named = function.__kwdefaults__ or {}
            patch.setattr(function, "__defaults__", tuple(map(leapt_over, defaults)))
            patch.setattr(function, "__kwdefaults__", {k: leapt_over(d) for k, d in named.items()})


def _that_sleep(name: str) -> Iterator[FunctionType]:
    """The functions and methods of a module that sleep unless they are told how."""
    for thing in list(vars(import_module(name)).values()):
        for one in list(vars(thing).values()) if isinstance(thing, type) else [thing]:
            if isinstance(one, FunctionType) and one.__module__ == name:
                defaults = (*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values())
                if time.sleep in defaults:
                    yield one
