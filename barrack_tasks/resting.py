"""Putting instances to rest: what the flows that hibernate do between deciding and reporting."""

from __future__ import annotations

from datetime import timedelta

from prefect import runtime

from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.flowing import look_again
from barrack_tasks.holds import holding
from barrack_tasks.loop import Log, now, work
from barrack_tasks.observing import observe
from barrack_tasks.plans import Row, Selector
from barrack_tasks.plans.drive import Manner
from barrack_tasks.plans.drive_report import rows_of
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.resting import decide_rest
from barrack_tasks.plans.snapshot_then import Then, intent_for


def rest(
    account: BarrackCredentials,
    selector: Selector,
    purpose: str,
    never: list[str],
    manner: Manner,
    unable: frozenset[tuple[str, int]],
    snapshot: bool,
    timeout: timedelta,
    log: Log,
) -> tuple[Row, ...]:
    """Hibernate the instances that are selected; one row each.

    Args:
        account: whose instances they are.
        selector: which.
        purpose: what the run is for; one that was cut off is taken up by the next with the same.
        never: names, globs and ids that are never touched.
        manner: how to go about what cannot simply be hibernated.
        unable: flavors that are known not to hibernate.
        snapshot: take a snapshot first.
        timeout: for one instance.
        log: of the run.

    Raises:
        SelectionError: nothing is selected.
    """
    memory = Memory()
    run, name = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    with holding(account.account, run, name, purpose, timeout) as hold:
        world = observe(account)
        intent = intent_for(
            selector,
            world,
            Then.HIBERNATE,
            hold.moment,
            now(),
            timeout,
            3,
            never,
            hold.inherited,
        )
        world, plan = work(
            account,
            hold,
            intent.targets,
            memory,
            look=lambda: look_again(account, intent, memory),
            decide=lambda world, moment: decide_rest(
                world, intent, memory, manner, unable, snapshot, moment
            ),
            on_done=dict.fromkeys((t.id for t in intent.targets), Then.HIBERNATE.event),
            protected=intent.protected,
            timeout=timeout,
            log=log,
        )
    return rows_of(intent.targets, plan, world, memory)


def plan_rest(
    account: BarrackCredentials,
    selector: Selector,
    never: list[str],
    manner: Manner,
    unable: frozenset[tuple[str, int]],
    snapshot: bool,
    timeout: timedelta,
) -> tuple[Row, ...]:
    """What `rest` would do, as the same rows; nothing is changed."""
    memory = Memory()
    world = observe(account)
    intent = intent_for(selector, world, Then.HIBERNATE, now(), now(), timeout, 3, never, {})
    plan = decide_rest(world, intent, memory, manner, unable, snapshot, now())
    return rows_of(intent.targets, plan, world, memory)
