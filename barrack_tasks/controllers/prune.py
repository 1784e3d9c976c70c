"""Pruning snapshots: what is looked at, what may go, and deleting many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.api.transport.pacing import elapsed
from barrack_tasks.controllers.proofs import proven_snapshots
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans.selection import Called, Selector
from barrack_tasks.plans.snapshots.prune import (
    PruneReport,
    Pruning,
    candidates_of,
    decide_pruning,
    keepers,
    prune_rows,
    selected_snapshots,
    sources_of,
    spare,
    steps_of,
    unjudged,
    with_names,
)
from barrack_tasks.plans.snapshots.retention import Fate
from barrack_tasks.runtime.executor import Executor, OutOfDate, executor_for
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.loop import Log
from barrack_tasks.runtime.observe import depended_on, snapshot_price
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import emit

_LOOK = 5.0
_TOO_LATE = "not deleted: the time of this run ran out"
_BATCH = 256
"""So many snapshots are deleted before it is looked again whether the others still may go."""


class Prune:
    """One run that prunes: which snapshots may go, and their end.

    Args:
        run: the run.
        selector: snapshots of which instances.
        how: the retention, and what is never touched.
        timeout: after so long nothing more is sent.
    """

    def __init__(self, run: Run, selector: Selector, how: Pruning, timeout: timedelta) -> None:
        self._run = run
        self._account = run.account
        self._selector = selector
        self._how = how
        self._until = elapsed() + timeout.total_seconds()
        self._price, self._currency = snapshot_price(run.account)
        self._now = run.account.get_client().now
        listed, there = self._look()
        known: list[Called] = [*there.values(), *sources_of(listed)]
        self._notes = run.check_lists(known)
        self._wanted = instances_of(selected_snapshots(selector, listed, list(there.values())))

    def _fleet(self) -> dict[str, UserVM]:
        return {i.id: i for i in self._account.get_client().instances.list()}

    def _look(self) -> tuple[list[Snapshot], dict[str, UserVM]]:
        """The snapshots, and the instances if their names matter and snapshots do not tell them."""
        listed = list(self._account.get_client().snapshots.list())
        is_nameless = self._selector.names and not all(s.instance_name for s in listed)
        there = self._fleet() if self._how.protect or is_nameless else {}
        return with_names(listed, there), there

    def work(self, hold: Hold) -> PruneReport:
        """Delete what retention does not keep and nothing needs; in a dry run, show it.

        The snapshots are looked at again under the hold: what is decided then stays true while it
        is done.
        """
        dry_run = self._run.dry_run
        held = {} if dry_run else hold.claim(self._wanted)
        listed, there = self._look()
        seen = [s for s in listed if s.instance_id in self._wanted]
        would = candidates_of(seen, self._how, self._now(), there)
        candidates = [s.id for s in would if s.instance_id not in held]
        used = {} if dry_run else hold.claim_snapshots(candidates)
        proven = proven_snapshots(self._account.account)
        images = depended_on(self._account.get_client(), candidates)
        keep = keepers(seen, self._how, images, held, proven, used, there)
        fates = decide_pruning(seen, self._how, keep, self._now())
        refused: dict[str, str] = {}
        if images is None:
            refused = unjudged(fates, candidates, self._how, held, proven, used, there)
        elif not dry_run:
            fates, refused = delete_all(self._account, hold, fates, self._run.log, self._judge)
        rows = prune_rows(fates, self._price, self._currency, refused, dry_run)
        return PruneReport(flow=self._run.flow, dry_run=dry_run, rows=rows, notes=self._notes)

    def _judge(self, going: Sequence[Fate]) -> list[Fate]:
        """Decide once more, directly before a batch is deleted."""
        if elapsed() >= self._until:
            return [replace(fate, kept=(_TOO_LATE,)) for fate in going]
        return spare(going, self._how, self._fleet()) if self._how.protect else list(going)


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
    with executor_for(credentials.get_client(), hold, credentials.max_concurrency) as executor:
        while going:
            batch, going = going[:_BATCH], going[_BATCH:]
            began = elapsed()
            batch = judge(batch)
            executor.looked(began, ())
            steps = steps_of(batch)
            executor.start(steps)
            not_deleted, again = _outcomes(executor, len(steps), log)
            refused |= not_deleted
            settled += [fate for fate in batch if fate.snapshot.id not in again]
            going += [fate for fate in batch if fate.snapshot.id in again]
    order = {fate.snapshot.id: place for place, fate in enumerate(fates)}
    return sorted(settled, key=lambda fate: order[fate.snapshot.id]), refused


def _outcomes(executor: Executor, left: int, log: Log) -> tuple[dict[str, str], set[str]]:
    """Wait for so many deletions; what was refused, with the reason, and what waited too long.

    Both by the snapshot's id. What waited too long is decided on anew.
    """
    refused: dict[str, str] = {}
    again: set[str] = set()
    while left:
        for outcome in executor.outcomes(_LOOK):
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
