"""A run of `follow_schedule` between its parameters and its report: looks, decides, writes down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
from prefect.exceptions import PrefectHTTPStatusError

from barrack_tasks.api import BarrackTransportError
from barrack_tasks.api.models import VMStatus
from barrack_tasks.controllers.account import watched_of
from barrack_tasks.controllers.admission import Decide
from barrack_tasks.controllers.leases import LeasesUnreadError, read_leases
from barrack_tasks.controllers.notes import read_notes, write_notes
from barrack_tasks.controllers.rest import with_droppable
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans.forgotten.idleness import Idleness, put_off
from barrack_tasks.plans.forgotten.leases import holders, until_said
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.power.evidence import Known, clock_ahead
from barrack_tasks.plans.power.rise import Shortage
from barrack_tasks.plans.power.schedule import (
    Policy,
    Verdict,
    judge_all,
    remember,
    without_restores,
    without_rests,
)
from barrack_tasks.plans.power.schedule_run import (
    Round,
    asked_of,
    decide_round,
    learn_restores,
    schedule_rows,
)
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.steps import Next, Reason, Step, Wait
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.observe import (
    Reads,
    flavors_that_cannot_hibernate,
    observe,
    with_images,
    with_stock,
)
from barrack_tasks.runtime.probes import find_evidence

_SERVER_AWAY = (httpx.HTTPError, PrefectHTTPStatusError)
_AWAY = "the Prefect server cannot be reached"


class Following:
    """One run. It has looked at the account, and judged each instance, once it is made.

    Args:
        account: whose instances they are.
        policy: the rules and how they are kept.
        protect: names, globs and ids that are never touched.
        shortage: what is done while a GPU is out of stock.
        at_once: how many are restored at the same time at most.
        timeout: for one instance.
        idleness: the probes that tell whether a machine works that is to rest; None for none.
    """

    def __init__(
        self,
        run: Run,
        policy: Policy,
        shortage: Shortage,
        at_once: int,
        timeout: timedelta,
        idleness: Idleness | None = None,
    ) -> None:
        self._run = run
        self._account = account = run.account
        self._policy = policy
        self._watched = watched_of(account.account)
        self.memory = Memory()
        # Without a rule that takes snapshots they are evidence and no more.
        takes = any(rule.snapshot for rule in policy.rules)
        self._reads: Reads = "needed" if takes else "if readable"
        self.first = observe(account, snapshots=self._reads)
        self._known = self._known_with(self.first)
        verdicts = judge_all(self.first.instances.values(), self._known, policy, now())
        self._kept = self._keep(verdicts, idleness)
        verdicts = without_rests(verdicts, self._kept)
        self._fresh: Mapping[str, Verdict] = {}
        self.round = Round(verdicts, (), run.never, now(), timeout, at_once, shortage)

    @property
    def wants_restores(self) -> bool:
        """Whether anything is to be brought up."""
        return any(verdict.goal == "up" for verdict in self.round.verdicts.values())

    def _keep(
        self, verdicts: Mapping[str, Verdict], idleness: Idleness | None
    ) -> dict[str, tuple[str, Reason]]:
        """What is left up although it is to rest, and why: it is leased, or may still work."""
        to_rest = [self.first.instances[k] for k, one in verdicts.items() if one.goal == "down"]
        if not to_rest or self._policy.strict:
            return {}
        at = self._account.get_client().now()
        try:
            leased = holders(read_leases(self._account.account), at)
        except LeasesUnreadError as error:
            return {one.id: (str(error), Reason.LEASED) for one in to_rest}
        kept = {
            id_: (f"{one.said} keeps it until {until_said(one)}", Reason.LEASED)
            for id_, one in leased.items()
        }
        if idleness is None:
            return kept
        asked = [one for one in to_rest if one.id not in kept and one.status is VMStatus.ACTIVE]
        for id_, found in find_evidence(idleness, asked, at).items():
            boundary = verdicts[id_].boundary
            if boundary and (why := put_off(found, boundary.moment, idleness.at_most, now())):
                kept[id_] = (why, Reason.WORKS)
        return kept

    def begin(self, may_not_restore: str | None) -> None:
        """Settle what is asked of which instances.

        Args:
            may_not_restore: why nothing may be brought up, if so.
        """
        verdicts, instances = self.round.verdicts, self.first.instances
        if may_not_restore:
            verdicts = without_restores(verdicts, may_not_restore)
        asked = asked_of(verdicts, instances, self.round.protect)
        unable = flavors_that_cannot_hibernate(self._account) if asked else frozenset()
        targets = tuple(Target(i, instances[i].name, now(), instances[i]) for i in asked)
        self.round = replace(self.round, verdicts=verdicts, targets=targets, unable=unable)

    def take_up(self, hold: Hold) -> None:
        """Go on where a run with the same rules was cut off."""
        targets = tuple(replace(t, resumed=t.id in hold.inherited) for t in self.round.targets)
        self.round = replace(self.round, targets=targets, moment=hold.moment)

    def look(self, hold: Hold) -> World:
        """The account as it is now, and what was noted of it.

        Raises:
            BarrackError: something cannot be read. It is one too if the Prefect server is away
                for a while: nothing is decided meanwhile, and the next look goes on.
        """
        try:
            return self._look(hold)
        except _SERVER_AWAY as error:
            raise BarrackTransportError(f"{_AWAY}: {error}") from error

    def _look(self, hold: Hold) -> World:
        taken = {id_: snapshot for id_, snapshot in self.memory.taken.items() if snapshot}
        expected = [t.id for t in self.round.targets]
        world = observe(self._account, expected, taken, self._reads)
        world = with_droppable(self._account, world, self.round.saving, hold, self.memory)
        self._known = self._known_with(world)
        return self.supplied(world)

    def supplied(self, world: World) -> World:
        """A world with what the decision needs to know of stock and images."""
        world = with_stock(self._account, world)
        is_open = self.round.shortage.then == "substitute"
        return with_images(self._account, world) if is_open else world

    def decide(self, world: World, moment: datetime) -> Mapping[str, Next]:
        """What each target needs next, of that which is still asked of it."""
        fresh = judge_all(world.instances.values(), self._known, self._policy, moment)
        self._fresh = without_rests(fresh, self._kept)
        return decide_round(self.round, world, self.memory, moment, self._fresh)

    def writing(self, decide: Decide) -> Decide:
        """A decision that writes down what was seen, and what is about to be asked.

        A run that is cut off after that has noted all that it did.
        """

        def decided(world: World, moment: datetime) -> Mapping[str, Next]:
            plan = decide(world, moment)
            try:
                self.write_down(world, self._fresh, plan)
            except _SERVER_AWAY:
                # What is not noted is not asked.
                return {k: Wait(_AWAY) if isinstance(v, Step) else v for k, v in plan.items()}
            return plan

        return decided

    def write_down(
        self, world: World, verdicts: Mapping[str, Verdict], plan: Mapping[str, Next]
    ) -> None:
        """Note what was seen, and what is about to be asked."""
        was, at = self.first.instances, self._account.get_client().now()
        changed = remember(
            world.instances, verdicts, plan, self._known, self.memory, was, now(), at
        )
        write_notes(self._account.account, self._known.notes, changed, at)

    def planned(self, decide: Decide) -> tuple[Row, ...]:
        """What would be done; nothing is changed."""
        world = self.supplied(self.first)
        return self.rows(decide(world, now()), world)

    def work(self, decide: Decide, intent: str) -> tuple[Row, ...]:
        """Bring each instance to the state that is wanted, and remember what was seen.

        Args:
            decide: what each needs next, within the caps.
            intent: what the run is for; see `Run.intent`.
        """
        if not self.round.targets:
            self.write_down(self.first, self.round.verdicts, {})
            return self.rows({}, self.first)
        with self._run.holding(intent) as hold:
            self.take_up(hold)
            world, plan = self._run.work(
                hold,
                self.round.targets,
                self.memory,
                look=lambda: self.look(hold),
                decide=self.writing(decide),
                timeout=self.round.timeout,
                on_done=self.round.on_done,
            )
        self.learn()
        return self.rows(plan, world)

    def learn(self) -> None:
        """Note how long restores took, so that the next ones begin early enough."""
        account, at = self._account.account, self._account.get_client().now()
        notes = read_notes(account)
        write_notes(account, notes, learn_restores(self.round, self.memory, notes), at)

    def rows(self, plan: Mapping[str, Next], world: World) -> tuple[Row, ...]:
        """One row for each instance that a rule means."""
        return schedule_rows(self.round, self.first.instances, plan, world, self.memory)

    def _known_with(self, world: World) -> Known:
        ahead = clock_ahead(self._account.get_client().now(), now())
        return Known(read_notes(self._account.account), world.snapshots, self._watched, ahead)
