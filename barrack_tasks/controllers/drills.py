"""Drills: what is remembered of them, probes, and ending what a crashed run left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.controllers import restores
from barrack_tasks.controllers.admission import work_within_caps
from barrack_tasks.controllers.expiry import end_due, said_of
from barrack_tasks.controllers.proofs import (
    Open,
    drop_open,
    note_tries,
    open_prefix,
    read_open,
    read_proofs,
    write_open,
    write_proofs,
)
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.making import NOTHING_CAME, TAKES_EFFECT, Making
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.selection import Called, Selector
from barrack_tasks.plans.snapshots.drill import (
    TO_DELETE,
    Drills,
    Probe,
    Proof,
    can_be_probed,
    choose,
    decide_drills,
    drill_name,
    of_each_instance,
    verdict_of,
    whose,
    with_cost_cap,
)
from barrack_tasks.plans.snapshots.drill_report import ages_of, readings_of_proofs
from barrack_tasks.plans.snapshots.prune import sources_of
from barrack_tasks.plans.snapshots.restore import LISTS_LAG, Restoring
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.alerts import Alarms, scope_of
from barrack_tasks.runtime.leases import Hold, holding
from barrack_tasks.runtime.loop import Log, now
from barrack_tasks.runtime.observe import confirmed_gone, is_gone
from barrack_tasks.runtime.withdrawing import Notes
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.tasks.instances import delete_instance

_TIDY = timedelta(minutes=3)
_AGAIN = 1.0
_CONNECT = 3.0


def tidy_in_passing(
    account: BarrackCredentials, run: str, by: str, now: Callable[[], datetime], log: Log
) -> dict[str, str]:
    """The same as `tidy` from another flow: only if no drill is at work, and waiting for nothing.

    Args:
        account: whose.
        run: id of the run.
        by: what a person calls it.
        now: the clock.
        log: of the run.
    """
    if not read_open(account.account):
        return {}
    # A hold of its own, given back at once: a drill need not wait for the rest of this run.
    with holding(account.account, f"{run}tidy", by) as hold:
        if hold.claim({lease_keys.DRILL: "drill"}):
            return {}
        return tidy(account, hold, now, log, patience=timedelta(0))


def clear_up(run: Run, hold: Hold) -> tuple[str, ...]:
    """End what is due to end, and what drills have left behind; notes on it."""
    endings = end_due(run.account, hold, run.log).endings
    left = tidy_in_passing(run.account, run.id, run.name, now, run.log)
    return (*said_of(endings), *left.values())


def tidy(
    account: BarrackCredentials,
    hold: Hold,
    now: Callable[[], datetime],
    log: Log,
    never: Sequence[str] = (),
    sleep: Callable[[float], None] = time.sleep,
    patience: timedelta = _TIDY,
) -> dict[str, str]:
    """End what drills left behind when they were cut off; sentences about what may stay, by name.

    Only what a drill surely made is ended: its id stands in the record of a run, or else its age
    and kind are those of what was asked for, and it has the name that was asked for still. What a
    person has renamed is told of once, and forgotten. What is doubtful, and what is
    protected, stays as it is and on record, and is told of each time. Lists may lag, so what a run
    may have asked for is waited for, and stays on record for a day.

    Args:
        account: whose.
        hold: of the run; what is ended is held while it is asked for.
        now: the clock.
        log: of the run.
        never: names, globs and ids of instances that are left alone, besides the account's own.
        sleep: waits so many seconds.
        patience: so long deletions are waited for; what is not gone by then stays on record.
    """
    before = read_open(account.account)
    run = _Tidying(account, hold, log, (*never, *account.protect), dict(before))
    began = now()
    while run.left:
        waits = run.go_over(is_settled=now() - began > LISTS_LAG)
        if not waits or now() >= began + patience:
            break
        sleep(_AGAIN)
    drop_open(account.account, before.keys() - run.left.keys())
    told = {**run.staying, **run.renamed}
    for sentence in told.values():
        log.warning("%s", sentence)
    return told


@dataclass
class _Tidying:
    """What one run does about what drills left behind."""

    account: BarrackCredentials
    hold: Hold
    log: Log
    never: Sequence[str]
    left: dict[str, Open]
    asked: dict[str, str] = field(default_factory=dict)
    """Ids of what the API has accepted to delete, by the keys of the records."""
    staying: dict[str, str] = field(default_factory=dict)
    """Why something may be left still, by the same."""
    renamed: dict[str, str] = field(default_factory=dict)
    """What a person has given another name, by the same."""

    def go_over(self, is_settled: bool) -> bool:
        """Go over all that may be left, once; whether there is anything to wait for.

        Args:
            is_settled: whether lists show by now what was asked for before this run began.
        """
        listed = list(self.account.get_client().instances.list())
        ids = {i.id: i for i in listed}
        names = {i.name: i for i in listed}
        known = [record.id for record in self.left.values() if record.id]
        gone = confirmed_gone(self.account, known, ids)
        waits = False
        for key, record in list(self.left.items()):
            there = ids.get(record.id) if record.id else names.get(key)
            if there is not None:
                waits |= self._end(key, record, there)
            elif key in self.asked:
                # It was accepted, no list shows it, and the API does not know it.
                if is_gone(self.account, self.asked[key]):
                    del self.left[key]
                else:
                    waits = True
            elif record.id in gone or (not record.id and self._came_to_nothing(record)):
                del self.left[key]
            else:
                waits |= not is_settled
                self.staying[key] = (
                    f"{key}: a drill requested it at {record.since:%Y-%m-%d %H:%M} UTC and was cut "
                    "off, and no list shows it; the next run looks for it again"
                )
            if key not in self.left:
                self.staying.pop(key, None)
        return waits

    def _came_to_nothing(self, record: Open) -> bool:
        return self.account.get_client().now() >= record.since + NOTHING_CAME

    def _end(self, key: str, record: Open, there: UserVM) -> bool:
        """Delete what surely is a drill's; whether it is waited for."""
        self.staying.pop(key, None)
        if key in self.asked:
            return True
        name = record.name or (key if key != record.id else "")
        by = Making(name, record.since, "snapshot")
        owner = "ours" if record.id else whose(by, there, record.by_worker)
        if owner == "another's":
            del self.left[key]
        elif name and there.name != name:
            del self.left[key]
            self.renamed[key] = (
                f"{name}: a drill left it behind; it is called {there.name} now, and is left alone"
            )
        elif not name:
            self.staying[key] = (
                f"{there.name}: a drill may have left it behind, and its original name is not "
                "known, so it stays; delete it by hand"
            )
        elif is_protected(self.never, there.id, there.name):
            self.staying[key] = (
                f"{there.name}: a drill left it behind, and it is protected, so it stays"
            )
        elif owner == "unclear":
            self.staying[key] = f"{there.name}: {by.why_unclear(there)}"
        else:
            return self._delete(key, there)
        return False

    def _delete(self, key: str, there: UserVM) -> bool:
        with self.hold.briefly({there.id: there.name}) as refused:
            if refused:
                self.staying[key] = (
                    f"{there.name}: a drill left it behind, and {refused[there.id]} is working on "
                    "it"
                )
                return False
            try:
                delete_instance(self.hold.guarded(self.account, there.id), there.id)
            except BarrackError as error:
                # One that cannot be deleted holds up nothing else.
                self.staying[key] = (
                    f"{there.name}: a drill left it behind, and it cannot be deleted; the next run "
                    f"tries again: {error}"
                )
                return False
        self.log.warning(
            "%s: a drill that was cut off left it behind, and it is deleted", there.name
        )
        self.asked[key] = there.id
        return True


