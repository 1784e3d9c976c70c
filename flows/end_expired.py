"""Put machines to rest whose last lease has ended."""

from __future__ import annotations

from datetime import timedelta

from barrack_tasks.controllers.expiry import end_due, note_told, warnings_due
from barrack_tasks.controllers.leases import cloud_now
from barrack_tasks.controllers.owners import Told, tell_people
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans.durations import PositiveSpan
from barrack_tasks.plans.forgotten.idleness import GivenIdleness
from barrack_tasks.plans.forgotten.leases import WARNING
from barrack_tasks.plans.forgotten.untold import LATE, IfUntold, Untold
from barrack_tasks.plans.power.expiry import EndingsReport, known_of, readings_of, rows_of_endings
from barrack_tasks.runtime.alerts import scope_of
from barrack_tasks.runtime.parameters import Credentials, Notify


@barrack_flow(name="end_expired")
def end_expired(
    notify: Notify = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    remind: PositiveSpan | None = timedelta(days=1),
    dry_run: bool = False,
    credentials: Credentials = None,
    warning: PositiveSpan = WARNING,
    idleness: GivenIdleness = None,
    if_untold: IfUntold = "stay",
    untold_for: PositiveSpan = LATE,
) -> EndingsReport:
    """Hibernate machines whose last lease has ended, and end what was made with `expires=`.

    Acts on nothing but machines that somebody leased (`lease_instance`), that got a default lease
    from `reap_forgotten`, or that `restore_from_snapshot` and `watch_gpu_stock` made for a time;
    the last are ended in the way that was asked for then, all others are hibernated. Whoever
    extends the lease keeps the machine. Before a lease ends people are warned, and the machine
    waits for that. An instance has ended when it is seen HIBERNATED
    or gone; until then it is asked again ten minutes after it was last asked, whether that was
    refused or came to nothing. Once it was seen ended, whoever brings it back may keep it.
    Protected instances are left alone. Run it every few minutes.

    Args:
        notify: names of notification blocks that are warned of leases that end soon, and told
            once what could not be ended, and when that is over.
        remind: tell again, and fail again, after so long while something cannot be ended.
        dry_run: show what would be ended, and change nothing.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.
        warning: how long before a lease ends people are warned.
        idleness: probes that put an end off while a machine works, or while nobody can tell, for
            `at_most`: an `Idleness` or a dict. None asks no probe.
        if_untold: what happens to a machine once nobody could be told for `untold_for` that its
            lease ends: `stay` leaves it up, and each run fails and says so; `act` goes on.
        untold_for: see `if_untold`.

    Returns:
        A report with one row an instance that has a lease, or was made for a time, and has not
        ended yet.

    Raises:
        BarrackError: the account cannot be read.
        WorkFailed: something could not be ended, which people were not told of yet, or are
            reminded of; carries the report.
        NobodyTold: nobody could be told of it.

    Example:
        >>> lease_instance(account, "train-1", for_="8h", owner="ann")
        >>> restore_from_snapshot("latest:train-1", expires="8h")
        >>> end_expired(dry_run=True)
    """
    run = Run.begin("end_expired", credentials, notify, dry_run=dry_run)
    with run.holding() as hold:
        looked = end_due(run.account, hold, run.log, dry_run, warning, idleness, cloud_now)
    endings, instances, at = looked
    if dry_run:
        rows = rows_of_endings(endings, instances, dry_run=True)
        return run.conclude(EndingsReport(flow=run.flow, dry_run=True, rows=rows))
    scope = scope_of(["ends"], notify)
    alarms = run.alarms("expiry", scope, remind)
    told = Told()
    with run.alone("expiry", scope) as is_alone:
        if is_alone:
            readings = [*readings_of(endings), *warnings_due(run.account, looked, warning)]
            late = Untold(untold_for, if_untold)
            told = tell_people(run, alarms, readings, instances, at, late)
            note_told(run.account.account, looked, warning, told.stays(if_untold))
    rows = rows_of_endings(endings, instances, known=known_of(endings, told.messages))
    report = run.conclude(EndingsReport(flow=run.flow, rows=rows, notes=told.notes), silent=True)
    told.check(run)
    return report
