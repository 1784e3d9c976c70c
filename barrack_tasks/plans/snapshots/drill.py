"""Drills: which snapshots to prove next, and the next step of each proof."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from barrack_tasks.api.models import Snapshot, UserVM, VMStatus
from barrack_tasks.api.models.rules import INSTANCE_NAME_LENGTH
from barrack_tasks.plans.durations import PositiveSpan
from barrack_tasks.plans.inputs import Given
from barrack_tasks.plans.making import CLOCKS_DIFFER, Making
from barrack_tasks.plans.memory import MOST_REFUSALS, Memory, Target, decide_each
from barrack_tasks.plans.protection import is_protected, why_protected
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import SelectionError, Selector
from barrack_tasks.plans.snapshots.prune import selected_snapshots
from barrack_tasks.plans.snapshots.restore import Restoring, decide_restore, differing
from barrack_tasks.plans.steps import Finished, Next, Step, Wait
from barrack_tasks.plans.world import World, by_instance, newest_ready

Owner = Literal["ours", "another's", "unclear"]
TO_DELETE = timedelta(minutes=15)
"""So long the deletion of what was made may take."""
_PREFIX = "drill-"
_STRANGERS = re.compile(r"[^A-Za-z0-9_.\-]+")
_NEVER = datetime.min.replace(tzinfo=UTC)


def _words(command: Any) -> Any:
    if not isinstance(command, str):
        return command
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise ValueError(
            f"{command!r} cannot be divided into words ({error}); write a list of words"
        ) from None


class Probe(Given):
    """How it is told that a restored instance works, besides that it is up.

    Attributes:
        port: a TCP port that must answer at the instance's address.
        command: a command that must end with 0, as a list of words or as one text, which is
            divided like a shell does and run without one; the address is its last argument, and
            stands in BARRACK_ADDRESS.
        within: how long it may take after the instance is up.
    """

    port: int | None = Field(default=None, ge=1, le=65535)
    command: Annotated[tuple[str, ...], BeforeValidator(_words)] | None = None
    within: PositiveSpan = timedelta(minutes=5)

    @model_validator(mode="after")
    def _one_of_both(self) -> Probe:
        if (self.port is None) == (not self.command):
            raise ValueError("a probe needs either a port or a command")
        return self


@dataclass(frozen=True)
class Proof:
    """What is known of an instance's snapshots: the newest that was proven, and the last try."""

    tried: datetime
    snapshot_id: str | None = None
    proven: datetime | None = None


@dataclass
class Drills:
    """What a run of drills knows that the API does not tell."""

    verdicts: dict[str, str] = field(default_factory=dict)
    """By key: empty if the snapshot was proven, else why not."""
    up_since: dict[str, datetime] = field(default_factory=dict)
    """When each was first seen up."""
    unmet: dict[str, str] = field(default_factory=dict)
    """What the probe last had to say against each."""
    noted: dict[str, str] = field(default_factory=dict)
    """Ids of what was made that are on record, by name."""


def drill_name(snapshot: Snapshot) -> str:
    """What the temporary instance is called: the same for the same snapshot, and valid."""
    mark = hashlib.blake2s(snapshot.id.encode(), digest_size=4).hexdigest()
    clean = _STRANGERS.sub("-", snapshot.instance_name or snapshot.name)
    room = INSTANCE_NAME_LENGTH[1] - len(_PREFIX) - len(mark) - 1
    return f"{_PREFIX}{clean[:room]}-{mark}"


