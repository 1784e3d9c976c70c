"""Carries out steps concurrently, each on its own, as Prefect task runs.

A task run costs some milliseconds of processor time, so a few steps get one each, and many are
spread over a bounded number of task runs with several threads inside.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.holds import Hold, snapshot_key
from barrack_tasks.plans.steps import Step

MOST_TASK_RUNS = 16
"""Task runs that one kind of step is spread over at most."""


@dataclass(frozen=True)
class Outcome:
    """What became of a step: a result, or the error that refused it."""

    step: Step
    result: Any = None
    error: BarrackError | None = None


class StepsFailed(Exception):
    """Some steps of a batch were refused. Their instances' rows tell more."""


class Crew:
    """Starts steps and gives back what became of them. Made by `crew`."""

    def __init__(self, client: Barrack, hold: Hold, concurrency: int) -> None:
        self._client = client
        self._hold = hold
        self._concurrency = concurrency
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._futures: list[PrefectFuture[Any]] = []
        self._under_way = 0
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
                self._submit(operation, all_of_it[first : first + size])

    def outcomes(self, wait: float) -> list[Outcome]:
        """What became of steps since the last look; waits so many seconds for a first one."""
        found: list[Outcome] = []
        try:
            found.append(self._outcomes.get(timeout=max(0.001, wait)))
            while True:
                found.append(self._outcomes.get_nowait())
        except queue.Empty:
            pass
        with self._lock:
            self._under_way -= len(found)
        return found

    def finish(self) -> None:
        """Wait for the task runs to end."""
        for future in self._futures:
            future.wait()
        self._futures.clear()

    def _submit(self, operation: str, steps: Sequence[Step]) -> None:
        threads = max(1, min(len(steps), self._concurrency // MOST_TASK_RUNS))
        first = steps[0].subject
        label = f"{operation} {first}" + (f" and {len(steps) - 1} more" if len(steps) > 1 else "")

        @task(name=operation, task_run_name=label, cache_policy=NO_CACHE, persist_result=False)
        def carry_out() -> None:
            if len(steps) == 1:
                errors = [self._carry_out(steps[0])]
            else:
                with ThreadPoolExecutor(threads) as pool:
                    errors = list(pool.map(self._carry_out, steps))
            refused = [error for error in errors if error]
            if refused:
                raise (
                    refused[0]
                    if len(steps) == 1
                    else StepsFailed(
                        f"{len(refused)} of {len(steps)} refused, the first: {refused[0]}"
                    )
                )

        self._futures.append(carry_out.submit())

    def _carry_out(self, step: Step) -> BarrackError | None:
        error = BarrackError("it broke off unexpectedly", took_effect=None)
        outcome = Outcome(step, error=error)
        try:
            keys = keys_of(step)
            self._hold.check(*keys)
            client = self._client.guarded(lambda: self._hold.check(*keys))
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
            return (snapshot_key(step.arguments["snapshot_id"]),)
        case "create_snapshot":
            return (step.instance_id, step.arguments["instance_id"])
        case "restore_snapshot":
            return (step.instance_id, snapshot_key(step.arguments["snapshot_id"], shared=True))
        case _:
            return (step.instance_id,)


@contextmanager
def crew(client: Barrack, hold: Hold, concurrency: int) -> Iterator[Crew]:
    """A crew for the length of the block; its task runs have ended when the block has."""
    gang = Crew(client, hold, concurrency)
    try:
        yield gang
    finally:
        gang.finish()
