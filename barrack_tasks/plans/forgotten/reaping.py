"""Acting on lifetimes: a snapshot first, and nothing that somebody needs by now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.forgotten.leftovers import Left
from barrack_tasks.plans.forgotten.lifetimes import Overstay
from barrack_tasks.plans.forgotten.notices import Stage
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.power.drive import Manner, drive_up, hardware_of
from barrack_tasks.plans.power.rest import rest_step
from barrack_tasks.plans.power.snapshot_then import Intent, Then, snapshot_step
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.selection import Named
from barrack_tasks.plans.steps import Finished, Next, Outcome, Reason
from barrack_tasks.plans.world import World

_UNABLE = "its flavor cannot hibernate, so it is left as it is; a rule with then='delete' may act"
_IN_FULL = Manner(shutoff="hibernate")


def decide_reaping(
    world: World,
    intent: Intent,
    memory: Memory,
    unable: frozenset[tuple[str, int]],
    held: Mapping[str, Lease],
    now: datetime,
) -> dict[str, Next]:
    """What each machine that is due needs next.

    A snapshot can be taken of what is ACTIVE alone, so what is SHUTOFF is started for it, and what
    is to be deleted and hibernates is restored. What somebody has leased meanwhile is left alone.

    Args:
        world: as observed.
        intent: what is done with which machines.
        memory: of this run.
        unable: flavors, as GPU model and count, that cannot hibernate.
        held: machines that somebody needs now, by id.
        now: zone-aware.
    """

    def step(target: Target) -> Next:
        lease = held.get(target.id)
        if lease is not None and target.id not in memory.acted:
            return Finished("skipped", f"{lease.said} keeps it", Reason.LEASED)
        if intent.then is Then.HIBERNATE:
            there = world.instances.get(target.id)
            if there is not None and hardware_of(there) in unable:
                return Finished("skipped", _UNABLE)
            return rest_step(target, world, intent, memory, _IN_FULL, unable, snapshot=True)
        there = world.instances.get(target.id)
        asleep = (VMStatus.SHUTOFF, VMStatus.HIBERNATED)
        if there is not None and there.status in asleep and target.id not in memory.acted:
            return drive_up(target, world, memory)
        return snapshot_step(target, world, intent, memory)

    return decide_each(intent.targets, step, memory, world, intent.protect, intent.timeout, now)


def unleased(
    instances: Iterable[UserVM],
    leases: Iterable[Lease],
    have_end: Collection[str],
    protect: Iterable[str],
) -> list[UserVM]:
    """Machines that cost their full price and that no lease keeps.

    Args:
        instances: as a list shows them.
        leases: those that run, of all machines.
        have_end: ids of what was made with an end, which is a lease as well.
        protect: names, globs and ids that are never touched.
    """
    leased = {one.instance_id for one in leases}
    never = tuple(protect)
    return [
        one
        for one in instances
        if one.status in (VMStatus.ACTIVE, VMStatus.SHUTOFF)
        and one.id not in leased
        and one.id not in have_end
        and not is_protected(never, one.id, one.name)
    ]


def rows_of_verdicts(verdicts: Iterable[Overstay], dry_run: bool) -> tuple[Row, ...]:
    """One row for each machine that is longer than it may be, and with which nothing was done."""
    rows: dict[str, Row] = {}
    for one in verdicts:
        outcome: Outcome = "skipped"
        why = one.why
        if one.acts_at is not None:
            at = f"{one.acts_at:%Y-%m-%d %H:%M} UTC"
            told = "people would be told" if dry_run else "people were told"
            why = f"{why}; {told}, and it is {one.rule.then}d at {at} unless somebody leases it"
            outcome = "planned" if one.stage is not Stage.SPARED else "skipped"
        earlier = rows.get(one.instance.id)
        if earlier is not None:
            why = f"{earlier.why}; {why}"
            outcome = "planned" if "planned" in (outcome, earlier.outcome) else outcome
        rows[one.instance.id] = row_of(one.instance, why, outcome)
    return tuple(rows.values())


def rows_of_leftovers(
    left: Iterable[Left], done: Mapping[str, str | None], dry_run: bool
) -> tuple[Row, ...]:
    """One row for each snapshot or volume that belongs to nothing.

    Args:
        left: all of them.
        done: those that were to be deleted, by `Left.thing`: None if that was done, else why not.
        dry_run: whether nothing was changed.
    """
    return tuple(_row_of_leftover(one, done, dry_run) for one in left)


def _row_of_leftover(one: Left, done: Mapping[str, str | None], dry_run: bool) -> Row:
    outcome: Outcome = "skipped"
    why, now, did = one.why, one.kind, tuple[str, ...]()
    if one.thing in done:
        error = done[one.thing]
        if error is None:
            outcome, now, did = "done", "DELETED", (f"delete {one.kind}",)
        else:
            outcome, why = "failed", f"{why}; {error}"
    elif one.acts_at is not None:
        outcome = "planned"
        told = "people would be told" if dry_run else "people were told"
        at = f"{one.acts_at:%Y-%m-%d %H:%M} UTC"
        why = f"{why}; {told}, and it is deleted at {at} unless somebody leases it"
    return Row(
        instance_id=one.id,
        instance=f"{one.kind} {one.name}",
        was=one.kind,
        did=did,
        now=now,
        outcome=outcome,
        why=why,
    )


def row_of(instance: UserVM, why: str, outcome: Outcome = "skipped") -> Row:
    """The row of a machine that is as it was."""
    cost = hourly_cost(instance)
    return Row(
        instance_id=instance.id,
        instance=instance.name,
        public_ip=instance.address,
        was=str(instance.status),
        now=str(instance.status),
        outcome=outcome,
        why=why,
        hourly_before=cost,
        hourly_now=cost,
        currency=str(instance.currency) if instance.currency else None,
    )


def row_of_kept(kept: UserVM | Named, why: str) -> Row:
    """The row of what a person keeps: a machine, or a snapshot or volume as `snapshot:4711`."""
    if isinstance(kept, UserVM):
        return row_of(kept, why, "done")
    kind = kept.id.partition(":")[0]
    return Row(instance_id=kept.id, instance=kept.name, was=kind, now=kind, outcome="done", why=why)
