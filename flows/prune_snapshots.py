"""Delete old snapshots by retention, and never one that is still needed."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from barrack_tasks.controllers.prune import Prune
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans import Retention
from barrack_tasks.plans.selection import selector_of
from barrack_tasks.plans.snapshots.prune import PruneReport, Pruning
from barrack_tasks.runtime.parameters import (
    Credentials,
    Notify,
    Protect,
    Select,
    Timeout,
    span_of,
)


@barrack_flow(name="prune_snapshots")
def prune_snapshots(
    select: Select,
    retention: Retention = Retention(),  # noqa: B008 - frozen
    failed: Literal["keep", "drop"] = "keep",
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=10),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    credentials: Credentials = None,
) -> PruneReport:
    """Delete old snapshots by retention: the last ones stay, and some of each day, week, month.

    Never deleted are the newest ready snapshot of an instance, the newest that was proven to
    restore, one that is an image or that an
    image depends on, one that another run restores, drills or publishes at that moment, one that
    this library did not make, and those of protected instances and of instances that another
    run works on. What this library did not make takes no place of what it did make.

    Args:
        select: of which instances, by name, glob, id or region; those that are gone count too.
        retention: `Retention(last=, daily=, weekly=, monthly=, zone=)` or a dict of these.
        failed: what becomes of snapshots that failed for good.
        notify: names of notification blocks that are told what failed.
        timeout: after so long no more deletions begin; what is left is told as kept.
        dry_run: show what would be deleted, and why the rest stays.
        protect: names, globs and ids of instances whose snapshots are never touched: by the name
            that the instance has now, and by the one that the snapshot carries. Where neither is
            known, the snapshot stays.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row a snapshot.

    Raises:
        SelectionError: nothing is selected, or a name matches nothing. Names in `protect` that
            nothing has are told when a schedule started it, and refused when a person did.
        WorkFailed: some snapshots could not be deleted, after all others were.

    Example:
        >>> prune_snapshots(select=["*"], retention={"last": 2, "daily": 7}, dry_run=True)
    """
    run = Run.begin("prune_snapshots", credentials, notify, protect, dry_run)
    selector = selector_of(select)
    prune = Prune(run, selector, Pruning(retention, failed, tuple(run.never)), span_of(timeout))
    with run.holding(run.intent(selector.model_dump(), retention.model_dump())) as hold:
        report = prune.work(hold)
    return run.conclude(report)
