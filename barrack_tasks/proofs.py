"""What is remembered of drills: proofs, and what a drill may have left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from barrack_tasks.api.models import Snapshot
from barrack_tasks.plans.drills import Proof
from barrack_tasks.shelves import read_all, write_all


@dataclass(frozen=True)
class Open:
    """A temporary instance that a drill asks for.

    Attributes:
        since: when it was asked for, by the cloud's clock.
        id: of the instance, once that is known.
        by_worker: whether `since` is by the clock of a worker, as the earlier release wrote it.
    """

    since: datetime
    id: str = ""
    by_worker: bool = False


def read_proofs(account: str) -> dict[str, Proof]:
    """What is known of the snapshots of each instance, by its id."""
    found: dict[str, Proof] = {}
    for id_, written in read_all(f"barrack_proofs_{account}_").items():
        with suppress(TypeError, ValueError):
            tried, snapshot, proven = written
            at = None if proven is None else datetime.fromtimestamp(proven, UTC)
            found[id_] = Proof(datetime.fromtimestamp(tried, UTC), snapshot, at)
    return found


def write_proofs(account: str, proofs: Mapping[str, Proof]) -> None:
    """Keep it."""
    content = {
        id_: [
            int(p.tried.timestamp()),
            p.snapshot_id,
            None if p.proven is None else int(p.proven.timestamp()),
        ]
        for id_, p in proofs.items()
    }
    write_all(f"barrack_proofs_{account}_", content)


def proven_snapshots(account: str) -> frozenset[str]:
    """Ids of the newest proven snapshot of each instance: retention keeps them."""
    return frozenset(p.snapshot_id for p in read_proofs(account).values() if p.snapshot_id)


def read_open(account: str) -> dict[str, Open]:
    """What drills may have left behind, by name.

    What has lost its name to a later drill stands under its id.
    """
    found: dict[str, Open] = {}
    for name, written in read_all(_open(account)).items():
        with suppress(TypeError, ValueError):
            at, id_, *clock = written
            found[name] = Open(datetime.fromtimestamp(at, UTC), str(id_), by_worker=not clock)
    return found


def write_open(account: str, drills: Mapping[str, Open]) -> None:
    """Keep it, before anything is asked for."""
    content = {
        name: [int(o.since.timestamp()), o.id, *([] if o.by_worker else ["cloud"])]
        for name, o in drills.items()
    }
    write_all(_open(account), content)


def note_tries(account: str, chosen: Iterable[Snapshot], now: datetime) -> None:
    """Note that these were tried, whatever comes of it."""
    proofs = read_proofs(account)
    for snapshot in chosen:
        id_ = snapshot.instance_id or ""
        old = proofs.get(id_)
        proofs[id_] = Proof(now, old.snapshot_id if old else None, old.proven if old else None)
    write_proofs(account, proofs)


def _open(account: str) -> str:
    return f"barrack_drilling_{account}_"
