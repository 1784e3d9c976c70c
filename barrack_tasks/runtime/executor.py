"""Carries out steps concurrently, each on its own, as Prefect task runs.

A task run costs some milliseconds of processor time, so a few steps get one each, and many are
spread over a bounded number of task runs with several threads inside.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from barrack_tasks.api import Barrack, BarrackError, BarrackNotPermittedError
from barrack_tasks.api.transport.pacing import elapsed
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.names import TAG
from barrack_tasks.plans.steps import Step
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.server.events import get_run_logger

_GOOD_FOR = 5.0
"""Seconds after a look for which what was decided on it may be sent."""
_CROWD = 100
"""Steps under way that are no crowd, however few requests go out at once."""
MOST_TASK_RUNS = 4
"""Task runs that one kind of step is spread over at most."""


@dataclass(frozen=True)
class Outcome:
    """What became of a step: a result, or the error that refused it."""

    step: Step
    result: Any = None
    error: BarrackError | None = None


class OutOfDate(BarrackNotPermittedError):
    """It waited so long to be sent that it must be decided on anew."""


@dataclass
class _Batch:
    """A task run, and the steps of which it has not told yet what became of them."""

    future: PrefectFuture[Any]
    left: list[Step]
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        # Asking the future for its state asks the Prefect server.
        self.future.add_done_callback(lambda _: self.ended.set())


def is_unsent(error: BarrackError | None) -> bool:
    """Whether nothing was sent, so that nothing is wrong: it is decided on anew."""
    return isinstance(error, BarrackNotPermittedError) and error.took_effect is False


def _broke_off() -> BarrackError:
    return BarrackError("it broke off unexpectedly", took_effect=None)


class StepsFailed(Exception):
    """Some steps of a batch were refused. Their instances' rows tell more."""


