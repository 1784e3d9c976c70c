"""Lifetimes: how long machines may be as they are, and what happens to those that are longer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.durations import PositiveSpan, said
from barrack_tasks.plans.forgotten.leases import Lease, keep_command
from barrack_tasks.plans.forgotten.notices import GRACE, Notice, Stage, notices_after, stage_of
from barrack_tasks.plans.inputs import Given, read_each
from barrack_tasks.plans.power.schedule import is_meant
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.selection import SELECT_SCHEMA, Selector, selector_of

Action = Literal["report", "alert", "hibernate", "delete"]
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""What is older, such as the zero of a clock, is not a time that anybody meant."""
LOOKS = timedelta(hours=1)
"""Two looks that lie further apart tell nothing of the time between them."""


class Lifetime(Given):
    """How long some machines may be as they are, and what is done with those that are longer.

    Time counts since the machine is in its state where the rule names states or hibernates, since
    every probe found it idle where the rule says `idle`, and since it was made otherwise.

    Attributes:
        select: which machines: names, globs and ids, or a `Selector` with regions, models, states.
        longer_than: how long they may be so.
        then: `report` names them, `alert` tells people once, `hibernate` and `delete` take a
            snapshot first, after a notice.
        idle: count only the time for which the probes found the machine idle without a break.

    Example:
        >>> Lifetime(select=["scratch-*"], longer_than="8h", then="hibernate")
        >>> Lifetime(select={"states": ["SHUTOFF"]}, longer_than="15m", then="hibernate")
        >>> Lifetime(select={"states": ["HIBERNATED"]}, longer_than="30d", then="delete")
        >>> Lifetime(select={"states": ["ERROR"]}, longer_than="1h", then="alert")
    """

    select: Annotated[Selector, BeforeValidator(selector_of), SELECT_SCHEMA]
    longer_than: PositiveSpan
    then: Action = "alert"
    idle: bool = Field(default=False, description="Count only the time for which it was idle.")

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        states = {VMStatus(state) for state in self.select.states}
        if VMStatus.ERROR in states and self.then in ("hibernate", "delete"):
            raise ValueError(
                f"then: no snapshot can be taken of what is in ERROR, so it cannot {self.then}; "
                "use 'alert' or 'report'"
            )
        if states == {VMStatus.HIBERNATED} and self.then == "hibernate":
            raise ValueError("then: what is HIBERNATED cannot be hibernated; use 'delete'")
        return self

    @property
    def key(self) -> str:
        """The same for the same rule, in whatever order rules are given."""
        return hashlib.blake2s(self.model_dump_json().encode(), digest_size=4).hexdigest()

    @property
    def counts_state(self) -> bool:
        """Whether time counts since the machine is in its state, and not since it was made."""
        return bool(self.select.states) or self.then == "hibernate"


def read_lifetimes(values: Any) -> list[Lifetime]:
    """Read rules, typed or as dicts.

    Raises:
        ValueError: one cannot be read; says which, counted from 1, and why.
    """
    return read_each(Lifetime, values, "lifetime")


def purpose_of(rules: Iterable[Lifetime], then: str) -> tuple[str, ...]:
    """What a run does with machines: the next run goes on with it if it has the same rules."""
    return (str(then), *sorted({rule.key for rule in rules if rule.then == then}))


@dataclass(frozen=True)
class Sighting:
    """What is remembered of a machine, by the cloud's clock.

    Attributes:
        state: in which it was seen last.
        since: since when it surely is in that state.
        seen: when it was looked at last.
        idle: since when the probes found it idle at every look; None if they did not.
        noticed: what people were told that a rule will do with it, by the rule's key.
    """

    state: str
    since: datetime
    seen: datetime
    idle: datetime | None = None
    noticed: Mapping[str, Notice] = field(default_factory=dict)


def sighted(
    before: Sighting | None, instance: UserVM, is_idle: bool | None, now: datetime
) -> Sighting:
    """What is remembered of a machine once it was seen.

    It surely is in its state since its last change at the latest, by what it tells of itself. It
    is so since an earlier look only if it was in that state then, and has not changed since: what
    was hibernated and brought back between two looks is not as old as before. One that does not
    tell of changes must have been looked at within `LOOKS`. It is idle since an earlier look only
    if it was in the same state then: what was idle because it was at rest has not been idle awake.

    Args:
        before: what was remembered; None at first sight.
        instance: as a list shows it.
        is_idle: what the probes tell; None if they tell nothing: then idle time begins anew.
        now: by the cloud's clock.
    """
    state, changed = str(instance.status), meant(instance.updated_at)
    slept = meant(instance.hibernated_at) if instance.status is VMStatus.HIBERNATED else None
    since = min(now, slept or changed or now)
    if before is None:
        return Sighting(state, since, now, now if is_idle else None)
    is_recent = now - before.seen <= LOOKS
    is_unchanged = is_recent if changed is None else changed <= before.seen
    if before.state == state and is_unchanged:
        since = min(before.since, since)
    goes_on = is_recent and before.state == state
    idle = ((before.idle if goes_on else None) or now) if is_idle else None
    return Sighting(state, since, now, idle, before.noticed)


def meant(at: datetime | None) -> datetime | None:
    """A time that the API tells; None if it tells none, or one that nobody can have meant."""
    return at if at is not None and at >= _EARLIEST else None


@dataclass(frozen=True)
class Overstay:
    """What a rule says of a machine that is longer than it may be; `why` is for people."""

    instance: UserVM
    rule: Lifetime
    stage: Stage
    why: str
    acts_at: datetime | None = None

    @property
    def key(self) -> str:
        """Of the notice about it."""
        return f"{self.rule.key} {self.instance.id}"


