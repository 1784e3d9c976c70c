"""Drills: what is remembered of them, probes, and ending what a crashed run left behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from barrack_tasks import restoring
from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import UserVM
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.holds import holding
from barrack_tasks.instances import delete_instance, list_instances
from barrack_tasks.loop import Log
from barrack_tasks.plans.drills import Drills, Probe, Proof, can_be_probed, verdict_of
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.restoring import LISTS_LAG, Restoring
from barrack_tasks.plans.world import World
from barrack_tasks.proofs import Open, read_open, read_proofs, write_open, write_proofs

DRILLING = "watch:drill"
"""What a run holds while it drills."""
_TIDY = timedelta(minutes=3)
_AGAIN = 1.0
_CONNECT = 3.0


def tidy_in_passing(
    account: BarrackCredentials, run: str, by: str, now: Callable[[], datetime], log: Log
) -> None:
    """The same as `tidy` from another flow: only if no drill is at work, and waiting for nothing.

    Args:
        account: whose.
        run: id of the run.
        by: what a person calls it.
        now: the clock.
        log: of the run.
    """
    if not read_open(account.account):
        return
    # A hold of its own, given back at once: a drill need not wait for the rest of this run.
    with holding(account.account, f"{run}tidy", by) as hold:
        if not hold.claim({DRILLING: "drill"}):
            tidy(account, now, log, patience=timedelta(0))


def tidy(
    account: BarrackCredentials,
    now: Callable[[], datetime],
    log: Log,
    sleep: Callable[[float], None] = time.sleep,
    patience: timedelta = _TIDY,
) -> None:
    """End what drills left behind when they were cut off.

    Only what a drill made: its name stands in the record of a run, and its id, or else that it
    was made of a snapshot since that record was written. Lists may lag, so what a run may have
    asked for just now is waited for.

    Args:
        account: whose.
        now: the clock.
        log: of the run.
        sleep: waits so many seconds.
        patience: so long deletions are waited for; what is not gone by then stays on record.
    """
    began = now()
    until = began + patience
    asked: set[str] = set()
    stuck: set[str] = set()
    left = read_open(account.account)
    while left:
        there = {i.name: i for i in list_instances(account)}
        for name, record in list(left.items()):
            instance = there.get(name)
            if instance is None:
                # A request may have been sent at the very end of that run: only a list that was
                # read so long after tells that nothing came of it.
                is_settled = name in asked or now() - began > LISTS_LAG
            else:
                is_settled = not _is_ours(instance, record)
                if not is_settled and name not in asked:
                    asked.add(name)
                    if not _ended(account, name, instance.id, log):
                        stuck.add(name)
            if is_settled:
                del left[name]
        if left.keys() <= stuck or now() >= until:
            break
        sleep(_AGAIN)
    if asked or read_open(account.account).keys() != left.keys():
        write_open(account.account, left)


def _ended(account: BarrackCredentials, name: str, id_: str, log: Log) -> bool:
    """Delete what a drill left; one that cannot be deleted holds up nothing else."""
    log.warning("%s: left by a drill that was cut off, and deleted", name)
    try:
        delete_instance(account, id_)
    except BarrackError as error:
        log.error("%s: cannot be deleted, and the next run tries again: %s", name, error)
        return False
    return True


def check_probe(account: BarrackCredentials, probe: Probe | None) -> None:
    """Refuse what cannot be asked, before a machine is paid for.

    Raises:
        ValueError: there is no such command here, or the dialect tells no address.
    """
    if probe is not None and not restoring.tells_addresses(account):
        raise ValueError(
            f"probe: the dialect {account.get_client().dialect.name!r} tells no addresses "
            "(UserVM.public_ip), so nothing can be probed; leave the probe out"
        )
    command = (probe and probe.command) or ()
    if command and shutil.which(command[0]) is None:
        raise ValueError(f"probe: there is no command {command[0]!r} on this machine")


def open_records(account: str, chosen: Iterable[Restoring], began: datetime) -> frozenset[str]:
    """Record what this run may make, before it asks; the names that were not on record before.

    A record that is there already is of an instance that an earlier drill left behind and that
    could not be ended yet. It stays as it is: by it that instance is found.
    """
    known = read_open(account)
    fresh = {o.name: Open(began) for o in chosen if not o.problems and o.name not in known}
    write_open(account, {**known, **fresh})
    return frozenset(fresh)


def close(
    account: str,
    chosen: Iterable[Restoring],
    opened: Collection[str],
    memory: Memory,
    world: World,
) -> None:
    """Forget the temporary instances of this run that are surely gone or never were.

    Args:
        account: whose.
        chosen: the drills of this run.
        opened: names that this run has put on record.
        memory: of this run.
        world: as it is in the end.
    """
    left = read_open(account)
    for one in chosen:
        never = not memory.may_have_made(one.key) and one.name in opened
        if never or memory.made.get(one.key) in world.gone:
            left.pop(one.name, None)
    write_open(account, left)


def _is_ours(instance: UserVM, record: Open) -> bool:
    if record.id:
        return instance.id == record.id
    made = instance.created_at
    # A minute: the clocks of two machines differ.
    since_then = made is None or made >= record.since - timedelta(minutes=1)
    return instance.boot_source in (None, "snapshot") and since_then


def look(
    account: BarrackCredentials,
    chosen: Sequence[Restoring],
    memory: Memory,
    drills: Drills,
    probe: Probe | None,
    began: datetime,
    timeout: timedelta,
    now: Callable[[], datetime],
) -> World:
    """The account now; what came up is probed, and what is decided about it noted at once.

    No probe is waited for after the time of the drills is over: all the machines of the run are
    paid for meanwhile, and the cap on the cost counts on that time.
    """
    world = restoring.look(account, chosen, memory)
    _note_ids(account.account, chosen, memory, drills)
    addressed = restoring.tells_addresses(account)
    until = began + timeout
    proofs: dict[str, Proof] = {}
    for one in chosen:
        if one.key in drills.verdicts or one.key not in memory.made:
            continue
        there = world.instances.get(memory.made[one.key])
        may_ask = there is not None and can_be_probed(there, addressed)
        probed = _probed(one, there, drills, probe, until, now) if there and may_ask else None
        late = now() >= until
        verdict = verdict_of(one, world, memory, probed, late, drills.unmet.get(one.key))
        if verdict is not None:
            drills.verdicts[one.key] = verdict
            if not verdict:
                proofs[one.snapshot.instance_id or ""] = Proof(now(), one.snapshot.id, now())
    if proofs:
        write_proofs(account.account, {**read_proofs(account.account), **proofs})
    return world


def _note_ids(account: str, chosen: Iterable[Restoring], memory: Memory, drills: Drills) -> None:
    """Note the ids of what was made, once, by which a later run knows it for sure."""
    made = {one.name: memory.made[one.key] for one in chosen if memory.made.get(one.key)}
    if made == drills.noted:
        return
    known = read_open(account)
    fresh = {n: replace(known[n], id=id_) for n, id_ in made.items() if n in known}
    write_open(account, {**known, **fresh})
    drills.noted = made


def _probed(
    one: Restoring,
    there: UserVM,
    drills: Drills,
    probe: Probe | None,
    until: datetime,
    now: Callable[[], datetime],
) -> str | None:
    """Empty if the probe is content, why it is not, or None while it may yet become so."""
    since = drills.up_since.setdefault(one.key, now())
    if probe is None:
        return ""
    left = min(probe.within, until - now())
    if left <= timedelta(0):
        drills.unmet.setdefault(one.key, "it is up, and no time was left to ask the probe")
        return None
    why = _ask(probe, there.public_ip or "", left)
    drills.unmet[one.key] = why
    return why if not why or now() >= since + probe.within else None


def _ask(probe: Probe, address: str, most: timedelta) -> str:
    if probe.port is not None:
        try:
            with socket.create_connection((address, probe.port), _CONNECT):
                return ""
        except OSError as error:
            return f"port {probe.port} at {address} does not answer: {error.strerror or error}"
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command
            [*(probe.command or ()), address],
            env={**os.environ, "BARRACK_ADDRESS": address},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=most.total_seconds(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the probe could not be run to its end: {error}"
    if done.returncode == 0:
        return ""
    said = " ".join((done.stderr or done.stdout).split())[-200:]
    return f"the probe ended with {done.returncode}{': ' if said else ' and said nothing'}{said}"
