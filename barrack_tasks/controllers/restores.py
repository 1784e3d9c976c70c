"""Restoring snapshots: what the flow needs of the account before, while and after."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.api.models import Snapshot, UserVM, VMStatus
from barrack_tasks.api.models.rules import check_instance_name
from barrack_tasks.controllers.admission import asked_of, caps_of, read_means, unjudged
from barrack_tasks.controllers.expiry import Ends
from barrack_tasks.controllers.guard import ask_approval
from barrack_tasks.controllers.money.bills import hardware_seen
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.events import emit
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.money.caps import Caps, Means, Ruling, rulings
from barrack_tasks.plans.power.expiry import why_no_end
from barrack_tasks.plans.snapshots.restore import (
    Restoring,
    WaitUntil,
    hardware_needed,
    is_own,
    key_of,
    restored_names,
)
from barrack_tasks.plans.snapshots.restore_report import Restored
from barrack_tasks.plans.steps import Finished, Next, Step
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.observe import (
    flavors_that_cannot_hibernate,
    is_unable,
    observe,
    with_stock,
)

TAKEN_UP = timedelta(days=1)
"""So long a name that was only reserved by a run that was cut off is kept for the next.

What was asked for is found by the next, however late it comes.
"""
_PROFILE_UNKNOWN = (
    "Whether the profile is complete (full name, billing address, postal code, country) is not "
    "known before: no operation tells."
)


def until_when(account: BarrackCredentials, wait_until: WaitUntil) -> WaitUntil:
    """What can be waited for: where the dialect tells no address, that it is ACTIVE."""
    return "active" if wait_until == "address" and not tells_addresses(account) else wait_until


def tells_addresses(account: BarrackCredentials) -> bool:
    """Whether the dialect tells the addresses of instances."""
    return account.get_client().dialect.tells("UserVM", "public_ip")


def begin(
    hold: Hold, snapshot: Snapshot, name: str | None, instances: Sequence[UserVM], dry_run: bool
) -> Restoring:
    """Choose the name of the new instance, and hold it, so that no other run takes it.

    A run that was cut off, or that failed, has held its name already. What it has asked for under
    that name is this run's own; a name that it only held is like any other. So is what this very
    run has made before, if Prefect repeats it although it was done.

    Raises:
        ValueError: another run is at the same at this moment, or this very run has made it before
            and it is gone.
    """
    if not dry_run and hold.rival:
        raise ValueError(
            f"snapshot: {hold.rival} is restoring the same at this moment; wait for it, or give "
            "this one a name"
        )
    source = next((i for i in instances if i.id == snapshot.instance_id), None)
    taken = {i.name for i in instances}
    if name is not None:
        since = _asked_before(hold, name)
        _refuse_what_is_gone(hold, name, taken)
        if since is None and not dry_run and name not in taken:
            hold.claim({key_of(name): name})
        return Restoring(snapshot, name, source, since=since)
    for candidate in restored_names(snapshot):
        if since := _asked_before(hold, candidate):
            _refuse_what_is_gone(hold, candidate, taken)
            return Restoring(snapshot, candidate, source, since=since)
        if candidate not in taken and (dry_run or not hold.claim({key_of(candidate): candidate})):
            return Restoring(snapshot, candidate, source)
    raise AssertionError("names do not end")


def _refuse_what_is_gone(hold: Hold, name: str, taken: Collection[str]) -> None:
    """Refuse to make again what this very run has made, and somebody has deleted since.

    Raises:
        ValueError: that is so.
    """
    if key_of(name) in hold.done and name not in taken:
        raise ValueError(
            f"snapshot: this run has made {name} already, and it is gone; start a new run to make "
            "another"
        )


def _asked_before(hold: Hold, name: str) -> datetime | None:
    """When an attempt before asked for an instance of this name, by the cloud's clock."""
    before = hold.inherited.get(key_of(name))
    return before.asked if before is not None else hold.done.get(key_of(name))


@dataclass
class NotedFirst(Memory):
    """The memory of a run that makes instances: each request is noted before it is sent.

    A run may end at any moment after that, and what it made is found by its name.
    """

    client: Barrack | None = None
    note: Callable[[str, datetime], None] = lambda _, __: None
    """Is told the key of what is made, and when it is asked for by the cloud's clock."""

    def begin(self, step: Step, at: datetime | None = None) -> None:
        """Note that a step is being sent."""
        if step.operation == "restore_snapshot" and self.client is not None:
            self.sent[step.instance_id] = self.client.now()
            self.note(step.instance_id, self.sent[step.instance_id])
        super().begin(step, at)


