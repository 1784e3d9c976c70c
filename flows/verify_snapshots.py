"""The drill: restore snapshots to temporary instances, look at them, and delete those again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from prefect import runtime
from pydantic import Field

from barrack_tasks.controllers.admission import work_within_caps
from barrack_tasks.controllers.drills import (
    DRILLING,
    check_probe,
    close,
    look,
    notes_of_drills,
    open_record,
    tidy,
)
from barrack_tasks.controllers.proofs import note_tries, read_proofs
from barrack_tasks.controllers.reports import conclude, stand_aside
from barrack_tasks.controllers.restores import (
    NotedFirst,
    share_snapshots,
    unattended,
    with_problems,
)
from barrack_tasks.credentials import BarrackCredentials, Credentials
from barrack_tasks.dialects.needs import check_needs
from barrack_tasks.plans.alerts import Message, Reading
from barrack_tasks.plans.durations import PositiveSpan
from barrack_tasks.plans.inputs import PositiveAmount
from barrack_tasks.plans.memory import Target
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.selection import Called, selector_of
from barrack_tasks.plans.snapshots.drill import (
    TO_DELETE,
    Drills,
    Probe,
    choose,
    decide_drills,
    drill_name,
    of_each_instance,
    with_cost_cap,
)
from barrack_tasks.plans.snapshots.drill_report import (
    DrillReport,
    ages_of,
    drilled_of,
    readings_of_proofs,
    why_none,
)
from barrack_tasks.plans.snapshots.prune import sources_of
from barrack_tasks.plans.snapshots.restore import Restoring
from barrack_tasks.plans.snapshots.restore_report import rows_of_restores
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.alerts import Alarms, NobodyTold, scope_of, untold
from barrack_tasks.runtime.leases import holding
from barrack_tasks.runtime.lists import check_lists, lists_in_vain
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.notify import Notify, find_notifiers
from barrack_tasks.runtime.parameters import Protect, Select, Timeout, span_of
from barrack_tasks.server.logs import get_run_logger
from barrack_tasks.tasks.base import barrack_flow
from barrack_tasks.tasks.instances import list_instances
from barrack_tasks.tasks.snapshots import list_snapshots


@barrack_flow(name="verify_snapshots")
def verify_snapshots(
    select: Select,
    at_most: Annotated[int, Field(ge=1, le=50, description="Drills in one run.")] = 1,
    within: Annotated[
        PositiveSpan, Field(description="Tell when an instance has no snapshot proven within this.")
    ] = timedelta(days=30),
    probe: Probe | None = None,
    max_cost: Annotated[
        PositiveAmount | None,
        Field(description="What the drills of one run may cost, in the account's currency."),
    ] = None,
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
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    check_needs(account.get_client().dialect, "verify_snapshots")
    check_probe(account, probe)
    notifiers = find_notifiers(notify)
    selector = selector_of(select)
    span = span_of(timeout)
    never = [*protect, *account.protect]
    run, called = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    with holding(account.account, run, called) as hold:
        left: dict[str, str] = {}
        if not dry_run:
            if hold.claim({DRILLING: "drill"}):
                note = "another run holds a drill at this moment"
                return stand_aside(DrillReport(flow="verify_snapshots", rows=(), notes=(note,)))
            left = tidy(account, hold, now, log, protect)
        listed = list_snapshots(account)
        sources = {i.id: i for i in list_instances(account)}
        names = {i.id: i.name for i in sources.values()}
        known: list[Called] = [*sources.values(), *sources_of(listed)]
        in_vain = lists_in_vain(known, account, protect)
        vain = check_lists("verify_snapshots", account.account, in_vain, notifiers, log, dry_run)
        notes = (*vain, *left.values())
        snapshots = of_each_instance(selector, listed, list(sources.values()), never)
        picked = choose(snapshots, read_proofs(account.account), at_most, within, now())
        if not picked:
            notes += (why_none(snapshots, within),)
        begun = [Restoring(s, drill_name(s), sources.get(s.instance_id or "")) for s in picked]
        chosen = unattended(with_problems(account, begun, caps))
        chosen = with_cost_cap(chosen, span, max_cost)
        began = now()
        targets = tuple(Target(one.key, one.name, began) for one in chosen)
        drills = Drills()
        names_of = {one.key: one.name for one in chosen}
        notes_first = notes_of_drills(account.account, hold)
        memory = NotedFirst(
            client=account.get_client(),
            note=lambda key, asked: open_record(account.account, notes_first, names_of[key], asked),
        )

        def decide(world: World, moment: datetime) -> dict[str, Next]:
            return decide_drills(chosen, world, memory, drills, began, span, moment)

        def see() -> World:
            if not dry_run:
                share_snapshots(hold, chosen, memory)
                # A drill that lost its turn asks for nothing more until it has it again.
                for by in hold.claim({DRILLING: "drill"}).values():
                    memory.held_by.update(dict.fromkeys(names_of, by))
            return look(account, hold, chosen, memory, drills, probe, began, span, now)

        if dry_run or not chosen:
            world = see()
            plan: Mapping[str, Next] = decide(world, now())
        else:
            note_tries(account.account, [one.snapshot for one in chosen], began)
            world, plan = work_within_caps(
                account,
                hold,
                chosen,
                caps,
                targets,
                memory,
                look=see,
                decide=decide,
                timeout=span + TO_DELETE,
                log=log,
            )
            close(account.account, notes_first, chosen, memory, world)
        proofs = read_proofs(account.account)
        told: tuple[Message, ...] = ()
        undelivered: dict[str, str] = {}
        if not dry_run:
            scope = scope_of([selector.model_dump_json(), str(within)], notify)
            alarms = Alarms("proof", account.account, notifiers, None, log, scope)
            readings = readings_of_proofs(snapshots, proofs, within, now(), names)
            readings += [Reading(f"left {name}", True, False, why) for name, why in left.items()]
            told, undelivered = alarms.raise_for(readings, now()), alarms.undelivered
            notes += untold(told, notifiers, undelivered)
    report = DrillReport(
        flow="verify_snapshots",
        dry_run=dry_run,
        rows=rows_of_restores(chosen, plan, world, memory),
        ages=ages_of(snapshots, proofs, now(), names),
        notes=notes,
        told=tuple(m.text for m in told),
        drilled=drilled_of(chosen, memory, began, now()),
    )
    conclude(report, notifiers)
    NobodyTold.check(told, notifiers, undelivered)
    return report
