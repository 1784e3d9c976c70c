"""`barrack snapshot`: take snapshots of instances, and wait until they are ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.cli.accounts import account_to_act_on
from barrack_tasks.cli.answers import SnapshotTaken
from barrack_tasks.cli.inputs import AsJson, Minutes
from barrack_tasks.cli.run import is_watched, run_flow
from barrack_tasks.cli.screen import Screen
from barrack_tasks.plans.names import snapshot_name
from barrack_tasks.plans.selection import select_instances, selector_of

_EVERY = 5.0


def snapshot(
    names: list[str],
    /,
    *,
    then: Literal["hibernate", "stop", "delete"] | None = None,
    dry_run: bool = False,
    minutes: Minutes = 30,
    credentials: str | None = None,
    watch: bool | None = None,
    json: AsJson = False,
) -> int:
    """Take a snapshot of instances, and wait until it is ready. The instances go on running.

    With --then, it runs the flow snapshot_before_stop instead, which stops an instance once its
    snapshot is ready. A snapshot that is taken without --then is yours: no flow deletes it.

    Parameters
    ----------
    names
        Names, globs and ids of instances, which must be ACTIVE.
    then
        What to do once the snapshot is ready: hibernate, stop or delete.
    dry_run
        Show what would be done, and change nothing.
    minutes
        How long to wait at most.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    watch
        With --then: show what each instance is doing; on a terminal it is shown anyway.
    json
        Show JSON instead of a table.
    """
    if then is not None:
        given: dict[str, Any] = {"select": names, "then": then, "dry_run": dry_run}
        given |= {"credentials": credentials, "timeout": timedelta(minutes=minutes)}
        return run_flow("snapshot_before_stop", given, json, is_watched(watch))
    screen, told = Screen(), Screen(stderr=True)
    with account_to_act_on(credentials) as client:
        chosen = select_instances(selector_of(names), list(client.instances.list()))
        taken = taken_of(client, chosen, timedelta(minutes=minutes), dry_run, told.print)
    if json:
        screen.print_json(taken, list[SnapshotTaken])
    else:
        cells = [(one.instance, one.outcome, one.snapshot or "-", one.why) for one in taken]
        screen.print_rows("", ("instance", "outcome", "snapshot", "why"), cells)
    return 1 if any(one.outcome == "failed" for one in taken) else 0


def taken_of(
    client: Barrack,
    instances: Sequence[UserVM],
    longest: timedelta,
    dry_run: bool,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[SnapshotTaken]:
    """Take a snapshot of each instance, and wait until all are ready or have failed.

    Args:
        client: of the account.
        instances: of which.
        longest: how long to wait at most.
        dry_run: take none.
        tell: is told what was requested.
        clock: seconds.
        sleep: waits for seconds.

    Returns:
        What became of each, in order.
    """
    now = client.now()
    if dry_run:
        return [
            SnapshotTaken(instance=i.name, snapshot=_name(i, now), outcome="planned", why="")
            for i in instances
        ]
    waits: dict[str, Snapshot] = {}
    failed: dict[str, str] = {}
    for instance in instances:
        name = _name(instance, now)
        try:
            waits[instance.id] = client.snapshots.create(
                instance.id, name, "Taken by a person with `barrack snapshot`"
            )
        except BarrackError as error:
            failed[instance.id] = str(error)
        else:
            tell(f"{instance.name}: the snapshot {name} was requested")
    ends = clock() + longest.total_seconds()
    ready: dict[str, str] = {}
    while waits:
        there = {one.id: one for one in client.snapshots.list()}
        for id_, before in list(waits.items()):
            one = there.get(before.id, before)
            if one.status.is_ready:
                ready[id_] = waits.pop(id_).name
            elif one.status.is_failed:
                failed[id_] = f"the snapshot {waits.pop(id_).name} ended {one.status}"
        if waits and clock() >= ends:
            late = "it is still being taken; `barrack ls snapshots` shows it"
            failed |= dict.fromkeys(waits, late)
            break
        if waits:
            sleep(_EVERY)
    return [
        SnapshotTaken(
            instance=i.name,
            snapshot=ready.get(i.id),
            outcome="done" if i.id in ready else "failed",
            why=failed.get(i.id, ""),
        )
        for i in instances
    ]


def _name(instance: UserVM, now: datetime) -> str:
    return snapshot_name(instance.name, instance.id, now)