@contextmanager
def letting_go(hold: Hold, all_of_them: Iterable[Restoring], memory: Memory) -> Iterator[None]:
    """Give back, in the end, the names for which nothing was asked.

    A run that failed before it asked has made nothing. Whatever has such a name later is somebody
    else's, and the next attempt must not take it for what this one made.
    """
    try:
        yield
    finally:
        known = list(all_of_them)
        note_inherited(hold, known, memory)
        hold.let_go(o.key for o in known if not o.resumed and not memory.may_have_made(o.key))


def note_inherited(hold: Hold, all_of_them: Iterable[Restoring], memory: Memory) -> None:
    """Note what runs that were cut off have asked for, also those that were at it meanwhile.

    A run that was stopped for longer than its lease may find when it goes on that another has
    asked for the same, and was cut off: that is this run's own now.
    """
    for one in all_of_them:
        asked = _asked_before(hold, one.name)
        if asked is not None and not one.resumed and not memory.may_have_made(one.key):
            memory.unknown_since[one.key] = asked
            memory.taken_up[one.key] = now()


def with_problems(
    account: BarrackCredentials,
    all_of_them: Iterable[Restoring],
    caps: Caps | Mapping[str, Any] | None,
) -> list[Restoring]:
    """The same, each with everything that stands against it, found before anything is sent."""
    against = caps_of(account, caps)
    known = with_hardware(account, all_of_them)
    # What no cap needs is read for the report alone, and may be missing.
    also = {"list_instances"} | ({"get_pricing"} if any(o.hardware for o in known) else set())
    try:
        means = read_means(account, against, also)
    except BarrackError as error:
        why = f"it cannot be judged, so it may not begin: {error}"
        return [replace(one, problems=(why,)) for one in known]
    found = []
    there = {i.name for i in means.instances}
    for one in known:
        with_reasons, after = judged(one, against, means)
        if one.resumed and one.name in there:
            # It is among the means already, and nothing is asked for it that a cap could forbid.
            found.append(replace(with_reasons, problems=(), to_approve=()))
            continue
        means = after
        found.append(with_reasons)
    return found


def with_hardware(account: BarrackCredentials, all_of_them: Iterable[Restoring]) -> list[Restoring]:
    """The same, each with the GPU that it needs, as far as anything tells.

    The instance does while it is there; then the description of a snapshot that this library
    took, or what this library remembers of what it saw.
    """

    @cache
    def seen() -> Mapping[str, tuple[str, int]]:
        return hardware_seen(account.account)

    return [
        replace(one, hardware=hardware_needed(one.snapshot, one.source, seen))
        for one in all_of_them
    ]


def with_ends(
    account: BarrackCredentials,
    all_of_them: Iterable[Restoring],
    expires: timedelta | None,
    on_expiry: str,
) -> list[Restoring]:
    """The same, each with what stands against its end, as far as flavor and source tell."""
    known = list(all_of_them)
    if expires is None or on_expiry != "hibernate":
        return known
    unable = flavors_that_cannot_hibernate(account)
    found = []
    for one in known:
        hardware = one.hardware
        if hardware is not None and (
            hardware in unable or (one.source is not None and is_unable(account, one.source.id))
        ):
            one = replace(one, problems=(*one.problems, why_no_end(hardware)))
        found.append(one)
    return found


def unattended(all_of_them: Iterable[Restoring]) -> list[Restoring]:
    """The same, where nobody can be asked: what needs approval is refused."""
    return [
        replace(
            one,
            problems=Ruling(one.problems, one.to_approve).unattended("approve"),
            to_approve=(),
        )
        for one in all_of_them
    ]


def approved(all_of_them: Iterable[Restoring], plan: Mapping[str, Next]) -> list[Restoring]:
    """The same once a person was asked, in one question, for all that would go ahead.

    Args:
        all_of_them: the restores.
        plan: what each needs next; what has failed already, or is there, asks nobody.
    """
    asking = [o for o in all_of_them if o.to_approve and not isinstance(plan[o.key], Finished)]
    if not asking:
        return list(all_of_them)
    is_granted = ask_approval("; ".join(why for one in asking for why in one.to_approve))
    keys = {one.key for one in asking}
    return [
        replace(one, problems=(*one.problems, *(f"a person said no: {w}" for w in one.to_approve)))
        if one.key in keys and not is_granted
        else one
        for one in all_of_them
    ]


