"""Trying again: what may pass by itself, how long to wait, when to give up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from barrack_tasks.api.errors import (
    BarrackError,
    BarrackRateLimitedError,
    BarrackResponseError,
    BarrackServerError,
    BarrackTimeoutError,
    BarrackTransportError,
)
from barrack_tasks.api.operations import NeverRepeat
from barrack_tasks.api.transport.exchange import Call
from barrack_tasks.api.transport.pacing import Pacer, RetryBudget, TooLate, elapsed

LEAST_TIME = 1.0
"""Seconds that a repetition must have for its answer."""


@dataclass(frozen=True)
class RetryPolicy:
    """How stubborn the client is. All figures in seconds but `attempts`.

    Waits between attempts are drawn from 0 to `first_wait` doubled each time, at most
    `longest_wait` (full jitter), and never less than the server's `Retry-After`. No call, with
    all its repetitions, lasts longer than `deadline`; no answer is waited for longer than
    `timeout`. Refusals for going too fast (429) do not count as `attempts`. `visibility_lag` is
    how long a thing just made may be missing from lists.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 20.0
    timeout: float = 30.0
    deadline: float = 120.0
    visibility_lag: float = 5.0


class Repeater:
    """Repeats attempts at a call under a policy."""

    def __init__(
        self,
        policy: RetryPolicy,
        pacer: Pacer,
        budget: RetryBudget,
        clock: Callable[[], float] = elapsed,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._policy = policy
        self._pacer = pacer
        self._budget = budget
        self._clock = clock
        self._sleep = sleep
        self._jitter = wait_random_exponential(
            multiplier=policy.first_wait, max=policy.longest_wait
        )

    def __call__(
        self,
        call: Call,
        attempt: Callable[[], Any],
        deadline: float,
        is_decided: Callable[[], bool] = lambda: False,
        in_the_end: Callable[[BarrackError], Any] | None = None,
    ) -> Any:
        """What an attempt gives.

        Args:
            call: what the attempts are at.
            attempt: one attempt. Raises a `BarrackError`, or `TooLate`.
            deadline: when to give up, by the clock.
            is_decided: asked after a failure: whether no more attempts are wanted.
            in_the_end: when giving up, called with the last failure for a last word.
        """
        failures: list[BarrackError] = []
        try:
            return attempt()  # most succeed at once, and what repeats has its price
        except TooLate:
            pass
        except BarrackError as error:
            failures.append(error)
        if not failures:
            raise self.too_late(call)
        first = list(failures)

        def noted() -> Any:
            if first:
                raise first.pop()
            try:
                return attempt()
            except BarrackError as error:
                failures.append(error)
                raise

        def last_word(state: RetryCallState) -> Any:
            if in_the_end is not None:
                return in_the_end(failures[-1])
            raise failures[-1]

        retrying = Retrying(
            retry=retry_if_exception(lambda error: not is_decided() and may_pass(call, error)),
            wait=self._wait,
            stop=lambda state: self._must_stop(state, failures, deadline),
            sleep=self._sleep,
            retry_error_callback=last_word,
        )
        try:
            return retrying(noted)
        except TooLate:
            pass
        raise failures[-1] if failures else self.too_late(call)

    def too_late(self, call: Call) -> BarrackTimeoutError:
        """The error of a call that could not be sent before its deadline."""
        return BarrackTimeoutError(
            f"the request was not sent within {self._policy.deadline:g} s (too many requests are "
            "waiting, or the server asked for a pause)",
            operation=call.operation.name,
        )

    def _wait(self, state: RetryCallState) -> float:
        wait = self._jitter(state)
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, BarrackRateLimitedError | BarrackServerError):
            return wait
        asked_for = error.retry_after or 0.0
        if isinstance(error, BarrackRateLimitedError):
            # No call waits longer than its deadline, so a longer pause would serve nobody.
            self._pacer.pause(min(asked_for, self._policy.deadline))
        return max(wait, asked_for)

    def _must_stop(
        self, state: RetryCallState, failures: list[BarrackError], deadline: float
    ) -> bool:
        # With less time than this left, another attempt would only be one more lost answer.
        least = min(LEAST_TIME, self._policy.timeout)
        if self._clock() + state.upcoming_sleep + least >= deadline:
            return True
        if isinstance(failures[-1], BarrackRateLimitedError):
            return False  # the pause that the server asked for is restraint enough
        counted = sum(not isinstance(error, BarrackRateLimitedError) for error in failures)
        return counted >= self._policy.attempts or not self._budget.take()


def may_pass(call: Call, error: BaseException) -> bool:
    """Whether trying again can help."""
    if isinstance(error, BarrackServerError):
        is_passing = error.status_code != 501
    elif isinstance(error, BarrackResponseError):
        # A page that is no JSON may be a proxy's bad moment. JSON of another shape will not
        # change by asking again, but whether a change took effect is still to be found out.
        succeeded = error.status_code is not None and error.status_code < 300
        is_passing = succeeded and (call.operation.changes or not error.fields)
    else:
        is_passing = isinstance(error, BarrackTransportError | BarrackRateLimitedError)
    is_lost = isinstance(error, BarrackError) and error.took_effect is None
    return is_passing and not (is_lost and isinstance(call.operation.lost, NeverRepeat))