def of_each_instance(
    selector: Selector,
    snapshots: Sequence[Snapshot],
    instances: Sequence[UserVM],
    never: Sequence[str],
) -> dict[str, list[Snapshot]]:
    """The snapshots of each instance that is meant, by its id; none of those that have none.

    Args:
        selector: which instances, whether they still exist or not.
        snapshots: all of the account.
        instances: all of the account.
        never: names, globs and ids of instances that are left alone.

    Raises:
        SelectionError: that is none, so that nothing would ever be proven.
    """
    chosen = selected_snapshots(selector, snapshots, instances)
    there = {i.id: i for i in instances}
    found = by_instance(s for s in chosen if not why_protected(s, never, there))
    with_some = {s.instance_id for s in snapshots}
    for instance in instances:
        is_meant = selector.takes(instance.id, instance.name)
        is_there = not selector.regions or str(instance.region) in selector.regions
        is_spared = is_protected(never, instance.id, instance.name)
        if is_meant and is_there and instance.id not in with_some and not is_spared:
            found[instance.id] = []
    if not found:
        raise SelectionError(
            "select: matches no unprotected instance, existing or gone, so no snapshot would ever "
            "be proven; select others"
        )
    return found


def choose(
    snapshots: Mapping[str, Sequence[Snapshot]],
    proofs: Mapping[str, Proof],
    at_most: int,
    within: timedelta,
    now: datetime,
) -> list[Snapshot]:
    """The snapshots to prove next: of each instance the newest ready one.

    Unless that one was proven `within` so long. What was tried longest ago comes first, and what
    never was before all, so that one that fails every time holds up none.

    Args:
        snapshots: by the id of their instance.
        proofs: what is known, by the same.
        at_most: so many.
        within: so old a proof may be.
        now: zone-aware.
    """
    newest = {id_: newest_ready(of_it) for id_, of_it in snapshots.items()}
    unproven = [
        (proofs[id_].tried if id_ in proofs else _NEVER, id_, snapshot)
        for id_, snapshot in newest.items()
        if snapshot is not None and not _is_fresh(proofs.get(id_), snapshot, within, now)
    ]
    return [snapshot for _, _, snapshot in sorted(unproven, key=lambda one: one[:2])[:at_most]]


def _is_fresh(proof: Proof | None, snapshot: Snapshot, within: timedelta, now: datetime) -> bool:
    if proof is None or proof.snapshot_id != snapshot.id or proof.proven is None:
        return False
    return now - proof.proven <= within


def within_cost(
    chosen: Iterable[Restoring],
    prices: Mapping[str, Decimal | None],
    hours: Decimal,
    most: Decimal | None,
) -> dict[str, str]:
    """Keys of those that the cap on the cost leaves out, and why.

    Args:
        chosen: in the order in which they are wanted.
        prices: an hour, by key; None if it is not known.
        hours: how long a drill may last.
        most: what all together may cost; None for no cap.
    """
    left = most
    found: dict[str, str] = {}
    for one in chosen:
        if left is None:
            continue
        price = prices.get(one.key)
        if price is None:
            found[one.key] = "its price is not known, so the cap on the cost refuses it"
        elif price * hours > left:
            found[one.key] = (
                f"it may cost {money(price * hours, one.currency)}, and "
                f"{money(left, one.currency)} of the cap is left"
            )
        else:
            left -= price * hours
    return found


def with_cost_cap(
    chosen: Sequence[Restoring], timeout: timedelta, most: Decimal | None
) -> list[Restoring]:
    """The same, each with a problem more if the cap on the cost leaves it out.

    Args:
        chosen: in the order in which they are wanted.
        timeout: how long a drill may last.
        most: what all together may cost; None for no cap.
    """
    prices = {one.key: one.hourly_price for one in chosen}
    hours = Decimal(int(timeout.total_seconds())) / 3600
    left_out = within_cost(chosen, prices, hours, most)
    return [
        replace(one, problems=(*one.problems, left_out[one.key])) if one.key in left_out else one
        for one in chosen
    ]


def whose(by: Making, there: UserVM, by_worker: bool = False) -> Owner:
    """Whose an instance is that has the name of a drill's.

    Args:
        by: the drill's request.
        there: the instance.
        by_worker: the request was dated by the clock of a worker, which may differ from the cloud's
            by minutes.
    """
    if by_worker:
        if replace(by, asked=by.asked - CLOCKS_DIFFER).was_before(there):
            return "another's"
        by = replace(by, asked=by.asked - timedelta(minutes=1))
    elif by.was_before(there):
        return "another's"
    return "ours" if by.has_made(there) else "unclear"


