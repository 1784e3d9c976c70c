"""A run of `reap_forgotten` between its parameters and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from barrack_tasks.controllers.admission import Admission
from barrack_tasks.controllers.expiry import read_expiries
from barrack_tasks.controllers.leases import grant_default, read_leases
from barrack_tasks.controllers.leftovers import Leftovers
from barrack_tasks.controllers.owners import Told, tell_people
from barrack_tasks.controllers.rest import KEPT, look_again
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.forgotten.idleness import Idleness
from barrack_tasks.plans.forgotten.leases import Lease, holders
from barrack_tasks.plans.forgotten.leftovers import Leftover, notices_of_leftovers
from barrack_tasks.plans.forgotten.lifetimes import (
    LOOKS,
    Lifetime,
    Overstay,
    Sighting,
    judge_lifetimes,
    notices_of,
    purpose_of,
    sighted,
    with_notices,
)
from barrack_tasks.plans.forgotten.notices import Notice, Stage
from barrack_tasks.plans.forgotten.reaping import (
    decide_reaping,
    row_of,
    rows_of_leftovers,
    rows_of_verdicts,
    unleased,
)
from barrack_tasks.plans.forgotten.untold import Untold
from barrack_tasks.plans.memory import Memory, protected_targets
from barrack_tasks.plans.power.drive_report import rows_of
from barrack_tasks.plans.power.schedule import is_meant
from barrack_tasks.plans.power.snapshot_then import Intent, Then, intent_for
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.selection import Selector
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.alerts import Alarms
from barrack_tasks.runtime.keep_form import keeping_link
from barrack_tasks.runtime.leases import Hold, names_of
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.observe import (
    confirmed_gone,
    flavors_that_cannot_hibernate,
    observe,
    with_stock,
)
from barrack_tasks.runtime.probes import find_evidence
from barrack_tasks.server.tables import merge_all, read_all


@dataclass(frozen=True)
class ReapingOptions:
    """How a run goes about what is forgotten.

    Attributes:
        rules: lifetimes of machines.
        leftovers: how old what belongs to nothing may be.
        idleness: the probes; None if none are asked.
        default_lease: how long a machine may stay that nobody leased; None for as long as it likes.
        grace: how long people can say no after a notice.
        timeout: for one instance.
    """

    rules: Sequence[Lifetime]
    leftovers: Sequence[Leftover]
    idleness: Idleness | None
    default_lease: timedelta | None
    grace: timedelta
    timeout: timedelta


class Reaping:
    """One run. It has looked at the account, and judged each machine, once it is made."""

    def __init__(self, run: Run, means: ReapingOptions) -> None:
        self._run, self._means = run, means
        client = run.account.get_client()
        kinds = {rule.of for rule in means.leftovers}
        self.world = observe(
            run.account, snapshots="needed" if "snapshots" in kinds else "not needed"
        )
        volumes = list(client.volumes.list()) if "volumes" in kinds else []
        self._leftovers = Leftovers(run, means.leftovers, means.grace)
        self._name = run.account.account
        self._at = client.now()
        self._written = read_all(_prefix(self._name))
        self._seen = self._look()
        self._leases = read_leases(self._name)
        self._held = held = holders(self._leases, self._at)
        machines = self.world.instances
        self.verdicts = judge_lifetimes(
            machines.values(), means.rules, self._seen, held, run.never, self._at, means.grace
        )
        snapshots = [s for of_one in self.world.snapshots.values() for s in of_one]
        self.left = self._leftovers.judge(snapshots, volumes, machines, held, self._at)
        have_end = {end.id for end in read_expiries(self._name)}
        running = [one for one in self._leases if one.runs(self._at)]
        self.unleased = unleased(machines.values(), running, have_end, run.never)

    def _look(self) -> dict[str, Sighting]:
        """What is remembered of each machine, this look included."""
        machines = self.world.instances
        before = read_sightings(self._written)
        dry_run = self._run.dry_run
        gone = confirmed_gone(self._run.account, before.keys(), machines.keys(), dry_run=dry_run)
        asked = [rule.select for rule in self._means.rules if rule.idle]
        means = [i for i in machines.values() if any(is_meant(select, i) for select in asked)]
        idleness = self._means.idleness
        found = find_evidence(idleness, means, self._at) if idleness and means else {}
        missing = {k: v for k, v in before.items() if k not in machines and k not in gone}
        return missing | {
            id_: sighted(
                before.get(id_), one, found[id_].is_idle if id_ in found else None, self._at
            )
            for id_, one in machines.items()
        }

    def readings(self) -> list[Reading]:
        """What people are to be told."""
        machines = self.world.instances.values()
        link = keeping_link(self._run.account._block_document_name)
        loose = notices_of_leftovers(self.left, link)
        return [*notices_of(self.verdicts, link, machines), *loose]

    def tell(self, alarms: Alarms, untold: Untold) -> Told:
        """Tell people what will happen, and then remember that, and what was seen.

        A run that is cut off in between has told it, and the next one remembers it: the grace
        begins when it is remembered. A notice that could not be sent is not remembered.
        """
        readings = self.readings()
        fresh = {one.key for one in self.verdicts if one.stage is Stage.NOTICE}
        fresh |= {one.key for one in self.left if one.stage is Stage.NOTICE}
        machines = self.world.instances
        told = tell_people(self._run, alarms, readings, machines, self._at, untold, fresh)
        kept = with_notices(
            self._seen,
            self.verdicts,
            self._means.rules,
            self._at,
            self._held,
            told.stays(untold.then),
        )
        remember(self._name, self._written, kept)
        self._leftovers.remember(self.left, self._at, told.stays(untold.then))
        return told

    def grant(self) -> None:
        """Give machines that nobody has leased a lease that ends, if the run is to."""
        if self._means.default_lease is not None and self.unleased:
            until = self._at.replace(microsecond=0) + self._means.default_lease
            grant_default(self._name, self.unleased, until, self._at)

    def rows(self, done: Sequence[Row]) -> tuple[Row, ...]:
        """One row a machine that a rule names, or that nobody has leased, and what is left over.

        Args:
            done: rows of what was done with machines.
        """
        worked = {row.instance_id for row in done}
        others = [one for one in self.verdicts if one.instance.id not in worked]
        named = rows_of_verdicts(others, self._run.dry_run)
        lease, known = self._means.default_lease, worked | {row.instance_id for row in named}
        rest = [one for one in self.unleased if one.id not in known]
        had = {one.instance_id for one in self._leases}
        why = "nobody has leased it"
        if lease is not None:
            may = "gets" if self._run.dry_run else "has got"
            why = f"{why}, so it {may} a lease without an owner"
        ended = "its last lease has ended, and `end_expired` puts it to rest"
        bare = rows_of_leftovers(self.left, self._leftovers.done, self._run.dry_run)
        return (
            *done,
            *named,
            *(row_of(one, ended if one.id in had else why) for one in rest),
            *bare,
        )

    def act(self) -> tuple[Row, ...]:
        """Take a snapshot of each machine that is due, and put it to rest or delete it.

        Leftovers that are due are deleted first: they need nothing but that.
        """
        if not self._run.dry_run:
            self._leftovers.delete(self.left)
        return tuple(row for then in (Then.HIBERNATE, Then.DELETE) for row in self._reap(then))

    def _due(self, then: Then) -> list[Overstay]:
        return [one for one in self.verdicts if one.stage is Stage.DUE and one.rule.then == then]

    def _reap(self, then: Then) -> tuple[Row, ...]:
        run, memory = self._run, Memory()
        ids = tuple(one.instance.id for one in self._due(then))
        unable = flavors_that_cannot_hibernate(run.account) if ids else frozenset()
        admission = Admission(run.account, dry_run=run.dry_run)

        def intend(moment: datetime, inherited: Mapping[str, str]) -> Intent | None:
            wanted = Selector(ids=(*ids, *inherited))
            if not wanted.ids:
                return None
            timeout = self._means.timeout
            return intent_for(
                *(wanted, self.world, then, moment, now(), timeout, KEPT, run.never, inherited),
                strict=False,
            )

        held: dict[str, Lease] = {}

        def decide(intent: Intent, world: World, moment: datetime) -> Mapping[str, Next]:
            return decide_reaping(world, intent, memory, unable, held, moment)

        def look(hold: Hold, intent: Intent) -> World:
            """The account now, and who has leased what meanwhile."""
            held.clear()
            world = look_again(run.account, hold, intent, memory)
            leases = read_leases(self._name)
            held.update(holders(leases, run.account.get_client().now()))
            return with_stock(run.account, world)

        if run.dry_run:
            intent = intend(now(), {})
            if intent is None:
                return ()
            return rows_of(intent.targets, decide(intent, self.world, now()), self.world, memory)
        # Rules that were taken back are not carried out, nor is what nobody watched for long.
        with run.holding(run.intent(*purpose_of(self._means.rules, then)), LOOKS) as hold:
            intent = intend(hold.moment, names_of(hold.inherited))
            if intent is None:
                return ()
            last, plan = run.work(
                hold,
                intent.targets,
                memory,
                look=lambda: look(hold, intent),
                decide=admission.within(lambda w, at: decide(intent, w, at), memory),
                timeout=self._means.timeout,
                on_done=dict.fromkeys((t.id for t in intent.targets), then.event),
                protected=protected_targets(intent.targets, self.world, run.never),
            )
        return rows_of(intent.targets, plan, last, memory)


def remember(account: str, before: Mapping[str, Any], seen: Mapping[str, Sighting]) -> None:
    """Keep what was seen of machines, in place of what was read before.

    Args:
        account: see `BarrackCredentials.account`.
        before: as it was read.
        seen: what is remembered now, by the machine's id.
    """
    merge_all(_prefix(account), before, {id_: _written(one) for id_, one in seen.items()})


def read_sightings(written: Mapping[str, Any]) -> dict[str, Sighting]:
    """What is remembered of machines, by id. What cannot be read is left out."""
    found = {}
    for id_, told in written.items():
        with suppress(TypeError, ValueError, AttributeError, OverflowError, OSError):
            state, since, seen, idle, noticed = told
            found[id_] = Sighting(
                str(state),
                _moment(since),
                _moment(seen),
                None if idle is None else _moment(idle),
                {str(key): Notice.read(told) for key, told in noticed.items()},
            )
    return found


def _written(one: Sighting) -> list[Any]:
    def seconds(at: datetime) -> int:
        return int(at.timestamp())

    noticed = {key: notice.written() for key, notice in one.noticed.items()}
    idle = None if one.idle is None else seconds(one.idle)
    return [one.state, seconds(one.since), seconds(one.seen), idle, noticed]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _prefix(account: str) -> str:
    return f"barrack_forgotten_{account}_"
