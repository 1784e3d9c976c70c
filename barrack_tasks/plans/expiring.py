"""Ending what was made for a time, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.drive import Manner, drive_down
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.report import Report, Row
from barrack_tasks.plans.steps import Finished, Next, Outcome, Step, Wait
from barrack_tasks.plans.world import World

_IN_FULL = Manner(shutoff="hibernate")


@dataclass(frozen=True)
class Expiry:
    """When an instance that was made for a time ends, and how: `hibernate` or `delete`."""

    id: str
    name: str
    at: datetime
    how: str


@dataclass(frozen=True)
class Ending:
    """An expiry, what it needs next, and why that was refused if it was."""

    expiry: Expiry
    next: Next
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do, so that it may be forgotten."""
        if isinstance(self.next, Step):
            return not self.error and self.next.operation != "start_instance"
        return isinstance(self.next, Finished) and self.next.outcome != "failed"

    @property
    def text(self) -> str:
        """One sentence of what was done."""
        did = self.next.operation.replace("_", " ") if isinstance(self.next, Step) else ""
        return f"{self.expiry.name}: its time was over: {did}"


def decide_ending(
    expiry: Expiry, world: World, protected: bool, holder: str | None, now: datetime
) -> Next:
    """What the end of one instance needs next.

    Only the instance that was made is ended: same id and same name. What is SHUTOFF is billed in
    full, and so is started in order to hibernate it.

    Args:
        expiry: of the instance.
        world: as observed; `gone` holds the instance if the API, asked by id, does not know it.
        protected: whether it is protected.
        holder: which run works on it, if one does.
        now: zone-aware.
    """
    instance = world.instances.get(expiry.id)
    if now < expiry.at:
        return Wait(f"it ends at {expiry.at:%Y-%m-%d %H:%M} UTC")
    if expiry.id in world.gone or (instance and instance.status is VMStatus.DELETED):
        return Finished("already", "it is gone")
    if instance is None:
        return Wait("it is missing from the list of instances")
    if instance.name != expiry.name:
        return Finished("skipped", f"it is called {instance.name} now, and is left alone")
    if protected:
        return Wait("its time is over, and it is protected")
    if holder is not None:
        return Wait(f"held by {holder}")
    if expiry.how == "hibernate":
        target = Target(expiry.id, expiry.name, now, instance)
        return drive_down(target, world, Memory(), _IN_FULL)
    if instance.status is VMStatus.DELETING:
        return Wait("it is DELETING")
    return Step("delete_instance", expiry.id, expiry.name, {"instance_id": expiry.id})


def rows_of_endings(
    endings: Iterable[Ending], instances: Mapping[str, UserVM], dry_run: bool = False
) -> tuple[Row, ...]:
    """One row an instance whose time is over or comes."""
    return tuple(_row(one, instances.get(one.expiry.id), dry_run) for one in endings)


def _row(one: Ending, instance: UserVM | None, dry_run: bool) -> Row:
    outcome: Outcome
    why = ""
    did: tuple[str, ...] = ()
    match one.next:
        case Step() if one.error:
            outcome, why = "failed", one.error
        case Step():
            outcome = "planned" if dry_run else "done"
            did = (one.next.operation.replace("_", " "),)
            why = f"its time was over at {one.expiry.at:%Y-%m-%d %H:%M} UTC"
        case Finished():
            outcome, why = one.next.outcome, one.next.why
        case Wait():
            outcome, why = "skipped", one.next.why
    status = str(instance.status) if instance else "-"
    return Row(
        instance_id=one.expiry.id,
        instance=one.expiry.name,
        was=status,
        did=did,
        now=status,
        outcome=outcome,
        why=why,
        hourly_before=instance.hourly_price if instance else None,
        currency=str(instance.currency) if instance and instance.currency else None,
    )


class EndingsReport(Report):
    """One row an instance that was made for a time."""

    @property
    def noun(self) -> str:
        """What the rows are about."""
        return "instances made for a time"
