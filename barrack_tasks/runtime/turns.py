"""Turns at the guard: one run at a time reads what the caps need and says what may begin."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType

from barrack_tasks.plans import lease_keys
from barrack_tasks.runtime.leases import Hold, holding

WAITED_FOR = timedelta(minutes=2)
"""So long a run waits for its turn."""


class Turn:
    """A run's turn at the guard of an account. It ends with the block at the latest."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._stack = ExitStack()
        self._hold: Hold | None = None
        self._is_mine = False

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()

    @property
    def is_mine(self) -> bool:
        """Whether this run has the turn, and has had it since it took it: its record is read."""
        return self._is_mine and self._hold is not None and self._hold.still_holds(lease_keys.GUARD)

    def take(self) -> bool:
        """Take the turn unless another run has it. Whoever has it already keeps it."""
        if self._hold is not None and self._is_mine and not self._hold.is_valid:
            # The machine slept, and another run may have had its turn since.
            self.give_back()
        if self._hold is None:
            run = uuid.uuid4().hex
            by = f"guard {run[:6]}"
            self._hold = self._stack.enter_context(holding(self._account, run, by))
        if not self._is_mine:
            self._is_mine = not self._hold.claim({lease_keys.GUARD: "guard"})
        return self._is_mine

    def give_back(self) -> None:
        """Let others have their turn."""
        self._stack.close()
        self._hold, self._is_mine = None, False
