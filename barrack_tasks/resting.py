"""Putting instances to rest: what the flows that hibernate do between deciding and reporting."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from prefect import runtime

from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.flowing import look_again
from barrack_tasks.holds import holding, names_of
from barrack_tasks.loop import Log, now, work
from barrack_tasks.observing import Reads, observe
from barrack_tasks.plans import Row, Selector
from barrack_tasks.plans.drive import Manner
from barrack_tasks.plans.drive_report import rows_of
from barrack_tasks.plans.memory import Memory, protected_targets
from barrack_tasks.plans.resting import decide_rest, without_waiting
from barrack_tasks.plans.snapshot_then import Then, intent_for
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World


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
    patience: timedelta | None = None,
    strict: bool = False,
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
        patience: send what can be sent, wait for so long, and leave the rest to the next run; for
            guardrails, which must look again soon. None waits up to the timeout.
        strict: refuse names that match nothing, instead of going on with the others.

    Raises:
        SelectionError: nothing is selected.
    """
    memory = Memory()
    began = now()
    longest = timeout if patience is None else min(patience, timeout)
    reads: Reads = "needed" if snapshot else "not needed"
    run, name = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    with holding(account.account, run, name, purpose) as hold:
        world = observe(account, snapshots=reads)
        intent = intent_for(
            selector,
            world,
            Then.HIBERNATE,
            hold.moment,
            now(),
            timeout,
            3,
            never,
            names_of(hold.inherited),
            strict,
        )

        def decide(world: World, moment: datetime) -> Mapping[str, Next]:
            plan = decide_rest(world, intent, memory, manner, unable, snapshot, moment)
            if patience is None or moment < began + patience:
                return plan
            return without_waiting(plan, intent.targets, memory)

        world, plan = work(
            account,
            hold,
            intent.targets,
            memory,
            look=lambda: look_again(account, hold, intent, memory, reads),
            decide=decide,
            on_done=dict.fromkeys((t.id for t in intent.targets), Then.HIBERNATE.event),
            protected=protected_targets(intent.targets, world, never),
            timeout=longest,
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
    strict: bool = False,
) -> tuple[Row, ...]:
    """What `rest` would do, as the same rows; nothing is changed."""
    memory = Memory()
    world = observe(account, snapshots="needed" if snapshot else "not needed")
    intent = intent_for(
        selector, world, Then.HIBERNATE, now(), now(), timeout, 3, never, {}, strict
    )
    plan = decide_rest(world, intent, memory, manner, unable, snapshot, now())
    return rows_of(intent.targets, plan, world, memory)
