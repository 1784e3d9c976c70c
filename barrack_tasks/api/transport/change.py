"""One change under faults: sent again only when the one before surely did nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from barrack_tasks.api.errors import (
    BarrackConflictError,
    BarrackError,
    BarrackNotFoundError,
    BarrackTransportError,
)
from barrack_tasks.api.operations import ByAbsence
from barrack_tasks.api.transport.answers import Unsaid
from barrack_tasks.api.transport.exchange import Call
from barrack_tasks.api.transport.inquiry import Inquiry, NameTaken, Unknowable, is_settled_by
from barrack_tasks.api.transport.pacing import elapsed

FIRST_DELAY = 0.1
LONGEST_DELAY = 1.0
"""Seconds between looks at a list that may lag."""


class Change:
    """A call that changes something, and what is known of its attempts so far.

    Args:
        call: the call.
        send: sends it once.
        inquiry: looks for its effect.
        visibility_lag: seconds for which an effect may be there and not show.
        deadline: when to have done with it, by the clock.
    """

    def __init__(
        self,
        call: Call,
        send: Callable[[], Any],
        inquiry: Inquiry,
        visibility_lag: float,
        deadline: float,
        clock: Callable[[], float] = elapsed,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._call = call
        self._send = send
        self._inquiry = inquiry
        self._lag = visibility_lag
        self._deadline = deadline
        self._clock = clock
        self._sleep = sleep
        self._shows_by: float | None = None
        """Until when the effect of a request whose answer was lost may take to show."""
        self.is_decided = False
        """Whether another attempt would teach nothing, or do harm."""

    @property
    def _is_lost(self) -> bool:
        return self._shows_by is not None

    def attempt(self) -> Any:
        """One attempt, after looking whether an earlier one took effect.

        Raises:
            BarrackError: it failed; `took_effect` is None if an earlier one may have succeeded.
        """
        was_lost = self._is_lost
        if was_lost and (effect := self._look()) is not None:
            return effect
        try:
            answer = self._send()
            return self._what_became() if isinstance(answer, Unsaid) else answer
        except BarrackError as error:
            failure = error
        if failure.took_effect is None:
            self._shows_by = self._clock() + self._lag
        if was_lost and is_settled_by(self._call, failure):
            return self._settled_by(failure)
        if was_lost:
            failure.took_effect = None
        raise failure

    def _what_became(self) -> Any:
        """What a success was about that the answer does not tell: it is looked for.

        It was accepted, so it is never sent again, whatever the look finds.
        """
        self.is_decided = True
        until = min(self._deadline, self._clock() + max(self._lag, FIRST_DELAY))
        delay = FIRST_DELAY
        while (effect := self._look_once()) is None and self._clock() < until:
            self._sleep(delay)
            delay = min(LONGEST_DELAY, 2 * delay)
        if effect is not None:
            return effect
        raise BarrackTransportError(
            "the API accepted the request, but nothing shows its effect yet",
            operation=self._call.operation.name,
            took_effect=None,
        )

    def in_the_end(self, failure: BarrackError) -> Any:
        """When no more attempts are made: the effect of a lost one, or the failure."""
        if not self._is_lost or self.is_decided:
            raise failure
        return self._effect_or(failure)

    def _settled_by(self, refusal: BarrackError) -> Any:
        """After a refusal that the lost request itself may have caused."""
        is_delete = isinstance(self._call.operation.lost, ByAbsence)
        if is_delete and isinstance(refusal, BarrackNotFoundError):
            return self._inquiry.gone()
        is_conflict = isinstance(refusal, BarrackConflictError)
        self._inquiry.refused(is_conflict)
        if is_conflict:
            # Something is in the way. If it is the effect, a list that lags shows it yet.
            self._shows_by = self._clock() + 3 * self._lag
        return self._effect_or(refusal)

    def _effect_or(self, failure: BarrackError) -> Any:
        effect = self._look()
        if effect is not None:
            return effect
        failure.took_effect = None
        raise failure

    def _look(self) -> Any | None:
        until = min(self._deadline, self._shows_by or 0.0)
        delay = FIRST_DELAY
        while True:
            began = self._clock()
            effect = self._look_once()
            # Only a look that began when the effect must show can say that it is not there.
            is_last = began >= until or self._clock() >= self._deadline
            if effect is not None or not self._inquiry.may_lag or is_last:
                return effect
            self._sleep(min(delay, max(0.0, until - self._clock())))
            delay = min(LONGEST_DELAY, 2 * delay)

    def _look_once(self) -> Any | None:
        name = self._call.operation.name
        failure: BarrackError
        try:
            return self._inquiry.effect()
        except NameTaken as taken:
            failure = BarrackConflictError(str(taken), operation=name)
        except Unknowable as unknowable:
            failure = BarrackTransportError(
                f"the answer was lost, and {unknowable}",
                operation=name,
                took_effect=None,
            )
        except BarrackError as error:
            failure = error
            failure.operation = name
            failure.message = f"the answer was lost; looking for its effect failed: {error.message}"
            failure.took_effect = None
        # The look itself was repeated as long as that could help.
        self.is_decided = True
        raise failure
