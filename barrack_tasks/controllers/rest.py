"""Putting instances to rest: what the flows that hibernate do between deciding and reporting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from prefect import runtime

from barrack_tasks.controllers.proofs import proven_snapshots
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.plans import Row, Selector
from barrack_tasks.plans.memory import Memory, Target, protected_targets
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.power.drive_report import rows_of
from barrack_tasks.plans.power.rest import decide_rest, without_waiting
from barrack_tasks.plans.power.snapshot_then import Intent, Then, drop_candidates, intent_for
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import Hold, holding, names_of
from barrack_tasks.runtime.loop import Log, now, work
from barrack_tasks.runtime.observe import Reads, depended_on, observe


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


def look_again(
    credentials: BarrackCredentials,
    hold: Hold,
    intent: Intent,
    memory: Memory,
    snapshots: Reads = "needed",
) -> World:
    """The account now, with what is known of the snapshots that may be dropped.

    Those that another run uses are noted as not deleted.
    """
    taken = {id_: snapshot for id_, snapshot in memory.taken.items() if snapshot}
    world = observe(credentials, [t.id for t in intent.targets], taken, snapshots)
    return with_droppable(credentials, world, intent, hold, memory)


def with_droppable(
    credentials: BarrackCredentials, world: World, intent: Intent, hold: Hold, memory: Memory
) -> World:
    """The world with what is known of the snapshots that may be dropped.

    Every flow that deletes old snapshots of instances that it put to rest asks here. The
    snapshots are claimed first, and those that another run uses are noted as not deleted.
    """
    resting = [t for t in intent.targets if _is_at_rest(t.id, intent, world)]
    candidates = _droppable(world, intent, resting)
    used = hold.claim_snapshots(candidates)
    memory.not_deleted.update({id_: f"held by {by}" for id_, by in used.items()})
    return _knowing_dependents(credentials, world, candidates)


def with_dependents(credentials: BarrackCredentials, world: World, intent: Intent) -> World:
    """The world with what is known of the snapshots that a run would drop, for a plan.

    Nothing is claimed and nothing is changed.
    """
    # A snapshot to come counts among those that are kept, so that one more is asked about.
    candidates = _droppable(world, intent, intent.targets, to_come=1)
    return _knowing_dependents(credentials, world, candidates)


def _droppable(
    world: World, intent: Intent, targets: Sequence[Target], to_come: int = 0
) -> set[str]:
    """Ids of the snapshots of some targets that may be dropped, if nothing depends on them."""
    if_free = replace(world, depended_on=frozenset())
    spared = protected_targets(targets, world, intent.protect)
    return {
        snapshot.id
        for target in targets
        if target.id not in spared
        for snapshot in drop_candidates(target, if_free, intent, to_come)
    }


def _knowing_dependents(
    credentials: BarrackCredentials, world: World, candidates: Collection[str]
) -> World:
    needed = depended_on(credentials.get_client(), candidates)
    if candidates and needed is not None:
        # The newest that was proven to restore is as needed as one that an image depends on.
        needed = needed | proven_snapshots(credentials.account)
    return replace(world, depended_on=needed)


def _is_at_rest(id_: str, intent: Intent, world: World) -> bool:
    instance = world.instances.get(id_)
    return id_ in world.gone if instance is None else instance.status is intent.then.goal
