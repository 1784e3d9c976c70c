"""One run of `follow_schedule`: from verdicts to steps, rows and what is learned."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.drive import Manner, in_turn
from barrack_tasks.plans.drive_report import rows_of
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.resting import rest_step
from barrack_tasks.plans.rising import Shortage, rise_step
from barrack_tasks.plans.schedule import Note, Verdict, note_restore
from barrack_tasks.plans.snapshot_then import Intent, Then
from barrack_tasks.plans.steps import Finished, Next, Wait
from barrack_tasks.plans.world import World


@dataclass(frozen=True)
class Round:
    """What one run has to do: targets with a goal, and how to go about it."""

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


def round_of(
    verdicts: Mapping[str, Verdict],
    instances: Mapping[str, UserVM],
    protect: Collection[str],
    moment: datetime,
    timeout: timedelta,
    at_once: int,
    shortage: Shortage,
    unable: frozenset[tuple[str, int]],
) -> Round:
    """The round for those of which something is asked."""
    asked = [instances[id_] for id_, verdict in verdicts.items() if verdict.goal]
    targets = tuple(
        Target(i.id, i.name, moment, i) for i in asked if not is_protected(protect, i.id, i.name)
    )
    return Round(verdicts, targets, protect, moment, timeout, at_once, shortage, unable)


def decide_round(round_: Round, world: World, memory: Memory, now: datetime) -> dict[str, Next]:
    """What each target needs next.

    What must wait for stock or for another run is left to the next run: it looks again anyway.
    """
    intent = round_.intent

    def step(target: Target) -> Next:
        verdict = round_.verdicts[target.id]
        if verdict.goal == "down":
            rule = verdict.rule
            manner = rule.manner if rule else Manner()
            snapshot = bool(rule and rule.snapshot)
            return rest_step(target, world, intent, memory, manner, round_.unable, snapshot)
        return _or_leave(rise_step(target, world, memory, round_.shortage, now))

    plan = decide_each(round_.targets, step, memory, world, round_.protect, round_.timeout, now)
    plan = {
        id_: Finished("skipped", f"{next_.why}; the next run looks again")
        if isinstance(next_, Wait) and next_.why.startswith("held by")
        else next_
        for id_, next_ in plan.items()
    }
    return in_turn(plan, round_.order, world, round_.at_once)


def _or_leave(next_: Next) -> Next:
    if isinstance(next_, Wait) and "out of stock" in next_.why:
        return Finished("skipped", f"{next_.why}; the next run tries again")
    return next_


def schedule_rows(
    round_: Round,
    instances: Mapping[str, UserVM],
    plan: Mapping[str, Next],
    world: World,
    memory: Memory,
) -> tuple[Row, ...]:
    """One row for each instance that a rule means, whether something was asked of it or not."""
    worked = {row.instance_id: row for row in rows_of(round_.targets, plan, world, memory)}
    rows = []
    for id_, verdict in round_.verdicts.items():
        if id_ in worked:
            rows.append(worked[id_])
            continue
        spared = is_protected(round_.protect, id_, instances[id_].name)
        left: Next = Finished(
            "skipped" if _is_moved(verdict) or spared else "already",
            "protected" if spared else verdict.why,
        )
        target = Target(id_, instances[id_].name, round_.moment, instances[id_])
        rows += rows_of([target], {id_: left}, world, memory)
    return tuple(rows)


def _is_moved(verdict: Verdict) -> bool:
    return not verdict.why.endswith("as wanted")


def learn_restores(round_: Round, memory: Memory, notes: dict[str, Note]) -> None:
    """Note how long the restores of this round took, so that the next ones begin early enough."""
    for target in round_.targets:
        asked, arrived = memory.asked_at.get(target.id), memory.arrived_at.get(target.id)
        slept = target.was is not None and target.was.status is VMStatus.HIBERNATED
        if target.id in memory.woken and slept and asked and arrived:
            note_restore(notes.setdefault(target.id, Note()), arrived - asked)
