"""Make new instances from snapshots, each once, checked before and compared after."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from prefect import runtime
from pydantic import Field

from barrack_tasks.controllers.admission import work_within_caps
from barrack_tasks.controllers.drills import tidy_in_passing
from barrack_tasks.controllers.expiry import Ends, end_due, said_of
from barrack_tasks.controllers.reports import conclude
from barrack_tasks.controllers.restores import (
    TAKEN_UP,
    NotedFirst,
    approved,
    begin,
    letting_go,
    look,
    note_inherited,
    note_up,
    notes_of,
    settle_ends,
    share_snapshots,
    tell_of,
    until_when,
    with_ends,
    with_problems,
)
from barrack_tasks.credentials import BarrackCredentials, Credentials
from barrack_tasks.dialects.needs import check_needs
from barrack_tasks.plans.durations import Lifetime
from barrack_tasks.plans.memory import Target, decide_each
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.power.expiry import check_end
from barrack_tasks.plans.snapshots.restore import (
    OutOfStock,
    Restoring,
    WaitUntil,
    decide_restore,
    find_snapshots,
)
from barrack_tasks.plans.snapshots.restore_report import (
    RestoreReport,
    restored_of,
    rows_of_restores,
)
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import holding, intent_of
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.notify import Notify, find_notifiers
from barrack_tasks.runtime.parameters import Timeout, span_of
from barrack_tasks.server.logs import get_run_logger
from barrack_tasks.tasks.base import barrack_flow
from barrack_tasks.tasks.instances import list_instances
from barrack_tasks.tasks.snapshots import list_snapshots


@barrack_flow(name="restore_from_snapshot")
def restore_from_snapshot(
    snapshot: Annotated[
        str | list[str], Field(description="Ids, names, or latest:<instance name>.")
    ],
    name: Annotated[
        str | None, Field(description="Of the new instance; <snapshot>-restored, if not given.")
    ] = None,
    wait_until: WaitUntil = "address",
    timeout: Timeout = timedelta(minutes=30),
    expires: Annotated[
        Lifetime | None, Field(description="The new instance ends after this.")
    ] = None,
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
        name: of the new instance: 2 to 30 characters; `<snapshot>-restored`, if not given.
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
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    check_needs(account.get_client().dialect, "restore_from_snapshot")
    check_end(expires, on_expiry)
    notifiers = find_notifiers(notify)
    asked = [snapshot] if isinstance(snapshot, str) else list(dict.fromkeys(snapshot))
    if not asked:
        raise ValueError("snapshot: the list is empty; name a snapshot")
    if name is not None and len(asked) != 1:
        raise ValueError("name: one name cannot be given to several instances; leave it out")
    listed = list_snapshots(account)
    chosen = find_snapshots(asked, listed)
    span = span_of(timeout)
    until = until_when(account, wait_until)
    memory = NotedFirst(client=account.get_client())
    run, called = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    # A dry run takes nothing up of a run that was cut off: the next real one does.
    dry = run if dry_run else None
    purpose = intent_of("restore_from_snapshot", sorted(s.id for s in chosen), name, dry)
    mine: list[Restoring] = []
    with (
        holding(account.account, run, called, purpose, TAKEN_UP) as hold,
        letting_go(hold, mine, memory),
    ):
        passed: tuple[str, ...] = ()
        if not dry_run:
            endings, _ = end_due(account, hold, now(), log)
            left = tidy_in_passing(account, run, called, now, log)
            passed = (*said_of(endings), *left.values())
        instances = list_instances(account)
        mine += [begin(hold, one, name, instances, dry_run) for one in chosen]
        begun = with_ends(account, with_problems(account, mine, caps), expires, on_expiry)

        def decide(world: World, moment: datetime) -> dict[str, Next]:
            by_key = {one.key: one for one in begun}

            def step(target: Target) -> Next:
                one = by_key[target.id]
                return decide_restore(one, world, memory, until, out_of_stock, began, moment)

            return decide_each(targets, step, memory, world, (), span, moment)

        def targets_at(moment: datetime) -> tuple[Target, ...]:
            return tuple(Target(one.key, one.name, moment, resumed=one.resumed) for one in begun)

        ends = Ends(account.account, expires, on_expiry, now, hold)

        def note(key: str, at: datetime) -> None:
            ends.note([one.making(at) for one in begun if one.key == key])

        memory.note = note

        def see() -> World:
            share_snapshots(hold, begun, memory)
            note_inherited(hold, begun, memory)
            world = look(account, begun, memory)
            note_up(begun, world, memory, now())
            settle_ends(ends, begun, memory)
            return world

        began = now()
        targets = targets_at(began)
        if dry_run:
            world = look(account, begun, memory)
            rows = rows_of_restores(begun, decide(world, began), world, memory)
            notes = notes_of(begun, expires, on_expiry)
            report = RestoreReport(
                flow="restore_from_snapshot", dry_run=True, rows=rows, notes=notes
            )
            return conclude(report)
        if any(one.to_approve for one in begun):
            begun = approved(begun, decide(see(), began))
            began = now()
            targets = targets_at(began)
        world, plan = work_within_caps(
            account,
            hold,
            begun,
            caps,
            targets,
            memory,
            look=see,
            decide=decide,
            timeout=span,
            log=log,
        )
        restored = restored_of(begun, plan, world, memory)
        tell_of(restored)
        rows = rows_of_restores(begun, plan, world, memory)
        notes = (*notes_of(begun, expires, on_expiry), *passed, *ends.told)
        report = RestoreReport(
            flow="restore_from_snapshot", rows=rows, notes=notes, restored=restored
        )
        # Within the hold: what failed is not done with, and is found by the next attempt.
        return conclude(report, notifiers)
