"""The loop that every flow which changes instances is: claim, observe, decide, act, again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from barrack_tasks.api import BarrackRateLimitedError, BarrackServerError, BarrackTransportError
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.crew import crew
from barrack_tasks.flowing import Progress, announce
from barrack_tasks.holds import Hold
from barrack_tasks.plans.cadence import Cadence
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.steps import Finished, Next, Step
from barrack_tasks.plans.world import World

Log = logging.Logger | logging.LoggerAdapter[Any]
_PASSING = (BarrackRateLimitedError, BarrackServerError, BarrackTransportError)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def work(
    account: BarrackCredentials,
    hold: Hold,
    targets: tuple[Target, ...],
    memory: Memory,
    look: Callable[[], World],
    decide: Callable[[World, datetime], Mapping[str, Next]],
    on_done: Mapping[str, str],
    protected: frozenset[str],
    timeout: timedelta,
    log: Log,
) -> tuple[World, Mapping[str, Next]]:
    """Work until no target needs anything more; the world and the plan as they are then.

    An account that cannot be read for a while is looked at again; nothing is decided blindly.

    Args:
        account: whose instances they are.
        hold: what keeps other runs away.
        targets: the instances.
        memory: of this run; is changed.
        look: observes the account.
        decide: what each target needs next.
        on_done: which event tells that a target is done, by its id.
        protected: ids of targets that are never touched, and so not claimed.
        timeout: for one instance; how long an account may stay unreadable.
        log: of the run.

    Raises:
        BarrackError: the account cannot be read, until all targets are out of time.
    """
    cadence = Cadence()
    progress = Progress(log, {t.id: t.name for t in targets}, on_done)
    waiting = {t.id: t.name for t in targets if t.id not in protected}
    last = max((t.began for t in targets), default=now()) + timeout
    with crew(account.get_client(), lambda: hold.is_valid, account.max_concurrency) as gang:
        while True:
            memory.held_by = hold.claim(waiting)
            try:
                world = look()
            except _PASSING as error:
                if now() >= last:
                    raise
                log.warning("the account cannot be read, and is looked at again: %s", error)
                moved = False
            else:
                plan = decide(world, now())
                steps = [next_ for next_ in plan.values() if isinstance(next_, Step)]
                for step in steps:
                    memory.begin(step, now())
                makes = ("create_instance", "restore_snapshot")
                if making := [s.instance_id for s in steps if s.operation in makes]:
                    hold.note_asked(dict.fromkeys(making, account.get_client().now()))
                gang.start(steps)
                for id_, next_ in plan.items():
                    if isinstance(next_, Finished) and next_.outcome == "done":
                        memory.arrive(id_, now())
                moved = progress.show(plan, world.instances)
                waiting = {t.id: t.name for t in targets if not isinstance(plan[t.id], Finished)}
                if not waiting:
                    return world, plan
            for outcome in gang.outcomes(cadence.after(moved)):
                announce(outcome, memory)
