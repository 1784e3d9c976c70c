"""Leases of machines, kept where every worker sees them, and the tasks by which people ask."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from barrack_tasks.api import BarrackConflictError, BarrackError, BarrackNotFoundError
from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.durations import read_lifetime
from barrack_tasks.plans.forgotten.leases import (
    THINGS,
    Lease,
    by_machine,
    extended,
    granted,
    owner_to_extend,
    released,
    spent_leases,
    unread,
    warned,
)
from barrack_tasks.plans.names import nearest
from barrack_tasks.plans.selection import Named
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import emit
from barrack_tasks.server.tables import TableUnreadError, change_all, read_all
from barrack_tasks.tasks.base import barrack_task

_LONGEST_OWNER = 200
_HAD_FOR = timedelta(days=400)
"""So long it is kept who had a machine: no report of costs goes back further than a year."""
Change = Callable[[dict[str, Lease]], Iterable[Lease]]


class LeasesUnreadError(BarrackError):
    """Who has leased what cannot be read, so that nothing may be put to rest."""


def read_leases(account: str) -> list[Lease]:
    """All leases of machines. One that cannot be read keeps its machine; see `unread`.

    Raises:
        LeasesUnreadError: not even which machines have leases can be read.
    """
    return [one for one in _all_leases(account) if not one.is_of_thing]


def known_leases(account: str) -> list[Lease]:
    """All leases of machines as far as they can be read: to say whose they are, and no more."""
    try:
        return read_leases(account)
    except LeasesUnreadError:
        return []


def read_leases_of_things(account: str) -> list[Lease]:
    """All leases of snapshots and volumes, which keep them from being deleted as leftovers."""
    return [one for one in _all_leases(account) if one.is_of_thing]


def _all_leases(account: str) -> list[Lease]:
    try:
        return list(_read(read_all(_prefix(account), whole=True)).values())
    except TableUnreadError as error:
        failed = LeasesUnreadError(f"it is not known who has leased what: {error}")
        failed.advice = "Delete that variable, and lease what is needed anew."
        raise failed from None


def cloud_now(credentials: BarrackCredentials) -> datetime:
    """The cloud's time, asked for now. Leases are granted and judged by it alone.

    The clocks of the machines where people and workers run may be wrong by hours, and a lease would
    end so much too early. One page of instances is asked for: that is what its answer tells.

    Raises:
        BarrackError: the account cannot be read.
    """
    next(iter(credentials.get_client().instances.list()), None)
    return _moment_of(credentials)


def change_leases(account: str, change: Change, now: datetime | None = None) -> list[Lease]:
    """Put leases in the place of those with the same machine and owner; those that were put.

    Args:
        account: see `BarrackCredentials.account`.
        change: given the leases that stand, by key, gives those that changed. It is asked again
            when another worker was faster, so that neither undoes the other's.
        now: by the cloud's clock; what says nothing any more at this moment is forgotten.
    """
    put: list[Lease] = []

    def changed(stands: dict[str, Any]) -> dict[str, Any]:
        found = _read(stands)
        put[:] = change(found)
        fresh = {one.key: one for one in put}
        over = set() if now is None else spent_leases({**found, **fresh}.values(), now)
        wanted = {**stands, **{key: _written(one) for key, one in fresh.items()}}
        return {k: v for k, v in wanted.items() if k not in over}

    _change(account, changed)
    return put


def _change(account: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the leases; of those that are forgotten by that, it is kept who had the machines."""
    gone: dict[str, Any] = {}

    def changed(stands: dict[str, Any]) -> dict[str, Any]:
        wanted = change(stands)
        gone.update({k: v for k, v in stands.items() if k not in wanted})
        return wanted

    change_all(_prefix(account), changed)
    had = [o for o in _read(gone).values() if o.person and not o.is_of_thing and not o.is_unread]
    if had:
        last = {one.instance_id: one for one in sorted(had, key=lambda one: one.let_go)}
        change_all(_prefix_of_had(account), lambda stands: _with_had(stands, last.values()))


def _with_had(stands: dict[str, Any], last: Iterable[Lease]) -> dict[str, Any]:
    known = {one.instance_id: one for one in _read_had(stands)}
    for one in last:
        before = known.get(one.instance_id)
        if before is None or one.let_go > before.let_go:
            known[one.instance_id] = one
    newest = max(one.let_go for one in known.values())
    return {
        id_: [one.person, int(one.let_go.timestamp())]
        for id_, one in known.items()
        if newest - one.let_go < _HAD_FOR
    }


def read_had(account: str) -> list[Lease]:
    """Who had machines whose leases are forgotten, as leases that were given back.

    What was spent on a machine stays theirs, in reports and in the budgets of their teams.
    """
    return _read_had(read_all(_prefix_of_had(account)))


