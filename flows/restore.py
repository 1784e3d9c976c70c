"""Bring hibernated and stopped instances back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from barrack_tasks.controllers.admission import Admission
from barrack_tasks.controllers.rest import observe_supply
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans import Report
from barrack_tasks.plans.memory import Memory, protected_targets
from barrack_tasks.plans.power.drive_report import rows_of
from barrack_tasks.plans.power.rise import decide_rise, shortage_of
from barrack_tasks.plans.power.snapshot_then import targets_of
from barrack_tasks.plans.selection import models_in_vain, selected_that_exist, selector_of
from barrack_tasks.plans.steps import Next
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.parameters import (
    Credentials,
    Notify,
    Protect,
    Select,
    Timeout,
    span_of,
)


@barrack_flow(name="restore")
def restore(
    select: Select,
    out_of_stock: Literal["wait", "alert", "substitute"] = "wait",
    patience: Timeout = timedelta(minutes=15),
    substitutes: list[str] = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    at_once: Annotated[int, Field(ge=1)] = 10,
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
    run = Run.begin("restore", credentials, notify, protect, dry_run)
    selector, span = selector_of(select), span_of(timeout)
    how = shortage_of(out_of_stock, span_of(patience), substitutes)
    admission = Admission(run.account, dry_run=dry_run)
    admission.check_affordable()
    world = observe_supply(run.account, how)
    instances = list(world.instances.values())
    is_other = how.then == "substitute"
    in_vain = models_in_vain("substitutes", substitutes, world.stock) if is_other else []
    notes = run.check_lists(instances, select=selector, more=in_vain)
    targets = targets_of(selected_that_exist(selector, instances), {}, world.instances, now())
    order = [t.id for t in targets]
    memory = Memory()
    decide = admission.within(
        lambda world, moment: decide_rise(
            targets, world, memory, run.never, span, how, at_once, order, moment
        ),
        memory,
    )
    plan: Mapping[str, Next] = {}
    if dry_run:
        plan = decide(world, now())
    else:
        with run.holding(run.intent(selector.model_dump())) as hold:
            world, plan = run.work(
                hold,
                targets,
                memory,
                look=lambda: observe_supply(run.account, how, order),
                decide=decide,
                timeout=span,
                on_done=dict.fromkeys(order, "barrack.instance.restored"),
                protected=protected_targets(targets, world, run.never),
            )
    return run.report(rows_of(targets, plan, world, memory), (*notes, *admission.notes))
