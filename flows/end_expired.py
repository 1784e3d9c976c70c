"""Put machines to rest whose last lease has ended."""

from __future__ import annotations

from datetime import timedelta

from barrack_tasks.controllers.expiry import end_due
from barrack_tasks.controllers.leases import note_warned, read_leases
from barrack_tasks.controllers.owners import tell_owners
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans.alerts import Message
from barrack_tasks.plans.durations import PositiveSpan
from barrack_tasks.plans.forgotten.idleness import GivenIdleness
from barrack_tasks.plans.forgotten.leases import WARNING, now_warned, warnings_of
from barrack_tasks.plans.power.expiry import EndingsReport, known_of, readings_of, rows_of_endings
from barrack_tasks.runtime.alerts import scope_of, untold
from barrack_tasks.runtime.keep_form import keeping_link
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.parameters import Credentials, Notify


@barrack_flow(name="end_expired")
def end_expired(
    notify: Notify = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    remind: PositiveSpan | None = timedelta(days=1),
    dry_run: bool = False,
    credentials: Credentials = None,
    warning: PositiveSpan = WARNING,
    idleness: GivenIdleness = None,
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
        endings, instances = end_due(run.account, hold, now(), run.log, dry_run, warning, idleness)
    if dry_run:
        rows = rows_of_endings(endings, instances, dry_run=True)
        return run.conclude(EndingsReport(flow=run.flow, dry_run=True, rows=rows))
    scope = scope_of(["ends"], notify)
    alarms = run.alarms("expiry", scope, remind)
    told: tuple[Message, ...] = ()
    missed: tuple[str, ...] = ()
    with run.alone("expiry", scope) as is_alone:
        if is_alone:
            leases = read_leases(run.account.account)
            warnings = warnings_of(
                leases, instances, now(), warning, keeping_link(), run.account.protect
            )
            told = alarms.raise_for([*readings_of(endings), *warnings], now())
            unheard = alarms.unheard(warnings)
            heard = now_warned(leases, instances, now(), warning, unheard)
            note_warned(run.account.account, heard, now())
            missed = tell_owners(run, told, instances)
    rows = rows_of_endings(endings, instances, known=known_of(endings, told))
    notes = (*untold(told, run.notifiers, alarms.undelivered), *missed)
    report = EndingsReport(flow=run.flow, rows=rows, notes=notes)
    return run.conclude_told(report, told, alarms)
