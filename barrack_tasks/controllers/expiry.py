"""What was made for a time: remembered where every worker sees it, and ended when that is over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.controllers.leases import cloud_now, drop_ended, note_warned, read_leases
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.forgotten.idleness import Idleness, put_off
from barrack_tasks.plans.forgotten.leases import (
    WARNING,
    now_warned,
    outlived,
    warnings_of,
    with_leases,
)
from barrack_tasks.plans.making import NOTHING_CAME, TAKES_EFFECT, Making
from barrack_tasks.plans.power.expiry import (
    Ending,
    Expiry,
    as_asked,
    decide_ending,
    why_not_asked,
    why_refused,
    with_id,
)
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.steps import Finished, Step, Wait
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.keep_form import keeping_link
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.loop import Log
from barrack_tasks.runtime.observe import flavors_that_cannot_hibernate, instances_of, note_going
from barrack_tasks.runtime.probes import find_evidence
from barrack_tasks.runtime.withdrawing import Notes
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import emit
from barrack_tasks.server.variables import Records, key_of_id
from barrack_tasks.tasks.instances import delete_instance, hibernate_instance, start_instance

_TASKS = {
    "hibernate_instance": hibernate_instance,
    "delete_instance": delete_instance,
    "start_instance": start_instance,
}
_LONGEST = 1_000
"""So many characters of why something has not ended are kept."""


def add_expiries(account: str, expiries: Iterable[Expiry]) -> None:
    """Remember when instances end. Each has a record of its own, so no run undoes another's.

    One without an id is remembered by its name, before it is asked for; see `fill_in`.
    """
    with Records(_prefix(account)) as records:
        for one in expiries:
            records.put(key_of_id(one.key), _written(one))


def fill_in(account: str, expiries: Iterable[Expiry]) -> None:
    """Remember ends by id that were remembered by name.

    What is known of the id already stays as it is: this was cut off in between, or another run
    has been here.
    """
    with Records(_prefix(account)) as records:
        known = records.all()
        for one in expiries:
            if f"{_prefix(account)}{key_of_id(one.key)}" not in known:
                records.put(key_of_id(one.key), _written(one))
            records.drop(key_of_id(replace(one, id="").key))


def drop_expiries(account: str, expiries: Iterable[Expiry]) -> None:
    """Forget ends: of what surely was not made, or is over, or has none."""
    with Records(_prefix(account)) as records:
        for one in expiries:
            records.drop(key_of_id(one.key))


def read_expiries(account: str) -> list[Expiry]:
    """What ends when; what cannot be read is left out."""
    return [one for one in _on_record(account) if one.how]


def _on_record(account: str) -> list[Expiry]:
    """All that is noted, also that something has no end."""
    found = []
    with Records(_prefix(account)) as records:
        for written, at in records.stamped().values():
            with suppress(TypeError, ValueError):
                end = _read(written)
                # Of what an earlier release wrote, that is all that tells its age.
                is_old = end.by is None and end.asked is None
                found.append(replace(end, noted=at) if is_old else end)
    return sorted(found, key=lambda one: (one.at, one.key))


@dataclass
class Ends:
    """When what a run makes is to end: noted before it is asked for, and by id as soon as possible.

    Whoever asks last under a name says when it ends, and also that it does not: what a run that
    was cut off has noted before does not stand any more.

    Args:
        account: see `BarrackCredentials.account`.
        span: how long what is made lasts; None for no end.
        how: `hibernate` or `delete`.
        now: the cloud's clock, by which ends are judged.
        hold: of the run.

    Example:
        >>> ends = Ends(account.account, timedelta(hours=8), "delete", client.now, hold)
        >>> ends.note([Making("train-1", client.now())])
        >>> ends.made("train-1", client.snapshots.restore("1", "train-1").id)
    """

    account: str
    span: timedelta | None
    how: str
    now: Callable[[], datetime]
    hold: Hold
    told: list[str] = field(default_factory=list)
    """Sentences about ends of earlier runs that do not stand any more."""
    _noted: dict[str, Expiry] = field(default_factory=dict)
    """By the name of what is made."""
    _made: set[str] = field(default_factory=set)
    """Names of what was made without an end."""

    @cached_property
    def _notes(self) -> Notes:
        return Notes(_prefix(self.account), self.hold)

    def note(self, requests: Sequence[Making], ids: Mapping[str, str] | None = None) -> None:
        """Note the ends of what is about to be asked for.

        That something has no end is noted only where an end would stand otherwise.

        Args:
            requests: as they will be sent.
            ids: of what exists and is brought back, by name.
        """
        until, writer = self.now() + (self.span or timedelta(0)), self.hold.attempt
        how = "" if self.span is None else self.how
        ends = {
            end.key: end
            for by in requests
            for id_ in [(ids or {}).get(by.name, "")]
            for end in [Expiry(id_, by.name, until, how, by=by, writer=writer)]
        }

        def value_of(key: str, before: Any) -> Any:
            if before is None and not how:
                return None
            ends[key] = _after(before, ends[key])
            self._noted[ends[key].name] = ends[key]
            return _written(ends[key])

        self._notes.put(ends, value_of)

    def made(self, name: str, id_: str, taken_up: Making | None = None) -> None:
        """Note the id of what was made; says so as often as one likes.

        Args:
            name: of the instance.
            id_: of the instance.
            taken_up: the request of a run that was cut off, if that made it.
        """
        noted = self._noted.get(name)
        if self.span is None:
            self._made_for_good(name, id_)
            return
        if noted is None and taken_up is not None:
            # It lasts as long as the run that is asked for now says.
            end = Expiry(id_, name, self.now() + self.span, self.how, by=taken_up)
            add_expiries(self.account, [end])
        elif noted is not None and noted.id != id_:
            end = replace(noted, id=id_)
        else:
            return
        fill_in(self.account, [end])
        if noted is not None:
            self._notes.settled(noted.key)
        self._noted[name] = end

    def _made_for_good(self, name: str, id_: str) -> None:
        """Forget what earlier runs have noted about what this one asked for without an end."""
        if name in self._made:
            return
        old = [e for e in _on_record(self.account) if e.id == id_ or e.key == f"name:{name}"]
        drop_expiries(self.account, old)
        self._notes.settled(f"name:{name}")
        self._notes.settled(id_)
        self.told += [
            f"{name}: it does not end at {one.at:%Y-%m-%d %H:%M} UTC ({one.how}), as a run that "
            "was cut off had set, because this run was started without `expires`"
            for one in old
            if one.how
        ]
        self._made.add(name)

    def not_made(self, name: str, held: str) -> None:
        """Forget the end of what surely was not made; see `Notes.withdraw`."""
        if (noted := self._noted.get(name)) is not None:
            self._notes.withdraw(noted.key, held)


def _after(before: Any, end: Expiry) -> Expiry:
    """An end as it is noted where one is noted already."""
    with suppress(TypeError, ValueError):
        earlier = _read(before)
        if earlier.by and end.by and not end.id and end.by.asked < earlier.by.asked + TAKES_EFFECT:
            # What a request before this one made may still show, and is as old as that.
            return replace(end, by=replace(end.by, asked=earlier.by.asked))
    return end


def _written(one: Expiry) -> list[Any]:
    asked = None if one.asked is None else int(one.asked.timestamp())
    plan = [one.id, one.name, int(one.at.timestamp()), one.how]
    done = [*plan, asked, one.asked_for, one.trouble[:_LONGEST]]
    return done if one.by is None else [*done, one.by.written(), one.writer]


def _read(written: Any) -> Expiry:
    id_, name, at, how, *rest = written
    # One that an earlier release has written ends here, or before the request that made it.
    asked, asked_for, trouble, *made_by = rest or (None, "", "")
    if how not in ("hibernate", "delete", ""):
        raise ValueError(f"{how!r} is not a way to end an instance")
    moment = None if asked is None else datetime.fromtimestamp(asked, UTC)
    end = Expiry(id_, name, datetime.fromtimestamp(at, UTC), how, moment, asked_for, trouble)
    if not made_by:
        return end
    request, *writer = made_by
    return replace(end, by=Making.read(name, request), writer=writer[0] if writer else "")


class Looked(NamedTuple):
    """What became of all ends, the instances as far as they were looked at, and when that was."""

    endings: list[Ending]
    instances: Mapping[str, UserVM]
    at: datetime


def end_due(
    credentials: BarrackCredentials,
    hold: Hold,
    log: Log,
    dry_run: bool = False,
    warning: timedelta = WARNING,
    idleness: Idleness | None = None,
    clock: Callable[[BarrackCredentials], datetime] = cloud_now,
) -> Looked:
    """End what has no lease any more; what becomes of each, and the instances.

    The instances are looked at only when a lease ends within `warning`, or has ended.

    Args:
        credentials: the account.
        hold: of the run; what is ended is held while it is asked for, and no longer. Before each
            request is sent it is asked whether that is still so.
        log: of the run.
        dry_run: decide only.
        warning: how long people are warned before a lease ends.
        idleness: the probes that put an end off while a machine works; None to ask none.
        clock: asks for the cloud's time, by which everything here is judged. It is asked only if
            something ends at all.
    """
    account = credentials.account
    noted, leases = _on_record(account), read_leases(account)
    if not noted and not leases:
        return Looked([], {}, credentials.get_client().now())
    now = clock(credentials)
    if not dry_run:
        drop_expiries(account, (one for one in noted if _tells_nothing(one, now)))
    set_ends = [one for one in noted if one.how]
    over = outlived(set_ends, leases, now)
    set_ends = [one for one in set_ends if one not in over]
    if not dry_run:
        drop_expiries(account, over)
    expiries = with_leases(set_ends, leases, now, warning)
    if not any(one.at <= now + warning or not one.id for one in expiries):
        waiting = [decide_ending(one, World(), False, None, now) for one in expiries]
        return Looked(list(map(Ending, expiries, waiting)), {}, now)
    world = instances_of(credentials, [one.id for one in expiries if one.id and one.at <= now])
    set_ends = _with_ids(account, set_ends, world, dry_run)
    names = {id_: one.name for id_, one in world.instances.items()}
    expiries = with_leases(set_ends, leases, now, warning, names)
    run = _Run(credentials, hold, world, now, log)
    endings = [run.decided(one) for one in expiries]
    if idleness is not None:
        endings = run.put_off(endings, idleness)
    if dry_run:
        return Looked(endings, world.instances, now)
    sending = {one.expiry.id: one.expiry.name for one in endings if isinstance(one.next, Step)}
    if sending:
        with hold.briefly(sending) as held:
            ends, leases = read_expiries(account), read_leases(account)
            fresh = with_leases(ends, leases, now, warning, names)
            current = {one.id: one for one in fresh if one.id}
            endings = [run.carried_out(one, held, current) for one in endings]
    _close([one for one in endings if one.is_over], account, now)
    return Looked(endings, world.instances, now)


def _tells_nothing(one: Expiry, now: datetime) -> bool:
    """Whether it says that something has no end which was made long ago, or never will be."""
    return not one.how and (one.by is None or now >= one.by.asked + NOTHING_CAME)


def _with_ids(
    account: str, expiries: Sequence[Expiry], world: World, dry_run: bool
) -> list[Expiry]:
    """The ends, each once, with the ids of what has come to be since they were written."""
    known = {one.id for one in expiries if one.id}
    found = [with_id(one, world.instances.values()) for one in expiries]
    fresh = [after for after, before in zip(found, expiries, strict=True) if after != before]
    if fresh and not dry_run:
        fill_in(account, fresh)
    return [one for one in found if one not in fresh or one.id not in known]


@dataclass(frozen=True)
class _Run:
    """What the ends of one run have in common."""

    credentials: BarrackCredentials
    hold: Hold
    world: World
    now: datetime
    log: Log

    @cached_property
    def unable(self) -> frozenset[tuple[str, int]]:
        """Flavors that cannot hibernate; asked for only when something is to be hibernated."""
        return flavors_that_cannot_hibernate(self.credentials)

    def decided(self, one: Expiry, holder: str | None = None) -> Ending:
        """What it needs next."""
        all_of_them = self.world.instances
        named = (i for i in all_of_them.values() if i.name == one.name)
        instance = all_of_them.get(one.id) if one.id else next(named, None)
        names = (one.name, instance.name if instance else None)
        protected = is_protected(self.credentials.protect, one.id, *names)
        next_ = decide_ending(one, self.world, protected, holder, self.now, self.now)
        return Ending(one, next_)

    def put_off(self, endings: Sequence[Ending], idleness: Idleness) -> list[Ending]:
        """The same, but nothing is asked yet of machines that work, or of which nobody knows."""
        fresh = [o.expiry for o in endings if isinstance(o.next, Step) and o.expiry.asked is None]
        there = [self.world.instances[one.id] for one in fresh]
        asked = [one for one in there if one.status is VMStatus.ACTIVE]
        found = find_evidence(idleness, asked, self.now)

        def after(one: Ending) -> Ending:
            evidence, at = found.get(one.expiry.id), one.expiry.at
            why = evidence and put_off(evidence, at, idleness.at_most, self.now)
            return replace(one, next=Wait(why)) if why else one

        return [after(one) for one in endings]

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
            return replace(one, next=Wait("another run has just handled it"))
        asked = as_asked(expiry, step, instance, self.now)
        # Noted before it is sent: whether it has ended is seen by a run that may be another.
        add_expiries(self.credentials.account, [asked])
        error = self._refusal(asked, step, instance)
        if error is None:
            if step.operation == "delete_instance":
                note_going(self.credentials, expiry.id)
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
            guarded = self.hold.guarded(self.credentials, step.instance_id)
            _TASKS[step.operation](guarded, step.instance_id)
        except BarrackError as error:
            return why_refused(expiry, instance, str(error))
        return None


def _close(over: Sequence[Ending], account: str, now: datetime) -> None:
    """Tell of each that was ended that it is, and forget them all.

    A run that is cut off in between tells it again; for whoever keeps events it is the same one.
    """
    if not over:
        return
    for one in over:
        expiry = one.expiry
        if one.has_ended:
            what = f"{account} {expiry.id} {expiry.at.timestamp():.0f}"
            identity = uuid5(NAMESPACE_OID, what)
            emit("barrack.instance.expired", expiry.id, expiry.name, event_id=identity)
    drop_expiries(account, [one.expiry for one in over])
    drop_ended(account, {one.expiry.id for one in over if one.expiry.id}, now)


def warnings_due(
    credentials: BarrackCredentials, looked: Looked, warning: timedelta
) -> list[Reading]:
    """What people are to be told of ends that come, as they stand by now.

    Args:
        credentials: the account.
        looked: what the run has looked at.
        warning: how long before an end people are warned.
    """
    account = credentials.account
    return warnings_of(
        read_leases(account),
        looked.instances,
        looked.at,
        warning,
        keeping_link(credentials._block_document_name),
        credentials.protect,
        read_expiries(account),
    )


def note_told(
    account: str, looked: Looked, warning: timedelta, untold: Collection[str] = ()
) -> None:
    """Note that people know which leases end; what they were not told of stays as it is.

    Args:
        account: see `BarrackCredentials.account`.
        looked: what the run has looked at.
        warning: how long before an end people are warned.
        untold: keys of the warnings that nobody heard.
    """
    known = now_warned(read_leases(account), looked.instances, looked.at, warning, untold)
    note_warned(account, known, looked.at)


def seen_at_rest(account: str, id_: str, now: datetime) -> None:
    """Forget the ends that are over of a machine that was seen HIBERNATED.

    Who brings it back then may keep it, and no later run takes it for one that never ended.
    """
    ends = with_leases(read_expiries(account), read_leases(account), now)
    over = [e for e in ends if e.id == id_ and e.at <= now and e.how == "hibernate"]
    rested = [Finished("done" if e.asked else "already", "it is HIBERNATED") for e in over]
    _close([Ending(e, next_) for e, next_ in zip(over, rested, strict=True)], account, now)


def ends_before(account: str, ids: Collection[str]) -> list[str]:
    """Sentences about the ends of instances that were there already."""
    return [
        f"{one.name}: it is {one.how}d at {one.at:%Y-%m-%d %H:%M} UTC, as an earlier run set"
        for one in read_expiries(account)
        if one.id in ids
    ]


def said_of(endings: Iterable[Ending]) -> list[str]:
    """What was done, and what could not be, as sentences."""
    return [one.text for one in endings if isinstance(one.next, Step)]


def _prefix(account: str) -> str:
    return f"barrack_expiry_{account}_"
