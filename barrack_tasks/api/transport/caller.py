"""Calls: reads are repeated freely, changes only as `change` allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from itertools import chain
from typing import Any
from urllib.parse import quote

from barrack_tasks.api.dialect import Dialect, Paging, builtin
from barrack_tasks.api.dialect.codec import as_word, dig, steps_of
from barrack_tasks.api.errors import (
    BarrackConfigurationError,
    BarrackConflictError,
    BarrackError,
    BarrackNotFoundError,
    BarrackRateLimitedError,
    BarrackResponseError,
    BarrackServerError,
    BarrackTimeoutError,
    BarrackTransportError,
)
from barrack_tasks.api.operations import OPERATIONS, ByName, Operation
from barrack_tasks.api.transport.answers import Unsaid
from barrack_tasks.api.transport.bounds import DEFAULT, Bounds
from barrack_tasks.api.transport.change import FIRST_DELAY, LONGEST_DELAY, Change
from barrack_tasks.api.transport.elsewhere import Elsewhere
from barrack_tasks.api.transport.exchange import Call, Exchange
from barrack_tasks.api.transport.inquiry import Inquiry
from barrack_tasks.api.transport.pacing import Pacer, RetryBudget, TooLate, elapsed
from barrack_tasks.api.transport.paging import all_items, at_once
from barrack_tasks.api.transport.retries import Repeater, RetryPolicy
from barrack_tasks.api.transport.seen import ListMemory

__all__ = ["KNOWN_FOR", "Caller", "RetryPolicy"]

KNOWN_FOR = 60.0
"""Seconds for which the list of snapshots, once read to its end, tells what there was before one
more is taken. A fleet is snapshotted at once, and a list for each would cost more than the work."""
HEARD_FOR = 1.0
"""Seconds since the latest answer within which that holds: by the time that the answer told,
what somebody else made in between is known."""


_PASSING = (BarrackTransportError, BarrackServerError, BarrackRateLimitedError)


class Caller:
    """Carries out calls until they succeed, are refused, or the deadline passes."""

    def __init__(
        self,
        exchange: Exchange,
        policy: RetryPolicy,
        pacer: Pacer,
        budget: RetryBudget,
        paging: Paging,
        clock: Callable[[], float] = elapsed,
        sleep: Callable[[float], None] = time.sleep,
        bounds: Bounds = DEFAULT,
        dialect: Dialect | None = None,
    ) -> None:
        self._bounds = bounds
        self._dialect = dialect or builtin()
        self._elsewhere = Elsewhere(self._dialect, clock, exchange.word)
        self._exchange = exchange
        self._policy = policy
        self._pacer = pacer
        self._budget = budget
        self._paging = paging
        self._clock = clock
        self._sleep = sleep
        self._seen = ListMemory()
        self._permit: Callable[[], float] | None = None
        self._repeat = Repeater(policy, pacer, budget, clock, sleep)

    def guarded(self, permit: Callable[[], float]) -> Caller:
        """The same, but `permit` is asked before each sending of a call that changes something."""
        twin = copy(self)
        twin._permit = permit
        return twin

    def __call__(self, call: Call) -> Any:
        """The answer as the operation's response model.

        Raises:
            BarrackError: see the hierarchy; `took_effect` is None where it is not known.
        """
        deadline = self._clock() + self._policy.deadline
        if call.operation.changes:
            return self._change(call, deadline)
        return self._read(call, deadline)

    def items(self, call: Call, deadline: float | None = None) -> Iterator[Any]:
        """All items of a list: the first page when it is wanted, the others at once after it.

        Without a deadline for all, each page has its own.
        """
        began = self._clock()

        def read(page: Call) -> Any:
            own = self._clock() + self._policy.deadline
            return self._read(page, own if deadline is None else deadline)

        calls = self._elsewhere.parents_of_a_list(call, lambda other: self._all(other, deadline))
        if calls is None:
            yield from self._pages(call, read)
        else:
            yield from chain.from_iterable(at_once(lambda c: self._under(c, read, deadline), calls))
        if all(value is None for value in call.query.values()):
            self._seen.note_whole(call.operation.name, began)

    def _under(self, call: Call, read: Callable[[Call], Any], deadline: float | None) -> list[Any]:
        """What lies in one thing; nothing, if the thing has gone since it was listed."""
        try:
            return list(self._pages(call, read))
        except BarrackNotFoundError:
            if self._elsewhere.has_lost_its_parent(call, lambda other: self._all(other, deadline)):
                return []
            raise

    def _pages(self, call: Call, read: Callable[[Call], Any]) -> Iterator[Any]:
        """The items of one list, each with what it lies in where the list alone tells that."""
        for item in all_items(call, read, self._paging, self._bounds, self._clock, at_once):
            above = {
                name: id_ for name, id_ in call.above.items() if getattr(item, name, id_) is None
            }
            yield item.model_copy(update=above) if above else item

    def _read(self, call: Call, deadline: float) -> Any:
        call = self._elsewhere.under_parents(call, lambda other: self._all(other, deadline))
        answer = self._repeat(call, lambda: self._send(call, deadline), deadline)
        return self._elsewhere.fill(call, answer, lambda other: self._all(other, deadline))

    def _all(self, call: Call, deadline: float | None) -> Iterator[Any]:
        """The items of any list, paged or not."""
        if call.operation.paged:
            yield from self.items(call, deadline)
        else:
            own = self._clock() + self._policy.deadline if deadline is None else deadline
            yield from getattr(self._read(call, own), call.operation.result)

    def _asked(self, path: str, query: Mapping[str, str], call: Call, deadline: float) -> Any:
        """The JSON that stands at a path; what fails here has changed nothing."""

        def once() -> Any:
            with self._pacer.turn(deadline, is_read=True):
                left = deadline - self._clock()
                if left <= 0:
                    raise TooLate
                return self._exchange.ask(path, min(self._policy.timeout, left), query)

        try:
            return self._repeat(Call(OPERATIONS["get_instance"]), once, deadline)
        except BarrackError as error:
            error.operation, error.took_effect = call.operation.name, False
            raise

    def _send(self, call: Call, deadline: float) -> Any:
        with self._pacer.turn(deadline, is_read=not call.operation.changes):
            left = deadline - self._clock()
            if left <= 0:
                raise TooLate
            timeout = min(self._policy.timeout, left)
            if self._permit is not None and call.operation.changes:
                # No answer is waited for that could come when the permission is over.
                timeout = min(timeout, self._permit())
                call = replace(call, permit=self._permit)
            answer = self._exchange.send(call, timeout)
        self._seen.heard_at = self._clock()
        self._budget.give_back()
        if isinstance(answer, Unsaid):
            return answer
        self._note(call.operation, answer)
        return answer

    def _finished(self, call: Call, deadline: float) -> Any:
        """The answer, and that of the work which it began: until that has ended, nothing is."""
        answer = self._send(call, deadline)
        how = self._dialect.work
        if not isinstance(answer, Unsaid) or answer.work is None or how is None:
            return answer
        path = how.path.replace("{id}", quote(answer.work, safe=""))
        delay = FIRST_DELAY
        about: dict[str, Any] = {"operation": call.operation.name}
        while (left := deadline - self._clock()) > delay:
            self._sleep(delay)
            delay = min(LONGEST_DELAY, 2 * delay)
            try:
                with self._pacer.turn(deadline, is_read=True):
                    body = self._exchange.ask(path, min(self._policy.timeout, left))
            except BarrackError as error:
                if not isinstance(error, _PASSING):
                    error.operation, error.took_effect = call.operation.name, None
                    raise
                continue
            word = as_word(dig(body, steps_of(how.state)))
            if word in how.done:
                return Unsaid()
            if word in how.failed:
                said = self._exchange.clean(str(dig(body, steps_of(how.message)) or "no reason"))
                raise BarrackConflictError(
                    f"the work that it began has failed: {said}", took_effect=None, **about
                )
        raise BarrackTimeoutError(
            "the work that it began has not ended in time", took_effect=None, **about
        )

    def _note(self, operation: Operation[Any], answer: Any) -> None:
        result = getattr(answer, operation.result) if operation.result else answer
        if operation.paged:
            self._seen.note(operation.name, [item.id for item in result])
        elif isinstance(operation.lost, ByName):
            self._seen.note(operation.lost.look, [result.id], made=True)

    def _change(self, call: Call, deadline: float) -> Any:
        call = self._elsewhere.named(call, lambda other: self._all(other, deadline))
        call = self._elsewhere.under_parents(call, lambda other: self._all(other, deadline))
        call = self._elsewhere.looked_up(
            call, lambda path, query: self._asked(path, query, call, deadline)
        )
        change = Change(
            call,
            lambda: self._finished(call, deadline),
            self._inquire(call, deadline),
            self._policy.visibility_lag,
            deadline,
            self._clock,
            self._sleep,
        )
        return self._repeat(
            call, change.attempt, deadline, lambda: change.is_decided, change.in_the_end
        )

    def _inquire(self, call: Call, deadline: float) -> Inquiry:
        """Note what there is before the change. What fails here has changed nothing."""
        try:
            return Inquiry(
                call,
                lambda look: self._read(look, deadline),
                lambda look: self.items(look, deadline),
                self._seen if self._knows_what_there_is(call, deadline) else None,
                self._exchange.cloud_time,
            )
        except BarrackError as error:
            error.operation = call.operation.name
            raise

    def _knows_what_there_is(self, call: Call, deadline: float) -> bool:
        """Whether things of before are known, so that none is taken for the effect of a create.

        They are if the list was read to its end since this was asked for. If not, one thread
        reads it now, for all that have asked by then.
        """
        rule = call.operation.lost
        asked = self._clock()
        if not isinstance(rule, ByName) or self._is_known(rule.look, asked, call):
            return True
        turn = self._seen.turn(rule.look)
        patience = max(0.0, deadline - self._clock())
        if not turn.acquire(timeout=min(patience, threading.TIMEOUT_MAX)):
            raise self._repeat.too_late(call)
        try:
            if not self._is_known(rule.look, asked, call):
                for _ in self.items(Call(OPERATIONS[rule.look]), deadline):
                    pass
        except (BarrackNotFoundError, BarrackResponseError, BarrackConfigurationError):
            return False  # a list that cannot be read must not keep anyone from creating
        finally:
            turn.release()
        return True

    def _is_known(self, kind: str, asked: float, call: Call) -> bool:
        since = self._seen.whole_since(kind)
        if "instance_id" not in call.sent or asked - self._seen.heard_at > HEARD_FOR:
            return since > asked
        # One of the same instance: nobody else's work is mistaken for it, only another run's.
        return asked - since <= KNOWN_FOR
