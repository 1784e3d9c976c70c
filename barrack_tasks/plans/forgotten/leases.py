"""Leases of machines: who needs a machine until when, and when it ends because nobody does."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.power.drive import is_down
from barrack_tasks.plans.power.expiry import Expiry
from barrack_tasks.plans.protection import is_protected

WARNING = timedelta(minutes=15)
"""So long before a machine is hibernated its people are warned, unless a run says otherwise."""
THINGS = ("snapshot:", "volume:")
"""What the id of a snapshot or a volume begins with where somebody leases that."""
_KEPT_FOR = timedelta(days=30)
_FAR = datetime.max.replace(tzinfo=UTC, microsecond=0) - timedelta(days=3660)
_PLAIN = re.compile(r"(?!ls$)[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Names that a shell and `barrack lease` read as names, and as nothing else."""
_PROGRAM = re.compile(r"(?:(?P<person>.+) in )?process \d+ on .+ \([0-9a-f]{4}\)", re.DOTALL)
_LONGEST_PERSON = 80


def program_of(person: str, process: int, host: str, mark: str) -> str:
    """The owner of a lease by which a program keeps a machine awake for a person.

    Args:
        person: for whom it works.
        process: its number.
        host: where it runs.
        mark: four hexadecimal digits that tell it from others of the same process.

    Example:
        >>> program_of("ann", 4711, "gpu-1", "3f2a")
        'ann in process 4711 on gpu-1 (3f2a)'
    """
    return f"{person[:_LONGEST_PERSON]} in process {process} on {host} ({mark})"


@dataclass(frozen=True)
class Lease:
    """One owner's claim that a machine is needed until a moment. Each owner has one of their own.

    Attributes:
        instance_id: of the machine.
        name: of the machine.
        owner: who needs it; empty for the lease that a machine got because it had none.
        until: when the claim ends, unless it is extended.
        warned: when people were told that it ends soon; None while they were not.
        released: when the owner said that the machine is not needed any more; None otherwise.
        is_unread: it is on record and cannot be read: it keeps its machine until somebody leases,
            extends or releases it anew, for nobody knows when it ends.
    """

    instance_id: str
    name: str
    owner: str
    until: datetime
    warned: datetime | None = None
    released: datetime | None = None
    is_unread: bool = False

    @property
    def is_of_thing(self) -> bool:
        """Whether it keeps a snapshot or a volume, as `snapshot:4711`, and no machine."""
        return self.instance_id.startswith(THINGS)

    @property
    def key(self) -> str:
        """By which it is remembered: machine and owner."""
        return f"{self.instance_id} {self.owner}"

    def runs(self, now: datetime) -> bool:
        """Whether it keeps the machine at a moment."""
        return self.released is None and now < self.until

    def ends(self, now: datetime, warning: timedelta) -> datetime:
        """When it lets the machine go: never before people were warned for long enough."""
        if self.released is not None:
            return self.released
        return max(self.until, (self.warned or now) + warning)

    @property
    def is_of_program(self) -> bool:
        """Whether a program renews it, and gives it back when its work is done."""
        return _PROGRAM.fullmatch(self.owner) is not None

    @property
    def person(self) -> str:
        """Who needs the machine, or for whom a program does; empty where nobody is known."""
        program = _PROGRAM.fullmatch(self.owner)
        return (program["person"] or "") if program else self.owner

    @property
    def let_go(self) -> datetime:
        """When its owner needs the machine no more, as far as that is known."""
        return self.released or self.until

    @property
    def said(self) -> str:
        """Whose it is, for a sentence."""
        if self.is_unread:
            return f"a lease that cannot be read ({self.owner or 'without an owner'})"
        return f"the lease of {self.owner}" if self.owner else "the default lease"


def unread(key: str) -> Lease:
    """What is known of a lease that is on record, by its key, and cannot be read.

    Example:
        >>> unread("BRK-1 ann").owner
        'ann'
    """
    id_, _, owner = key.partition(" ")
    return Lease(id_, id_, owner, _FAR, is_unread=True)


def until_said(lease: Lease) -> str:
    """Until when it lasts, for a sentence."""
    return "an unknown time" if lease.is_unread else _moment(lease.until)


def spent_leases(leases: Iterable[Lease], now: datetime) -> set[str]:
    """Keys of those that say nothing of their machine any more, and may be forgotten.

    What runs stays, and of each machine the last one that ended and the last that was released: a
    program that keeps a machine awake, dies and begins anew leaves one ended lease each time. The
    last one is forgotten after a month, but not while nobody was told that it ends.

    Args:
        leases: of all machines.
        now: by the cloud's clock.
    """
    spent: set[str] = set()
    for held in by_machine(leases).values():
        ended = [one for one in held if one.released is None and not one.runs(now)]
        given_up = [one for one in held if one.released is not None]
        last = {
            max(kind, key=lambda one: (one.let_go, one.owner)).key
            for kind in (ended, given_up)
            if kind
        }
        for one in (*ended, *given_up):
            is_known = one.warned is not None or one.released is not None or one.is_of_thing
            is_old = now - one.let_go > _KEPT_FOR
            if one.key not in last or (is_old and is_known):
                spent.add(one.key)
    return spent


