"""Delete old snapshots by retention, and never one that is still needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from prefect import runtime
from pydantic import Field

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.api.transport.pacing import elapsed
from barrack_tasks.controllers.proofs import proven_snapshots
from barrack_tasks.controllers.prune import delete_all, instances_of
from barrack_tasks.controllers.reports import conclude
from barrack_tasks.credentials import BarrackCredentials, Credentials
from barrack_tasks.dialects.needs import check_needs
from barrack_tasks.plans import Retention
from barrack_tasks.plans.selection import Called, selector_of
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
    with_names,
)
from barrack_tasks.plans.snapshots.retention import Fate
from barrack_tasks.runtime.leases import holding, intent_of
from barrack_tasks.runtime.lists import check_lists, lists_in_vain
from barrack_tasks.runtime.notify import Notify, find_notifiers
from barrack_tasks.runtime.observe import depended_on, snapshot_price
from barrack_tasks.runtime.parameters import Protect, Select, Timeout, span_of
from barrack_tasks.server.logs import get_run_logger
from barrack_tasks.tasks.base import barrack_flow
from barrack_tasks.tasks.instances import list_instances
from barrack_tasks.tasks.snapshots import list_snapshots

_TOO_LATE = "not deleted: the time for this run was over"


@barrack_flow(name="prune_snapshots")
def prune_snapshots(
    select: Select,
    retention: Annotated[
        Retention, Field(description="How many of each instance's snapshots are kept.")
    ] = Retention(),  # noqa: B008 - frozen
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
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    now = account.get_client().now
    until = elapsed() + span_of(timeout).total_seconds()
    check_needs(account.get_client().dialect, "prune_snapshots")
    notifiers = find_notifiers(notify)
    selector = selector_of(select)
    how = Pruning(retention, failed, (*protect, *account.protect))
    price, currency = snapshot_price(account)

    def fleet() -> dict[str, UserVM]:
        return {i.id: i for i in list_instances(account)}

    def look() -> tuple[list[Snapshot], dict[str, UserVM]]:
        """The snapshots, and the instances if their names matter and snapshots do not tell them."""
        listed = list_snapshots(account)
        is_nameless = selector.names and not all(s.instance_name for s in listed)
        there = fleet() if how.protect or is_nameless else {}
        return with_names(listed, there), there

    listed, there = look()
    known: list[Called] = [*there.values(), *sources_of(listed)]
    in_vain = lists_in_vain(known, account, protect)
    notes = check_lists("prune_snapshots", account.account, in_vain, notifiers, log, dry_run)
    wanted = instances_of(selected_snapshots(selector, listed, list(there.values())))
    run, name = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    purpose = intent_of("prune_snapshots", selector.model_dump(), retention.model_dump())
    with holding(account.account, run, name, purpose) as hold:
        held = {} if dry_run else hold.claim(wanted)
        # Looked at again under the hold: what is decided now stays true while it is done.
        listed, there = look()
        seen = [s for s in listed if s.instance_id in wanted]
        would = candidates_of(seen, how, now(), there)
        candidates = [s.id for s in would if s.instance_id not in held]
        used = {} if dry_run else hold.claim_snapshots(candidates)
        proven = proven_snapshots(account.account)
        images = depended_on(account.get_client(), candidates)
        keep = keepers(seen, how, images, held, proven, used, there)
        fates = decide_pruning(seen, how, keep, now())
        refused: dict[str, str] = {}
        if not dry_run:

            def judge(going: Sequence[Fate]) -> list[Fate]:
                if elapsed() >= until:
                    return [replace(fate, kept=(_TOO_LATE,)) for fate in going]
                return spare(going, how, fleet()) if how.protect else list(going)

            fates, refused = delete_all(account, hold, fates, log, judge)
    rows = prune_rows(fates, price, currency, refused, dry_run)
    report = PruneReport(flow="prune_snapshots", dry_run=dry_run, rows=rows, notes=notes)
    return conclude(report, notifiers)
