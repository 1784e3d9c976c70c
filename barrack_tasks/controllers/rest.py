"""Putting instances to rest: what the flows that hibernate do between deciding and reporting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from barrack_tasks.controllers.proofs import proven_snapshots
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans import Row, Selector
from barrack_tasks.plans.memory import Memory, Target, protected_targets
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.power.drive_report import rows_of
from barrack_tasks.plans.power.rest import decide_rest, without_waiting
from barrack_tasks.plans.power.rise import Shortage
from barrack_tasks.plans.power.snapshot_then import Intent, Then, drop_candidates, intent_for
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import Hold, names_of
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.observe import (
    Reads,
    depended_on,
    flavors_that_cannot_hibernate,
    instances_of,
    observe,
    with_images,
    with_stock,
)
from barrack_tasks.server.credentials import BarrackCredentials

KEPT = 3
"""So many snapshots of this library are kept of an instance where nobody says how many."""


@dataclass(frozen=True)
class Resting:
    """How instances are put to rest.

    Attributes:
        selector: which instances.
        manner: how to go about what cannot simply be hibernated.
        snapshot: take a snapshot first, and hibernate only once it is ready.
        timeout: for one instance.
        patience: send what can be sent, wait for so long, and leave the rest to the next run; for
            guardrails, which must look again soon. None waits up to the timeout.
        strict: refuse names that match nothing, instead of going on with the others.
        unable: flavors that are known not to hibernate; None to ask.
    """

    selector: Selector
    manner: Manner
    snapshot: bool
    timeout: timedelta
    patience: timedelta | None = None
    strict: bool = False
    unable: frozenset[tuple[str, int]] | None = None

    @property
    def reads(self) -> Reads:
        """Whether snapshots are needed."""
        return "needed" if self.snapshot else "not needed"


def rest(run: Run, resting: Resting, *purpose: Any, world: World | None = None) -> tuple[Row, ...]:
    """Hibernate the instances that are selected, or show it in a dry run; one row each.

    Args:
        run: the run.
        resting: which instances, and how.
        purpose: what the run is for; one that was cut off is taken up by the next with the same.
        world: the account as it was just seen; None to look.

    Raises:
        SelectionError: nothing is selected.
    """
    known = resting.unable
    unable = flavors_that_cannot_hibernate(run.account) if known is None else known
    memory = Memory()
    began = now()
    seen = world or observe(run.account, snapshots=resting.reads)

    def intend(moment: datetime, inherited: Mapping[str, str]) -> Intent:
        return intent_for(
            resting.selector,
            seen,
            Then.HIBERNATE,
            moment,
            now(),
            resting.timeout,
            KEPT,
            run.never,
            inherited,
            resting.strict,
        )

    def plan_of(world: World, intent: Intent, moment: datetime) -> Mapping[str, Next]:
        return decide_rest(world, intent, memory, resting.manner, unable, resting.snapshot, moment)

    if run.dry_run:
        intent = intend(now(), {})
        goals = {target.id: Then.HIBERNATE.goal for target in intent.targets}
        return rows_of(intent.targets, plan_of(seen, intent, now()), seen, memory, goals)
    longest = min(resting.patience or resting.timeout, resting.timeout)
    with run.holding(run.intent(*purpose)) as hold:
        intent = intend(hold.moment, names_of(hold.inherited))

        def decide(world: World, moment: datetime) -> Mapping[str, Next]:
            plan = plan_of(world, intent, moment)
            if resting.patience is None or moment < began + resting.patience:
                return plan
            return without_waiting(plan, intent.targets, memory)

        last, plan = run.work(
            hold,
            intent.targets,
            memory,
            look=lambda: look_again(run.account, hold, intent, memory, resting.reads),
            decide=decide,
            timeout=longest,
            on_done=dict.fromkeys((t.id for t in intent.targets), Then.HIBERNATE.event),
            protected=protected_targets(intent.targets, seen, run.never),
        )
    return rows_of(intent.targets, plan, last, memory)


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
    memory.not_deleted.update({id_: f"{by} is using it" for id_, by in used.items()})
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


def observe_supply(
    account: BarrackCredentials, shortage: Shortage, ids: Collection[str] = ()
) -> World:
    """The instances and the stock that brings them back, and images where others may stand in.

    Args:
        account: whose.
        shortage: what to do while a GPU is out of stock.
        ids: instances that are asked for by id where the list lacks them.
    """
    if shortage.then == "substitute":
        return with_images(account, with_stock(account, observe(account, ids)))
    return with_stock(account, instances_of(account, ids))