@dataclass(frozen=True)
class Fleet:
    """The snapshots that a run may prove, and what is known of them.

    Attributes:
        snapshots: the newest ready ones, by the id of their instance.
        known: instances, and sources of snapshots, by which lists name them.
        sources: the instances, by id.
        within: how old a proof may be.
    """

    account: str
    selector: Selector
    snapshots: Mapping[str, list[Snapshot]]
    known: list[Called]
    sources: Mapping[str, UserVM]
    within: timedelta

    @classmethod
    def observed(cls, run: Run, selector: Selector, within: timedelta) -> Fleet:
        """The account now.

        Raises:
            SelectionError: nothing is selected, or a name matches nothing.
            BarrackError: the account cannot be read.
        """
        client = run.account.get_client()
        listed = list(client.snapshots.list())
        sources = {i.id: i for i in client.instances.list()}
        snapshots = of_each_instance(selector, listed, list(sources.values()), run.never)
        known: list[Called] = [*sources.values(), *sources_of(listed)]
        return cls(run.account.account, selector, snapshots, known, sources, within)

    def picked(self, at_most: int) -> list[Snapshot]:
        """What is proven in this run."""
        return choose(self.snapshots, self.proofs(), at_most, self.within, now())

    def drills_of(
        self,
        run: Run,
        picked: Iterable[Snapshot],
        caps: Caps | None,
        timeout: timedelta,
        max_cost: Decimal | None,
    ) -> list[Restoring]:
        """The drills of the snapshots that were picked, judged by the caps and by their cost."""
        drills = [
            Restoring(s, drill_name(s), self.sources.get(s.instance_id or "")) for s in picked
        ]
        judged = restores.unattended(restores.with_problems(run.account, drills, caps))
        return with_cost_cap(judged, timeout, max_cost)

    def _names(self) -> dict[str, str]:
        return {i.id: i.name for i in self.sources.values()}

    def proofs(self) -> dict[str, Proof]:
        """What was proven so far, by the id of the instance."""
        return read_proofs(self.account)

    def ages(self, proofs: Mapping[str, Proof]) -> tuple[tuple[str, str, str], ...]:
        """How old snapshots and proofs are."""
        return ages_of(self.snapshots, proofs, now(), self._names())

    def readings(self, proofs: Mapping[str, Proof], left: Mapping[str, str]) -> list[Reading]:
        """What people are told of: instances without a proof, and what drills have left."""
        found = readings_of_proofs(self.snapshots, proofs, self.within, now(), self._names())
        return [*found, *(Reading(f"left {name}", True, False, why) for name, why in left.items())]

    def alarms(self, run: Run, notify: Iterable[str]) -> Alarms:
        """Who was told of which instance, by runs with the same selection."""
        scope = scope_of([self.selector.model_dump_json(), str(self.within)], notify)
        return run.alarms("proof", scope)


