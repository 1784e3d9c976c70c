"""Keep each instance in the state that its timetable asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from barrack_tasks.controllers.admission import Admission
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.controllers.schedule import Following
from barrack_tasks.plans import Report
from barrack_tasks.plans.forgotten.idleness import GivenIdleness
from barrack_tasks.plans.power.rise import Shortage
from barrack_tasks.plans.power.schedule import (
    Policy,
    Rule,
    read_rules,
    rule_warnings,
    rules_in_vain,
)
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.news import news_of
from barrack_tasks.runtime.parameters import Credentials, Notify, Protect, Timeout, span_of

Rules = Annotated[list[Rule], BeforeValidator(read_rules)]
"""A list of rules, typed or as dicts."""


@barrack_flow(name="follow_schedule")
def follow_schedule(
    rules: Rules,
    exclude: list[str] = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    strict: bool = False,
    catch_up: Timeout = timedelta(hours=2),
    out_of_stock: Literal["wait", "alert", "substitute"] = "wait",
    substitutes: list[str] = [],  # noqa: B006
    at_once: Annotated[int, Field(ge=1)] = 10,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=15),
    dry_run: bool = False,
    protect: Protect = [],  # noqa: B006
    credentials: Credentials = None,
    adopt: Literal["boundary", "now"] = "boundary",
    idleness: GivenIdleness = None,
) -> Report:
    """Keep each instance in the state that its timetable asks for. Run it every few minutes.

    It looks at the machines, not at what it did last. Instances are put to rest however late the
    run comes, and are brought up within `catch_up`. One that a person moved after the boundary
    that counts is left alone until the next, unless `strict`; that a person moved it must be
    evident: it was seen where it was wanted, or was made or changed after the boundary and not
    from here. Restores begin early, by as long as the instance's last restores took. Without
    `strict` a machine that an owner has leased, or that still works by the probes of `idleness`,
    is not put to rest.

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
        idleness: probes that put a rest off while a machine works, or while nobody can tell, for
            `at_most` after the boundary: an `Idleness` or a dict. None asks no probe.

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
    run = Run.begin("follow_schedule", credentials, notify, protect, dry_run)
    policy = Policy(tuple(rules), tuple(exclude), strict, span_of(catch_up), adopt=adopt)
    how = Shortage(out_of_stock, timedelta(0), tuple(substitutes))
    following = Following(run, policy, how, at_once, span_of(timeout), idleness)
    seen = list(following.first.instances.values())
    in_vain = rules_in_vain(policy.rules, seen)
    notes = run.check_lists(seen, exclude=exclude, more=in_vain)
    warnings = rule_warnings(policy.rules, seen, now())
    for warning in warnings:
        run.log.warning(warning)
    admission = Admission(run.account, dry_run=dry_run)
    problem = admission.problem() if following.wants_restores else None
    if problem:
        run.log.error("nothing is restored: %s", problem)
    following.begin(problem)
    decide = admission.within(following.decide, following.memory)
    notes = (*notes, *warnings, *admission.notes)
    intent = run.intent([r.model_dump(mode="json") for r in policy.rules])
    if dry_run:
        return run.report(following.planned(decide), notes)
    rows = following.work(decide, intent)
    report = Report(flow=run.flow, rows=rows, notes=notes)
    # A failure that lasts over the runs of a night is told once.
    failures = [f"{row.instance_id} {row.reason}" for row in report.failed]
    is_news = run.notifiers and news_of(run.account.account, intent, failures)
    return run.conclude(report, silent=not is_news)
