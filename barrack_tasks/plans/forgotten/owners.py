"""Owners of machines: Barrack has no tags, so a small table says whose a machine is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase

from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.money.bill import Bill

NOBODY = "nobody"
"""Stands for the owner, or the team, that is not known."""


@dataclass(frozen=True)
class Ownership:
    """Whose some machines are.

    Attributes:
        machines: an id, a name or a glob.
        owner: a person; empty if only the team is known.
        team: that pays for it; empty if that is not known.
        note: what it is for.
        tell: the name of the notification block that tells the owner; empty for none.
    """

    machines: str
    owner: str = ""
    team: str = ""
    note: str = ""
    tell: str = ""


def owner_of(
    id_: str, name: str, table: Iterable[Ownership], leases: Iterable[Lease] = ()
) -> Ownership:
    """Whose a machine is: by its id, else by its name, else by the longest glob that fits.

    Where the row that fits names no owner, or none fits, it is whose lease lasts longest, or did,
    and else nobody's. An owner for whom that row names no channel is told where another row says,
    and one for whom it names no team is of the team that all other rows agree on.

    Args:
        id_: of the machine.
        name: of the machine.
        table: all that is known.
        leases: of all machines.

    Example:
        >>> owner_of("BRK-1", "train-1", [Ownership("train-*", "ann", "vision")]).team
        'vision'
    """
    known = tuple(table)
    fitting = [o for o in known if o.machines in (id_, name) or fnmatchcase(name, o.machines)]

    def rank(one: Ownership) -> tuple[bool, bool, int, str]:
        return one.machines == id_, one.machines == name, len(one.machines), one.machines

    found = max(fitting, key=rank, default=Ownership(id_))
    if not found.owner:
        mine = [one for one in leases if one.instance_id == id_ and one.person]
        last = max(mine, key=lambda one: (one.let_go, one.person), default=None)
        found = replace(found, owner=last.person if last else "")
    if not found.owner:
        return found
    others = sorted((o for o in known if o.owner == found.owner), key=lambda o: o.machines)
    told, teams = [o.tell for o in others if o.tell], {o.team for o in others if o.team}
    return replace(
        found,
        team=found.team or (teams.pop() if len(teams) == 1 else ""),
        tell=found.tell or next(iter(told), ""),
    )


def spent_by(
    what: str, bill: Bill, table: Iterable[Ownership], leases: Iterable[Lease] = ()
) -> dict[str, Decimal]:
    """What was spent by `owner` or by `team`, the largest first; its sum is the bill's total.

    Args:
        what: `owner` or `team`.
        bill: what was spent on what.
        table: whose machines are.
        leases: of all machines.
    """
    known, held = tuple(table), tuple(leases)
    names: dict[tuple[str, str], str] = {}
    sums: dict[str, Decimal] = {}
    for charge in bill.charges:
        thing = (charge.thing.id, charge.thing.name)
        if thing not in names:
            names[thing] = getattr(owner_of(*thing, known, held), what) or NOBODY
        sums[names[thing]] = sums.get(names[thing], Decimal(0)) + charge.cost
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def channels(
    readings: Iterable[Reading],
    names: Mapping[str, str],
    table: Iterable[Ownership],
    leases: Iterable[Lease],
) -> dict[str, list[Reading]]:
    """The lines that each owner's own channel is told of, by the name of its block.

    Args:
        readings: of which people are told; their keys end with a machine's id, or are its name
            behind `name:`.
        names: names of machines by their ids.
        table: whose machines are.
        leases: of all machines.
    """
    known, held = tuple(table), tuple(leases)
    told: dict[str, list[Reading]] = {}
    for one in readings:
        # What is known by its name alone has no id yet; see `Expiry.key`.
        called = one.key.removeprefix("name:") if one.key.startswith("name:") else ""
        id_ = "" if called else one.key.rpartition(" ")[2]
        block = owner_of(id_, called or names.get(id_, ""), known, held).tell
        if block:
            told.setdefault(block, []).append(one)
    return told