def can_be_probed(there: UserVM, addressed: bool) -> bool:
    """Whether a probe may be asked: an address that is missing would be taken for this machine's.

    Args:
        there: the temporary instance.
        addressed: whether the dialect tells addresses at all.
    """
    return there.has_come_up and (there.has_address or not addressed)


def verdict_of(
    one: Restoring,
    world: World,
    memory: Memory,
    probed: str | None,
    late: bool,
    unmet: str | None = None,
) -> str | None:
    """Whether a snapshot is proven (empty), why it is not, or None while that is open.

    Args:
        one: the snapshot.
        world: as observed.
        memory: of this run.
        probed: what the probe says: empty if it is content, None if it is not done.
        late: no time is left.
        unmet: what the probe last had to say against it.
    """
    made = memory.made.get(one.key)
    there = world.instances.get(made) if made else None
    if made is None:
        return None
    if there is None:
        return "the instance that was made is gone" if made in world.gone or late else None
    if there.status is VMStatus.ERROR:
        return "it came up in ERROR"
    if there.has_come_up:
        differences = differing(one, there)
        if differences:
            return f"it differs from its snapshot: {'; '.join(differences)}"
        if probed is not None:
            return probed
        if late and unmet:
            return unmet
    return f"it did not come up in time: it is {there.status}" if late else None


def decide_drill(
    one: Restoring, world: World, memory: Memory, drills: Drills, began: datetime, now: datetime
) -> Next:
    """The next step of a proof: restore, wait, delete what was made, and nothing else."""
    made = memory.made.get(one.key)
    if made is None:
        return decide_restore(one, world, memory, "address", "stop", began, now)
    there = world.instances.get(made)
    if there is not None and there.name != one.name:
        return Finished("failed", f"it is called {there.name} now, and is left alone")
    verdict = drills.verdicts.get(one.key)
    if verdict is None:
        return Wait("it is coming up or being checked")
    if made in world.gone or (there is not None and there.status is VMStatus.DELETED):
        return Finished("failed" if verdict else "done", verdict or "proven")
    if there is None:
        return Wait("it is missing from the list of instances")
    if one.key in memory.acted:
        return Wait("it is being deleted")
    return Step("delete_instance", one.key, one.name, {"instance_id": made})


def decide_drills(
    chosen: Sequence[Restoring],
    world: World,
    memory: Memory,
    drills: Drills,
    began: datetime,
    timeout: timedelta,
    now: datetime,
) -> dict[str, Next]:
    """What each proof needs next. What was made is deleted however late it is.

    Args:
        chosen: the proofs of this run.
        world: as observed.
        memory: of this run.
        drills: what else this run knows.
        began: when the run did.
        timeout: for one instance to come up and answer.
        now: zone-aware.
    """
    wanted = {one.key: decide_drill(one, world, memory, drills, began, now) for one in chosen}
    targets = [Target(one.key, one.name, began) for one in chosen]
    until = timeout + TO_DELETE
    plan = decide_each(targets, lambda t: wanted[t.id], memory, world, (), until, now)
    for key, next_ in wanted.items():
        is_given_up = isinstance(plan[key], Finished) and not isinstance(next_, Finished)
        if is_given_up and _may_still_go(key, next_, memory, now):
            plan[key] = next_
    return plan


def _may_still_go(key: str, next_: Next, memory: Memory, now: datetime) -> bool:
    if isinstance(next_, Step):
        may_ask = key not in memory.hopeless
        refused = len(memory.refused.get(key, ()))
        return next_.operation == "delete_instance" and may_ask and refused < MOST_REFUSALS
    asked = memory.asked_at.get(key)
    return key in memory.acted and asked is not None and now < asked + TO_DELETE


def proven_at(proof: Proof | None, snapshots: Iterable[Snapshot]) -> datetime | None:
    """When it was proven; a proof whose snapshot is gone proves nothing any more."""
    if proof is None or all(s.id != proof.snapshot_id for s in snapshots):
        return None
    return proof.proven
