"""Ending what was made for a time, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.alerts import Message, Reading
from barrack_tasks.plans.making import NOTHING_CAME, Making
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.power.drive import Manner, drive_down, hardware_of
from barrack_tasks.plans.report import Report, Row
from barrack_tasks.plans.steps import Finished, Next, Outcome, Step, Wait
from barrack_tasks.plans.world import World

AGAIN = timedelta(minutes=10)
"""So long after it was asked to end, accepted or refused, it is asked again."""
_STUCK = timedelta(hours=1)
"""So long an instance may be on its way before somebody is told."""
_IN_FULL = Manner(shutoff="hibernate")
_GOAL = {"hibernate": VMStatus.HIBERNATED, "delete": VMStatus.DELETED}


@dataclass(frozen=True)
class Expiry:
    """When an instance that was made for a time ends, and what was done about it.

    It is noted before the instance is asked for, by its name, and its id is filled in later.

    Attributes:
        id: of the instance; empty while that is not known.
        name: of the instance.
        at: when it ends.
        how: `hibernate` or `delete`; empty where an end is noted not to stand any more.
        asked: when the latest request was sent that is to end it; None if none was.
        asked_for: the operation of that request.
        trouble: why it has not ended all the same, if that is known.
        by: the request that made it, or brought it back; None in what an earlier release wrote.
        noted: when the earlier release wrote it, where that is known.
        writer: the attempt that noted it before it asked.
    """

    id: str
    name: str
    at: datetime
    how: str
    asked: datetime | None = None
    asked_for: str = ""
    trouble: str = ""
    by: Making | None = None
    noted: datetime | None = None
    writer: str = ""

    @property
    def key(self) -> str:
        """By which it is remembered: the id, or the name as long as that is all there is."""
        return self.id or f"name:{self.name}"


@dataclass(frozen=True)
class Ending:
    """An expiry, what it needs next, and why that was refused if it was."""

    expiry: Expiry
    next: Next
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether it was seen ended, or is no business of this any more: it may be forgotten.

        A request that was accepted ends nothing yet: what it began may fail.
        """
        return isinstance(self.next, Finished) and self.next.outcome != "failed"

    @property
    def has_ended(self) -> bool:
        """Whether it is over because it was ended."""
        return isinstance(self.next, Finished) and self.next.outcome == "done"

    @property
    def trouble(self) -> str:
        """Why it has not ended, if that is more than that it takes its time."""
        if self.error or self.is_over:
            return self.error
        return self.next.why if isinstance(self.next, Finished) else self.expiry.trouble

    @property
    def text(self) -> str:
        """One sentence of what was done, or of why it could not be."""
        if self.error:
            return f"{self.expiry.name}: its time is over, and it could not be ended: {self.error}"
        did = self.next.operation.replace("_", " ") if isinstance(self.next, Step) else ""
        again = f"; {self.expiry.trouble}" if self.expiry.trouble else ""
        return f"{self.expiry.name}: its time was over: {did}{again}"


def check_end(expires: timedelta | None, on_expiry: str, example: str = "expires='8h'") -> None:
    """Refuse a way to end where there is no end: it would look as if there were one.

    Args:
        expires: when it ends.
        on_expiry: how it ends.
        example: how an end is written, where it is written.

    Raises:
        ValueError: there is none.
    """
    if expires is None and on_expiry == "delete":
        raise ValueError(
            f"on_expiry: without `expires` nothing ends; give it as well, such as {example}"
        )


def with_id(expiry: Expiry, instances: Iterable[UserVM]) -> Expiry:
    """The same, with the id of the instance if one of these surely is what was asked for."""
    if expiry.id or expiry.by is None:
        return expiry
    made = next((i.id for i in instances if expiry.by.has_made(i)), "")
    return replace(expiry, id=made)


