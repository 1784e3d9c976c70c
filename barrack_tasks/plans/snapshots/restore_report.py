"""What `restore_from_snapshot` did, or would do, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.report import Report, Row
from barrack_tasks.plans.snapshots.restore import Restoring
from barrack_tasks.plans.steps import Finished, Next, Outcome, Step
from barrack_tasks.plans.world import World


class Restored(BaseModel):
    """An instance that was made from a snapshot.

    `billed_since` is when it was first seen ACTIVE, its address assigned or not: charges begin when
    the restore completes (documented), to the minute. It is None if that was not waited for.
    """

    model_config = ConfigDict(frozen=True)

    snapshot_id: str
    snapshot: str
    old_id: str | None
    id: str
    name: str
    address: str | None
    hourly_price: Decimal | None
    currency: str | None
    billed_since: datetime | None
    took: timedelta | None


class RestoreReport(Report):
    """One row a snapshot; `restored` has the figures of those that came up."""

    restored: tuple[Restored, ...] = ()

    @property
    def noun(self) -> str:
        """What the rows are about."""
        return "snapshots"


def rows_of_restores(
    all_of_them: Iterable[Restoring], plan: Mapping[str, Next], world: World, memory: Memory
) -> tuple[Row, ...]:
    """One row a snapshot."""
    rows = []
    for one in all_of_them:
        next_ = plan[one.key]
        outcome: Outcome = next_.outcome if isinstance(next_, Finished) else "planned"
        why = "" if isinstance(next_, Step) else next_.why
        there = world.by_name.get(one.name)
        mine = there if one.key in memory.made or one.resumed else None
        if outcome == "done" and mine is not None and mine.has_address:
            why = "; ".join(filter(None, [why, f"its address is {mine.public_ip}"]))
        did = one.key in memory.made or isinstance(next_, Step)
        rows.append(
            Row(
                instance_id=mine.id if mine else memory.made.get(one.key, ""),
                instance=one.name,
                public_ip=mine.address if mine else None,
                was=f"snapshot {one.snapshot.status}",
                did=("restore snapshot",) if did else (),
                now=str(mine.status) if mine else "-",
                outcome=outcome,
                why=why,
                snapshot=one.snapshot.name,
                hourly_before=Decimal(0),
                hourly_now=_hourly(one, mine, outcome),
                currency=str(mine.currency) if mine and mine.currency else one.currency,
            )
        )
    return tuple(rows)


def _hourly(one: Restoring, mine: UserVM | None, outcome: Outcome) -> Decimal | None:
    if mine is not None:
        return mine.hourly_price
    return one.hourly_price if outcome == "planned" else Decimal(0)


def restored_of(
    all_of_them: Iterable[Restoring], plan: Mapping[str, Next], world: World, memory: Memory
) -> tuple[Restored, ...]:
    """The figures of those that are done; lists may not show yet what is not waited for."""
    found = []
    by_name = {i.name: i for i in world.instances.values()}
    for one in all_of_them:
        next_, there = plan[one.key], by_name.get(one.name)
        id_ = there.id if there else memory.made.get(one.key)
        if not (isinstance(next_, Finished) and next_.outcome == "done") or not id_:
            continue
        arrived, asked = memory.arrived_at.get(one.key), memory.asked_at.get(one.key)
        listed_currency = str(there.currency) if there and there.currency else None
        found.append(
            Restored(
                snapshot_id=one.snapshot.id,
                snapshot=one.snapshot.name,
                old_id=one.snapshot.instance_id,
                id=id_,
                name=one.name,
                address=there.public_ip if there and there.has_address else None,
                hourly_price=there.hourly_price if there else one.hourly_price,
                currency=listed_currency or one.currency,
                billed_since=memory.up_at.get(one.key),
                took=arrived - asked if arrived and asked else None,
            )
        )
    return tuple(found)