class Executor:
    """Starts steps and gives back what became of them. Made by `executor_for`."""

    def __init__(self, client: Barrack, hold: Hold, concurrency: int) -> None:
        self._client = client
        self._hold = hold
        self._concurrency = concurrency
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._batches: list[_Batch] = []
        self._under_way = 0
        self._withdrawn: frozenset[str] = frozenset()
        self._good_until = elapsed() + _GOOD_FOR
        self._lock = threading.Lock()

    def start(self, steps: Sequence[Step]) -> None:
        """Start steps; returns at once."""
        with self._lock:
            self._under_way += len(steps)
        by_operation: dict[str, list[Step]] = {}
        for step in steps:
            by_operation.setdefault(step.operation, []).append(step)
        for operation, all_of_it in by_operation.items():
            size = -(-len(all_of_it) // MOST_TASK_RUNS)
            for first in range(0, len(all_of_it), size):
                self._submit(operation, all_of_it[first : first + size], self._hold.claims)

    def looked(self, began: float, withdrawn: Iterable[str]) -> None:
        """Note a look at the account, and what is not asked for any more as it is now.

        Of what is under way for these targets nothing more is sent, repetitions included; what
        has reached the cloud already stands. All else may be sent for a while: what waits longer,
        because the cloud asked for a pause, is decided on anew.

        Args:
            began: when the look began, by `elapsed`.
            withdrawn: ids of targets.
        """
        now = elapsed()
        self._withdrawn = frozenset(withdrawn)
        # A look that takes long is followed by one that takes as long.
        self._good_until = now + _GOOD_FOR + 2 * (now - began)

    def outcomes(self, wait: float) -> list[Outcome]:
        """What became of steps since the last look; waits so many seconds for a first one."""
        # Asked before the queue is: what a task run tells, it tells before it ends.
        ended = [batch for batch in self._batches if batch.ended.is_set()]
        found: list[Outcome] = []
        try:
            found.append(self._outcomes.get(timeout=max(0.001, wait if not ended else 0.0)))
            while True:
                found.append(self._outcomes.get_nowait())
        except queue.Empty:
            pass
        told = {id(outcome.step) for outcome in found}
        for batch in self._batches:
            batch.left = [step for step in batch.left if id(step) not in told]
        for batch in ended:
            found += [Outcome(step, error=_broke_off()) for step in batch.left]
            self._batches.remove(batch)
        with self._lock:
            self._under_way -= len(found)
        return found

    @property
    def is_busy(self) -> bool:
        """Whether there are steps of which it was not told what became of them."""
        with self._lock:
            return self._under_way > 0

    @property
    def is_crowded(self) -> bool:
        """Whether so many steps wait for their turn that more of them would change nothing."""
        with self._lock:
            return self._under_way > max(_CROWD, 2 * self._concurrency)

    def finish(self) -> None:
        """Wait for the task runs to end."""
        for batch in self._batches:
            batch.future.wait()
        self._batches.clear()

    def _submit(self, operation: str, steps: Sequence[Step], since: Mapping[str, int]) -> None:
        threads = max(1, min(len(steps), self._concurrency // MOST_TASK_RUNS))
        first = steps[0].subject
        label = f"{operation} {first}" + (f" and {len(steps) - 1} more" if len(steps) > 1 else "")

        # Prefect takes braces for the names of parameters.
        label = label.replace("{", "{{").replace("}", "}}")

        @task(
            name=operation,
            task_run_name=label,
            tags={TAG},
            cache_policy=NO_CACHE,
            persist_result=False,
        )
        def carry_out() -> None:
            if len(steps) == 1:
                errors = [self._carry_out(steps[0], since)]
            else:
                with ThreadPoolExecutor(threads) as pool:
                    errors = list(pool.map(lambda step: self._carry_out(step, since), steps))
            refused = []
            for step, error in zip(steps, errors, strict=True):
                if is_unsent(error):
                    get_run_logger().info("%s: %s", step.subject, error)
                elif error:
                    refused.append(error)
            if refused:
                raise (
                    refused[0]
                    if len(steps) == 1
                    else StepsFailed(
                        f"{len(refused)} of {len(steps)} refused, the first: {refused[0]}"
                    )
                )

        self._batches.append(_Batch(carry_out.submit(), list(steps)))

    def _permit(self, step: Step, since: Mapping[str, int]) -> float:
        if step.instance_id in self._withdrawn:
            raise BarrackNotPermittedError("not sent: it is not asked for any more")
        if elapsed() > self._good_until:
            raise OutOfDate("not sent: what is known of the account is too old")
        return self._hold.check(*keys_of(step), since=since)

    def _carry_out(self, step: Step, since: Mapping[str, int]) -> BarrackError | None:
        outcome = Outcome(step, error=_broke_off())
        try:
            self._permit(step, since)
            client = self._client.guarded(lambda: self._permit(step, since))
            result = client.perform(step.operation, **step.arguments)
            outcome = Outcome(step, result=result)
        except BarrackError as failure:
            outcome = Outcome(step, error=failure)
        finally:
            self._outcomes.put(outcome)
        return outcome.error


def keys_of(step: Step) -> tuple[str, ...]:
    """All that must be held for a step to be sent: what it is for, and what it is made of."""
    match step.operation:
        case "delete_snapshot":
            return (lease_keys.snapshot(step.arguments["snapshot_id"]),)
        case "restore_snapshot":
            return (
                step.instance_id,
                lease_keys.snapshot(step.arguments["snapshot_id"], shared=True),
            )
        case _:
            # What is asked for in one's name may be done to another, such as what was made for it.
            about = step.arguments.get("instance_id", step.instance_id)
            return (step.instance_id, *({about} - {step.instance_id}))


@contextmanager
def executor_for(client: Barrack, hold: Hold, concurrency: int) -> Iterator[Executor]:
    """An executor for the length of the block; its task runs have ended when the block has."""
    executor = Executor(client, hold, concurrency)
    try:
        yield executor
    finally:
        executor.finish()