class Drilling:
    """The drills of one run, from the request to the end of the temporary instances.

    Args:
        run: the run.
        hold: what it holds.
        chosen: the drills.
        probe: what must answer.
        timeout: for one instance to come up and answer.
    """

    def __init__(
        self,
        run: Run,
        hold: Hold,
        chosen: Sequence[Restoring],
        probe: Probe | None,
        timeout: timedelta,
    ) -> None:
        self.chosen = chosen
        self.began = now()
        self.world = World()
        self._run = run
        self._hold = hold
        self._probe = probe
        self._timeout = timeout
        self._drills = Drills()
        self._notes = notes_of_drills(run.account.account, hold)
        self._names = {one.key: one.name for one in chosen}
        self.memory = restores.NotedFirst(client=run.account.get_client(), note=self._note)

    def _note(self, key: str, asked: datetime) -> None:
        open_record(self._run.account.account, self._notes, self._names[key], asked)

    def planned(self) -> Mapping[str, Next]:
        """What would be done; nothing is changed."""
        self.world = self._look()
        return self._decide(self.world, now())

    def work(self, caps: Caps | None) -> Mapping[str, Next]:
        """Carry the drills out, within the caps; what became of each."""
        if not self.chosen:
            return self.planned()
        account = self._run.account
        note_tries(account.account, [one.snapshot for one in self.chosen], self.began)
        self.world, plan = work_within_caps(
            account,
            self._hold,
            self.chosen,
            caps,
            tuple(Target(one.key, one.name, self.began) for one in self.chosen),
            self.memory,
            look=self._look,
            decide=self._decide,
            timeout=self._timeout + TO_DELETE,
            log=self._run.log,
        )
        close(account.account, self._notes, self.chosen, self.memory, self.world)
        return plan

    def _decide(self, world: World, moment: datetime) -> dict[str, Next]:
        return decide_drills(
            self.chosen, world, self.memory, self._drills, self.began, self._timeout, moment
        )

    def _look(self) -> World:
        if not self._run.dry_run:
            restores.share_snapshots(self._hold, self.chosen, self.memory)
            # A drill that lost its turn asks for nothing more until it has it again.
            for by in self._hold.claim({lease_keys.DRILL: "drill"}).values():
                self.memory.held_by.update(dict.fromkeys(self._names, by))
        return look(
            self._run.account,
            self._hold,
            self.chosen,
            self.memory,
            self._drills,
            self._probe,
            self.began,
            self._timeout,
            now,
        )


def check_probe(account: BarrackCredentials, probe: Probe | None) -> None:
    """Refuse what cannot be asked, before a machine is paid for.

    Raises:
        ValueError: there is no such command here, or the dialect tells no address.
    """
    if probe is not None and not restores.tells_addresses(account):
        raise ValueError(
            f"probe: the dialect {account.get_client().dialect.name!r} gives no addresses "
            "(UserVM.public_ip), so nothing can be probed; leave the probe out"
        )
    command = (probe and probe.command) or ()
    if command and shutil.which(command[0]) is None:
        raise ValueError(f"probe: there is no command {command[0]!r} on this machine")


def notes_of_drills(account: str, hold: Hold) -> Notes:
    """What this attempt has on record of what it asks for; see `Notes`."""
    return Notes(open_prefix(account), hold)


