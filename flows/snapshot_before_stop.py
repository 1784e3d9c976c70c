"""Take a snapshot of instances, and only then hibernate, stop or delete them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from prefect import runtime
from pydantic import Field

from barrack_tasks.controllers.reports import conclude
from barrack_tasks.controllers.rest import look_again, with_dependents
from barrack_tasks.credentials import BarrackCredentials, Credentials
from barrack_tasks.dialects.needs import check_needs
from barrack_tasks.plans import Report
from barrack_tasks.plans.memory import Memory, protected_targets
from barrack_tasks.plans.power.snapshot_then import (
    Intent,
    Then,
    decide,
    intent_for,
    stopped_costs,
)
from barrack_tasks.plans.power.snapshot_then_report import rows_done, rows_planned
from barrack_tasks.plans.selection import selector_of
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import holding, intent_of, names_of
from barrack_tasks.runtime.lists import check_lists, is_by_hand, lists_in_vain
from barrack_tasks.runtime.loop import now, work
from barrack_tasks.runtime.notify import Notify, find_notifiers
from barrack_tasks.runtime.observe import observe
from barrack_tasks.runtime.parameters import Protect, Select, Timeout, span_of
from barrack_tasks.server.logs import get_run_logger
from barrack_tasks.tasks.base import barrack_flow


@barrack_flow(name="snapshot_before_stop")
def snapshot_before_stop(
    select: Select,
    then: Literal["hibernate", "stop", "delete"] = "hibernate",
    keep: Annotated[
        int, Field(ge=1, description="Snapshots of this library kept per instance.")
    ] = 3,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=30),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    credentials: Credentials = None,
) -> Report:
    """Take a snapshot of instances, and only then hibernate, stop or delete them.

    Each instance goes on its own: the moment its snapshot is ready and known to be its own, it
    is put to rest, whatever the others do. An instance whose snapshot fails, hangs or vanishes is
    left running. Start the flow again after it was cut off, and it goes on where it was.

    Args:
        select: which instances: a list of names, globs and ids, or a `Selector` with regions,
            models and states. Never everything by being empty.
        then: what follows the snapshot. `hibernate` saves nearly the whole price; `stop` saves
            nothing, for a stopped instance is billed in full (documented); `delete` is for good.
        keep: how many snapshots that this library took are kept of each instance, the newest.
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
        BarrackError: the account cannot be read at all.
        WorkFailed: some instances failed, after all others were finished; carries the report.

    Example:
        >>> report = snapshot_before_stop(select=["train-*"], protect=["train-main"])
        >>> print(report.markdown())
    """
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    selector = selector_of(select)
    span = span_of(timeout)
    never = [*protect, *account.protect]
    check_needs(account.get_client().dialect, "snapshot_before_stop")
    notifiers = find_notifiers(notify)

    told: list[str] = []

    def intend(moment: datetime, inherited: dict[str, str]) -> tuple[Intent, World]:
        world = observe(account)
        strict = is_by_hand()
        instances = list(world.instances.values())
        in_vain = lists_in_vain(instances, account, protect, select=None if strict else selector)
        told.extend(
            check_lists("snapshot_before_stop", account.account, in_vain, notifiers, log, dry_run)
        )
        intent = intent_for(
            selector, world, Then(then), moment, now(), span, keep, never, inherited, strict
        )
        return intent, world

    if dry_run:
        intent, world = intend(now(), {})
        planned = rows_planned(intent, with_dependents(account, world, intent))
        return conclude(
            Report(flow="snapshot_before_stop", dry_run=True, rows=planned, notes=tuple(told))
        )

    purpose = intent_of("snapshot_before_stop", selector.model_dump(), then)
    run = str(runtime.flow_run.id)
    with holding(account.account, run, f"run {runtime.flow_run.name}", purpose) as hold:
        intent, world = intend(hold.moment, names_of(hold.inherited))
        for warning in stopped_costs(intent):
            log.warning(warning)
        memory = Memory()
        world, plan = work(
            account,
            hold,
            intent.targets,
            memory,
            look=lambda: look_again(account, hold, intent, memory),
            decide=lambda world, moment: decide(world, intent, memory, moment),
            on_done=dict.fromkeys((t.id for t in intent.targets), intent.then.event),
            protected=protected_targets(intent.targets, world, never),
            timeout=span,
            log=log,
            first=world,
        )
    rows = rows_done(intent, world, memory, plan)
    return conclude(Report(flow="snapshot_before_stop", rows=rows, notes=tuple(told)), notifiers)
