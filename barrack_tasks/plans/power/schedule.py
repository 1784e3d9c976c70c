"""The decision of `follow_schedule`: what each timetable asks of its instances now.

It looks at the machine, not at its own last wish. What a person did is told by evidence, never by
how late a run is: see `barrack_tasks.plans.power.evidence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.inputs import Given, read_each
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.power.drive import CannotHibernate, Manner, Shutoff, is_down, is_up
from barrack_tasks.plans.power.evidence import (
    ALWAYS,
    Known,
    Note,
    came_back,
    fulfils,
    observed,
    pursuing,
    restore_seen_through,
    trouble,
    why_moved,
    with_restore,
)
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import (
    SELECT_SCHEMA,
    InVain,
    Selector,
    ambiguous,
    selected_in_vain,
    selector_of,
    takes_in_any_state,
)
from barrack_tasks.plans.steps import Next, Reason, Step
from barrack_tasks.plans.timetable import Boundary, Timetable, Wish

Goal = Literal["up", "down"]


class Rule(Given):
    """Which instances follow which timetable. The first rule that matches an instance counts.

    Example:
        >>> Rule(select=["train-*"], timetable="Mon-Fri 08:00-20:00 Europe/Berlin")
    """

    select: Annotated[Selector, BeforeValidator(selector_of), SELECT_SCHEMA]
    timetable: Timetable
    priority: int = Field(default=0, description="Higher is restored first.")
    snapshot: bool = Field(default=False, description="Take a snapshot before hibernating.")
    cannot_hibernate: CannotHibernate = "leave"
    shutoff: Shutoff = "leave"

    @property
    def manner(self) -> Manner:
        """How to go about what cannot simply be hibernated."""
        return Manner(self.cannot_hibernate, self.shutoff)


Adopt = Literal["boundary", "now"]


@dataclass(frozen=True)
class Policy:
    """The rules and how they are kept."""

    rules: tuple[Rule, ...]
    exclude: tuple[str, ...] = ()
    strict: bool = False
    catch_up: timedelta = timedelta(hours=2)
    give_up_after: timedelta = timedelta(hours=8)
    """How long after its boundary a restore that was begun is still tried."""
    adopt: Adopt = "boundary"
    """When a machine comes up that hibernates at first sight: at its next boundary, or now."""


@dataclass(frozen=True)
class Verdict:
    """What the timetable asks of one instance now, and why; `goal` is None for nothing."""

    goal: Goal | None
    why: str
    reason: Reason
    rule: Rule | None = None
    boundary: Boundary | None = None
    """The boundary that counts; one to come if a restore begins early."""
    next_change: datetime | None = None
    trouble: str = ""
    """What came to nothing of what was asked before; it makes this run fail if it goes on."""


_LONGEST_LEAD = timedelta(minutes=30)


def lead(note: Note) -> timedelta:
    """How much earlier to restore, so that the machine is up when wanted: as long as it took."""
    if not note.restores:
        return timedelta(0)
    return min(_LONGEST_LEAD, timedelta(seconds=max(note.restores)))


def _ahead(note: Note, now: datetime) -> timedelta:
    """How far ahead a boundary counts already; one for whose sake it was restored goes on to."""
    return max(lead(note), note.pursued - now) if note.pursued else lead(note)


@lru_cache(maxsize=1024)
def due(timetable: Timetable, now: datetime, ahead: timedelta) -> Boundary | None:
    """The boundary that counts now: the last one, or one to come within `ahead` that wants up."""
    for boundary in timetable.boundaries(now, now + ahead + timedelta(microseconds=1)):
        if boundary.wish is Wish.UP and boundary.moment > now:
            return boundary
    last = timetable.last_boundary(now)
    if last is not None:
        return last
    wish = timetable.wish(now)
    return None if wish is None else Boundary(ALWAYS, wish)


@lru_cache(maxsize=1024)
def _next_change(timetable: Timetable, now: datetime) -> datetime | None:
    return timetable.next_change(now)


def rule_for(instance: UserVM, policy: Policy) -> Rule | None:
    """The first rule that means the instance; None if none does or it is excluded."""
    if is_protected(policy.exclude, instance.id, instance.name):
        return None
    for rule in policy.rules:
        if is_meant(rule.select, instance):
            return rule
    return None


def is_meant(selector: Selector, instance: UserVM) -> bool:
    """Whether a selector means the instance. Names that match nothing are no error here."""
    return takes_in_any_state(selector, instance)


def judge(
    instance: UserVM, rule: Rule | None, known: Known, policy: Policy, now: datetime
) -> Verdict:
    """What is asked of one instance now."""
    if rule is None:
        return Verdict(None, "no rule selects it", Reason.NOTHING_ASKED)
    following = _next_change(rule.timetable, now)
    boundary = due(rule.timetable, now, _ahead(known.note(instance.id), now))
    if boundary is None:
        why = "its timetable asks for nothing yet"
        return Verdict(None, why, Reason.NOTHING_ASKED, rule, next_change=following)

    failed = trouble(known.note(instance.id), instance, boundary, now + known.cloud_ahead)

    def verdict(goal: Goal | None, why: str, reason: Reason) -> Verdict:
        told = "" if reason is Reason.MOVED or fulfils(instance.status, boundary) else failed
        return Verdict(goal, why, reason, rule, boundary, following, told)

    if _is_there(instance, boundary):
        return verdict(None, f"it is {instance.status}, as wanted", Reason.AS_WANTED)
    if instance.status is VMStatus.ERROR:
        return verdict(None, "it is in ERROR; somebody must look at it", Reason.IN_ERROR)
    goal: Goal = "up" if boundary.wish is Wish.UP else "down"
    # A one-sided rule asks for something at its moments, and says nothing of the time between.
    if policy.strict and not rule.timetable.is_one_sided(boundary):
        return verdict(goal, f"its timetable wants it {goal}, and strict is set", Reason.DUE)
    if moved := why_moved(instance, boundary, known):
        return verdict(None, _left_alone(instance, moved, following), Reason.MOVED)
    if boundary.moment == ALWAYS:
        return verdict(goal, f"its timetable always wants it {goal}", Reason.DUE)
    late = now - boundary.moment
    if goal == "down":
        # However late: it runs at the full price, and nobody is known to want that.
        return verdict(goal, _due(late, policy), Reason.DUE)
    if is_down(instance.status) and known.is_first_sight(instance.id, boundary):
        if policy.adopt == "now":
            return verdict(goal, "its timetable wants it up, and adopt='now' is set", Reason.DUE)
        return verdict(None, _first_sight(instance, following), Reason.FIRST_SIGHT)
    if late <= policy.catch_up:
        return verdict(goal, "due", Reason.DUE)
    if known.note(instance.id).pursued == boundary.moment and late <= policy.give_up_after:
        return verdict(
            goal, "earlier requests had no effect yet, and this run tries again", Reason.DUE
        )
    return verdict(None, "the boundary passed longer ago than catch_up allows", Reason.MISSED)


def _is_there(instance: UserVM, boundary: Boundary) -> bool:
    wants_up = boundary.wish is Wish.UP
    return is_up(instance.status) if wants_up else is_down(instance.status)


def _due(late: timedelta, policy: Policy) -> str:
    return (
        "due"
        if late <= policy.catch_up
        else f"it was due {said(late)} ago, and this run catches up"
    )


def _left_alone(instance: UserVM, moved: str, following: datetime | None) -> str:
    cost = hourly_cost(instance)
    runs = (
        "" if is_down(instance.status) or cost is None else f" and costs {_price(instance, cost)}"
    )
    return f"a person moved it: {moved}; it is left alone{runs}{_until(following)}"


def _first_sight(instance: UserVM, following: datetime | None) -> str:
    return (
        f"it was {instance.status} when this flow first saw it, and stays so{_until(following)}; "
        "adopt='now' brings it up at once"
    )


def _until(following: datetime | None) -> str:
    return (
        f" until {following:%a %d %b %H:%M} UTC"
        if following
        else ", because its timetable has no later boundary"
    )


def _price(instance: UserVM, cost: Decimal) -> str:
    return f"{money(cost, str(instance.currency) if instance.currency else None)} an hour"


def judge_all(
    instances: Iterable[UserVM], known: Known, policy: Policy, now: datetime
) -> dict[str, Verdict]:
    """What is asked of each instance that a rule means, by id.

    Where a rule's name is the id of one instance and the name of another, neither is touched.
    """
    verdicts = {}
    everything = list(instances)
    names = {name for rule in policy.rules for name in rule.select.names}
    unclear = {one.key for one in ambiguous(names, everything)}
    for instance in everything:
        if unclear & {instance.id, instance.name}:
            continue
        rule = rule_for(instance, policy)
        if rule is not None:
            verdicts[instance.id] = judge(instance, rule, known, policy, now)
    return verdicts


def without_restores(verdicts: Mapping[str, Verdict], why: str) -> dict[str, Verdict]:
    """The verdicts with nothing asked of those that would have to be restored."""
    return {
        id_: replace(v, goal=None, why=f"not restored: {why}", reason=Reason.NOT_ALLOWED)
        if v.goal == "up"
        else v
        for id_, v in verdicts.items()
    }


def without_rests(
    verdicts: Mapping[str, Verdict], kept: Mapping[str, tuple[str, Reason]]
) -> dict[str, Verdict]:
    """The verdicts with nothing asked of those that are to rest, and that somebody or work keeps.

    Args:
        verdicts: of all instances.
        kept: why each of these is left up, as a sentence and a reason, by id.
    """
    found = dict(verdicts)
    for id_ in kept.keys() & verdicts.keys():
        if verdicts[id_].goal == "down":
            why, reason = kept[id_]
            found[id_] = replace(verdicts[id_], goal=None, why=why, reason=reason)
    return found


def remember(
    instances: Mapping[str, UserVM],
    verdicts: Mapping[str, Verdict],
    plan: Mapping[str, Next],
    known: Known,
    memory: Memory,
    was: Mapping[str, UserVM],
    now: datetime,
    cloud_now: datetime,
) -> dict[str, Note]:
    """What is to be remembered of each instance after a look, and before what is asked next.

    Args:
        instances: as they are.
        verdicts: of this look.
        plan: what is about to be asked.
        known: what was known when the verdicts were found.
        memory: of this run.
        was: the instances as they were when this run began.
        now: this moment.
        cloud_now: this moment by the cloud's clock.
    """
    found = {}
    for id_, verdict in verdicts.items():
        boundary = verdict.boundary
        note = observed(
            known.notes.get(id_),
            instances[id_],
            boundary,
            cloud_now,
            is_early=boundary is not None and boundary.moment > now,
            is_done=_is_moved(instances[id_], verdict, memory, was.get(id_)),
        )
        took = restore_seen_through(known.notes.get(id_), instances[id_], cloud_now)
        if took is not None and id_ not in in_hand(memory):
            note = with_restore(note, took)  # what this run asked for it learns at its end
        step = plan.get(id_)
        if isinstance(step, Step) and boundary is not None:
            note = pursuing(note, boundary, step.operation, cloud_now)
        found[id_] = note
    return found


def _is_moved(instance: UserVM, verdict: Verdict, memory: Memory, was: UserVM | None) -> bool:
    if instance.id not in in_hand(memory):
        return verdict.reason is Reason.MOVED
    # What this run asked for changed its times, and so they prove nothing. A hibernation may
    # fail and leave it ACTIVE; but that it comes up, or has come up, somebody else has asked.
    wants_up = verdict.boundary is None or verdict.boundary.wish is Wish.UP
    if instance.id in memory.woken or wants_up:
        return False
    return instance.status.is_waking or came_back(was, instance)


def in_hand(memory: Memory) -> set[str]:
    """Instances that change because this run asked for it."""
    return {*memory.under_way, *memory.acted, *memory.woken}


def rules_in_vain(rules: Sequence[Rule], instances: Sequence[UserVM]) -> list[InVain]:
    """What rules name in vain: names, regions and models, or all that they say together.

    In an account without instances nothing is named in vain.
    """
    found: list[InVain] = []
    for number, rule in enumerate(rules, 1):
        place = f"rule {number}"
        unmet = selected_in_vain(rule.select, instances, f"{place}: select")
        found += unmet
        if instances and not unmet and not any(is_meant(rule.select, i) for i in instances):
            found.append(InVain(place, f"{place} ({_names_of(rule)}) selects no instance"))
    return found


def _names_of(rule: Rule) -> str:
    return ", ".join(rule.select.names or rule.select.ids) or "by region, model or state"


def rule_warnings(
    rules: Sequence[Rule], instances: Sequence[UserVM], now: datetime
) -> tuple[str, ...]:
    """Sentences about rules that hardly are what was meant.

    A rule that means no instance now, one whose instances are all taken by rules before it, and
    what each timetable itself warns of.
    """
    found: list[str] = []
    taken: dict[str, int] = {}
    for number, rule in enumerate(rules, 1):
        meant = [i for i in instances if is_meant(rule.select, i)]
        fresh = [i for i in meant if i.id not in taken]
        place = f"rule {number} ({_names_of(rule)})"
        if not meant:
            found.append(f"{place} selects no instance now")
        elif not fresh:
            before = sorted({taken[i.id] for i in meant})
            numbers = ", ".join(str(n) for n in before)
            found.append(f"{place} has no effect: all its instances belong to rule {numbers}")
        taken.update({i.id: number for i in fresh})
        found += [f"{place}: {warning}" for warning in rule.timetable.warnings(now)]
    return tuple(found)


def read_rules(value: Any) -> list[Rule]:
    """Rules from typed models or dicts.

    Raises:
        ValueError: there is none, or one cannot be read; says which and why.
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("rules must be a list of at least one rule: {select: ..., timetable: ...}")
    return read_each(Rule, value, "rule")


def read_rules_if_any(value: Any) -> list[Rule]:
    """As `read_rules`, where none may be given."""
    return read_rules(value) if value else []
