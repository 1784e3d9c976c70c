"""The drill: restore snapshots to temporary instances, look at them, and delete those again."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from barrack_tasks.controllers.drills import Drilling, Fleet, check_probe, tidy
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.durations import PositiveSpan
from barrack_tasks.plans.inputs import PositiveAmount
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.selection import selector_of
from barrack_tasks.plans.snapshots.drill import Probe
from barrack_tasks.plans.snapshots.drill_report import DrillReport, drilled_of, why_none
from barrack_tasks.plans.snapshots.restore_report import rows_of_restores
from barrack_tasks.runtime.alerts import NobodyTold, untold
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.parameters import (
    Credentials,
    Notify,
    Protect,
    Select,
    Timeout,
    span_of,
)


@barrack_flow(name="verify_snapshots")
def verify_snapshots(
    select: Select,
    at_most: Annotated[int, Field(ge=1, le=50)] = 1,
    within: PositiveSpan = timedelta(days=30),
    probe: Probe | None = None,
    max_cost: PositiveAmount | None = None,
    caps: Caps | None = None,
    notify: Notify = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    timeout: Timeout = timedelta(minutes=30),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006
    credentials: Credentials = None,
) -> DrillReport:
    """Prove that snapshots restore: a temporary `drill-...` instance of each, looked at, deleted.

    The newest ready snapshot of an instance is proven unless it was `within` so long; what was
    tried longest ago comes first. What a run that was cut off left behind is ended first. The
    newest proven snapshot of an instance is never pruned.

    Args:
        select: snapshots of which instances, by name, glob, id or region.
        at_most: drills in one run.
        within: tell when an instance has no snapshot that was proven within so long.
        probe: what must answer once the instance is up; that it is up, if not given.
        max_cost: what the drills of a run may cost, each counted with its whole `timeout`.
        caps: what may be spent; besides the account's own.
        notify: names of notification blocks that are told.
        timeout: for one instance to come up and answer: seconds, a timedelta, or `30m`.
        dry_run: show what would be proven, and change nothing.
        protect: names, globs and ids of instances whose snapshots are left alone.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row a drill, and how old snapshots and proofs are.

    Raises:
        SelectionError: nothing is selected, or a name matches nothing. Names in `protect` that
            nothing has are told when a schedule started it, and refused when a person did.
        ValueError: there is no such command as the probe's, or no address to probe.
        WorkFailed: a snapshot did not restore as it should; carries the report.
        NobodyTold: an instance has no proof, and no notifier took it; the drills were done.

    Example:
        >>> verify_snapshots(select=["*"], at_most=2, probe={"port": 22}, max_cost=5)
    """
    run = Run.begin("verify_snapshots", credentials, notify, protect, dry_run)
    check_probe(run.account, probe)
    selector, span = selector_of(select), span_of(timeout)
    with run.holding() as hold:
        left: dict[str, str] = {}
        if not dry_run:
            if hold.claim({lease_keys.DRILL: "drill"}):
                note = "another run is running drills at this moment"
                return run.stand_aside(DrillReport(flow=run.flow, rows=(), notes=(note,)))
            left = tidy(run.account, hold, now, run.log, protect)
        fleet = Fleet.observed(run, selector, within)
        notes = (*run.check_lists(fleet.known), *left.values())
        picked = fleet.picked(at_most)
        if not picked:
            notes += (why_none(fleet.snapshots, within),)
        drilling = Drilling(
            run, hold, fleet.drills_of(run, picked, caps, span, max_cost), probe, span
        )
        plan = drilling.planned() if dry_run else drilling.work(caps)
        proofs = fleet.proofs()
        alarms = fleet.alarms(run, notify)
        report = DrillReport(
            flow=run.flow,
            dry_run=dry_run,
            rows=rows_of_restores(drilling.chosen, plan, drilling.world, drilling.memory),
            ages=fleet.ages(proofs),
            drilled=drilled_of(drilling.chosen, drilling.memory, drilling.began, now()),
        )
        run.add_failure(report)
        told = () if dry_run else alarms.raise_for(fleet.readings(proofs, left), now())
        notes += untold(told, run.notifiers, alarms.undelivered)
    sentences = tuple(m.text for m in told)
    report = run.conclude(report.model_copy(update={"notes": notes, "told": sentences}))
    NobodyTold.check(told, run.notifiers, alarms.undelivered)
    return report