def granted(standing: Lease | None, lease: Lease) -> Lease:
    """A lease as it stands once it is asked for: one that runs longer already is not shortened."""
    if standing is None or standing.is_unread or standing.released is not None:
        return lease
    return extended(standing, lease.until)


def extended(lease: Lease, until: datetime) -> Lease:
    """A lease that lasts at least until a moment.

    The later end counts, so it makes no difference who of two comes first, nor whether somebody
    asks twice. One that was released or had ended runs again.
    """
    if lease.released is not None or lease.is_unread:
        return replace(lease, until=until, warned=None, released=None, is_unread=False)
    if until <= lease.until:
        return lease
    return replace(lease, until=until, warned=None)


def released(lease: Lease, now: datetime) -> Lease:
    """A lease whose owner does not need the machine any more."""
    if lease.is_unread:
        return replace(lease, until=now, released=now, is_unread=False)
    return lease if lease.released is not None else replace(lease, released=now)


def warned(lease: Lease, until: datetime, now: datetime) -> Lease:
    """A lease of whose end people were told; one that was extended meanwhile stays unwarned."""
    return lease if lease.until != until or lease.warned else replace(lease, warned=now)


def owner_to_extend(held: Iterable[Lease]) -> str | None:
    """Whose lease of a machine lasts longest; None if nobody has leased it.

    A default lease is nobody's, and keeps no machine from a lifetime: whoever extends it needs the
    machine, and gets a lease of their own. So does who extends what a program keeps awake, for
    that gives its lease back when its work is done.
    """
    last = last_of(o for o in held if o.owner and not o.is_unread and not o.is_of_program)
    return None if last is None else last.owner


def keep_command(instance: UserVM, instances: Iterable[UserVM] = ()) -> str:
    """The command by which a person keeps a machine, as it can be pasted into a shell.

    What a shell would misread, or what several machines are called, is named by its id.

    Args:
        instance: that is kept.
        instances: all of the account.

    Example:
        >>> keep_command(UserVM(id="BRK-1", name="$(reboot)", status=VMStatus.ACTIVE))
        'barrack lease BRK-1 --extend 8h'
    """
    name, id_ = instance.name, instance.id
    clashes = any(one.id != id_ and name in (one.name, one.id) for one in instances)
    called = name if _PLAIN.fullmatch(name) and not clashes else shlex.quote(id_)
    return f"barrack lease {called} --extend 8h"


def by_machine(leases: Iterable[Lease]) -> dict[str, list[Lease]]:
    """Leases by the id of their machine."""
    found: dict[str, list[Lease]] = {}
    for lease in leases:
        found.setdefault(lease.instance_id, []).append(lease)
    return found


def holders(leases: Iterable[Lease], now: datetime) -> dict[str, Lease]:
    """The machines that an owner needs now, by id, each with the lease that runs longest.

    A default lease has no owner: it says how long a machine may stay, and not that it is needed.
    """
    found: dict[str, Lease] = {}
    for lease in leases:
        best = found.get(lease.instance_id)
        if (
            (lease.owner or lease.is_unread)
            and lease.runs(now)
            and (best is None or lease.until > best.until)
        ):
            found[lease.instance_id] = lease
    return found


def with_leases(
    ends: Iterable[Expiry],
    leases: Iterable[Lease],
    now: datetime,
    warning: timedelta = WARNING,
    names: Mapping[str, str] | None = None,
) -> list[Expiry]:
    """All ends of machines: those that were set with `expires=`, and those of leases.

    A machine ends when the last of its leases does. An end that was set with `expires=` counts as
    one of them until somebody releases the machine.

    Args:
        ends: that were set with `expires=`, or that a run has begun to carry out.
        leases: of all machines.
        now: zone-aware.
        warning: how long people are warned before a lease ends.
        names: what machines are called now, by id; a lease is of a machine, whatever its name.
    """
    of_machine = by_machine(leases)
    found = []
    for end in ends:
        held = of_machine.get(end.id, []) if end.id else []
        stands = _stands(end, (names or {}).get(end.id))
        if not held:
            found.append(end)
        elif stands is not None:
            found.append(_later(stands, of_machine.pop(end.id), now, warning))
    for id_, held in of_machine.items():
        name = (names or {}).get(id_, held[0].name)
        end = Expiry(id_, name, datetime.min.replace(tzinfo=UTC), "hibernate")
        found.append(_later(end, held, now, warning))
    return sorted(found, key=lambda one: (one.at, one.key))


def _stands(end: Expiry, name: str | None) -> Expiry | None:
    """An end as it stands for a machine that is called so now; None if it is not about that.

    An end that was set with `expires=` is about the machine under the name that it was made with.
    """
    if name is None or name == end.name:
        return end
    return replace(end, name=name) if _is_of_lease(end) else None


def _is_of_lease(end: Expiry) -> bool:
    """Whether a lease alone had this end, which a run has begun to carry out."""
    return bool(end.id and end.by is None and end.asked and end.how == "hibernate")


