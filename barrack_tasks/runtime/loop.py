"""The loop that every flow which changes instances is: claim, observe, decide, act, again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from barrack_tasks.api import (
    Barrack,
    BarrackError,
    BarrackNotPermittedError,
    BarrackRateLimitedError,
    BarrackServerError,
    BarrackTransportError,
)
from barrack_tasks.api.transport.pacing import elapsed
from barrack_tasks.plans.cadence import Cadence
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.steps import Finished, Next, Reason, Step, Wait
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.executor import Outcome, executor_for
from barrack_tasks.runtime.leases import SEEN_WITHIN, UNWATCHED, Hold
from barrack_tasks.runtime.progress import Bar, Progress, announce
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import catch_up

Log = logging.Logger | logging.LoggerAdapter[Any]
MAKING = ("create_instance", "restore_snapshot")
"""Operations that make an instance."""
_SMALL = 100
_TIDY_AFTER = timedelta(seconds=30)
_CROWDED = 1.5
"""Seconds that a look is put off at most while many steps wait for their turn."""
_BREATH = 0.02
"""Seconds between two portions of events."""
_REST = 1.0
"""Between two looks so many times the length of one passes, at the least."""
SERVER_AWAY = (httpx.HTTPError, PrefectHTTPStatusError)
"""What a call raises while the Prefect server cannot be reached."""
_PASSING = (BarrackRateLimitedError, BarrackServerError, BarrackTransportError)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def claim(hold: Hold, waiting: Mapping[str, str], log: Log) -> dict[str, str]:
    """Claim what is to be worked on; gives what is refused, and who has it."""
    try:
        return hold.claim(waiting)
    except SERVER_AWAY as error:
        log.warning(
            "the Prefect server cannot be reached, and nothing is sent meanwhile: %s", error
        )
        return dict.fromkeys(waiting, "an unknown run (the Prefect server cannot be reached)")


def note_in_hand(hold: Hold, memory: Memory, cloud_now: datetime) -> None:
    """Note since when each instance is in hand without a break.

    Args:
        hold: what is held.
        memory: of this run.
        cloud_now: the cloud's time, told by an answer that came after all was claimed: a moment
            that is too late costs another snapshot, one that is too early an instance's work.
    """
    at = elapsed()
    for key, number in hold.claims.items():
        if memory.claims.get(key) != number:
            if key in memory.claims:
                memory.claimed_again.add(key)
                if at - memory.held_at[key] > UNWATCHED.total_seconds():
                    memory.lost_sight.add(key)
            memory.claims[key] = number
            memory.in_hand[key] = cloud_now
        memory.held_at[key] = at
    memory.before.update({k: one.moments for k, one in hold.inherited.items() if one.is_fresh})


def noted(hold: Hold, steps: Sequence[Step], client: Barrack, log: Log) -> list[Step]:
    """The steps that may be sent: what makes an instance is noted before."""
    making = {s.instance_id: client.now() for s in steps if s.operation in MAKING}
    if not making:
        return list(steps)
    try:
        hold.note_asked(making)
    except (BarrackNotPermittedError, *SERVER_AWAY) as error:
        log.warning("%s", error)
        return [step for step in steps if step.operation not in MAKING]
    return list(steps)


def began(memory: Memory, step: Step, log: Log) -> bool:
    """Note that a step is being sent; whether it may be: what cannot be noted is not sent."""
    try:
        memory.begin(step, now())
    except SERVER_AWAY as error:
        log.warning("%s: not sent, because it cannot be recorded: %s", step.subject, error)
        return False
    return True


def give_back(hold: Hold, done: Iterable[str], log: Log) -> None:
    """Give back what is done, so that nobody takes it up."""
    try:
        hold.let_go(done)
    except SERVER_AWAY as error:
        log.warning("the Prefect server cannot be reached: %s", error)


def is_done(next_: Next) -> bool:
    """Whether nothing of it is left to be taken up."""
    return isinstance(next_, Finished) and next_.outcome in ("done", "already")


def ends_nothing(step: Step) -> bool:
    """Whether a step takes nothing away, whatever happened since the account was looked at."""
    return step.operation == "create_snapshot"


def is_followed(outcome: Outcome) -> bool:
    """Whether the next step about an instance needs no look at what became of this one.

    Of all else the cloud must show first that it is so.
    """
    return outcome.error is None and outcome.step.operation == "delete_snapshot"


def is_next(next_: Next) -> bool:
    """Whether it is a step that may follow one of `is_followed`."""
    return isinstance(next_, Step) and next_.operation == "delete_snapshot"


def is_withdrawn(next_: Next) -> bool:
    """Whether a request is under way that is not asked for any more."""
    return isinstance(next_, Wait) and next_.reason is Reason.WITHDRAWN


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
    first: World | None = None,
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
        first: the account as it was just observed to find the targets. What it asks for and ends
            nothing is sent at once; for all else the account is looked at once it is claimed.

    Raises:
        BarrackError: the account cannot be read, until all targets are out of time.
    """
    cadence = Cadence()
    progress = Progress(log, {t.id: t.name for t in targets}, on_done)
    bar = Bar(account.account)
    waiting = {t.id: t.name for t in targets if t.id not in protected}
    last = max((t.began for t in targets), default=now()) + timeout
    tidied = now()
    client = account.get_client()
    known = first
    with executor_for(client, hold, account.max_concurrency) as executor:

        def start(plan: Mapping[str, Next]) -> None:
            steps = [next_ for next_ in plan.values() if isinstance(next_, Step)]
            executor.start([s for s in noted(hold, steps, client, log) if began(memory, s, log)])

        def wait(seconds: float) -> None:
            """Take in what becomes of steps, and send what that makes possible.

            While many steps wait for their turn the next look can wait a little longer: what it
            finds would only stand behind them.
            """
            until = elapsed() + seconds
            while (left := until - elapsed()) > 0 or (executor.is_crowded and left > -_CROWDED):
                # While no request is under way, what was held back disturbs none.
                sent = not executor.is_busy and catch_up()
                outcomes = executor.outcomes(_BREATH if sent or left <= 0 else left)
                for outcome in outcomes:
                    announce(outcome, memory)
                ended = {o.step.instance_id for o in outcomes if is_followed(o)}
                if ended and known is not None:
                    plan = decide(known, now())
                    follow = {id_: plan[id_] for id_ in ended if id_ in plan}
                    start({k: n for k, n in follow.items() if is_next(n)})
                if outcomes and not executor.is_busy:
                    return

        if first is not None:
            memory.held_by = claim(hold, waiting, log)
            note_in_hand(hold, memory, client.now())
            executor.looked(elapsed(), ())
            plan = decide(first, now())
            begin = {k: n for k, n in plan.items() if isinstance(n, Step) and ends_nothing(n)}
            start(begin)
            progress.show(begin, first.instances)
            if begin:
                # What was just claimed is sent only once the claim has settled.
                wait(SEEN_WITHIN + cadence.shortest)
        while True:
            # What was made is this run's as well, and nobody else works on it meanwhile.
            made = {memory.made[id_]: name for id_, name in waiting.items() if memory.made.get(id_)}
            memory.held_by = claim(hold, waiting | made, log)
            looked_at = elapsed()
            try:
                world = known = look()
                catch_up()
                took = elapsed() - looked_at
                note_in_hand(hold, memory, client.now())
                plan = decide(world, now())
            except (BarrackError, *SERVER_AWAY) as error:
                if now() >= last or not isinstance(error, _PASSING + SERVER_AWAY):
                    so_far = memory.done_so_far({t.id: t.name for t in targets})
                    if so_far and isinstance(error, BarrackError):  # no report tells it
                        error.message += f" (before this run gave up, {so_far})"
                    raise
                log.warning("the account cannot be read, and the run tries again: %s", error)
                took, moved = 0.0, False
            else:
                executor.looked(looked_at, (id_ for id_, n in plan.items() if is_withdrawn(n)))
                start(plan)
                for id_, next_ in plan.items():
                    if isinstance(next_, Finished) and next_.outcome == "done":
                        memory.arrive(id_, now())
                moved = progress.show(plan, world.instances, elapsed())
                bar.show({t.id: plan[t.id] for t in targets})
                waiting = {t.id: t.name for t in targets if not isinstance(plan[t.id], Finished)}
                if not waiting:
                    return world, plan
                # What was made stays in hand until the whole run is done: one that is started
                # again because of the others must find it, and not make a second one.
                done = [t.id for t in targets if is_done(plan[t.id]) and t.id not in memory.made]
                # The record of a large fleet has many parts, and is not written all the time.
                if len(targets) <= _SMALL or now() >= tidied + _TIDY_AFTER:
                    give_back(hold, done, log)
                    tidied = now()
            wait(max(cadence.after(moved), _REST * took))
