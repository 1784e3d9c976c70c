"""Hibernate instances, whatever state they are in."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from barrack_tasks.controllers.rest import Resting, rest
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans import Report
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.selection import selector_of
from barrack_tasks.runtime.observe import observe
from barrack_tasks.runtime.parameters import (
    Credentials,
    Notify,
    Protect,
    Select,
    Timeout,
    span_of,
)


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
    needs = "snapshot_before_stop" if snapshot else "hibernate"
    run = Run.begin("hibernate", credentials, notify, protect, dry_run, needs)
    selector = selector_of(select)
    resting = Resting(
        selector,
        Manner(cannot_hibernate, shutoff),
        snapshot,
        span_of(timeout),
        strict=run.is_by_hand,
    )
    world = observe(run.account, snapshots=resting.reads)
    instances = list(world.instances.values())
    notes = run.check_lists(instances, select=None if run.is_by_hand else selector)
    return run.report(rest(run, resting, selector.model_dump(), snapshot, world=world), notes)