def judged(one: Restoring, caps: Sequence[Caps], means: Means) -> tuple[Restoring, Means]:
    """A restore with price and all that stands against it, and the means once it has begun."""
    problems = []
    try:
        check_instance_name(one.name)
    except ValueError as error:
        problems.append(f"invalid name format: {error}")
    asked = asked_of(one)
    ruling = rulings(caps, asked, means)
    problems += ruling.refused
    price = means.price_of(asked)
    judged_one = replace(
        one,
        hourly_price=price,
        currency=(means.currency or None) if price is not None else None,
        problems=tuple(problems),
        to_approve=ruling.to_approve,
        unjudged=unjudged(means),
    )
    return judged_one, means if problems else means.with_begun(asked)


def share_snapshots(hold: Hold, all_of_them: Iterable[Restoring], memory: Memory) -> None:
    """Use the snapshots that are restored, so that no other run deletes them meanwhile.

    A snapshot that another run is deleting at this moment is waited for: what becomes of it shows.
    """
    keys = {one.snapshot.id: one.key for one in all_of_them}
    refused = hold.share_snapshots(keys)
    memory.held_by.update({keys[id_]: by for id_, by in refused.items()})


def notes_of(
    all_of_them: Iterable[Restoring], expires: timedelta | None, on_expiry: str
) -> tuple[str, ...]:
    """What cannot be known before, whom it will be asked of, and how long it lasts."""
    notes = [_PROFILE_UNKNOWN, *dict.fromkeys(o.unjudged for o in all_of_them if o.unjudged)]
    if expires is not None:
        notes.append(
            f"What is made ends after {said(expires)}: {on_expiry}, by the next run of end_expired."
        )
    for one in all_of_them:
        if one.hardware is None:
            notes.append(
                f"{one.name}: which GPU it needs is not known, so neither is whether that is in "
                "stock: its instance is gone, and nothing tells."
            )
            if expires is not None and on_expiry == "hibernate":
                notes.append(
                    f"{one.name}: whether it can hibernate is not known either; if it cannot, it "
                    "stays billed after its time, and end_expired alerts."
                )
        notes += [f"A person is asked: {why}." for why in one.to_approve]
    return tuple(notes)


def look(account: BarrackCredentials, all_of_them: Sequence[Restoring], memory: Memory) -> World:
    """The account now, with its stock; what was made and is missing is asked for by id.

    What an attempt before has made, or one whose answer was lost, is noted as made.
    """
    made = [memory.made[one.key] for one in all_of_them if memory.made.get(one.key)]
    snapshots = {one.key: one.snapshot.id for one in all_of_them}
    world = observe(account, made, snapshots)
    by_name = {i.name: i for i in world.instances.values()}
    for one in all_of_them:
        there = by_name.get(one.name)
        asked = one.key not in memory.made and one.key not in memory.under_way
        if asked and there is not None and is_own(one, there, memory):
            memory.made[one.key] = there.id
    waiting = any(one.key not in memory.made for one in all_of_them)
    return with_stock(account, world) if waiting else world


def note_up(all_of_them: Iterable[Restoring], world: World, memory: Memory, now: datetime) -> None:
    """Note when what was made is first seen ACTIVE: from then on it is paid for."""
    for one in all_of_them:
        there = world.instances.get(memory.made.get(one.key, ""))
        if there is not None and there.status is VMStatus.ACTIVE:
            memory.up_at.setdefault(one.key, now)


def settle_ends(ends: Ends, all_of_them: Iterable[Restoring], memory: Memory) -> None:
    """Note the ids of what was made, by which it ends, and that nothing ends where nothing was."""
    for one in all_of_them:
        if made := memory.made.get(one.key):
            asked = one.since or memory.unknown_since.get(one.key)
            ends.made(one.name, made, one.making(asked) if asked else None)
        elif not memory.may_have_made(one.key):
            ends.not_made(one.name, one.key)


def tell_of(restored: Iterable[Restored]) -> None:
    """Emit the events."""
    for one in restored:
        payload: dict[str, Any] = {
            "snapshot": one.snapshot,
            "new": one.id,
            "old": one.old_id,
            "address": one.address,
            "hourly_price": None if one.hourly_price is None else str(one.hourly_price),
            "currency": one.currency,
            "billed_since": one.billed_since.isoformat() if one.billed_since else None,
            "seconds": None if one.took is None else int(one.took.total_seconds()),
        }
        related = {"new": one.id, **({"old": one.old_id} if one.old_id else {})}
        emit(
            "barrack.snapshot.restored",
            one.snapshot_id,
            one.snapshot,
            related=related,
            payload=payload,
        )
