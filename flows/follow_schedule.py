"""Keep each instance in the state that its timetable asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Literal

from prefect import flow, runtime
from prefect.blocks.abstract import NotificationBlock
from prefect.logging import get_run_logger
from pydantic import BeforeValidator, Field

from barrack_tasks import BarrackCredentials
from barrack_tasks.account_memory import watched_of
from barrack_tasks.api.dialect.needs import check_needs
from barrack_tasks.flowing import with_droppable
from barrack_tasks.guard import capped, means_or_problem
from barrack_tasks.holds import Hold, holding, intent_of
from barrack_tasks.loop import now, work
from barrack_tasks.news import news_of
from barrack_tasks.notes import read_notes, write_notes
from barrack_tasks.notifying import Notify, find_notifiers, tell
from barrack_tasks.observing import (
    flavors_that_cannot_hibernate,
    observe,
    with_images,
    with_stock,
)
from barrack_tasks.parameters import Protect, Timeout, span_of
from barrack_tasks.plans import Report
from barrack_tasks.plans.evidence import Known
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.rising import Shortage
from barrack_tasks.plans.schedule import (
    Policy,
    Rule,
    Verdict,
    judge_all,
    misnamed,
    read_rules,
    remember,
    rule_warnings,
    without_restores,
)
from barrack_tasks.plans.schedule_run import (
    Round,
    asked_of,
    decide_round,
    learn_restores,
    schedule_rows,
)
from barrack_tasks.plans.selection import SelectionError, matches, unmatched
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
    client = account.get_client()
    check_needs(client.dialect, "follow_schedule")
    notifiers = find_notifiers(notify)
    policy = Policy(tuple(rules), tuple(exclude), strict, span_of(catch_up), adopt=adopt)
    how = Shortage(out_of_stock, timedelta(0), tuple(substitutes))
    span = span_of(timeout)
    memory = Memory()
    never = [*protect, *account.protect]

    first = observe(account)
    seen = list(first.instances.values())
    in_vain = {**misnamed(policy, seen), **{s: s for s in unmatched(protect, seen)}}
    if in_vain and runtime.deployment.id is None:
        raise SelectionError(next(iter(in_vain.values())))
    notes = tuple(dict.fromkeys([*in_vain.values(), *rule_warnings(policy.rules, seen, now())]))
    for note in notes:
        log.warning(note)
    watched = watched_of(account.account)

    def known_of(world: World) -> Known:
        return Known(read_notes(account.account), world.snapshots, watched)

    known = known_of(first)
    verdicts = judge_all(seen, known, policy, now())
    means = None
    if any(v.goal == "up" for v in verdicts.values()):
        means, problem = means_or_problem(account)
        if problem:
            log.error("nothing is restored: %s", problem)
            verdicts = without_restores(verdicts, problem)
    asked = asked_of(verdicts, protected_in(first, never))
    unable = flavors_that_cannot_hibernate(account) if asked else frozenset()

    def round_of(moment: datetime, inherited: Collection[str] = ()) -> Round:
        targets = tuple(
            Target(i, first.instances[i].name, now(), first.instances[i], i in inherited)
            for i in asked
        )
        shut = protected_in(first, never)
        return Round(verdicts, targets, shut, moment, span, at_once, how, unable)

    def deciding(round_: Round, is_real: bool) -> Callable[[World, datetime], Mapping[str, Next]]:
        fresh: dict[str, Verdict] = {}

        def uncapped(world: World, moment: datetime) -> Mapping[str, Next]:
            # A name may have changed since the run began, into protection or out of it.
            shut = round_.protected | protected_in(world, never)
            return decide_round(replace(round_, protected=shut), world, memory, moment, fresh)

        allowed = capped(account, uncapped, means) if means is not None else uncapped

        def decide(world: World, moment: datetime) -> Mapping[str, Next]:
            known = known_of(world)
            fresh.clear()
            fresh.update(judge_all(world.instances.values(), known, policy, moment))
            plan = allowed(world, moment)
            if is_real:
                # Before anything of the plan is sent: a run that is cut off has noted it all.
                write_down(world, fresh, plan, known)
            return plan

        return decide

    def write_down(
        world: World, verdicts: Mapping[str, Verdict], plan: Mapping[str, Next], known: Known
    ) -> None:
        there, was, at = world.instances, first.instances, client.now()
        changed = remember(there, verdicts, plan, known, memory, was, now(), at)
        write_notes(account.account, known.notes, changed, at)

    def looking(hold: Hold, round_: Round) -> World:
        taken = {id_: snapshot for id_, snapshot in memory.taken.items() if snapshot}
        world = with_stock(account, observe(account, asked, taken))
        world = with_droppable(account, world, round_.saving, hold, memory)
        return with_images(account, world) if out_of_stock == "substitute" else world

    def report(
        round_: Round, plan: Mapping[str, Next], world: World, dry_run: bool = False
    ) -> Report:
        rows = schedule_rows(round_, first.instances, plan, world, memory)
        return Report(flow="follow_schedule", dry_run=dry_run, rows=rows, notes=notes)

    if dry_run:
        round_ = round_of(now())
        world = with_stock(account, first)
        if out_of_stock == "substitute":
            world = with_images(account, world)
        return conclude(report(round_, deciding(round_, False)(world, now()), world, True))
    purpose = intent_of("follow_schedule", [r.model_dump(mode="json") for r in policy.rules])
    if not asked:
        write_down(first, verdicts, {}, known)
        return told(account, purpose, in_vain, report(round_of(now()), {}, first), notifiers)
    run, name = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    with holding(account.account, run, name, purpose) as hold:
        round_ = round_of(hold.moment, hold.inherited)
        world, plan = work(
            account,
            hold,
            round_.targets,
            memory,
            look=lambda: looking(hold, round_),
            decide=deciding(round_, True),
            on_done=round_.on_done,
            protected=round_.protected,
            timeout=span,
            log=log,
        )
    stands = read_notes(account.account)
    write_notes(account.account, stands, learn_restores(round_, memory, stands), client.now())
    return told(account, purpose, in_vain, report(round_, plan, world), notifiers)


def protected_in(world: World, never: Collection[str]) -> frozenset[str]:
    """Ids of the instances that are never touched, by what they are called now."""
    return frozenset(i.id for i in world.instances.values() if matches(i, never))


def told(
    account: BarrackCredentials,
    purpose: str,
    in_vain: Mapping[str, str],
    report: Report,
    notifiers: Mapping[str, NotificationBlock],
) -> Report:
    """Conclude, and tell people what they were not told at the run before.

    Raises:
        WorkFailed: some instances failed.
    """
    failures = {f"{row.instance_id} {row.reason}" for row in report.failed}
    news = news_of(account.account, purpose, {*in_vain, *failures}) if notifiers else set()
    if sentences := [sentence for key, sentence in in_vain.items() if key in news]:
        tell(
            notifiers,
            list(notifiers),
            "Barrack follow_schedule names what is not there",
            "; ".join(sentences),
        )
    return conclude(report, notifiers if news & failures else None)
