"""One run of `follow_schedule`: from verdicts to steps, rows and what is learned."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.power.drive import Manner, in_turn
from barrack_tasks.plans.power.drive_report import rows_of
from barrack_tasks.plans.power.evidence import Note, with_restore
from barrack_tasks.plans.power.rest import rest_step
from barrack_tasks.plans.power.rise import Shortage, rise_step
from barrack_tasks.plans.power.schedule import Verdict, in_hand
from barrack_tasks.plans.power.snapshot_then import Intent, Then
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.steps import Finished, Next, Reason, Wait
from barrack_tasks.plans.world import World


@dataclass(frozen=True)
class Round:
    """What one run has to do: targets with a goal, and how to go about it.

    `moment` names the snapshots of the run; it is that of a run which was cut off and goes on.
    """

    verdicts: Mapping[str, Verdict]
    targets: tuple[Target, ...]
    protect: Collection[str]
    moment: datetime
    timeout: timedelta
    at_once: int
    shortage: Shortage
    unable: frozenset[tuple[str, int]] = frozenset()

    @property
    def intent(self) -> Intent:
        """The round as an intent to take snapshots and hibernate."""
        return Intent(self.targets, Then.HIBERNATE, self.moment, self.timeout, 3, self.protect)

    @property
    def saving(self) -> Intent:
        """The same, of those of which a snapshot is taken first."""
        targets = tuple(t for t in self.targets if _takes_snapshot(self.verdicts[t.id]))
        return replace(self.intent, targets=targets)

    @property
    def order(self) -> list[str]:
        """Ids in the order in which they are restored: by priority of their rules."""

        def priority(target: Target) -> tuple[int, str]:
            rule = self.verdicts[target.id].rule
            return (-(rule.priority if rule else 0), target.name)

        return [t.id for t in sorted(self.targets, key=priority)]

    @property
    def on_done(self) -> dict[str, str]:
        """Which event tells that a target is done."""
        events = {"up": "barrack.instance.restored", "down": "barrack.instance.hibernated"}
        return {t.id: events[self.verdicts[t.id].goal or "up"] for t in self.targets}


def _takes_snapshot(verdict: Verdict) -> bool:
    return verdict.goal == "down" and verdict.rule is not None and verdict.rule.snapshot


def asked_of(
    verdicts: Mapping[str, Verdict], instances: Mapping[str, UserVM], protect: Collection[str]
) -> list[str]:
    """Ids of the instances of which something is asked."""
    return [
        id_
        for id_, verdict in verdicts.items()
        if verdict.goal and not is_protected(protect, id_, instances[id_].name)
    ]


def decide_round(
    round_: Round,
    world: World,
    memory: Memory,
    now: datetime,
    verdicts: Mapping[str, Verdict] | None = None,
) -> dict[str, Next]:
    """What each target needs next.

    What must wait for stock or for another run is left to the next run: it looks again anyway.
    So is what is on its way when the time of this run is over, and what is not asked any more,
    because a boundary passed or a person came first.

    Args:
        round_: what the run has to do.
        world: the account as it is.
        memory: of this run.
        now: this moment.
        verdicts: what is asked of the instances as they are now; those of the round, if not given.
    """
    intent = round_.intent
    current = round_.verdicts if verdicts is None else verdicts
    busy = in_hand(memory)

    def step(target: Target) -> Next:
        verdict = round_.verdicts[target.id]
        if target.id in world.instances:
            overtaken = _overtaken(verdict, current.get(target.id), target.id in busy)
            if overtaken is not None:
                return overtaken
        if verdict.goal == "down":
            manner = verdict.rule.manner if verdict.rule else Manner()
            snapshot = _takes_snapshot(verdict)
            return rest_step(target, world, intent, memory, manner, round_.unable, snapshot)
        return _or_leave(rise_step(target, world, memory, round_.shortage, now))

    plan = decide_each(round_.targets, step, memory, world, round_.protect, round_.timeout, now)
    plan = {
        id_: Finished("skipped", f"{next_.why}; the next run looks again", Reason.HELD)
        if isinstance(next_, Wait) and next_.reason is Reason.HELD
        else next_
        for id_, next_ in plan.items()
    }
    coming = {t.id: _coming(round_.verdicts[t.id], t.id, plan[t.id], world) for t in round_.targets}
    plan |= {id_: left for id_, left in coming.items() if left is not None}
    return in_turn(plan, round_.order, world, round_.at_once)


def _coming(verdict: Verdict, id_: str, next_: Next, world: World) -> Finished | None:
    """How it ends if only time is lacking: it is coming up, and the next run looks again.

    One that does not come to rest in time is a failure: it costs its full price all the while.
    """
    instance = world.instances.get(id_)
    is_late = isinstance(next_, Finished) and next_.reason is Reason.NO_TIME
    if not is_late or instance is None or verdict.goal != "up":
        return None
    if instance.status.leads_to is not VMStatus.ACTIVE:
        return None
    why = f"it is {instance.status}, which takes longer than this run; the next run looks again"
    return Finished("skipped", why, Reason.COMING)


def _overtaken(begun: Verdict, now: Verdict | None, is_busy: bool) -> Finished | None:
    """How it ends if what was asked when the run began is not asked any more; None if it is.

    What changes because this run asked for it is brought to its end, but for a boundary that
    wants the opposite.
    """
    if now is None:
        return None if is_busy else Finished("skipped", "no rule selects it now", Reason.OVERTAKEN)
    wish_was = begun.boundary and begun.boundary.wish
    wish_is = now.boundary and now.boundary.wish
    if wish_was is not wish_is:
        return Finished(
            "skipped",
            "its timetable wants the opposite now; the next run looks again",
            Reason.OVERTAKEN,
        )
    if is_busy or now.goal == begun.goal or now.reason is Reason.AS_WANTED:
        return None
    return Finished("skipped", now.why, now.reason)


def _or_leave(next_: Next) -> Next:
    if isinstance(next_, Wait) and next_.reason is Reason.OUT_OF_STOCK:
        return Finished("skipped", f"{next_.why}; the next run tries again", next_.reason)
    return next_


_GOALS = {"up": VMStatus.ACTIVE, "down": VMStatus.HIBERNATED}


def schedule_rows(
    round_: Round,
    instances: Mapping[str, UserVM],
    plan: Mapping[str, Next],
    world: World,
    memory: Memory,
) -> tuple[Row, ...]:
    """One row for each instance that a rule means, whether something was asked of it or not."""
    goals = {id_: _GOALS[one.goal] for id_, one in round_.verdicts.items() if one.goal}
    worked = {row.instance_id: row for row in rows_of(round_.targets, plan, world, memory, goals)}
    rows = []
    for id_, verdict in round_.verdicts.items():
        if id_ in worked:
            rows.append(_with_trouble(worked[id_], verdict))
            continue
        left: Next = Finished("skipped", verdict.why, verdict.reason)
        if is_protected(round_.protect, id_, instances[id_].name):
            left = Finished("skipped", "protected", Reason.PROTECTED)
        elif verdict.trouble:
            left = Finished(
                "failed", f"{verdict.trouble}; somebody must look at it", Reason.NO_TIME
            )
        elif verdict.reason is Reason.AS_WANTED:
            left = Finished("already", verdict.why, verdict.reason)
        target = Target(id_, instances[id_].name, round_.moment, instances[id_])
        rows += rows_of([target], {id_: left}, world, memory)
    return tuple(rows)


def _with_trouble(row: Row, verdict: Verdict) -> Row:
    """A row that failed, with how often earlier runs have asked in vain."""
    if row.outcome != "failed" or not verdict.trouble:
        return row
    return row.model_copy(update={"why": f"{row.why}; before this run {verdict.trouble}"})


def learn_restores(round_: Round, memory: Memory, notes: Mapping[str, Note]) -> dict[str, Note]:
    """The notes with how long the restores of this round took, so that the next begin in time."""
    learned = {}
    for target in round_.targets:
        asked, arrived = memory.asked_at.get(target.id), memory.arrived_at.get(target.id)
        slept = target.was is not None and target.was.status is VMStatus.HIBERNATED
        if target.id in memory.woken and slept and asked and arrived:
            learned[target.id] = with_restore(notes.get(target.id), arrived - asked)
    return learned
