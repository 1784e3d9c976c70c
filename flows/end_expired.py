"""End what was made for a time, once that is over."""

from __future__ import annotations

from datetime import timedelta

from prefect import flow, runtime
from prefect.logging import get_run_logger

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.dialect.needs import check_needs
from barrack_tasks.expiring import end_due
from barrack_tasks.holds import holding, intent_of
from barrack_tasks.loop import now
from barrack_tasks.notifying import Notify, find_notifiers
from barrack_tasks.plans.expiring import EndingsReport, rows_of_endings
from barrack_tasks.reporting import conclude


@flow(name="end_expired")
def end_expired(
    notify: Notify = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    dry_run: bool = False,
    credentials: BarrackCredentials | str | None = None,
) -> EndingsReport:
    """Hibernate or delete instances that were made with `expires=`, once their time is over.

    Acts on nothing but the very instances that `restore_from_snapshot` and `watch_gpu_stock` made
    for a time, and in the way that was asked for then. What could not be ended is tried again by
    the next run. Protected instances are left alone. Run it every few minutes.

    Args:
        notify: names of notification blocks that are told what could not be ended.
        dry_run: show what would be ended, and change nothing.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row an instance that was made for a time and has not ended yet.

    Raises:
        BarrackError: the account cannot be read.
        WorkFailed: something could not be ended; carries the report.

    Example:
        >>> restore_from_snapshot("latest:train-1", expires="8h")
        >>> end_expired(dry_run=True)
    """
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    check_needs(account.get_client().dialect, "end_expired")
    notifiers = find_notifiers(notify)
    run, name = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    purpose = intent_of("end_expired", run)
    with holding(account.account, run, name, purpose, timedelta(minutes=5)) as hold:
        endings, instances = end_due(account, hold.claim, now(), log, dry_run)
    rows = rows_of_endings(endings, instances, dry_run)
    return conclude(EndingsReport(flow="end_expired", dry_run=dry_run, rows=rows), notifiers)
