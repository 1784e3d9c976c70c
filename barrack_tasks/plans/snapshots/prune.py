"""The decision of `prune_snapshots`: what retention drops, and what must stay all the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.plans.names import is_ours
from barrack_tasks.plans.protection import why_protected
from barrack_tasks.plans.report import Report, Row
from barrack_tasks.plans.selection import (
    Named,
    SelectionError,
    Selector,
    ambiguous,
    each_pattern,
)
from barrack_tasks.plans.snapshots.retention import Fate, Retention
from barrack_tasks.plans.steps import Outcome, Step

Failed = Literal["keep", "drop"]
NO_INSTANCES: Mapping[str, UserVM] = MappingProxyType({})
"""No instance is known, so a snapshot is known by what it carries alone."""
_NOT_OURS = "not made by this library"
_UNREAD = "it is not known whether an image depends on it"


@dataclass(frozen=True)
class Pruning:
    """What is asked for."""

    retention: Retention
    failed: Failed = "keep"
    protect: tuple[str, ...] = ()


def with_names(snapshots: Iterable[Snapshot], instances: Mapping[str, UserVM]) -> list[Snapshot]:
    """The snapshots, those that carry no name of their instance with the one that it has now."""
    return [
        s.model_copy(update={"instance_name": there.name})
        if not s.instance_name and (there := instances.get(s.instance_id or ""))
        else s
        for s in snapshots
    ]


def sources_of(snapshots: Iterable[Snapshot]) -> list[Named]:
    """The instances that snapshots were taken of, as far as the snapshots tell them."""
    return [Named(s.instance_id or "", s.instance_name or "") for s in snapshots]


def selected_snapshots(
    selector: Selector, snapshots: Iterable[Snapshot], instances: Sequence[UserVM] = ()
) -> list[Snapshot]:
    """The snapshots of the instances that are meant, whether those still exist or not.

    A name may also be that of one of `instances` that has no snapshot.

    Raises:
        SelectionError: the selector names what a snapshot does not tell, a name or region
            that no snapshot has, or a name that is the id of another instance.
    """
    if selector.models or selector.states:
        raise SelectionError(
            "select: the instances of snapshots may be gone, so GPU models and states cannot "
            "select them; name instances or regions"
        )
    given = list(snapshots)
    of_snapshots = {Named(s.instance_id or "", s.instance_name or "") for s in given}
    for one in ambiguous(selector.names, [*instances, *of_snapshots]):
        raise SelectionError(f"select: {one.text}")
    for pattern, alone in each_pattern(selector):
        if any(alone.takes(i.id, i.name) for i in instances):
            continue
        if given and not any(_is_of(s, alone) for s in given):
            names = ", ".join(sorted({s.instance_name or s.instance_id or "?" for s in given})[:10])
            raise SelectionError(
                f"there is no snapshot of {pattern!r}; there are snapshots of {names}"
            )
    there = {str(s.region) for s in given if s.region}
    there |= {str(i.region) for i in instances if i.region}
    for region in selector.regions:
        if there and region not in there:
            raise SelectionError(
                f"no snapshot is in the region {region!r}; there are {', '.join(sorted(there))}"
            )
    return [
        s
        for s in given
        if _is_of(s, selector) and (not selector.regions or str(s.region) in selector.regions)
    ]


def keepers(
    snapshots: Iterable[Snapshot],
    how: Pruning,
    depended_on: Collection[str] | None,
    held: Mapping[str, str],
    proven: Collection[str] = (),
    used: Mapping[str, str] | None = None,
    instances: Mapping[str, UserVM] = NO_INSTANCES,
) -> dict[str, str]:
    """Ids of snapshots that are kept whatever the numbers say, and why.

    Args:
        snapshots: all that are looked at.
        how: what is asked for.
        depended_on: ids that an image depends on; None if that is not known.
        held: ids of instances that another run works on, and which.
        proven: ids of the newest snapshots that were proven to restore.
        used: ids of snapshots that another run restores or makes an image of, and which.
        instances: all of the account as they are now, by id: protection is judged by them.
    """
    found: dict[str, str] = {}
    # The snapshots of an instance are judged alike, by its id and the name that they carry.
    judged: dict[tuple[str | None, str | None], str | None] = {}
    for snapshot in snapshots:
        source = (snapshot.instance_id, snapshot.instance_name)
        if source not in judged:
            judged[source] = why_protected(snapshot, how.protect, instances)
        if not is_ours(snapshot, snapshot.instance_id or ""):
            found[snapshot.id] = _NOT_OURS
        elif why := judged[source]:
            found[snapshot.id] = why
        elif snapshot.id in proven:
            found[snapshot.id] = "it is the newest that was proven to restore"
        elif holder := held.get(snapshot.instance_id or ""):
            found[snapshot.id] = f"{holder} is working on its instance"
        elif user := (used or {}).get(snapshot.id):
            found[snapshot.id] = f"{user} is using it"
        elif depended_on is None:
            found[snapshot.id] = _UNREAD
        elif snapshot.id in depended_on:
            found[snapshot.id] = "an image depends on it"
    return found


def unjudged(
    fates: Iterable[Fate],
    candidates: Collection[str],
    how: Pruning,
    held: Mapping[str, str],
    proven: Collection[str] = (),
    used: Mapping[str, str] | None = None,
    instances: Mapping[str, UserVM] = NO_INSTANCES,
) -> dict[str, str]:
    """Ids of snapshots that stay only because it could not be read what depends on them, and why.

    Args:
        fates: what was decided, without knowing what images depend on.
        candidates: ids of what retention would drop.
        how: as in `keepers`, like all that follows.
    """
    snapshots = [fate.snapshot for fate in fates]
    keep = keepers(snapshots, how, frozenset(), held, proven, used, instances)
    return {id_: _UNREAD for id_ in candidates if id_ not in keep}


def decide_pruning(
    snapshots: Sequence[Snapshot], how: Pruning, keep: Mapping[str, str], now: datetime
) -> list[Fate]:
    """What becomes of each snapshot.

    Retention counts this library's own snapshots alone: one that somebody else made is kept, and
    takes no place that an own one would have.

    Args:
        snapshots: all of the instances concerned.
        how: what is asked for.
        keep: ids that are kept whatever the numbers say, and why.
        now: zone-aware.
    """
    own = [s for s in snapshots if is_ours(s, s.instance_id or "")]
    counted = iter(how.retention.fates(own, now, dict(keep)))
    ours = {id(s) for s in own}
    fates = [
        next(counted) if id(s) in ours else Fate(s, (keep.get(s.id, _NOT_OURS),)) for s in snapshots
    ]
    if how.failed == "keep":
        return fates
    return [
        Fate(f.snapshot)
        if f.snapshot.status.is_failed and f.snapshot.id not in keep and id(f.snapshot) in ours
        else f
        for f in fates
    ]


def candidates_of(
    snapshots: Sequence[Snapshot],
    how: Pruning,
    now: datetime,
    instances: Mapping[str, UserVM] = NO_INSTANCES,
) -> list[Snapshot]:
    """What would be dropped if no image depended on anything: what to ask about."""
    keep = keepers(snapshots, how, frozenset(), {}, instances=instances)
    return [f.snapshot for f in decide_pruning(snapshots, how, keep, now) if not f.kept]


def spare(fates: Iterable[Fate], how: Pruning, instances: Mapping[str, UserVM]) -> list[Fate]:
    """The fates, without the end of those that are protected as the instances are now."""
    judged = ((f, why_protected(f.snapshot, how.protect, instances)) for f in fates)
    return [Fate(f.snapshot, (why,)) if why and not f.kept else f for f, why in judged]


def steps_of(fates: Iterable[Fate]) -> list[Step]:
    """The deletions."""
    return [
        Step(
            "delete_snapshot",
            f.snapshot.instance_id or "",
            f.snapshot.name,
            {"snapshot_id": f.snapshot.id},
        )
        for f in fates
        if not f.kept
    ]


class PruneReport(Report):
    """What `prune_snapshots` did: one row a snapshot."""

    @property
    def noun(self) -> str:
        """What the rows are about."""
        return "snapshots"


def prune_rows(
    fates: Iterable[Fate],
    gb_hourly: Decimal | None,
    currency: str | None,
    refused: Mapping[str, str],
    dry_run: bool,
) -> tuple[Row, ...]:
    """One row a snapshot.

    Args:
        fates: what was decided.
        gb_hourly: what a GB costs an hour; None if that is not known.
        currency: of the account.
        refused: ids of snapshots that could not be judged or deleted, and why.
        dry_run: nothing was deleted.
    """
    rows = []
    for fate in fates:
        snapshot, kept = fate.snapshot, bool(fate.kept)
        why = refused.get(snapshot.id)
        outcome: Outcome = "failed" if why else "already" if kept else "done"
        if dry_run and not kept:
            outcome = "planned"
        gone = outcome == "done"
        cost = _hourly(snapshot, gb_hourly)
        rows.append(
            Row(
                instance_id=snapshot.instance_id or "",
                instance=snapshot.instance_name or snapshot.instance_id or "?",
                was=str(snapshot.status),
                did=() if kept else ("delete",),
                now="DELETED" if gone else str(snapshot.status),
                outcome=outcome,
                why=why or "; ".join(fate.kept),
                snapshot=snapshot.name,
                hourly_before=cost,
                hourly_now=Decimal(0) if gone else cost,
                currency=currency,
            )
        )
    return tuple(rows)


def _hourly(snapshot: Snapshot, gb_hourly: Decimal | None) -> Decimal | None:
    """What a snapshot costs an hour: nothing if it failed; None if that is not known."""
    if snapshot.status.is_failed:
        return Decimal(0)
    size = snapshot.size_gb
    return None if gb_hourly is None or size is None else gb_hourly * size


def _is_of(snapshot: Snapshot, selector: Selector) -> bool:
    return selector.takes(snapshot.instance_id or "", snapshot.instance_name or "")
