"""What is remembered of drills: proofs, and what a drill may have left behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from barrack_tasks.api.models import Snapshot
from barrack_tasks.plans.snapshots.drill import Proof
from barrack_tasks.server.tables import change_all, read_all
from barrack_tasks.server.variables import Records, key_of_id


@dataclass(frozen=True)
class Open:
    """A temporary instance that a drill asks for.

    Attributes:
        since: when it was asked for, by the cloud's clock.
        id: of the instance, once that is known.
        by_worker: whether `since` is by the clock of a worker, as the earlier release wrote it.
        writer: the attempt that asks for it.
        name: of the instance, where it is on record by its id.
    """

    since: datetime
    id: str = ""
    by_worker: bool = False
    writer: str = ""
    name: str = ""

    def written(self) -> list[Any]:
        """As a record holds it."""
        clock = [] if self.by_worker else ["cloud", self.writer, self.name]
        return [int(self.since.timestamp()), self.id, *clock]


def read_proofs(account: str) -> dict[str, Proof]:
    """What is known of the snapshots of each instance, by its id."""
    return _read(read_all(f"barrack_proofs_{account}_"))


def _read(everything: Mapping[str, Any]) -> dict[str, Proof]:
    found: dict[str, Proof] = {}
    for id_, written in everything.items():
        with suppress(TypeError, ValueError):
            tried, snapshot, proven = written
            at = None if proven is None else datetime.fromtimestamp(proven, UTC)
            found[id_] = Proof(datetime.fromtimestamp(tried, UTC), snapshot, at)
    return found


def write_proofs(account: str, proofs: Mapping[str, Proof]) -> None:
    """Keep these beside what is known of other instances."""
    content = {id_: _written(proof) for id_, proof in proofs.items()}
    change_all(f"barrack_proofs_{account}_", lambda stands: {**stands, **content})


def _written(proof: Proof) -> list[Any]:
    proven = None if proof.proven is None else int(proof.proven.timestamp())
    return [int(proof.tried.timestamp()), proof.snapshot_id, proven]


def proven_snapshots(account: str) -> frozenset[str]:
    """Ids of the newest proven snapshot of each instance: retention keeps them."""
    return frozenset(p.snapshot_id for p in read_proofs(account).values() if p.snapshot_id)


def read_open(account: str) -> dict[str, Open]:
    """What drills may have left behind, by name.

    What has lost its name to a later drill stands under its id.
    """
    found: dict[str, Open] = {}
    with Records(open_prefix(account)) as records:
        # A record of its own comes last: it is newer than what an earlier release wrote.
        parts = sorted(records.all().items(), key=lambda one: _is_own(account, *one))
    for _, part in parts:
        for name, written in part.items() if isinstance(part, dict) else ():
            with suppress(TypeError, ValueError):
                at, id_, *clock = written
                moment = datetime.fromtimestamp(at, UTC)
                # Not each of the earlier releases wrote all of them.
                _, writer, called = (*clock, "", "", "")[:3]
                found[name] = Open(moment, str(id_), not clock, writer, called)
    return found


def write_open(account: str, drills: Mapping[str, Open]) -> None:
    """Keep these beside what is known: each has a record of its own, so no run undoes another's."""
    with Records(open_prefix(account)) as records:
        for name, one in drills.items():
            records.put(key_of_id(name), {name: one.written()})


def drop_open(account: str, names: Iterable[str]) -> None:
    """Forget what surely is gone, or never was."""
    gone = set(names)
    if not gone:
        return
    with Records(open_prefix(account)) as records:
        for record, part in records.all().items():
            left = (
                {k: v for k, v in part.items() if k not in gone} if isinstance(part, dict) else part
            )
            if not left:
                records.drop(record)
            elif left != part:  # earlier releases kept several in one
                records.put(record, left)


def _is_own(account: str, record: str, part: Any) -> bool:
    names = list(part) if isinstance(part, dict) else []
    return len(names) == 1 and record == open_prefix(account) + key_of_id(names[0])


def note_tries(account: str, chosen: Iterable[Snapshot], now: datetime) -> None:
    """Note that these were tried, whatever comes of it."""
    tried = [snapshot.instance_id or "" for snapshot in chosen]

    def with_tries(stands: dict[str, Any]) -> dict[str, Any]:
        known, never = _read(stands), Proof(now)
        return {
            **stands,
            **{id_: _written(replace(known.get(id_, never), tried=now)) for id_ in tried},
        }

    change_all(f"barrack_proofs_{account}_", with_tries)


def open_prefix(account: str) -> str:
    """What the names of the records begin with that tell what drills may have left behind."""
    return f"barrack_drilling_{account}_"