def judge_lifetimes(
    instances: Iterable[UserVM],
    rules: Sequence[Lifetime],
    seen: Mapping[str, Sighting],
    held: Mapping[str, Lease],
    protect: Iterable[str],
    now: datetime,
    grace: timedelta = GRACE,
) -> list[Overstay]:
    """What the rules say of each machine; at most one that acts, the first, and all that tell.

    Args:
        instances: as a list shows them.
        rules: in their order.
        seen: what is remembered of each, by id, this look included.
        held: machines that somebody needs now, by id.
        protect: names, globs and ids that are never touched.
        now: by the cloud's clock.
        grace: how long after a notice it is acted on.
    """
    never = tuple(protect)
    found = []
    for instance in instances:
        acts = False
        for rule in rules:
            is_action = rule.then in ("hibernate", "delete")
            if (acts and is_action) or not _applies(rule, instance):
                continue
            age = _age(rule, instance, seen.get(instance.id), now)
            if age is None or age <= rule.longer_than:
                continue
            verdict = _verdict(instance, rule, age, seen[instance.id], held, never, now, grace)
            acts = acts or is_action
            found.append(verdict)
    return found


def _applies(rule: Lifetime, instance: UserVM) -> bool:
    if not is_meant(rule.select, instance):
        return False
    states = {VMStatus(state) for state in rule.select.states}
    if states and instance.status not in states:
        return False
    match rule.then:
        case "hibernate":
            return instance.status in (VMStatus.ACTIVE, VMStatus.SHUTOFF)
        case "delete":
            may = (VMStatus.ACTIVE, VMStatus.SHUTOFF, VMStatus.HIBERNATED)
            return instance.status in may
    return instance.status is not VMStatus.DELETED


def _age(
    rule: Lifetime, instance: UserVM, seen: Sighting | None, now: datetime
) -> timedelta | None:
    if seen is None:
        return None
    if rule.idle:
        return None if seen.idle is None else now - seen.idle
    made = meant(instance.created_at)
    return now - (seen.since if rule.counts_state or made is None else made)


def _verdict(
    instance: UserVM,
    rule: Lifetime,
    age: timedelta,
    seen: Sighting,
    held: Mapping[str, Lease],
    protect: Sequence[str],
    now: datetime,
    grace: timedelta,
) -> Overstay:
    what = "idle" if rule.idle else str(instance.status) if rule.counts_state else "there"
    why = f"it has been {what} for {said(age)}, longer than {said(rule.longer_than)}"
    lease = held.get(instance.id)
    if rule.then in ("report", "alert"):
        return Overstay(instance, rule, Stage.NAMED, why)
    if is_protected(protect, instance.id, instance.name):
        return Overstay(instance, rule, Stage.SPARED, f"{why}; it is protected")
    if lease is not None:
        return Overstay(instance, rule, Stage.SPARED, f"{why}; {lease.said} keeps it")
    stage, acts_at = stage_of(seen.noticed.get(rule.key), now, grace)
    return Overstay(instance, rule, stage, why, acts_at)


def with_notices(
    seen: Mapping[str, Sighting],
    verdicts: Iterable[Overstay],
    rules: Iterable[Lifetime],
    now: datetime,
    held: Collection[str] = (),
    untold: Collection[str] = (),
) -> dict[str, Sighting]:
    """What is remembered of machines once people were told; see `notices_after`.

    Args:
        seen: what is remembered, by id.
        verdicts: of all machines that were seen.
        rules: of this run; notices of other rules stay, for the runs that have them.
        now: by the cloud's clock.
        held: ids of machines that somebody has leased; who did has said no to all notices.
        untold: keys of the notices that could not be sent to anybody.
    """
    before = {f"{key} {id_}": n for id_, one in seen.items() for key, n in one.noticed.items()}
    unseen = {id_ for id_, one in seen.items() if one.seen < now}
    own = {rule.key for rule in rules}
    noticed: dict[str, dict[str, Notice]] = {id_: {} for id_ in seen}
    for key, n in notices_after(before, verdicts, own, now, held, untold, unseen).items():
        rule_key, _, id_ = key.partition(" ")
        noticed[id_][rule_key] = n
    return {id_: replace(one, noticed=noticed[id_]) for id_, one in seen.items()}


def notices_of(
    verdicts: Iterable[Overstay],
    link: Callable[[str], str] = lambda _: "",
    instances: Iterable[UserVM] = (),
) -> list[Reading]:
    """One line a machine that people are told of: what will happen to it, and how to say no.

    Args:
        verdicts: of all machines.
        link: what a notice ends with, by the machine's id.
        instances: all of the account, of which several may have the same name.
    """
    found, known = [], tuple(instances)
    for one in verdicts:
        name = one.instance.name
        if one.stage is Stage.NAMED and one.rule.then == "alert":
            found.append(Reading(one.key, True, False, f"{name}: {one.why}"))
        elif one.stage in (Stage.NOTICE, Stage.GRACE, Stage.DUE):
            does = f"a snapshot is taken and it is {one.rule.then}d"
            link_to = link(one.instance.id)
            text = (
                f"{name}: {one.why}; {does} at {one.acts_at:%Y-%m-%d %H:%M} UTC; to keep it, "
                f"run: {keep_command(one.instance, known)}{link_to}"
            )
            found.append(Reading(one.key, True, False, text))
    return found