def _read_had(written: dict[str, Any]) -> list[Lease]:
    found = []
    for id_, value in written.items():
        with suppress(TypeError, ValueError, OverflowError, OSError):
            person, seconds = value
            at = _at(seconds)
            found.append(Lease(id_, id_, str(person), at, released=at))
    return found


def grant_default(
    account: str, machines: Iterable[UserVM], until: datetime, now: datetime
) -> list[Lease]:
    """Give each machine that has no lease one without an owner; those that were given.

    Args:
        account: see `BarrackCredentials.account`.
        machines: that were seen without one.
        until: when these leases end.
        now: by the cloud's clock.
    """

    def change(stands: dict[str, Lease]) -> list[Lease]:
        have = by_machine(stands.values())
        return [Lease(m.id, m.name, "", until) for m in machines if m.id not in have]

    return change_leases(account, change, now)


def note_warned(account: str, told: Collection[Lease], now: datetime) -> None:
    """Note that people know when these leases end; one extended meanwhile stays as it is."""
    if not told:
        return

    def change(stands: dict[str, Lease]) -> list[Lease]:
        there = [(stands[one.key], one.until) for one in told if one.key in stands]
        return [warned(stand, until, now) for stand, until in there]

    change_leases(account, change, now)


def drop_ended(account: str, ids: Collection[str], now: datetime) -> None:
    """Forget the leases of machines that have ended; those that run again stay."""
    if not ids:
        return

    def change(stands: dict[str, Any]) -> dict[str, Any]:
        over = {k for k, o in _read(stands).items() if o.instance_id in ids and not o.runs(now)}
        return {k: v for k, v in stands.items() if k not in over}

    _change(account, change)


def drop_lease(account: str, key: str) -> None:
    """Forget one lease, as if nobody had asked for it: the machine does not end for that."""
    _change(account, lambda stands: {k: v for k, v in stands.items() if k != key})


@barrack_task("lease {instance} for {for_}")
def lease_instance(
    credentials: BarrackCredentials,
    instance: str,
    for_: str | float | timedelta = "8h",
    owner: str | None = None,
) -> Lease:
    """Say that a machine is needed for a time. It is hibernated when its last lease has ended.

    Each owner has a lease of their own on a machine, and one that runs longer already is not
    shortened. While it runs, no timetable hibernates the machine; guards of the balance and of
    budgets do. People are warned before it ends (`end_expired` does both).

    Args:
        credentials: the account; the environment's, if not given.
        instance: its name or id.
        for_: how long from now: `"8h"`, seconds or a timedelta; at most 3650 days.
        owner: who needs it; the user who calls, if not given.

    Returns:
        The lease as it stands.

    Raises:
        ValueError: `for_` is no duration longer than zero.
        BarrackNotFoundError: no instance has this name or id.
        BarrackConflictError: several have it; their ids are named.

    Example:
        >>> lease_instance(account, "train-1", for_="8h", owner="ann").until
    """
    span = read_lifetime(for_)
    there, now = find_leasable(credentials, instance), _moment_of(credentials)
    lease = Lease(there.id, there.name, owner_named(owner), now + span)
    [stands] = change_leases(
        credentials.account, lambda found: [granted(found.get(lease.key), lease)], now
    )
    return _told("barrack.lease.granted", stands, credentials.account)


@barrack_task("extend the lease of {instance} by {for_}")
def extend_lease(
    credentials: BarrackCredentials,
    instance: str,
    for_: str | float | timedelta = "8h",
    owner: str | None = None,
) -> Lease:
    """Keep a machine for longer: its lease lasts at least so long from now.

    The later end counts, so two who extend at once, or one who asks twice, lose nothing. An end
    that was set with `expires=` is extended in the same way.

    Args:
        credentials: the account; the environment's, if not given.
        instance: its name or id.
        for_: how long from now: `"8h"`, seconds or a timedelta; at most 3650 days.
        owner: whose lease; the one that lasts longest, if not given, and the user's who calls
            where there is none, or only the default lease.

    Returns:
        The lease as it stands.

    Raises:
        ValueError: `for_` is no duration longer than zero.
        BarrackNotFoundError: no instance has this name or id.
        BarrackConflictError: several have it; their ids are named.

    Example:
        >>> extend_lease(account, "train-1", for_="4h").until
    """
    span = read_lifetime(for_)
    there, now = find_leasable(credentials, instance), _moment_of(credentials)
    until = now + span

    def change(stands: dict[str, Lease]) -> list[Lease]:
        held = by_machine(stands.values()).get(there.id, [])
        last = owner_to_extend(held) if owner is None else None
        lease = Lease(there.id, there.name, last or owner_named(owner), until)
        standing = stands.get(lease.key)
        return [lease if standing is None else extended(standing, until)]

    [stands] = change_leases(credentials.account, change, now)
    return _told("barrack.lease.extended", stands, credentials.account)


