"""Tell of every change in the account, whoever made it."""

from __future__ import annotations

from barrack_tasks.controllers.account import (
    gone_of,
    moved_by_runs,
    read_view,
    tell_of_changes,
    write_view,
)
from barrack_tasks.controllers.money.funds import read_account
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans.account_changes import (
    MOVES,
    changes,
    next_turns,
    next_view,
    view_of,
    with_moves,
)
from barrack_tasks.plans.account_report import AccountReport
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.parameters import Credentials


@barrack_flow(name="watch_account")
def watch_account(dry_run: bool = False, credentials: Credentials = None) -> AccountReport:
    """Emit an event for each change since the last run, whoever made it. Changes nothing.

    Instances that appeared, changed state, got another address or are gone; snapshots that are
    new, ready, failed or gone; volumes that are new, attached, detached or gone. Each change is
    told once, over restarts; the first run of all only remembers. What is missing from the lists
    is called gone when the API, asked by its id, has said so twice, minutes apart. Run it every
    minute or so.

    Args:
        dry_run: show what would be told; nothing is emitted or remembered.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with the changes.

    Raises:
        BarrackError: nothing can be read; nothing was told, and nothing is forgotten. Of what
            cannot be read nothing is told or forgotten, and the report says so.

    Example:
        >>> [change.event for change in watch_account().changes]
    """
    run = Run.begin("watch_account", credentials, dry_run=dry_run)
    account = run.account
    with run.alone("account") as is_alone:
        if not is_alone:
            note = "another run watches this account at this moment"
            return run.stand_aside(AccountReport(flow=run.flow, rows=(), notes=(note,)))
        before, turns = read_view(account.account)
        seen = read_account(account)
        view = view_of(seen.instances, seen.volumes, seen.snapshots)
        read = {k: v for k, v in (before or {}).items() if seen.is_read(k.split(":")[0])}
        after = next_view(before or {}, view, gone_of(account, read, view, dry_run))
        instances = {i.id: i for i in seen.instances}
        found = changes(before, after, turns, instances) if before is not None else []
        moved = {change.id for change in found if change.event in MOVES}
        found = with_moves(found, instances, moved_by_runs(account.account, moved))
        tell_of_changes(run, found)
        if not dry_run:
            # After telling: a run that is killed in between tells again, under the same ids.
            write_view(account.account, after, next_turns(turns, found, after, now()))
    first = ("this is the first look; changes are reported from now on",) if before is None else ()
    notes = (*first, *seen.missing)
    return run.conclude(
        AccountReport(flow=run.flow, dry_run=dry_run, rows=(), changes=tuple(found), notes=notes)
    )
