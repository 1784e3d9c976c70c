"""Calls under faults: what is repeated, when, and how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from barrack_tasks.api.errors import (
    BarrackConflictError,
    BarrackError,
    BarrackNotFoundError,
    BarrackRateLimitedError,
    BarrackResponseError,
    BarrackServerError,
    BarrackTransportError,
)
from barrack_tasks.api.exchange import Call, Exchange
from barrack_tasks.api.lost import Inquiry, Unknowable, is_settled_by
from barrack_tasks.api.operations import ByAbsence
from barrack_tasks.api.pacing import Pacer, RetryBudget


@dataclass(frozen=True)
class RetryPolicy:
    """How stubborn the client is. All figures in seconds but `attempts`.

    Waits between attempts are drawn from 0 to `first_wait` doubled each time, at most
    `longest_wait` (full jitter), and never less than the server's `Retry-After`. No call, with
    all its repetitions, lasts longer than `deadline`; no answer is waited for longer than
    `timeout`. `visibility_lag` is how long a thing just made may be missing from lists.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 20.0
    timeout: float = 30.0
    deadline: float = 120.0
    visibility_lag: float = 5.0


class _Last:
    """What is known of a call's attempts so far."""

    def __init__(self) -> None:
        self.lost = False
        self.sent_at = 0.0


class Caller:
    """Carries out calls until they succeed, are refused, or the deadline passes."""

    def __init__(
        self,
        exchange: Exchange,
        policy: RetryPolicy,
        pacer: Pacer,
        budget: RetryBudget,
        read_all: Callable[[Call], list[Any]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._exchange = exchange
        self._policy = policy
        self._pacer = pacer
        self._budget = budget
        self._read_all = read_all
        self._clock = clock
        self._sleep = sleep
        self._jitter = wait_random_exponential(
            multiplier=policy.first_wait, max=policy.longest_wait
        )

    def __call__(self, call: Call) -> Any:
        """The answer as the operation's response model.

        Raises:
            BarrackError: see the hierarchy; `took_effect` is None where it is not known.
        """
        deadline = self._clock() + self._policy.deadline
        if not call.operation.changes:
            return self._repeated(lambda: self._once(call, deadline), deadline)
        inquiry = Inquiry(call, self, self._read_all, self._exchange.server_time)
        last = _Last()
        return self._repeated(lambda: self._change(call, inquiry, last, deadline), deadline)

    def _once(self, call: Call, deadline: float) -> Any:
        with self._pacer.turn():
            left = max(0.05, deadline - self._clock())
            answer = self._exchange.send(call, min(self._policy.timeout, left))
        self._budget.give_back()
        return answer

    def _change(self, call: Call, inquiry: Inquiry, last: _Last, deadline: float) -> Any:
        """One attempt at a change, after looking whether an earlier one took effect."""
        if last.lost and (effect := self._look(inquiry, last, deadline)) is not None:
            return effect
        try:
            last.sent_at = self._clock()
            return self._once(call, deadline)
        except BarrackError as error:
            if last.lost and is_settled_by(call, error):
                return self._settled(call, inquiry, last, deadline, error)
            last.lost = last.lost or error.took_effect is None
            if last.lost:
                error.took_effect = None
            raise

    def _settled(
        self, call: Call, inquiry: Inquiry, last: _Last, deadline: float, error: BarrackError
    ) -> Any:
        """After a refusal that the lost request itself may have caused: its effect, or raise."""
        if isinstance(call.operation.lost, ByAbsence) and isinstance(error, BarrackNotFoundError):
            return inquiry.gone()
        effect = self._look(inquiry, last, deadline)
        if effect is None:
            raise error
        return effect

    def _look(self, inquiry: Inquiry, last: _Last, deadline: float) -> Any | None:
        until = min(deadline, last.sent_at + self._policy.visibility_lag)
        while True:
            try:
                effect = inquiry.effect()
            except Unknowable:
                raise _Undecided from None
            if effect is not None or not inquiry.may_lag or self._clock() >= until:
                return effect
            self._sleep(min(1.0, max(0.05, until - self._clock())))

    def _repeated(self, attempt: Callable[[], Any], deadline: float) -> Any:
        failure: list[BarrackError] = []

        def noted() -> Any:
            try:
                return attempt()
            except _Undecided:
                raise failure[-1] from None
            except BarrackError as error:
                failure.append(error)
                raise

        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=self._wait,
            stop=lambda state: self._must_stop(state, deadline),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(noted)

    def _wait(self, state: RetryCallState) -> float:
        wait = self._jitter(state)
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, BarrackRateLimitedError):
            pause = max(error.retry_after or 0.0, 0.0)
            self._pacer.pause(pause)
            return max(wait, pause)
        return wait

    def _must_stop(self, state: RetryCallState, deadline: float) -> bool:
        if self._clock() + state.upcoming_sleep >= deadline:
            return True
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, BarrackRateLimitedError):
            return False  # the pause that the server asked for is restraint enough
        return state.attempt_number >= self._policy.attempts or not self._budget.take()


class _Undecided(Exception):
    """Nothing tells whether the lost request took effect, so it is not repeated."""


def _may_pass(error: BaseException) -> bool:
    """Whether trying again can help."""
    if isinstance(error, BarrackServerError):
        return error.status_code != 501
    if isinstance(error, BarrackResponseError):
        return error.status_code is not None and error.status_code < 300
    return isinstance(error, BarrackTransportError | BarrackRateLimitedError) and not isinstance(
        error, BarrackConflictError
    )