def open_record(account: str, notes: Notes, name: str, asked: datetime) -> None:
    """Record what this run is about to ask for.

    What an earlier drill left under the name stays on record by its id: names are unique, so if
    this request is granted, that one is gone or has another name.

    Args:
        account: whose.
        notes: of this attempt.
        name: of the temporary instance.
        asked: by the cloud's clock.
    """
    old = read_open(account).get(name)
    if old is not None and old.id:
        write_open(account, {old.id: replace(old, name=name)})
        drop_open(account, [name])
    elif old is not None and asked < old.since + TAKES_EFFECT and not old.by_worker:
        asked = old.since  # what that one asked for may still show
    one = Open(asked, writer=notes.hold.attempt)
    notes.put([name], lambda *_: {name: one.written()})


def close(
    account: str, notes: Notes, chosen: Iterable[Restoring], memory: Memory, world: World
) -> None:
    """Forget the temporary instances of this run that are surely gone or never were.

    Args:
        account: whose.
        notes: of this attempt.
        chosen: the drills of this run.
        memory: of this run.
        world: as it is in the end.
    """
    known = read_open(account)
    for one in chosen:
        made = memory.made.get(one.key)
        if one.key in memory.sent and not memory.may_have_made(one.key):
            notes.withdraw(one.name, lease_keys.DRILL)
        elif made in world.gone and one.key in memory.acted:
            drop_open(account, [name for name, record in known.items() if record.id == made])


def look(
    account: BarrackCredentials,
    hold: Hold,
    chosen: Sequence[Restoring],
    memory: Memory,
    drills: Drills,
    probe: Probe | None,
    began: datetime,
    timeout: timedelta,
    now: Callable[[], datetime],
) -> World:
    """The account now; what came up is probed, and what is decided about it noted at once.

    No probe is waited for after the time of the drills is over: all the machines of the run are
    paid for meanwhile, and the cap on the cost counts on that time.
    """
    world = restores.look(account, chosen, memory)
    _note_ids(account.account, hold, chosen, memory, drills)
    addressed = restores.tells_addresses(account)
    until = began + timeout
    proofs: dict[str, Proof] = {}
    for one in chosen:
        if one.key in drills.verdicts or one.key not in memory.made:
            continue
        there = world.instances.get(memory.made[one.key])
        may_ask = there is not None and can_be_probed(there, addressed)
        probed = _probed(one, there, drills, probe, until, now) if there and may_ask else None
        late = now() >= until
        verdict = verdict_of(one, world, memory, probed, late, drills.unmet.get(one.key))
        if verdict is not None:
            drills.verdicts[one.key] = verdict
            if not verdict:
                proofs[one.snapshot.instance_id or ""] = Proof(now(), one.snapshot.id, now())
    if proofs:
        write_proofs(account.account, proofs)
    return world


def _note_ids(
    account: str, hold: Hold, chosen: Iterable[Restoring], memory: Memory, drills: Drills
) -> None:
    """Note the ids of what was made, once, by which a later run knows it for sure."""
    made = {one.name: memory.made[one.key] for one in chosen if memory.made.get(one.key)}
    if made == drills.noted:
        return
    known = read_open(account)
    fresh = {
        # Where another attempt has asked under the name meanwhile, its record stays.
        (name if known[name].writer == hold.attempt else id_): replace(
            known[name], id=id_, name=name
        )
        for name, id_ in made.items()
        if name in known
    }
    write_open(account, fresh)
    drills.noted = made


def _probed(
    one: Restoring,
    there: UserVM,
    drills: Drills,
    probe: Probe | None,
    until: datetime,
    now: Callable[[], datetime],
) -> str | None:
    """Empty if the probe is content, why it is not, or None while it may yet become so."""
    since = drills.up_since.setdefault(one.key, now())
    if probe is None:
        return ""
    left = min(probe.within, until - now())
    if left <= timedelta(0):
        drills.unmet.setdefault(one.key, "it is up, and no time was left for the probe")
        return None
    why = _ask(probe, there.public_ip or "", left)
    drills.unmet[one.key] = why
    return why if not why or now() >= since + probe.within else None


def _ask(probe: Probe, address: str, most: timedelta) -> str:
    if probe.port is not None:
        try:
            with socket.create_connection((address, probe.port), _CONNECT):
                return ""
        except OSError as error:
            return f"port {probe.port} at {address} does not answer: {error.strerror or error}"
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command
            [*(probe.command or ()), address],
            env={**os.environ, "BARRACK_ADDRESS": address},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=most.total_seconds(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the probe could not be completed: {error}"
    if done.returncode == 0:
        return ""
    said = " ".join((done.stderr or done.stdout).split())[-200:]
    return f"the probe ended with {done.returncode}{': ' if said else ' and no output'}{said}"
