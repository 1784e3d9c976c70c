"""Deleting snapshots, many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from barrack_tasks.api.models import Snapshot
from barrack_tasks.api.transport.pacing import elapsed
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.events import emit
from barrack_tasks.plans.snapshots.prune import steps_of
from barrack_tasks.plans.snapshots.retention import Fate
from barrack_tasks.runtime.executor import Crew, OutOfDate, crew
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.loop import Log

_LOOK = 5.0
_BATCH = 256
"""So many snapshots are deleted before it is looked again whether the others still may go."""


def instances_of(snapshots: Iterable[Snapshot]) -> dict[str, str]:
    """The instances that snapshots were taken of, names by id."""
    return {s.instance_id: s.instance_name or s.instance_id for s in snapshots if s.instance_id}


def delete_all(
    credentials: BarrackCredentials,
    hold: Hold,
    fates: Sequence[Fate],
    log: Log,
    judge: Callable[[Sequence[Fate]], list[Fate]],
) -> tuple[list[Fate], dict[str, str]]:
    """Delete the snapshots that are to go.

    Args:
        credentials: the account.
        hold: of the run.
        fates: what was decided.
        log: of the run.
        judge: decides once more, directly before each batch, by what is true by then.

    Returns:
        The fates as they were decided in the end, and the ids of the snapshots that could not be
        deleted, with the reason.
    """
    refused: dict[str, str] = {}
    settled = [fate for fate in fates if fate.kept]
    going = [fate for fate in fates if not fate.kept]
    with crew(credentials.get_client(), hold, credentials.max_concurrency) as gang:
        while going:
            batch, going = going[:_BATCH], going[_BATCH:]
            began = elapsed()
            batch = judge(batch)
            gang.looked(began, ())
            steps = steps_of(batch)
            gang.start(steps)
            not_deleted, again = _outcomes(gang, len(steps), log)
            refused |= not_deleted
            settled += [fate for fate in batch if fate.snapshot.id not in again]
            going += [fate for fate in batch if fate.snapshot.id in again]
    order = {fate.snapshot.id: place for place, fate in enumerate(fates)}
    return sorted(settled, key=lambda fate: order[fate.snapshot.id]), refused


def _outcomes(gang: Crew, left: int, log: Log) -> tuple[dict[str, str], set[str]]:
    """Wait for so many deletions; what was refused, with the reason, and what waited too long.

    Both by the snapshot's id. What waited too long is decided on anew.
    """
    refused: dict[str, str] = {}
    again: set[str] = set()
    while left:
        for outcome in gang.outcomes(_LOOK):
            left -= 1
            id_ = outcome.step.arguments["snapshot_id"]
            if isinstance(outcome.error, OutOfDate):
                again.add(id_)
                continue
            if outcome.error is not None:
                refused[id_] = str(outcome.error)
                log.error("%s could not be deleted: %s", outcome.step.subject, outcome.error)
                continue
            log.info("%s deleted", outcome.step.subject)
            emit(
                "barrack.snapshot.deleted",
                id_,
                outcome.step.subject,
                instance=outcome.step.instance_id,
            )
    return refused, again