def outlived(ends: Iterable[Expiry], leases: Collection[Lease], now: datetime) -> list[Expiry]:
    """Ends that leases alone had, and that somebody extended after they were asked for.

    The lease says by itself when the machine ends now. What was noted of the earlier end would
    otherwise put the machine to rest once that lease is given back.
    """
    of_leases = [e for e in ends if _is_of_lease(e)]
    return [
        e for e in of_leases if any(not one.asked for one in with_leases([e], _of(e, leases), now))
    ]


def _of(end: Expiry, leases: Iterable[Lease]) -> list[Lease]:
    return [one for one in leases if one.instance_id == end.id]


def _later(end: Expiry, held: Sequence[Lease], now: datetime, warning: timedelta) -> Expiry:
    kept = [one.ends(now, warning) for one in held if one.released is None]
    given_up = [one.released for one in held if one.released is not None]
    at = max(kept or given_up)
    if not given_up:
        at = max(at, end.at)
    if end.asked is not None and at > end.asked and not kept:
        # Who gives it back after that says once more that it may end, as it is about to.
        return replace(end, at=end.asked)
    if end.asked is not None and at > end.asked:
        # That request was for an end that does not stand any more.
        return replace(end, at=at, asked=None, asked_for="", trouble="")
    return replace(end, at=at)


def warnings_of(
    leases: Iterable[Lease],
    instances: Mapping[str, UserVM],
    now: datetime,
    warning: timedelta = WARNING,
    link: Callable[[str], str] = lambda _: "",
    protect: Collection[str] = (),
    ends: Iterable[Expiry] = (),
) -> list[Reading]:
    """One line a machine whose last lease, or set end, comes soon, or is not near.

    Args:
        leases: of all machines.
        instances: as they are, by id; nothing is said of one that is at rest or missing.
        now: by the cloud's clock.
        warning: how long before the end.
        link: what a warning ends with, by the machine's id.
        protect: names, globs and ids that are never touched, and so not warned of.
        ends: that were set with `expires=`, with the ids of their machines. Unlike a lease, such
            an end does not wait for its warning: whoever made the machine has said when it ends.
    """
    names = {id_: one.name for id_, one in instances.items()}
    standing = (_stands(one, names.get(one.id)) for one in ends if one.id)
    set_ends = {one.id: one for one in standing if one is not None}
    held_by = by_machine(leases)
    found = []
    for id_ in dict.fromkeys((*held_by, *set_ends)):
        held, end = held_by.get(id_, []), set_ends.get(id_)
        last = last_of(held)
        if last is None and (end is None or held):
            continue  # it was given back
        of_lease = last is not None and (end is None or last.until >= end.at)
        until = last.until if last is not None and of_lease else end.at if end else now
        whose = last.said if last is not None and of_lease else "the time that was set"
        at = last.ends(now, warning) if last is not None and of_lease else until
        does = f"{end.how}d" if end is not None else "hibernated"
        there = instances.get(id_)
        name = there.name if there else last.name if last else end.name if end else id_
        is_done = end is not None and (end.asked is not None or (not of_lease and now >= until))
        is_up = there is not None and not (
            (is_down(there.status) and does == "hibernated")
            or is_protected(protect, id_, name, there.name)
        )
        is_told = is_up and now >= until - warning and not is_done
        text = (
            f"{whose} on {there.name} ends at {_moment(at)}, and then the "
            f"machine is {does}; to keep it, run: "
            f"{keep_command(there, instances.values())}{link(id_)}"
            if is_told and there is not None
            else f"{whose} on {name} lasts until {_moment(until)}"
        )
        # That it is over is no news: whoever extended it knows, and whoever reads the report.
        key = _line(id_, until)
        found.append(Reading(key, is_told, not is_told, text, quiet=not is_told))
    return found


def now_warned(
    leases: Iterable[Lease],
    instances: Mapping[str, UserVM],
    now: datetime,
    warning: timedelta = WARNING,
    untold: Collection[str] = (),
) -> list[Lease]:
    """The leases of whose end people know, once what `warnings_of` gave was told.

    That may have been an earlier run, which was cut off before it could note it. Of a machine that
    is at rest already nobody has to be told. What is missing from the list was not told of.

    Args:
        leases: of all machines.
        instances: as they are, by id.
        now: zone-aware.
        warning: how long before the end people are warned.
        untold: keys of the warnings that nobody heard, because they could not be sent.
    """
    return [
        lease
        for id_, held in by_machine(leases).items()
        for last in [last_of(held)]
        if last is not None and now >= last.until - warning and id_ in instances
        if _line(id_, last.until) not in untold
        for lease in held
        if lease.released is None and lease.warned is None
    ]


def last_of(held: Iterable[Lease]) -> Lease | None:
    """The lease that keeps a machine longest; None if all were released."""
    return max((o for o in held if o.released is None), key=lambda o: o.until, default=None)


def _line(id_: str, until: datetime) -> str:
    """By which people are told of one end: a later one of the same machine is news again."""
    return f"lease {int(until.timestamp())} {id_}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