def decide_ending(
    expiry: Expiry,
    world: World,
    protected: bool,
    holder: str | None,
    now: datetime,
    cloud_now: datetime | None = None,
) -> Next:
    """What the end of one instance needs next.

    Only the instance that was made is ended: same id and same name. What is SHUTOFF is billed in
    full, and so is started in order to hibernate it. It has ended once it was seen to; whoever
    brings it back after that may keep it. What existed before it was asked for is never deleted.

    Args:
        expiry: of the instance.
        world: as observed; `gone` holds the instance if it may be forgotten.
        protected: whether it is protected.
        holder: which run works on it, if one does.
        now: zone-aware.
        cloud_now: the same by the cloud's clock; None if the cloud was not asked.
    """
    if not expiry.id:
        return _unless_it_shows(expiry, world, protected, cloud_now)
    instance = world.instances.get(expiry.id)
    if now < expiry.at:
        return Wait(f"it ends at {_moment(expiry.at)}")
    ended: Outcome = "already" if expiry.asked is None else "done"
    if expiry.id in world.gone or (instance and instance.status is VMStatus.DELETED):
        return Finished(ended, "it is gone")
    if instance is None:
        return Wait("it is missing from the list of instances")
    if instance.name != expiry.name:
        return Finished("skipped", f"it is called {instance.name} now, and is left alone")
    if expiry.how == "hibernate" and instance.status is VMStatus.HIBERNATED:
        return Finished(ended, "it is HIBERNATED")
    if protected:
        return Wait("its time is over, and it is protected")
    if expiry.how == "delete" and _was_there_before(expiry, instance):
        return Finished("failed", _OLDER)
    if holder is not None:
        return Wait(f"{holder} is working on it")
    if instance.status.leads_to is _GOAL[expiry.how]:
        return _on_its_way(expiry, instance, now)
    return _unless_just_asked(expiry, instance, _step(expiry, instance, world, now), now)


def _unless_it_shows(
    expiry: Expiry, world: World, protected: bool, cloud_now: datetime | None
) -> Next:
    """What becomes of an end whose instance no list has shown for certain."""
    by = expiry.by
    if by is None or cloud_now is None:
        return Wait(f"it ends at {_moment(expiry.at)}")
    named = world.by_name.get(expiry.name)
    if named is not None and not protected and not by.was_before(named):
        return Finished("failed", by.why_unclear(named))
    if cloud_now >= by.asked + NOTHING_CAME:
        return Finished("skipped", "the request created no instance, so there is nothing to end")
    return Wait(f"it was requested at {_moment(by.asked)}, and no list shows it yet")


def _was_there_before(expiry: Expiry, instance: UserVM) -> bool:
    """Whether an instance existed before anything asked for its end, as far as can be told.

    What the earlier release wrote tells only when it was written. It wrote it at once, and of a
    restore at most a day later, when a run took up one that was cut off.
    """
    if expiry.by is not None:
        return expiry.by.was_before(instance)
    made = instance.created_at
    if made is None or expiry.noted is None:
        return False
    may_be_restored = instance.boot_source in (None, "snapshot")
    return made < expiry.noted - (timedelta(days=1) if may_be_restored else timedelta(hours=1))


_OLDER = (
    "it existed before its end was set, so it is not deleted; delete it by hand, or protect it if "
    "it is to stay"
)


def _step(expiry: Expiry, instance: UserVM, world: World, now: datetime) -> Next:
    failed = instance.status is VMStatus.ERROR and expiry.asked is not None
    if expiry.how == "delete" or failed:
        # It may be in ERROR because it was asked to hibernate: whether it can be asked again is
        # for the API to say.
        operation = f"{expiry.how}_instance"
        return Step(operation, expiry.id, expiry.name, {"instance_id": expiry.id})
    target = Target(expiry.id, expiry.name, now, instance)
    return drive_down(target, world, Memory(), _IN_FULL)


def _on_its_way(expiry: Expiry, instance: UserVM, now: datetime) -> Next:
    if expiry.asked is None or now < expiry.asked + _STUCK:
        return Wait(f"it is {instance.status}")
    why = f"{_since(expiry, instance)} still; look at it in the dashboard"
    return Finished("failed", why)


def _unless_just_asked(expiry: Expiry, instance: UserVM, next_: Next, now: datetime) -> Next:
    """The same, but for what was asked less than `AGAIN` ago; that takes its time.

    One that was asked to end, was not seen at rest, and is ACTIVE may never have begun to rest, or
    a person may have brought it back within these minutes: that cannot be told apart. It was
    made to end at its time and is billed, so it is asked again, and the report says so. Whoever
    wants to keep it protects it.
    """
    if not isinstance(next_, Step) or expiry.asked is None or now >= expiry.asked + AGAIN:
        return next_
    if expiry.asked_for == "start_instance" and next_.operation == "hibernate_instance":
        return next_  # it was started for that
    why = expiry.trouble or _since(expiry, instance)
    return Wait(f"{why}; the request is repeated at {_moment(expiry.asked + AGAIN)}")


def as_asked(expiry: Expiry, step: Step, instance: UserVM, now: datetime) -> Expiry:
    """The expiry once a step is sent. That it was asked before and did not end is trouble."""
    trouble = expiry.trouble
    if expiry.asked is not None and expiry.asked_for == step.operation:
        trouble = f"{_since(expiry, instance)}; the request was repeated at {_moment(now)}"
    return replace(expiry, asked=now, asked_for=step.operation, trouble=trouble)


