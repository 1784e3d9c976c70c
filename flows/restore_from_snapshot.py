"""Make new instances from snapshots, each once, checked before and compared after."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from barrack_tasks.controllers.drills import clear_up
from barrack_tasks.controllers.restores import TAKEN_UP, Restores, Wanted, snapshots_asked
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans.durations import Lifetime
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.power.expiry import check_end
from barrack_tasks.plans.snapshots.restore import (
    OutOfStock,
    WaitUntil,
    names_asked,
)
from barrack_tasks.plans.snapshots.restore_report import RestoreReport
from barrack_tasks.runtime.parameters import Credentials, Notify, Timeout, span_of


@barrack_flow(name="restore_from_snapshot")
def restore_from_snapshot(
    snapshot: str | list[str],
    name: str | None = None,
    wait_until: WaitUntil = "address",
    timeout: Timeout = timedelta(minutes=30),
    expires: Lifetime | None = None,
    on_expiry: Literal["hibernate", "delete"] = "hibernate",
    out_of_stock: OutOfStock = "stop",
    caps: Caps | None = None,
    notify: Notify = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    dry_run: bool = False,
    credentials: Credentials = None,
) -> RestoreReport:
    """Make new instances from snapshots, in the snapshots' regions, each exactly once.

    All that must hold is checked first, and everything that is wrong is said at once. A run that
    was cut off is taken up by the next with the same snapshots: it finds its own instance by its
    name. A new run after one that ended makes a new instance; with a `name`, it refuses instead.
    What came up is compared with what was promised; what differs is left for a person.

    Args:
        snapshot: an id, a name, or `latest:<instance name>`; or a list of these.
        name: of the new instance: 2 to 30 characters; `<snapshot>-restored`, if not given, or
            where that is too long and `latest:` is asked for, `<instance name>-restored`.
        wait_until: until the instance has its address, is ACTIVE, or not at all. Not `wait_for`:
            that is a keyword of Prefect's own for every flow, takes futures of other tasks, and
            says nothing of a word like "active", which then has no effect. Type checkers do.
        timeout: for one snapshot: seconds, a timedelta, or text such as `30m`.
        expires: the new instance ends after so long: `end_expired` sees to it, and any run of
            this flow or of `watch_gpu_stock`.
        on_expiry: how it ends. What is known not to hibernate is refused with `hibernate`.
        out_of_stock: wait for the GPU within `timeout`, or stop.
        caps: what may be spent; besides the account's own. What is over `approve_over` waits for
            a person's answer in the Prefect UI.
        notify: names of notification blocks that are told what failed.
        dry_run: show what would be done and what stands against it, and change nothing.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row a snapshot, and in `restored` old and new ids, addresses, prices.

    Raises:
        ValueError: no such snapshot, one name for several, or a way to end without an end;
            nothing was changed.
        BarrackError: the account cannot be read.
        WorkFailed: some could not be restored, after all others were; carries the report.

    Example:
        >>> report = restore_from_snapshot("latest:train-1", expires="8h")
        >>> report.restored[0].address
    """
    run = Run.begin("restore_from_snapshot", credentials, notify, dry_run=dry_run)
    check_end(expires, on_expiry)
    chosen = snapshots_asked(run.account, names_asked(snapshot, name))
    wanted = Wanted(name, wait_until, out_of_stock, span_of(timeout), caps, expires, on_expiry)
    # A dry run takes nothing up of a run that was cut off: the next real one does.
    dry = run.id if dry_run else None
    intent = run.intent(sorted(one.snapshot.id for one in chosen), name, dry)
    with run.holding(intent, keep=TAKEN_UP) as hold:
        passed = () if dry_run else clear_up(run, hold)
        with Restores(run, hold, chosen, wanted) as restores:
            if dry_run:
                return run.conclude(restores.planned())
            restores.ask_approval()
            # Within the hold: what failed is not done with, and is found by the next attempt.
            return run.conclude(restores.work(passed))
