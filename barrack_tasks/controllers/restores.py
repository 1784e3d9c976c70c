"""Restoring snapshots: what the flow needs of the account before, while and after."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any, Literal

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.api.models.rules import check_instance_name
from barrack_tasks.controllers.admission import (
    asked_of,
    caps_of,
    read_means,
    unjudged,
    work_within_caps,
)
from barrack_tasks.controllers.expiry import Ends
from barrack_tasks.controllers.guard import ask_approval
from barrack_tasks.controllers.money.bills import hardware_seen
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.money.caps import Caps, Means, Ruling, rulings
from barrack_tasks.plans.power.expiry import why_no_end
from barrack_tasks.plans.snapshots.restore import (
    Meant,
    OutOfStock,
    Restoring,
    WaitUntil,
    decide_restore,
    find_snapshots,
    hardware_needed,
    is_own,
    restored_names,
)
from barrack_tasks.plans.snapshots.restore_report import (
    Restored,
    RestoreReport,
    restored_of,
    rows_of_restores,
)
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
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import emit

TAKEN_UP = timedelta(days=1)
"""So long a name that was only reserved by a run that was cut off is kept for the next.

What was asked for is found by the next, however late it comes.
"""
_PROFILE_UNKNOWN = (
    "Whether the profile is complete (full name, billing address, postal code, country) cannot be "
    "checked beforehand: no operation of the API tells it."
)


@dataclass(frozen=True)
class Wanted:
    """What a run wants of all that it restores.

    Attributes:
        name: of the new instance; None for a name made of the snapshot's.
        wait_until: until the instance has its address, is ACTIVE, or not at all.
        out_of_stock: wait for the GPU within `timeout`, or stop.
        timeout: for one snapshot.
        caps: what may be spent, besides the account's own.
        expires: how long the new instance lives; None without an end.
        on_expiry: how it ends.
    """

    name: str | None
    wait_until: WaitUntil
    out_of_stock: OutOfStock
    timeout: timedelta
    caps: Caps | None
    expires: timedelta | None
    on_expiry: Literal["hibernate", "delete"]


class Restores:
    """The restores of one run, from their names to their report.

    Made for a block: names for which nothing was asked in the end are given back with it.

    Args:
        run: the run.
        hold: what it holds.
        snapshots: what is restored.
        wanted: what is wanted of all of them.
    """

    def __init__(self, run: Run, hold: Hold, snapshots: Sequence[Meant], wanted: Wanted) -> None:
        self._run = run
        self._hold = hold
        self._wanted = wanted
        self._until = until_when(run.account, wanted.wait_until)
        clock = run.account.get_client().now
        self._ends = Ends(run.account.account, wanted.expires, wanted.on_expiry, clock, hold)
        self._memory = NotedFirst(client=run.account.get_client(), note=self._note)
        self._snapshots = snapshots
        self._all: list[Restoring] = []
        self._began = now()

    def __enter__(self) -> Restores:
        account, wanted, dry_run = self._run.account, self._wanted, self._run.dry_run
        try:
            instances = list(account.get_client().instances.list())
            for meant in self._snapshots:
                self._all.append(begin(self._hold, meant, wanted.name, instances, dry_run))
            judged = with_problems(account, self._all, wanted.caps)
            self._all = with_ends(account, judged, wanted.expires, wanted.on_expiry)
        except BaseException:
            self._let_go()
            raise
        self._began = now()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def _let_go(self) -> None:
        """Give back the names for which nothing was asked.

        A run that failed before it asked has made nothing. Whatever has such a name later is
        somebody else's, and the next attempt must not take it for what this one made.
        """
        note_inherited(self._hold, self._all, self._memory)
        self._hold.let_go(
            one.key
            for one in self._all
            if not one.resumed and not self._memory.may_have_made(one.key)
        )

    def _note(self, key: str, at: datetime) -> None:
        self._ends.note([one.making(at) for one in self._all if one.key == key])

    def _targets(self) -> tuple[Target, ...]:
        return tuple(
            Target(one.key, one.name, self._began, resumed=one.resumed) for one in self._all
        )

    def _decide(self, world: World, moment: datetime) -> dict[str, Next]:
        by_key = {one.key: one for one in self._all}

        def step(target: Target) -> Next:
            return decide_restore(
                by_key[target.id],
                world,
                self._memory,
                self._until,
                self._wanted.out_of_stock,
                self._began,
                moment,
            )

        targets, timeout = self._targets(), self._wanted.timeout
        return decide_each(targets, step, self._memory, world, (), timeout, moment)

    def _look(self) -> World:
        share_snapshots(self._hold, self._all, self._memory)
        note_inherited(self._hold, self._all, self._memory)
        world = look(self._run.account, self._all, self._memory)
        note_up(self._all, world, self._memory, now())
        settle_ends(self._ends, self._all, self._memory)
        return world

    def planned(self) -> RestoreReport:
        """What would be done, and what stands against it; nothing is changed."""
        world = look(self._run.account, self._all, self._memory)
        plan = self._decide(world, self._began)
        rows = rows_of_restores(self._all, plan, world, self._memory)
        return RestoreReport(flow=self._run.flow, dry_run=True, rows=rows, notes=self._notes())

    def ask_approval(self) -> None:
        """Ask a person about what the caps want a person asked about; waits for the answer."""
        if any(one.to_approve for one in self._all):
            self._all = approved(self._all, self._decide(self._look(), self._began))
            self._began = now()

    def work(self, passed: Iterable[str] = ()) -> RestoreReport:
        """Restore all, each once and within the caps, and tell of each.

        Args:
            passed: notes on what the run did before.
        """
        world, plan = work_within_caps(
            self._run.account,
            self._hold,
            self._all,
            self._wanted.caps,
            self._targets(),
            self._memory,
            look=self._look,
            decide=self._decide,
            timeout=self._wanted.timeout,
            log=self._run.log,
        )
        restored = restored_of(self._all, plan, world, self._memory)
        tell_of(restored)
        rows = rows_of_restores(self._all, plan, world, self._memory)
        notes = (*self._notes(), *passed, *self._ends.told)
        return RestoreReport(flow=self._run.flow, rows=rows, notes=notes, restored=restored)

    def _notes(self) -> tuple[str, ...]:
        return notes_of(self._all, self._wanted.expires, self._wanted.on_expiry)


def snapshots_asked(account: BarrackCredentials, names: Sequence[str]) -> list[Meant]:
    """The snapshots of these names or ids.

    Raises:
        ValueError: some do not exist; names them all, with the nearest.
    """
    client = account.get_client()
    snapshots = list(client.snapshots.list())
    return find_snapshots(names, snapshots, client.now())


def until_when(account: BarrackCredentials, wait_until: WaitUntil) -> WaitUntil:
    """What can be waited for: where the dialect tells no address, that it is ACTIVE."""
    return "active" if wait_until == "address" and not tells_addresses(account) else wait_until


def tells_addresses(account: BarrackCredentials) -> bool:
    """Whether the dialect tells the addresses of instances."""
    return account.get_client().dialect.tells("UserVM", "public_ip")


def begin(
    hold: Hold, meant: Meant, name: str | None, instances: Sequence[UserVM], dry_run: bool
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
            "this instance a name"
        )
    snapshot = meant.snapshot
    source = next((i for i in instances if i.id == snapshot.instance_id), None)
    taken = {i.name for i in instances}
    if name is not None:
        since = _asked_before(hold, name)
        _refuse_what_is_gone(hold, name, taken)
        if since is None and not dry_run and name not in taken:
            hold.claim({lease_keys.restore(name): name})
        return Restoring(snapshot, name, source, since=since)
    # Before any name that is free now comes the one that an attempt before has asked for.
    known = len(hold.inherited) + len(hold.done) + len(taken) + 2
    for candidate in islice(restored_names(snapshot, meant.is_latest), known):
        if since := _asked_before(hold, candidate):
            _refuse_what_is_gone(hold, candidate, taken)
            return Restoring(snapshot, candidate, source, since=since)
    for candidate in restored_names(snapshot, meant.is_latest):
        if candidate not in taken and (
            dry_run or not hold.claim({lease_keys.restore(candidate): candidate})
        ):
            return Restoring(snapshot, candidate, source)
    raise AssertionError("names do not end")


def _refuse_what_is_gone(hold: Hold, name: str, taken: Collection[str]) -> None:
    """Refuse to make again what this very run has made, and somebody has deleted since.

    Raises:
        ValueError: that is so.
    """
    if lease_keys.restore(name) in hold.done and name not in taken:
        raise ValueError(
            f"snapshot: this run has made {name} already, and it is gone; start a new run to make "
            "another"
        )


def _asked_before(hold: Hold, name: str) -> datetime | None:
    """When an attempt before asked for an instance of this name, by the cloud's clock."""
    before = hold.inherited.get(lease_keys.restore(name))
    return before.asked if before is not None else hold.done.get(lease_keys.restore(name))


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
            f"The restored instances end after {said(expires)} ({on_expiry}), by the next run of "
            "end_expired."
        )
    for one in all_of_them:
        if one.hardware is None:
            notes.append(
                f"{one.name}: its instance is gone, so it is not known which GPU it needs, nor "
                "whether that GPU is in stock."
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
