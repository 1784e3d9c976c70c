"""Hibernating everything at once, with nothing but the API: no Prefect, no server, no memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from barrack_tasks.api import Barrack, BarrackError, BarrackValidationError
from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.api.models.text import one_line
from barrack_tasks.plans.cadence import Cadence
from barrack_tasks.plans.memory import Memory, Target, decide_each, protected_targets
from barrack_tasks.plans.power.drive import Manner, drive_down
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.steps import Finished, Next, Step, Wait
from barrack_tasks.plans.world import World

_THREADS = 32
_MANNER = Manner(shutoff="hibernate")


def is_at_rest(status: VMStatus) -> bool:
    """Whether an instance needs no stop: it is hibernated or gone, or on its way there."""
    return not {status, status.leads_to}.isdisjoint((VMStatus.HIBERNATED, VMStatus.DELETED))


Say = Callable[[str], None]
UnderWay = dict[str, tuple[Step, Future[None]]]


def targets_of(
    instances: Sequence[UserVM], protect: Sequence[str], now: datetime
) -> tuple[tuple[Target, ...], frozenset[str]]:
    """Everything there is, and the ids of what is protected."""
    targets = tuple(Target(i.id, i.name, now, i) for i in instances)
    return targets, protected_targets(targets, World({i.id: i for i in instances}), protect)


def hibernate_everything(
    client: Barrack,
    targets: tuple[Target, ...],
    protect: Collection[str],
    timeout: timedelta,
    say: Say,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[str, Next]:
    """Hibernate all targets that are not protected, each as soon as the API lets it.

    What is SHUTOFF is started first, for it is billed in full and hibernates only from ACTIVE.
    An account that cannot be read is looked at again until the time is up. Meanwhile everything
    that was seen running at the beginning is asked to hibernate all the same: a refusal costs
    nothing, and waiting costs money.

    Args:
        client: of the account.
        targets: the instances.
        protect: names, globs and ids of those that are left alone, judged at each look.
        timeout: for all of it.
        say: is told what happens, line by line; what it raises stops nothing.
        now: the clock.
        sleep: waits so many seconds.

    Returns:
        What became of each target, by id; what is not `Finished` ran out of time, or was never
        seen again.
    """
    memory = Memory()
    cadence = Cadence()
    say = _whatever_it_raises(say)
    names = {t.id: t.name for t in targets}
    under_way: UnderWay = {}
    unseen: UnderWay = {}
    plan: dict[str, Next] = {t.id: _before_a_look(t, protect) for t in targets}
    told: dict[str, str] = {}
    end = now() + timeout
    with ThreadPoolExecutor(_THREADS) as pool:
        while True:
            _collect(under_way, memory)
            _collect_unseen(unseen, memory, names, say)
            world = _look(client, say)
            if world is not None:
                plan = decide_each(
                    targets,
                    lambda target, seen=world: drive_down(target, seen, memory, _MANNER),  # type: ignore[misc]
                    memory,
                    world,
                    protect,
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
            else:
                for target in targets:
                    if isinstance(plan[target.id], Finished):
                        continue  # at rest or protected, when it was last seen
                    if target.id not in {*memory.under_way, *memory.acted}:
                        step = _hibernate(target)
                        memory.begin(step)
                        unseen[target.id] = (step, pool.submit(_perform, client, step))
            if now() >= end:
                break
            sleep(cadence.after(bool(under_way)))
    _collect_unseen(unseen, memory, names, say)
    return plan


def _whatever_it_raises(say: Say) -> Say:
    def safely(line: str) -> None:
        with suppress(Exception):
            say(one_line(line))

    return safely


def _before_a_look(target: Target, protect: Collection[str]) -> Next:
    """What is known of a target that was not looked at since the question was answered."""
    if is_protected(protect, target.id, target.name):
        return Finished("skipped", "protected")
    if target.was is not None and is_at_rest(target.was.status):
        return Finished("already")
    return Wait("it could not be read again")


def _hibernate(target: Target) -> Step:
    return Step("hibernate_instance", target.id, target.name, {"instance_id": target.id})


def _perform(client: Barrack, step: Step) -> None:
    client.perform(step.operation, **step.arguments)


def _answered(under_way: UnderWay) -> Iterator[tuple[Step, BaseException | None]]:
    """Take out what was answered: the step, and the error if it was refused."""
    for id_, (step, future) in list(under_way.items()):
        if future.done():
            del under_way[id_]
            yield step, future.exception()


def _collect(under_way: UnderWay, memory: Memory) -> None:
    for step, error in _answered(under_way):
        if error is None:
            memory.succeeded(step)
        else:
            may_pass = isinstance(error, BarrackError) and not isinstance(
                error, BarrackValidationError
            )
            memory.was_refused(step, str(error), may_pass)


def _collect_unseen(unseen: UnderWay, memory: Memory, names: Mapping[str, str], say: Say) -> None:
    """Note what became of requests about instances that nobody could look at.

    A refusal does not count against the instance: it may only have been in another state.
    """
    for step, error in _answered(unseen):
        id_ = step.instance_id
        if error is None:
            memory.succeeded(step)
            say(f"{names[id_]}: was asked to hibernate, although it could not be read again")
        else:
            memory.under_way.pop(id_, None)
            say(f"{names[id_]}: the request to hibernate it was refused: {error}")


def _look(client: Barrack, say: Say) -> World | None:
    try:
        return World({i.id: i for i in client.instances.list()})
    except BarrackError as error:
        say(f"the account cannot be read; trying again: {error}")
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
