"""Keep a machine for longer: what a person starts who says no to a notice."""

from __future__ import annotations

from datetime import timedelta

from barrack_tasks.controllers.leases import extend_lease, find_leasable
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans import Report
from barrack_tasks.plans.durations import Lifetime
from barrack_tasks.plans.forgotten.leases import until_said
from barrack_tasks.plans.forgotten.reaping import row_of_kept
from barrack_tasks.runtime.parameters import Credentials


@barrack_flow(name="keep_machine")
def keep_machine(
    instance: str,
    for_: Lifetime = timedelta(hours=8),
    owner: str | None = None,
    credentials: Credentials = None,
) -> Report:
    """Extend the lease of a machine, so that nothing puts it to rest meanwhile.

    Notices of `reap_forgotten` and warnings of `end_expired` have a link to the form of this
    flow's deployment. It does the same as `extend_lease` and `barrack lease NAME --extend`.

    Args:
        instance: its name or id; or a snapshot or volume, as `snapshot:4711`, that a notice names.
        for_: how long from now it is kept at least: seconds, a timedelta or `"8h"`.
        owner: whose lease; the one that lasts longest, if not given, and the user's who runs the
            flow where there is none, or only the default lease.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row.

    Raises:
        BarrackNotFoundError: no instance has this name or id.
        BarrackConflictError: several have it; their ids are named.

    Example:
        >>> keep_machine("train-1", for_="4h", owner="ann")
    """
    run = Run.begin("keep_machine", credentials)
    there = find_leasable(run.account, instance)
    lease = extend_lease.fn(run.account, there.id, for_, owner)
    return run.report([row_of_kept(there, f"{lease.said} keeps it until {until_said(lease)}")])
