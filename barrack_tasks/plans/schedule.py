"""The decision of `follow_schedule`: what each timetable asks of its instances now.

Looks at the machine, not at its own last wish. What it remembers is small: up to which boundary a
machine was seen in the state that the boundary asked for. A machine that was there, and is no
longer, was moved by a person, and is left alone until the next boundary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.drive import CannotHibernate, Manner, Shutoff, is_down, is_up
from barrack_tasks.plans.given import Given, read_each
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.selection import (
    SELECT_SCHEMA,
    Selector,
    select_instances,
    selector_of,
)
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


@dataclass(frozen=True)
class Policy:
    """The rules and how they are kept."""

    rules: tuple[Rule, ...]
    exclude: tuple[str, ...] = ()
    strict: bool = False
    catch_up: timedelta = timedelta(hours=2)
    give_up_after: timedelta = timedelta(hours=8)
    """How long after its boundary a restore that was begun is still tried."""


@dataclass
class Note:
    """What is remembered of one instance. Moments are boundaries of its timetable."""

    settled: datetime | None = None
    """The latest boundary whose wish was seen fulfilled."""
    pursued: datetime | None = None
    """The latest boundary for whose sake something was asked of it."""
    restores: list[int] = field(default_factory=list)
    """Seconds that its latest restores took, newest last."""


@dataclass(frozen=True)
class Verdict:
    """What the timetable asks of one instance now, and why; `goal` is None for nothing."""

    goal: Goal | None
    why: str
    rule: Rule | None = None
    boundary: datetime | None = None
    next_change: datetime | None = None


MOST_RESTORES_KEPT = 5
_LONGEST_LEAD = timedelta(minutes=30)
_BEFORE_ALL = datetime(2000, 1, 1, tzinfo=UTC)


def lead(note: Note) -> timedelta:
    """How much earlier to restore, so that the machine is up when wanted: as long as it took."""
    if not note.restores:
        return timedelta(0)
    return min(_LONGEST_LEAD, timedelta(seconds=max(note.restores)))


def due(timetable: Timetable, now: datetime, ahead: timedelta) -> Boundary | None:
    """The boundary that counts now: the last one, or one to come within `ahead` that wants up."""
    for boundary in timetable.boundaries(now, now + ahead + timedelta(microseconds=1)):
        if boundary.wish is Wish.UP and boundary.moment > now:
            return boundary
    last = timetable.last_boundary(now)
    if last is not None:
        return last
    wish = timetable.wish(now)
    return None if wish is None else Boundary(_BEFORE_ALL, wish)


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
    without_complaint = selector.model_copy(update={"states": ()})
    known = [*selector.names, *selector.ids]
    try:
        return bool(select_instances(without_complaint, [instance], known))
    except ValueError:
        return False


def judge(
    instance: UserVM, rule: Rule | None, note: Note, policy: Policy, now: datetime
) -> Verdict:
    """What is asked of one instance now."""
    if rule is None:
        return Verdict(None, "no rule means it")
    following = rule.timetable.next_change(now)
    boundary = due(rule.timetable, now, lead(note))
    if boundary is None:
        return Verdict(None, "its timetable asks nothing yet", rule, next_change=following)
    wants_up = boundary.wish is Wish.UP
    there = is_up(instance.status) if wants_up else is_down(instance.status)

    def verdict(goal: Goal | None, why: str) -> Verdict:
        return Verdict(goal, why, rule, boundary.moment, following)

    if there:
        return verdict(None, f"it is {instance.status}, as wanted")
    if instance.status is VMStatus.ERROR:
        return verdict(None, "it is in ERROR; somebody must look at it")
    goal: Goal = "up" if wants_up else "down"
    if policy.strict:
        return verdict(goal, "wanted, strictly")
    if _is_left_to_people(instance, note, boundary.moment):
        until = f" until {following:%a %H:%M} UTC" if following else ""
        return verdict(None, f"a person moved it; it is left alone{until}")
    late = now - boundary.moment
    if late <= policy.catch_up:
        return verdict(goal, "due")
    if note.pursued == boundary.moment and late <= policy.give_up_after:
        return verdict(goal, "still tried")
    return verdict(None, "missed by more than may be caught up with")


def _is_left_to_people(instance: UserVM, note: Note, boundary: datetime) -> bool:
    if note.settled is not None and note.settled >= boundary:
        return True
    # Somebody made it after the boundary, in the knowledge of the hour.
    return instance.created_at is not None and instance.created_at > boundary


def judge_all(
    instances: Iterable[UserVM], notes: Mapping[str, Note], policy: Policy, now: datetime
) -> dict[str, Verdict]:
    """What is asked of each instance that a rule means, by id."""
    verdicts = {}
    for instance in instances:
        rule = rule_for(instance, policy)
        if rule is not None:
            verdicts[instance.id] = judge(
                instance, rule, notes.get(instance.id, Note()), policy, now
            )
    return verdicts


def remember(
    instances: Iterable[UserVM],
    notes: dict[str, Note],
    verdicts: Mapping[str, Verdict],
    pursued: Iterable[str] = (),
) -> None:
    """Note which boundaries are fulfilled, and for which something was asked."""
    for instance in instances:
        verdict = verdicts.get(instance.id)
        if verdict is None or verdict.boundary is None or verdict.rule is None:
            continue
        wish = verdict.rule.timetable.wish(verdict.boundary)
        there = is_up(instance.status) if wish is Wish.UP else is_down(instance.status)
        if there:
            note = notes.setdefault(instance.id, Note())
            note.settled = max(note.settled or verdict.boundary, verdict.boundary)
    for id_ in pursued:
        boundary = verdicts[id_].boundary
        if boundary is not None:
            notes.setdefault(id_, Note()).pursued = boundary


def without_restores(verdicts: Mapping[str, Verdict], why: str) -> dict[str, Verdict]:
    """The verdicts with nothing asked of those that would have to be restored."""
    return {
        id_: replace(v, goal=None, why=f"not restored: {why}") if v.goal == "up" else v
        for id_, v in verdicts.items()
    }


def note_restore(note: Note, took: timedelta) -> None:
    """Remember how long a restore took."""
    note.restores = [*note.restores, int(took.total_seconds())][-MOST_RESTORES_KEPT:]


def rule_warnings(
    rules: Sequence[Rule], instances: Sequence[UserVM], now: datetime
) -> tuple[str, ...]:
    """Sentences about rules that hardly are what was meant.

    A rule that means no instance now, one whose instances are all taken by rules before it, and
    what each timetable itself warns of.
    """
    said: list[str] = []
    taken: dict[str, int] = {}
    for number, rule in enumerate(rules, 1):
        meant = [i for i in instances if is_meant(rule.select, i)]
        fresh = [i for i in meant if i.id not in taken]
        place = f"rule {number} ({', '.join(rule.select.names or rule.select.ids) or 'by kind'})"
        if not meant:
            said.append(f"{place} means no instance now")
        elif not fresh:
            before = sorted({taken[i.id] for i in meant})
            numbers = ", ".join(str(n) for n in before)
            said.append(f"{place} is never reached: rule {numbers} takes all its instances before")
        taken.update({i.id: number for i in fresh})
        said += [f"{place}: {warning}" for warning in rule.timetable.warnings(now)]
    return tuple(said)


def read_rules(value: Any) -> list[Rule]:
    """Rules from typed models or dicts.

    Raises:
        ValueError: there is none, or one cannot be read; says which and why.
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("rules must be a list of at least one rule: {select: ..., timetable: ...}")
    return read_each(Rule, value, "rule")
