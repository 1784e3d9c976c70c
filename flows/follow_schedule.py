"""Keep each instance in the state that its timetable asks for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from prefect import flow, runtime
from prefect.logging import get_run_logger
from pydantic import BeforeValidator, Field

from barrack_tasks import BarrackCredentials
from barrack_tasks.admitting import Admission
from barrack_tasks.api.dialect.needs import check_needs
from barrack_tasks.holds import holding, intent_of
from barrack_tasks.loop import now, work
from barrack_tasks.notes import read_notes, write_notes
from barrack_tasks.notifying import Notify, find_notifiers
from barrack_tasks.observing import (
    flavors_that_cannot_hibernate,
    observe,
    with_images,
    with_stock,
)
from barrack_tasks.parameters import Protect, Timeout, span_of
from barrack_tasks.plans import Report
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.rising import Shortage
from barrack_tasks.plans.schedule import (
    Policy,
    Rule,
    judge_all,
    read_rules,
    remember,
    rule_warnings,
    without_restores,
)
from barrack_tasks.plans.schedule_run import (
    decide_round,
    learn_restores,
    round_of,
    schedule_rows,
)
from barrack_tasks.plans.selection import matches, unmatched
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World
from barrack_tasks.reporting import conclude

Rules = Annotated[list[Rule], BeforeValidator(read_rules)]
"""A list of rules, typed or as dicts."""


@flow(name="follow_schedule")
def follow_schedule(
    rules: Rules,
    exclude: Annotated[
        list[str], Field(description="Names, globs and ids that no rule means.")
    ] = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    strict: bool = False,
    catch_up: Timeout = timedelta(hours=2),
    out_of_stock: Literal["wait", "alert", "substitute"] = "wait",
    substitutes: list[str] = [],  # noqa: B006
    at_once: Annotated[int, Field(ge=1, description="Restored at the same time at most.")] = 10,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=15),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006
    credentials: BarrackCredentials | str | None = None,
) -> Report:
    """Keep each instance in the state that its timetable asks for. Run it every few minutes.

    It looks at the machines, not at what it did last. A run that comes late does what was due
    within `catch_up`. An instance that a person moves inside a window is left alone until the
    next boundary of its timetable, unless `strict`. Restores begin early, by as long as the
    instance's last restores took.

    Args:
        rules: `Rule(select=, timetable=)` or dicts; the first that means an instance counts.
        exclude: names, globs and ids that no rule means.
        strict: enforce the timetable always, against people too.
        catch_up: how late something that was due is still done.
        out_of_stock: while a GPU is out of stock: try again at each run, report it as failed, or
            let an instance of another model stand in.
        substitutes: GPU models or globs that may stand in, the best first.
        at_once: how many are restored at the same time at most.
        notify: names of notification blocks that are told what failed.
        timeout: for one instance in one run: seconds, a timedelta or `"10m"`.
        dry_run: show what would be done, and change nothing.
        protect: names, globs and ids that are never touched; added to the account's own list.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row for each instance that a rule means.

    Raises:
        ParameterTypeError: a rule cannot be read; the place is marked.
        WorkFailed: some instances failed, after all others were finished; carries the report.

    Example:
        >>> office = "Mon-Fri 08:00-20:00 Europe/Berlin"
        >>> follow_schedule(rules=[{"select": ["train-*"], "timetable": office}])
    """
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    check_needs(account.get_client().dialect, "follow_schedule")
    notifiers = find_notifiers(notify)
    policy = Policy(tuple(rules), tuple(exclude), strict, span_of(catch_up))
    patience = timedelta(0)
    how = Shortage(out_of_stock, patience, tuple(substitutes))
    span = span_of(timeout)
    memory = Memory()

    def look(ids: list[str]) -> World:
        world = with_stock(account, observe(account, ids))
        return with_images(account, world) if out_of_stock == "substitute" else world

    world = look([])
    instances = dict(world.instances)
    seen = list(instances.values())
    for warning in (*rule_warnings(policy.rules, seen, now()), *unmatched(protect, seen)):
        log.warning(warning)
    notes = read_notes(account.account)
    verdicts = judge_all(instances.values(), notes, policy, now())
    admission = Admission(account, dry_run=dry_run)
    if any(v.goal == "up" for v in verdicts.values()) and (problem := admission.problem()):
        log.error("nothing is restored: %s", problem)
        verdicts = without_restores(verdicts, problem)
    protected = frozenset(
        i.id for i in instances.values() if matches(i, [*protect, *account.protect])
    )
    unable = flavors_that_cannot_hibernate(account)
    round_ = round_of(verdicts, instances, protected, now(), span, at_once, how, unable)

    def uncapped(world: World, moment: datetime) -> Mapping[str, Next]:
        return decide_round(round_, world, memory, moment)

    decide = admission.within(uncapped, memory)
    if dry_run:
        plan = decide(world, now())
        rows = schedule_rows(round_, instances, plan, world, memory)
        return conclude(Report(flow="follow_schedule", dry_run=True, rows=rows))
    ids = [t.id for t in round_.targets]
    plan = {}
    if ids:
        purpose = intent_of("follow_schedule", [r.model_dump(mode="json") for r in policy.rules])
        run, name = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
        with holding(account.account, run, name, purpose, span) as hold:
            world, done = work(
                account,
                hold,
                round_.targets,
                memory,
                look=lambda: look(ids),
                decide=decide,
                on_done=round_.on_done,
                protected=protected,
                timeout=span,
                log=log,
            )
            plan = dict(done)
    learn_restores(round_, memory, notes)
    remember(world.instances.values(), notes, verdicts, memory.touched)
    write_notes(account.account, notes, set(world.instances))
    rows = schedule_rows(round_, instances, plan, world, memory)
    return conclude(Report(flow="follow_schedule", rows=rows), notifiers)
