"""What was made for a time: remembered where every worker sees it, and ended when that is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import UserVM
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.events import emit
from barrack_tasks.holds import Hold
from barrack_tasks.instances import delete_instance, hibernate_instance, start_instance
from barrack_tasks.loop import Log
from barrack_tasks.observing import flavors_that_cannot_hibernate, instances_of
from barrack_tasks.plans.expiring import (
    Ending,
    Expiry,
    as_asked,
    decide_ending,
    why_not_asked,
    why_refused,
)
from barrack_tasks.plans.selection import matches
from barrack_tasks.plans.steps import Step, Wait
from barrack_tasks.plans.world import World
from barrack_tasks.records import Records, key_of_id

_TASKS = {
    "hibernate_instance": hibernate_instance,
    "delete_instance": delete_instance,
    "start_instance": start_instance,
}
_LONGEST = 1_000
"""So many characters of why something has not ended are kept."""


def add_expiries(account: str, expiries: Iterable[Expiry]) -> None:
    """Remember when instances end. Each has a record of its own, so no run undoes another's."""
    with Records(_prefix(account)) as records:
        for one in expiries:
            records.put(key_of_id(one.id), _written(one))


def read_expiries(account: str) -> list[Expiry]:
    """What ends when; what cannot be read is left out."""
    found = []
    with Records(_prefix(account)) as records:
        for written in records.all().values():
            with suppress(TypeError, ValueError):
                found.append(_read(written))
    return sorted(found, key=lambda one: (one.at, one.id))


def _written(one: Expiry) -> list[Any]:
    asked = None if one.asked is None else int(one.asked.timestamp())
    plan = [one.id, one.name, int(one.at.timestamp()), one.how]
    return [*plan, asked, one.asked_for, one.trouble[:_LONGEST]]


def _read(written: Any) -> Expiry:
    id_, name, at, how, *rest = written
    # One that an earlier release has written ends here.
    asked, asked_for, trouble = rest or (None, "", "")
    if how not in ("hibernate", "delete"):
        raise ValueError(f"{how!r} is no way to end an instance")
    moment = None if asked is None else datetime.fromtimestamp(asked, UTC)
    return Expiry(id_, name, datetime.fromtimestamp(at, UTC), how, moment, asked_for, trouble)


def end_due(
    credentials: BarrackCredentials, hold: Hold, now: datetime, log: Log, dry_run: bool = False
) -> tuple[list[Ending], Mapping[str, UserVM]]:
    """End what was made for a time that is over; what becomes of each, and the instances.

    Args:
        credentials: the account.
        hold: of the run; what is ended is held while it is asked for, and no longer.
        now: zone-aware.
        log: of the run.
        dry_run: decide only.
    """
    expiries = read_expiries(credentials.account)
    if not any(one.at <= now for one in expiries):
        return [Ending(one, decide_ending(one, World(), False, None, now)) for one in expiries], {}
    world = instances_of(credentials, [one.id for one in expiries if one.at <= now])
    run = _Run(credentials, world, now, log)
    endings = [run.decided(one) for one in expiries]
    if dry_run:
        return endings, world.instances
    sending = {one.expiry.id: one.expiry.name for one in endings if isinstance(one.next, Step)}
    if sending:
        with hold.briefly(sending) as held:
            current = {one.id: one for one in read_expiries(credentials.account)}
            endings = [run.carried_out(one, held, current) for one in endings]
    _close([one for one in endings if one.is_over], credentials.account)
    return endings, world.instances


@dataclass(frozen=True)
class _Run:
    """What the ends of one run have in common."""

    credentials: BarrackCredentials
    world: World
    now: datetime
    log: Log

    @cached_property
    def unable(self) -> frozenset[tuple[str, int]]:
        """Flavors that cannot hibernate; asked for only when something is to be hibernated."""
        return flavors_that_cannot_hibernate(self.credentials)

    def decided(self, one: Expiry, holder: str | None = None) -> Ending:
        """What it needs next."""
        instance = self.world.instances.get(one.id)
        protected = instance is not None and matches(instance, self.credentials.protect)
        return Ending(one, decide_ending(one, self.world, protected, holder, self.now))

    def carried_out(
        self, one: Ending, held: Mapping[str, str], current: Mapping[str, Expiry]
    ) -> Ending:
        """What became of it: its step is sent, unless another run is at it."""
        step = one.next
        if not isinstance(step, Step):
            return one
        expiry, instance = one.expiry, self.world.instances[one.expiry.id]
        if expiry.id in held:
            return self.decided(expiry, held[expiry.id])
        if current.get(expiry.id) != expiry:
            return replace(one, next=Wait("another run has just seen to it"))
        asked = as_asked(expiry, step, instance, self.now)
        # Noted before it is sent: whether it has ended is seen by a run that may be another.
        add_expiries(self.credentials.account, [asked])
        error = self._refusal(asked, step, instance)
        if error is None:
            done = replace(one, expiry=asked)
            self.log.info(done.text)
            return done
        asked = replace(asked, trouble=error)
        add_expiries(self.credentials.account, [asked])
        failed = Ending(asked, step, error)
        self.log.error(failed.text)
        return failed

    def _refusal(self, expiry: Expiry, step: Step, instance: UserVM) -> str | None:
        if expiry.how == "hibernate" and (why := why_not_asked(expiry, instance, self.unable)):
            return why
        try:
            _TASKS[step.operation](self.credentials, step.instance_id)
        except BarrackError as error:
            return why_refused(expiry, instance, str(error))
        return None


def _close(over: Sequence[Ending], account: str) -> None:
    """Tell of each that was ended that it is, and forget them all.

    A run that is cut off in between tells it again; for whoever keeps events it is the same one.
    """
    if not over:
        return
    with Records(_prefix(account)) as records:
        for one in over:
            expiry = one.expiry
            if one.has_ended:
                what = f"{account} {expiry.id} {expiry.at.timestamp():.0f}"
                identity = uuid5(NAMESPACE_OID, what)
                emit("barrack.instance.expired", expiry.id, expiry.name, event_id=identity)
            records.drop(key_of_id(expiry.id))


def said_of(endings: Iterable[Ending]) -> list[str]:
    """What was done, and what could not be, as sentences."""
    return [one.text for one in endings if isinstance(one.next, Step)]


def _prefix(account: str) -> str:
    return f"barrack_expiry_{account}_"
