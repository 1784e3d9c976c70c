"""Bring hibernated and stopped instances back."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from prefect import runtime
from pydantic import Field

from barrack_tasks.api import BarrackInsufficientCreditsError
from barrack_tasks.controllers.admission import Admission
from barrack_tasks.controllers.reports import conclude
from barrack_tasks.credentials import BarrackCredentials, Credentials
from barrack_tasks.dialects.needs import check_needs
from barrack_tasks.plans import Report
from barrack_tasks.plans.memory import Memory, Target, protected_targets
from barrack_tasks.plans.power.drive_report import rows_of
from barrack_tasks.plans.power.rise import Shortage, decide_rise, why_not_affordable
from barrack_tasks.plans.power.snapshot_then import targets_of
from barrack_tasks.plans.selection import models_in_vain, selected_that_exist, selector_of
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import holding, intent_of
from barrack_tasks.runtime.lists import check_lists, lists_in_vain
from barrack_tasks.runtime.loop import now, work
from barrack_tasks.runtime.notify import Notify, find_notifiers
from barrack_tasks.runtime.observe import instances_of, observe, with_images, with_stock
from barrack_tasks.runtime.parameters import Protect, Select, Timeout, span_of
from barrack_tasks.server.logs import get_run_logger
from barrack_tasks.tasks.base import barrack_flow


@barrack_flow(name="restore")
def restore(
    select: Select,
    out_of_stock: Literal["wait", "alert", "substitute"] = "wait",
    patience: Timeout = timedelta(minutes=15),
    substitutes: Annotated[
        list[str], Field(description="GPU models that may stand in, the best first.")
    ] = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    at_once: Annotated[int, Field(ge=1, description="Restored at the same time at most.")] = 10,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(hours=1),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006
    credentials: Credentials = None,
) -> Report:
    """Bring instances back: restore those that hibernate, start those that are SHUTOFF.

    A restore needs the GPU in stock (upstream). It is asked for only when the stock shows it, and
    the report carries the new address.

    Args:
        select: which instances; never everything by being empty.
        out_of_stock: after `patience`: go on waiting, give the instance up, or let another
            instance stand in, made from an image of its newest snapshot; the instance itself is
            kept until a person decides.
        patience: how long to wait for stock before that: seconds, a timedelta or `"10m"`.
        substitutes: GPU models or globs that may stand in, the best first.
        at_once: how many are restored at the same time at most.
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
        BarrackInsufficientCreditsError: the balance is below the minimum; nothing was changed.
        WorkFailed: some instances failed, after all others were finished; carries the report.

    Example:
        >>> restore(select=["train-*"], out_of_stock="substitute", substitutes=["A100-*"])
    """
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    check_needs(account.get_client().dialect, "restore")
    notifiers = find_notifiers(notify)
    selector = selector_of(select)
    if out_of_stock == "substitute" and not substitutes:
        raise ValueError("out_of_stock='substitute' needs substitutes=[...]: which GPU models?")
    admission = Admission(account, dry_run=dry_run)
    balance = admission.read_balance()
    if balance and (problem := why_not_affordable(balance)):
        raise BarrackInsufficientCreditsError(problem)
    how = Shortage(out_of_stock, span_of(patience), tuple(substitutes))
    span = span_of(timeout)
    memory = Memory()

    def look(targets: tuple[Target, ...] = ()) -> World:
        ids = [t.id for t in targets]
        if out_of_stock == "substitute":
            return with_images(account, with_stock(account, observe(account, ids)))
        return with_stock(account, instances_of(account, ids))

    world = look()
    instances = list(world.instances.values())
    in_vain = lists_in_vain(instances, account, protect, select=selector)
    if how.then == "substitute":
        in_vain += models_in_vain("substitutes", substitutes, world.stock)
    notes = check_lists("restore", account.account, in_vain, notifiers, log, dry_run)
    chosen = selected_that_exist(selector, instances)
    targets = targets_of(chosen, {}, dict(world.instances), now())
    never = [*protect, *account.protect]
    order = [t.id for t in targets]
    decide = admission.within(
        lambda world, moment: decide_rise(
            targets, world, memory, never, span, how, at_once, order, moment
        ),
        memory,
    )
    if dry_run:
        rows = rows_of(targets, decide(world, now()), world, memory)
        return conclude(
            Report(flow="restore", dry_run=True, rows=rows, notes=(*notes, *admission.notes))
        )
    purpose = intent_of("restore", selector.model_dump())
    run = str(runtime.flow_run.id)
    with holding(account.account, run, f"run {runtime.flow_run.name}", purpose) as hold:
        world, plan = work(
            account,
            hold,
            targets,
            memory,
            look=lambda: look(targets),
            decide=decide,
            on_done=dict.fromkeys(order, "barrack.instance.restored"),
            protected=protected_targets(targets, world, never),
            timeout=span,
            log=log,
        )
    rows = rows_of(targets, plan, world, memory)
    notes = (*notes, *admission.notes)
    return conclude(Report(flow="restore", rows=rows, notes=notes), notifiers)
