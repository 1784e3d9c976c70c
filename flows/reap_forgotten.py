"""Find machines that nobody remembers, tell their people, and put them to rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

from barrack_tasks.controllers.forgotten import Reaping, ReapingOptions
from barrack_tasks.controllers.owners import Told
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans import Report, Row
from barrack_tasks.plans.durations import Lifetime as LeaseSpan
from barrack_tasks.plans.durations import PositiveSpan
from barrack_tasks.plans.forgotten.idleness import GivenIdleness
from barrack_tasks.plans.forgotten.leftovers import Leftover, read_leftovers
from barrack_tasks.plans.forgotten.lifetimes import Lifetime, read_lifetimes
from barrack_tasks.plans.forgotten.notices import GRACE
from barrack_tasks.plans.forgotten.untold import LATE, IfUntold, Untold
from barrack_tasks.runtime.alerts import scope_of
from barrack_tasks.runtime.parameters import Credentials, Notify, Protect, Timeout, span_of

Rules = Annotated[list[Lifetime], BeforeValidator(read_lifetimes)]
Leftovers = Annotated[list[Leftover], BeforeValidator(read_leftovers)]


@barrack_flow(name="reap_forgotten")
def reap_forgotten(
    rules: Rules = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    leftovers: Leftovers = [],  # noqa: B006
    default_lease: LeaseSpan | None = None,
    idleness: GivenIdleness = None,
    grace: PositiveSpan = GRACE,
    if_untold: IfUntold = "stay",
    untold_for: PositiveSpan = LATE,
    notify: Notify = [],  # noqa: B006
    timeout: Timeout = timedelta(minutes=30),
    dry_run: bool = True,
    protect: Protect = [],  # noqa: B006
    credentials: Credentials = None,
) -> Report:
    """Find machines that nobody remembers, tell their people, and put them to rest.

    A machine that is as it is for longer than a rule allows is named, alerted of, hibernated or
    deleted, the last two after a snapshot, and only when people were told `grace` before and
    nobody has leased it since (`barrack lease NAME --extend 8h`). Machines without a lease are
    named in every report. Run it every few minutes.

    Args:
        rules: `Lifetime(select=, longer_than=, then=, idle=)` or dicts. All that apply are told;
            the first one that acts counts.
        leftovers: `Leftover(of=, longer_than=, then=)` or dicts, about snapshots and volumes that
            belong to no machine. With `delete` they go after a notice, and never what is leased
            (`barrack lease snapshot:ID`), protected or kept by retention.
        default_lease: the lease that a machine gets which nobody has leased; `end_expired` warns
            before it ends, and then hibernates the machine. None gives none.
        idleness: the probes that rules with `idle` count by: an `Idleness` or a dict.
        grace: how long people have, after they were told, to lease a machine.
        if_untold: what happens to a machine once nobody could be told for `untold_for` what will
            happen to it: `stay` leaves it as it is, and each run fails and says so; with `act` the
            grace begins all the same.
        untold_for: see `if_untold`.
        notify: names of notification blocks that are told what will happen, and what failed.
        timeout: for one instance: seconds, a timedelta or `"10m"`.
        dry_run: show what would be done, and change nothing.
        protect: names, globs and ids that are never touched; added to the account's own list.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row for each machine that a rule names or nobody has leased, and for
        each leftover.

    Raises:
        ParameterTypeError: a rule cannot be read; says which.
        BarrackError: the account cannot be read.
        WorkFailed: some instances failed, after all others were finished; carries the report.
        NobodyTold: nobody could be told of something.

    Example:
        >>> reap_forgotten(
        ...     rules=[{"select": ["scratch-*"], "longer_than": "8h", "then": "hibernate"}],
        ...     default_lease="8h",
        ...     dry_run=False,
        ... )
    """
    acts = {f"{rule.then}_instance" for rule in rules if rule.then in ("hibernate", "delete")}
    also = (*acts, "list_snapshots", "create_snapshot") if acts else ()
    also = (*also, *(f"delete_{one.kind}" for one in leftovers if one.then == "delete"))
    run = Run.begin("reap_forgotten", credentials, notify, protect, dry_run, also=also)
    means = ReapingOptions(rules, leftovers, idleness, default_lease, grace, span_of(timeout))
    reaping = Reaping(run, means)
    notes = run.check_lists(list(reaping.world.instances.values()))
    if idleness is None and any(rule.idle for rule in rules):
        notes = (*notes, "rules that count idle time do nothing: idleness names no probe")
    if dry_run:
        return run.report(reaping.rows(reaping.act()), notes)
    scope = scope_of([rule.key for rule in rules], notify)
    alarms = run.alarms("forgotten", scope)
    told = Told()
    done: tuple[Row, ...] = ()
    with run.alone("forgotten") as is_alone:
        if is_alone:
            told = reaping.tell(alarms, Untold(untold_for, if_untold))
            reaping.grant()
            done = reaping.act()
    notes = (*notes, *told.notes)
    report = Report(flow=run.flow, rows=reaping.rows(done), notes=notes)
    report = run.conclude(report, silent=True)
    told.check(run)
    return report
