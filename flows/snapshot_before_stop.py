"""Take a snapshot of instances, and only then hibernate, stop or delete them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from barrack_tasks.controllers.rest import look_again, with_dependents
from barrack_tasks.controllers.run import Run, barrack_flow
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
from barrack_tasks.runtime.leases import names_of
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.observe import observe
from barrack_tasks.runtime.parameters import (
    Credentials,
    Notify,
    Protect,
    Select,
    Timeout,
    span_of,
)


@barrack_flow(name="snapshot_before_stop")
def snapshot_before_stop(
    select: Select,
    then: Literal["hibernate", "stop", "delete"] = "hibernate",
    keep: Annotated[int, Field(ge=1)] = 3,
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
        >>> print(report)
    """
    also = (f"{then}_instance",)
    run = Run.begin("snapshot_before_stop", credentials, notify, protect, dry_run, also=also)
    selector, span = selector_of(select), span_of(timeout)

    def checked(world: World) -> tuple[str, ...]:
        instances = list(world.instances.values())
        return run.check_lists(instances, select=None if run.is_by_hand else selector)

    def intend(world: World, moment: datetime, inherited: dict[str, str]) -> Intent:
        strict = run.is_by_hand
        return intent_for(
            selector, world, Then(then), moment, now(), span, keep, run.never, inherited, strict
        )

    if dry_run:
        world = observe(run.account)
        notes = checked(world)
        intent = intend(world, now(), {})
        return run.report(rows_planned(intent, with_dependents(run.account, world, intent)), notes)
    with run.holding(run.intent(selector.model_dump(), then)) as hold:
        # Observed under the hold: what the run before has asked for shows.
        world = observe(run.account)
        notes = checked(world)
        intent = intend(world, hold.moment, names_of(hold.inherited))
        for warning in stopped_costs(intent):
            run.log.warning(warning)
        memory = Memory()
        last, plan = run.work(
            hold,
            intent.targets,
            memory,
            look=lambda: look_again(run.account, hold, intent, memory),
            decide=lambda world, moment: decide(world, intent, memory, moment),
            timeout=span,
            on_done=dict.fromkeys((t.id for t in intent.targets), intent.then.event),
            protected=protected_targets(intent.targets, world, run.never),
            first=world,
        )
    return run.report(rows_done(intent, last, memory, plan), notes)