def why_not_asked(
    expiry: Expiry, instance: UserVM, unable: frozenset[tuple[str, int]]
) -> str | None:
    """Why asking it to hibernate is of no use; None if it may be.

    Args:
        expiry: of the instance.
        instance: as it is.
        unable: flavors, as GPU model and count, that cannot hibernate.
    """
    hardware = hardware_of(instance)
    if expiry.how != "hibernate" or hardware is None or hardware not in unable:
        return None
    return f"{cannot_hibernate(hardware)}, and it stays {instance.status} and billed; {_BY_HAND}"


def cannot_hibernate(hardware: tuple[str, int]) -> str:
    """The beginning of a sentence: which flavor cannot hibernate."""
    model, count = hardware
    return f"{count}x {model} cannot hibernate"


def why_no_end(hardware: tuple[str, int]) -> str:
    """Why what is not made yet could not be ended by hibernating it."""
    return (
        f"{cannot_hibernate(hardware)}, so it could not be ended when its time is over; "
        "use on_expiry='delete', or leave out expires"
    )


def why_refused(expiry: Expiry, instance: UserVM, error: str) -> str:
    """What a person reads when the API refuses to end an instance: the API's words, and what next.

    Args:
        expiry: of the instance.
        instance: as it is.
        error: what the API said.
    """
    if expiry.how == "delete":
        return error
    state = "it is in ERROR: " if instance.status is VMStatus.ERROR else ""
    return f"{state}{error} If it cannot hibernate: {_BY_HAND}"


_BY_HAND = "take a snapshot of it, and delete it"


def _since(expiry: Expiry, instance: UserVM) -> str:
    asked = expiry.asked or expiry.at
    return (
        f"it was asked to {expiry.asked_for.removesuffix('_instance')} at {_moment(asked)} "
        f"and is {instance.status}"
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def readings_of(endings: Iterable[Ending]) -> list[Reading]:
    """One line an instance, crossed while it could not be ended."""
    return [
        Reading(
            one.expiry.key,
            bool(one.trouble),
            not one.trouble,
            f"{one.expiry.name} could not be ended: {one.trouble}"
            if one.trouble
            else f"{one.expiry.name} {'has ended' if one.is_over else 'is being ended'}",
        )
        for one in endings
    ]


def known_of(endings: Iterable[Ending], told: Iterable[Message]) -> frozenset[str]:
    """Keys of those whose trouble people were told of before this run."""
    news = {message.key for message in told if message.kind in ("crossed", "reminder")}
    return frozenset(one.expiry.key for one in endings if one.expiry.key not in news)


def rows_of_endings(
    endings: Iterable[Ending],
    instances: Mapping[str, UserVM],
    dry_run: bool = False,
    known: frozenset[str] = frozenset(),
) -> tuple[Row, ...]:
    """One row an instance whose time is over or comes.

    Args:
        endings: what becomes of each.
        instances: by id.
        dry_run: whether nothing was done.
        known: keys of those whose trouble people were told of before: no failure of this run.
    """
    return tuple(
        _row(one, instances.get(one.expiry.id), dry_run, one.expiry.key in known) for one in endings
    )


def _row(one: Ending, instance: UserVM | None, dry_run: bool, is_known: bool) -> Row:
    outcome: Outcome = "skipped"
    why = "" if isinstance(one.next, Step) else one.next.why
    did: tuple[str, ...] = ()
    if isinstance(one.next, Step):
        outcome, why = "done", f"its time was over at {_moment(one.expiry.at)}"
        if dry_run:
            outcome = "planned"
        if not one.error:
            did = (one.next.operation.replace("_", " "),)
    elif isinstance(one.next, Finished):
        outcome = one.next.outcome
    if one.trouble and not dry_run:
        if not isinstance(one.next, Wait):
            why = one.trouble
        elif one.trouble not in why:
            why = f"{one.trouble}; {why}"
        if not is_known:
            outcome = "failed"
        elif not did:
            outcome, why = "skipped", f"as before: {why}"
    status = str(instance.status) if instance else "-"
    return Row(
        instance_id=one.expiry.id,
        instance=one.expiry.name,
        public_ip=instance.address if instance else None,
        was=status,
        did=did,
        now=status,
        outcome=outcome,
        why=why,
        hourly_before=instance.hourly_price if instance else None,
        currency=str(instance.currency) if instance and instance.currency else None,
    )


class EndingsReport(Report):
    """One row an instance that was made for a time."""

    @property
    def noun(self) -> str:
        """What the rows are about."""
        return "instances with an end"
