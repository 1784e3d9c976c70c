"""Deleting snapshots, many at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from barrack_tasks.api.models import Snapshot
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.crew import crew
from barrack_tasks.events import emit
from barrack_tasks.holds import Hold
from barrack_tasks.loop import Log
from barrack_tasks.plans.steps import Step

_LOOK = 5.0


def instances_of(snapshots: Iterable[Snapshot]) -> dict[str, str]:
    """The instances that snapshots were taken of, names by id."""
    return {s.instance_id: s.instance_name or s.instance_id for s in snapshots if s.instance_id}


def delete_all(
    credentials: BarrackCredentials, hold: Hold, steps: Sequence[Step], log: Log
) -> dict[str, str]:
    """Delete snapshots; ids of those that could not be, with the reason."""
    refused: dict[str, str] = {}
    with crew(credentials.get_client(), hold, credentials.max_concurrency) as gang:
        gang.start(steps)
        left = len(steps)
        while left:
            for outcome in gang.outcomes(_LOOK):
                left -= 1
                id_ = outcome.step.arguments["snapshot_id"]
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
    return refused
