"""Hibernate instances, whatever state they are in."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from barrack_tasks.controllers.reports import conclude
from barrack_tasks.controllers.rest import plan_rest, rest
from barrack_tasks.credentials import BarrackCredentials, Credentials
from barrack_tasks.dialects.needs import check_needs
from barrack_tasks.plans import Report
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.selection import selector_of
from barrack_tasks.runtime.leases import intent_of
from barrack_tasks.runtime.lists import check_lists, is_by_hand, lists_in_vain
from barrack_tasks.runtime.notify import Notify, find_notifiers
from barrack_tasks.runtime.observe import flavors_that_cannot_hibernate, observe
from barrack_tasks.runtime.parameters import Protect, Select, Timeout, span_of
from barrack_tasks.server.logs import get_run_logger
from barrack_tasks.tasks.base import barrack_flow


@barrack_flow(name="hibernate")
def hibernate(
    select: Select,
    snapshot: bool = False,
    cannot_hibernate: Literal["leave", "stop"] = "leave",
    shutoff: Literal["leave", "hibernate"] = "leave",
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=30),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    credentials: Credentials = None,
) -> Report:
    """Hibernate instances: hardware and public address go, disk and memory stay.

    Instances in states that pass are waited for.

    Args:
        select: which instances; never everything by being empty.
        snapshot: take a snapshot first, and hibernate only once it is ready.
        cannot_hibernate: instances whose flavor cannot: leave them running, or stop them, which
            keeps them billed in full (documented).
        shutoff: instances that are SHUTOFF, billed in full: leave them, or start them in order
            to hibernate them.
        notify: names of notification blocks that are told what failed.
        timeout: for one instance: seconds, a timedelta or `"10m"`.
        dry_run: show what would be done, and change nothing.
        protect: names, globs and ids that are never touched; added to the account's own list.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row an instance.

    Raises:
        SelectionError: nothing is selected, or a name matches nothing and a person called; on a
            schedule that is told, and the rest is done.
        WorkFailed: some instances failed, after all others were finished; carries the report.

    Example:
        >>> hibernate(select=["train-*"], snapshot=True)
    """
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    dialect = account.get_client().dialect
    check_needs(dialect, "snapshot_before_stop" if snapshot else "hibernate")
    notifiers = find_notifiers(notify)
    selector = selector_of(select)
    span = span_of(timeout)
    never = [*protect, *account.protect]
    manner = Manner(cannot_hibernate, shutoff)
    unable = flavors_that_cannot_hibernate(account)
    instances = list(observe(account, snapshots="not needed").instances.values())
    in_vain = lists_in_vain(instances, account, protect, select=None if is_by_hand() else selector)
    notes = check_lists("hibernate", account.account, in_vain, notifiers, log, dry_run)
    if dry_run:
        rows = plan_rest(
            account, selector, never, manner, unable, snapshot, span, strict=is_by_hand()
        )
        return conclude(Report(flow="hibernate", dry_run=True, rows=rows, notes=notes))
    purpose = intent_of("hibernate", selector.model_dump(), snapshot)
    rows = rest(
        account,
        selector,
        purpose,
        never,
        manner,
        unable,
        snapshot,
        span,
        log,
        strict=is_by_hand(),
    )
    return conclude(Report(flow="hibernate", rows=rows, notes=notes), notifiers)
