"""What was made for a time: remembered where every worker sees it, and ended when that is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import UserVM
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.events import emit
from barrack_tasks.instances import delete_instance, hibernate_instance, start_instance
from barrack_tasks.loop import Log
from barrack_tasks.observing import instances_of
from barrack_tasks.plans.expiring import Ending, Expiry, decide_ending
from barrack_tasks.plans.selection import matches
from barrack_tasks.plans.steps import Step
from barrack_tasks.plans.world import World
from barrack_tasks.records import Records, key_of_id

_TASKS = {
    "hibernate_instance": hibernate_instance,
    "delete_instance": delete_instance,
    "start_instance": start_instance,
}
Claim = Callable[[dict[str, str]], Mapping[str, str]]


def add_expiries(account: str, expiries: Iterable[Expiry]) -> None:
    """Remember when instances end. Each has a record of its own, so no run undoes another's."""
    with Records(_prefix(account)) as records:
        for one in expiries:
            records.put(key_of_id(one.id), [one.id, one.name, int(one.at.timestamp()), one.how])


def read_expiries(account: str) -> list[Expiry]:
    """What ends when; what cannot be read is left out."""
    found = []
    with Records(_prefix(account)) as records:
        for written in records.all().values():
            with suppress(TypeError, ValueError):
                id_, name, at, how = written
                found.append(Expiry(id_, name, datetime.fromtimestamp(at, UTC), how))
    return sorted(found, key=lambda one: (one.at, one.id))


def end_due(
    credentials: BarrackCredentials, claim: Claim, now: datetime, log: Log, dry_run: bool = False
) -> tuple[list[Ending], Mapping[str, UserVM]]:
    """End what was made for a time that is over; what becomes of each, and the instances.

    Args:
        credentials: the account.
        claim: holds instances, names by id; gives those that another run holds.
        now: zone-aware.
        log: of the run.
        dry_run: decide only.
    """
    expiries = read_expiries(credentials.account)
    if not any(one.at <= now for one in expiries):
        return [Ending(one, decide_ending(one, World(), False, None, now)) for one in expiries], {}
    world = instances_of(credentials, [one.id for one in expiries])
    due = {one.id: one.name for one in expiries if one.at <= now and one.id in world.instances}
    held = claim(due) if due and not dry_run else {}

    def ending(one: Expiry) -> Ending:
        instance = world.instances.get(one.id)
        protected = instance is not None and matches(instance, credentials.protect)
        next_ = decide_ending(one, world, protected, held.get(one.id), now)
        return Ending(one, next_)

    endings = [ending(one) for one in expiries]
    if dry_run:
        return endings, world.instances
    endings = [_carried_out(one, credentials, log) for one in endings]
    with Records(_prefix(credentials.account)) as records:
        for one in endings:
            if one.is_over:
                records.drop(key_of_id(one.expiry.id))
    return endings, world.instances


def _carried_out(one: Ending, credentials: BarrackCredentials, log: Log) -> Ending:
    step = one.next
    if not isinstance(step, Step):
        return one
    try:
        _TASKS[step.operation](credentials, step.instance_id)
    except BarrackError as error:
        log.error("%s: its time is over, and it could not be ended: %s", step.subject, error)
        return replace(one, error=str(error))
    log.info(one.text)
    if one.is_over:
        emit("barrack.instance.expired", step.instance_id, step.subject)
    return one


def done_of(endings: Iterable[Ending]) -> list[str]:
    """What was done, as sentences."""
    return [one.text for one in endings if isinstance(one.next, Step) and not one.error]


def _prefix(account: str) -> str:
    return f"barrack_expiry_{account}_"