@barrack_task("release the lease of {instance}")
def release_lease(
    credentials: BarrackCredentials, instance: str, owner: str | None = None
) -> list[Lease]:
    """Say that a machine is not needed any more: it is hibernated soon, unless others need it.

    Args:
        credentials: the account; the environment's, if not given.
        instance: its name or id.
        owner: whose lease; the user's who calls, if not given.

    Returns:
        The leases of others that keep the machine; none if it is hibernated by the next run of
        `end_expired`.

    Raises:
        BarrackNotFoundError: no instance has this name or id.
        BarrackConflictError: several have it; their ids are named.

    Example:
        >>> release_lease(account, "train-1", owner="ann")
        []
    """
    there, now = find_leasable(credentials, instance), _moment_of(credentials)
    lease = Lease(there.id, there.name, owner_named(owner), now)
    others: list[Lease] = []

    def change(stands: dict[str, Lease]) -> list[Lease]:
        mine = by_machine(stands.values()).get(there.id, [])
        # The default lease is nobody's: whoever speaks for the machine speaks for it, too.
        unowned = [released(one, now) for one in mine if not one.owner]
        others[:] = [o for o in mine if o.owner and o.key != lease.key and o.runs(now)]
        return [released(stands.get(lease.key, lease), now), *unowned]

    stands, *_ = change_leases(credentials.account, change, now)
    _told("barrack.lease.released", stands, credentials.account)
    return others


def find_leasable(credentials: BarrackCredentials, called: str) -> UserVM | Named:
    """The instance that has a name or an id, or a snapshot or volume, as `snapshot:4711`.

    Raises:
        BarrackNotFoundError: there is none.
        BarrackConflictError: several instances have it; their ids are named.
    """
    if not called.startswith(THINGS):
        return find_instance(credentials, called)
    client, (kind, _, id_) = credentials.get_client(), called.partition(":")
    found = client.snapshots.get(id_) if kind == "snapshot" else client.volumes.get(id_)
    return Named(called, found.name)


def find_instance(credentials: BarrackCredentials, called: str) -> UserVM:
    """The instance that has a name or an id.

    Raises:
        BarrackNotFoundError: none has.
        BarrackConflictError: several have; their ids are named.
    """
    all_of_them = list(credentials.get_client().instances.list())
    # An id is one machine's, also if another one is called like it.
    found = [one for one in all_of_them if one.id == called]
    found = found or [one for one in all_of_them if one.name == called]
    if not found:
        names = [one.name for one in all_of_them]
        error = BarrackNotFoundError(f"no instance is called {called!r}; {nearest(called, names)}")
        error.advice = "`barrack ls` shows all of them."
        raise error
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        clash = BarrackConflictError(f"{len(found)} instances are called {called!r}: {ids}")
        clash.advice = "Give the id of the one that is meant."
        raise clash
    return found[0]


def owner_named(owner: str | None) -> str:
    """Who needs a machine, as leases name them; the user who calls, if nobody is given.

    Raises:
        ValueError: the name is empty.
    """
    if owner is None:
        with suppress(Exception):  # a user without a name has no home either
            owner = getpass.getuser()
        if not owner and hasattr(os, "getuid"):
            owner = f"user {os.getuid()}"  # as in a container that runs as a bare number
    name = " ".join((owner or "").split())[:_LONGEST_OWNER]
    if not name:
        raise ValueError("owner: say who needs the machine, such as owner='ann'")
    return name


def _moment_of(credentials: BarrackCredentials) -> datetime:
    """The cloud's time, once it has answered."""
    return credentials.get_client().now().replace(microsecond=0)


def _told(event: str, lease: Lease, account: str) -> Lease:
    emit(
        event,
        lease.instance_id,
        lease.name,
        instance=lease.instance_id,
        payload={"owner": lease.owner, "until": lease.until.isoformat()},
        account=account,
    )
    return lease


def _written(one: Lease) -> list[Any]:
    moments = [None if at is None else int(at.timestamp()) for at in (one.warned, one.released)]
    return [one.instance_id, one.name, one.owner, int(one.until.timestamp()), *moments]


def _read(written: dict[str, Any]) -> dict[str, Lease]:
    """The leases by their keys. One that cannot be read keeps its machine."""
    found: dict[str, Lease] = {}
    for key, value in written.items():
        lease = unread(key)
        with suppress(TypeError, ValueError, OverflowError, OSError):
            id_, name, owner, until, *moments = value
            told, given_up = (None if at is None else _at(at) for at in moments)
            lease = Lease(str(id_), str(name), str(owner), _at(until), told, given_up)
        found[lease.key] = lease
    return found


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _prefix_of_had(account: str) -> str:
    return f"barrack_had_{account}_"


def _prefix(account: str) -> str:
    return f"barrack_leases_{account}_"
