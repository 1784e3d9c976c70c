"""Keep each instance in the state that its timetable asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from prefect import runtime
from pydantic import BeforeValidator, Field

from barrack_tasks.controllers.admission import Admission
from barrack_tasks.controllers.reports import conclude
from barrack_tasks.controllers.schedule import Following
from barrack_tasks.credentials import BarrackCredentials, Credentials
from barrack_tasks.dialects.needs import check_needs
from barrack_tasks.plans import Report
from barrack_tasks.plans.power.rise import Shortage
from barrack_tasks.plans.power.schedule import (
    Policy,
    Rule,
    read_rules,
    rule_warnings,
    rules_in_vain,
)
from barrack_tasks.runtime.leases import holding, intent_of
from barrack_tasks.runtime.lists import check_lists, lists_in_vain
from barrack_tasks.runtime.loop import now, work
from barrack_tasks.runtime.news import news_of
from barrack_tasks.runtime.notify import Notify, find_notifiers
from barrack_tasks.runtime.parameters import Protect, Timeout, span_of
from barrack_tasks.server.logs import get_run_logger
from barrack_tasks.tasks.base import barrack_flow

Rules = Annotated[list[Rule], BeforeValidator(read_rules)]
"""A list of rules, typed or as dicts."""


@barrack_flow(name="follow_schedule")
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
    credentials: Credentials = None,
    adopt: Annotated[
        Literal["boundary", "now"],
        Field(description="When what hibernates at first sight comes up."),
    ] = "boundary",
) -> Report:
    """Keep each instance in the state that its timetable asks for. Run it every few minutes.

    It looks at the machines, not at what it did last. Instances are put to rest however late the
    run comes, and are brought up within `catch_up`. One that a person moved after the boundary
    that counts is left alone until the next, unless `strict`; that a person moved it must be
    evident: it was seen where it was wanted, or was made or changed after the boundary and not
    from here. Restores begin early, by as long as the instance's last restores took.

    Args:
        rules: `Rule(select=, timetable=)` or dicts; the first that means an instance counts.
        exclude: names, globs and ids that no rule means.
        strict: enforce the timetable always, against people too.
        catch_up: how late an instance that was due to come up is still brought up.
        out_of_stock: while a GPU is out of stock: try again at each run, report it as failed, or
            let an instance of another model stand in.
        substitutes: GPU models or globs that may stand in, the best first.
        at_once: how many are restored at the same time at most.
        notify: names of notification blocks that are told what failed.
        timeout: for one instance in one run: seconds, a timedelta or `"10m"`.
        dry_run: show what would be done, and change nothing.
        protect: names, globs and ids that are never touched; added to the account's own list.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.
        adopt: an instance that hibernates when it is first looked at, and is wanted up, comes up
            at the next `boundary`, or `now`. `always` and `never` act at first sight.

    Returns:
        A report with one row for each instance that a rule means, and with notes on what `rules`,
        `exclude` and `protect` name in vain. A deployment tells these to `notify` as well, once.

    Raises:
        ParameterTypeError: a rule cannot be read; the place is marked.
        SelectionError: called by hand, and `rules`, `exclude` or `protect` name what is not there.
        WorkFailed: some instances failed, after all others were finished; carries the report.

    Example:
        >>> office = "Mon-Fri 08:00-20:00 Europe/Berlin"
        >>> follow_schedule(rules=[{"select": ["train-*"], "timetable": office}])
    """
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    check_needs(account.get_client().dialect, "follow_schedule")
    notifiers = find_notifiers(notify)
    policy = Policy(tuple(rules), tuple(exclude), strict, span_of(catch_up), adopt=adopt)
    how = Shortage(out_of_stock, timedelta(0), tuple(substitutes))
    span = span_of(timeout)
    following = Following(account, policy, [*protect, *account.protect], how, at_once, span)

    seen = list(following.first.instances.values())
    in_vain = lists_in_vain(seen, account, protect, exclude=exclude)
    in_vain += rules_in_vain(policy.rules, seen)
    notes = check_lists("follow_schedule", account.account, in_vain, notifiers, log, dry_run)
    warnings = rule_warnings(policy.rules, seen, now())
    for warning in warnings:
        log.warning(warning)
    notes = (*notes, *warnings)

    admission = Admission(account, dry_run=dry_run)
    problem = admission.problem() if following.wants_restores else None
    if problem:
        log.error("nothing is restored: %s", problem)
    following.begin(problem)
    decide = admission.within(following.decide, following.memory)
    notes = (*notes, *admission.notes)
    world, plan = following.first, {}
    if dry_run:
        world = following.supplied(world)
        rows = following.rows(decide(world, now()), world)
        return conclude(Report(flow="follow_schedule", dry_run=True, rows=rows, notes=notes))
    purpose = intent_of("follow_schedule", [r.model_dump(mode="json") for r in policy.rules])
    if not following.round.targets:
        following.write_down(world, following.round.verdicts, {})
    else:
        run, name = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
        with holding(account.account, run, name, purpose) as hold:
            following.take_up(hold)
            world, done = work(
                account,
                hold,
                following.round.targets,
                following.memory,
                look=lambda: following.look(hold),
                decide=following.writing(decide),
                on_done=following.round.on_done,
                protected=frozenset(),
                timeout=span,
                log=log,
            )
            plan = dict(done)
        following.learn()
    report = Report(flow="follow_schedule", rows=following.rows(plan, world), notes=notes)
    # A failure that lasts over the runs of a night is told once.
    failures = [f"{row.instance_id} {row.reason}" for row in report.failed]
    is_news = bool(notifiers and news_of(account.account, purpose, failures))
    return conclude(report, notifiers if is_news else None)
