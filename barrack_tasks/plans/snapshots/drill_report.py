"""What drills took, and how old snapshots and proofs are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from barrack_tasks.api.models import Snapshot
from barrack_tasks.api.models.shown import Lines, Part, Table
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.report import Report, money
from barrack_tasks.plans.snapshots.drill import Proof, proven_at
from barrack_tasks.plans.snapshots.restore import Restoring
from barrack_tasks.plans.world import newest_ready


def _name_of(id_: str, snapshots: Iterable[Snapshot], names: Mapping[str, str]) -> str:
    """What the instance is called that snapshots were taken of."""
    named = next((s.instance_name for s in snapshots if s.instance_name), None)
    return named or names.get(id_, id_)


def readings_of_proofs(
    snapshots: Mapping[str, Sequence[Snapshot]],
    proofs: Mapping[str, Proof],
    within: timedelta,
    now: datetime,
    names: Mapping[str, str],
) -> list[Reading]:
    """How each instance stands: over when it has no snapshot proven within so long.

    `names` are of the instances that exist, by id.
    """
    found = []
    for id_, of_it in sorted(snapshots.items()):
        name = _name_of(id_, of_it, names)
        proven = proven_at(proofs.get(id_), of_it)
        age = now - proven if proven else None
        over = age is None or age > within
        text = (
            f"{name} has no snapshot that was proven to restore within {said(within)}"
            if age is None
            else f"{name} has a snapshot that was proven to restore {said(age)} ago, and a proof "
            f"is wanted within {said(within)}"
        )
        found.append(Reading(f"proof {id_}", over, not over, text))
    return found


def why_none(snapshots: Mapping[str, Sequence[Snapshot]], within: timedelta) -> str:
    """Why no snapshot is due for a drill."""
    if not any(newest_ready(of_it) for of_it in snapshots.values()):
        return "No drill is due: no snapshot is ready"
    return f"No drill is due: each instance's newest snapshot was proven within {said(within)}"


class Drilled(BaseModel):
    """What one drill took, from the beginning of the run until its instance was gone.

    `cost` is an upper bound: charges begin when the restore completes (documented). None if the
    price is not known.
    """

    model_config = ConfigDict(frozen=True)

    instance: str
    snapshot: str
    took: timedelta
    cost: Decimal | None
    currency: str | None = None


def drilled_of(
    chosen: Iterable[Restoring], memory: Memory, began: datetime, now: datetime
) -> tuple[Drilled, ...]:
    """What each drill took for which an instance was made."""
    found = []
    for one in chosen:
        if one.key not in memory.made:
            continue
        took = memory.arrived_at.get(one.key, now) - began
        hours = Decimal(int(took.total_seconds())) / 3600
        cost = None if one.hourly_price is None else one.hourly_price * hours
        found.append(
            Drilled(
                instance=one.name,
                snapshot=one.snapshot.name,
                took=took,
                cost=cost,
                currency=one.currency,
            )
        )
    return tuple(found)


class DrillReport(Report):
    """One row a drill; `ages` has, for each instance, how old snapshots and proofs are."""

    ages: tuple[tuple[str, str, str], ...] = ()
    drilled: tuple[Drilled, ...] = ()

    @property
    def cost(self) -> Decimal | None:
        """What the drills have cost at most; None if a price is not known."""
        costs = [one.cost for one in self.drilled]
        return None if None in costs else sum((c for c in costs if c is not None), Decimal(0))

    @property
    def noun(self) -> str:
        """What the rows are about."""
        return "drills"

    def parts(self) -> tuple[Part, ...]:
        """The rows, the ages, and what the drills took."""
        ages = Table(("instance", "newest snapshot", "newest proven"), self.ages, "Ages")
        took = tuple((d.instance, said(d.took), _amount(d.cost, d.currency)) for d in self.drilled)
        if not took:
            return (*super().parts(), ages)
        currency = next((d.currency for d in self.drilled if d.currency), None)
        total = f"The drills cost at most {_amount(self.cost, currency)} in all."
        drilled = Table(("drill", "duration", "maximum cost"), took, "Drills")
        return (*super().parts(), ages, drilled, Lines((total,)))


def _amount(cost: Decimal | None, currency: str | None) -> str:
    return "not known" if cost is None else money(cost, currency)


def ages_of(
    snapshots: Mapping[str, Sequence[Snapshot]],
    proofs: Mapping[str, Proof],
    now: datetime,
    names: Mapping[str, str],
) -> tuple[tuple[str, str, str], ...]:
    """For each instance: name, age of the newest ready snapshot, age of the newest proof."""
    found = []
    for id_, of_it in sorted(snapshots.items()):
        newest, proven = newest_ready(of_it), proven_at(proofs.get(id_), of_it)
        created = newest.created_at if newest else None
        found.append(
            (
                _name_of(id_, of_it, names),
                # The clocks of two machines differ: nothing is younger than now.
                said(max(timedelta(0), now - created)) if created else "none",
                said(max(timedelta(0), now - proven)) if proven else "never",
            )
        )
    return tuple(found)
