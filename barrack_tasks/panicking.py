"""Hibernating everything at once, with nothing but the API: no Prefect, no server, no memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from barrack_tasks.api import Barrack, BarrackError, BarrackValidationError
from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.cadence import Cadence
from barrack_tasks.plans.drive import Manner, drive_down
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.selection import matches
from barrack_tasks.plans.steps import Finished, Next, Step
from barrack_tasks.plans.world import World

_THREADS = 32
_MANNER = Manner(shutoff="hibernate")
Say = Callable[[str], None]


def targets_of(
    instances: Sequence[UserVM], protect: Sequence[str], now: datetime
) -> tuple[tuple[Target, ...], frozenset[str]]:
    """Everything there is, and the ids of what is protected."""
    targets = tuple(Target(i.id, i.name, now, i) for i in instances)
    return targets, frozenset(i.id for i in instances if matches(i, protect))


def hibernate_everything(
    client: Barrack,
    targets: tuple[Target, ...],
    protected: frozenset[str],
    timeout: timedelta,
    say: Say,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[str, Next]:
    """Hibernate all targets that are not protected, each as soon as the API lets it.

    What is SHUTOFF is started first, for it is billed in full and hibernates only from ACTIVE.
    An account that cannot be read is looked at again until the time is up.

    Args:
        client: of the account.
        targets: the instances.
        protected: ids of those that are left alone.
        timeout: for all of it.
        say: is told what happens, line by line.
        now: the clock.
        sleep: waits so many seconds.

    Returns:
        What became of each, by id; what is not `Finished` ran out of time.
    """
    memory = Memory()
    cadence = Cadence()
    names = {t.id: t.name for t in targets}
    under_way: dict[str, tuple[Step, Future[None]]] = {}
    plan: dict[str, Next] = {}
    told: dict[str, str] = {}
    end = now() + timeout
    with ThreadPoolExecutor(_THREADS) as pool:
        while True:
            _collect(under_way, memory)
            world = _look(client, say)
            if world is not None:
                plan = decide_each(
                    targets,
                    lambda target, seen=world: drive_down(target, seen, memory, _MANNER),  # type: ignore[misc]
                    memory,
                    protected,
                    timeout + timedelta(minutes=1),
                    now(),
                )
                for id_, next_ in plan.items():
                    if isinstance(next_, Step):
                        memory.begin(next_)
                        under_way[id_] = (next_, pool.submit(_perform, client, next_))
                    _tell(names[id_], next_, told, say)
                if all(isinstance(next_, Finished) for next_ in plan.values()):
                    return plan
            if now() >= end:
                return plan
            sleep(cadence.after(bool(under_way)))


def _perform(client: Barrack, step: Step) -> None:
    client.perform(step.operation, **step.arguments)


def _collect(under_way: dict[str, tuple[Step, Future[None]]], memory: Memory) -> None:
    for id_, (step, future) in list(under_way.items()):
        if not future.done():
            continue
        del under_way[id_]
        error = future.exception()
        if error is None:
            memory.succeeded(step)
        else:
            may_pass = isinstance(error, BarrackError) and not isinstance(
                error, BarrackValidationError
            )
            memory.was_refused(step, str(error), may_pass)


def _look(client: Barrack, say: Say) -> World | None:
    try:
        return World({i.id: i for i in client.instances.list()})
    except BarrackError as error:
        say(f"the account cannot be read, trying again: {error}")
        return None


def _tell(name: str, next_: Next, told: dict[str, str], say: Say) -> None:
    text = f"{name}: {_sentence(next_)}"
    if told.get(name) != text:
        told[name] = text
        say(text)


def _sentence(next_: Next) -> str:
    if isinstance(next_, Step):
        return next_.operation.replace("_", " ")
    if isinstance(next_, Finished):
        return " - ".join(part for part in (next_.outcome, next_.why) if part)
    return next_.why
