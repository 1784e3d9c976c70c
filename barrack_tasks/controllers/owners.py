"""The table of owners, kept where every worker sees it, and telling owners what is theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.models import UserVM
from barrack_tasks.controllers.leases import known_leases, read_had
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans.alerts import Message, Reading
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.forgotten.owners import Ownership, channels
from barrack_tasks.plans.forgotten.untold import IfUntold, Untold, late_of, said_of_late
from barrack_tasks.runtime.alerts import Alarms, NobodyTold, listening
from barrack_tasks.runtime.notify import find_notifiers
from barrack_tasks.server.credentials import BarrackCredentials, check_names
from barrack_tasks.server.tables import change_all, read_all
from barrack_tasks.tasks.base import barrack_task

_LONGEST = 200
_ONLY_FAILURES = "it is told of failures alone, and a notice is a warning"
_NOBODY = "no notification is sent: notify names no notification block"


def read_owners(account: str) -> list[Ownership]:
    """The table of owners. What cannot be read is left out."""
    found = []
    for machines, told in read_all(_prefix(account)).items():
        with suppress(TypeError, ValueError):
            owner, team, note, tell = map(str, told)
            found.append(Ownership(machines, owner, team, note, tell))
    return sorted(found, key=lambda one: one.machines)


def known_owners(account: str) -> tuple[list[Ownership], list[Lease]]:
    """What `owner_of` decides by: the table of owners, and the leases that there are and were.

    Reports, budgets and messages all ask here, so that they agree on whose a machine is.
    """
    return read_owners(account), [*known_leases(account), *read_had(account)]


@barrack_task("say whose {machines} is")
def set_owner(
    credentials: BarrackCredentials,
    machines: str,
    owner: str = "",
    team: str = "",
    note: str = "",
    tell: str = "",
) -> Ownership:
    """Say whose machines are, in place of what was said of the same name or glob.

    Args:
        credentials: the account; the environment's, if not given.
        machines: an id, a name or a glob such as `train-*`.
        owner: a person.
        team: that pays for them.
        note: what they are for.
        tell: the name of a notification block that tells the owner of leases that end and of
            notices, besides those that a flow's `notify` names.

    Returns:
        The row of the table.

    Raises:
        ValueError: no machines are named, or neither owner nor team.
        BarrackConfigurationError: `tell` can be no name of a block.

    Example:
        >>> set_owner(account, "train-*", owner="ann", team="vision", tell="ann-slack")
    """
    row = Ownership(*(" ".join(text.split())[:_LONGEST] for text in (machines, owner, team, note)))
    if not row.machines or not (row.owner or row.team):
        raise ValueError("say whose machines are meant, and give an owner or a team")
    if tell:
        check_names([tell])
    written = [row.owner, row.team, row.note, tell]
    change_all(_prefix(credentials.account), lambda stands: {**stands, row.machines: written})
    return Ownership(row.machines, row.owner, row.team, row.note, tell)


def drop_owner(account: str, machines: str) -> None:
    """Forget whose machines are, by the very name or glob that was given."""
    change_all(_prefix(account), lambda stands: {k: v for k, v in stands.items() if k != machines})


@dataclass(frozen=True)
class Told:
    """What people were told of machines, and what nobody has heard of.

    Attributes:
        messages: to those who are told of everything.
        heard: keys of the lines that owners' own channels have heard of, in this run or before.
        unheard: lines that were to be told, and that nobody has heard of yet.
        late: keys of those of them that wait for longer than a run lets them.
        loud: the sentence about these; empty if there are none.
        undelivered: notification blocks that could not send, and why.
        notes: sentences for the report.
    """

    messages: tuple[Message, ...] = ()
    heard: frozenset[str] = frozenset()
    unheard: tuple[Reading, ...] = ()
    late: frozenset[str] = frozenset()
    loud: str = ""
    undelivered: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def stays(self, if_untold: IfUntold) -> frozenset[str]:
        """Keys of the lines that were not told, so that nothing happens for them yet."""
        waiting = frozenset(one.key for one in self.unheard)
        return waiting - self.late if if_untold == "act" else waiting

    def check(self, run: Run) -> None:
        """Fail a run that could tell nobody; its work was done.

        Raises:
            NobodyTold: says what nobody has heard of, and why.
        """
        if self.loud:
            raise NobodyTold(self.loud)
        left = [one for one in self.messages if one.key not in self.heard]
        NobodyTold.check(left, run.notifiers, self.undelivered)
        if self.unheard and not listening(run.notifiers):
            raise NobodyTold.of(self.unheard[0].text, self.undelivered)


def tell_people(
    run: Run,
    alarms: Alarms,
    readings: Sequence[Reading],
    instances: Mapping[str, UserVM],
    at: datetime,
    untold: Untold,
    anew: Collection[str] = (),
) -> Told:
    """Tell what will happen to machines: those who hear of everything, and each owner.

    What either of them has heard of was told. Where neither is named, the report tells it.

    Args:
        run: the run.
        alarms: of the run.
        readings: how things stand; their keys end with a machine's id.
        instances: by id.
        at: by the cloud's clock.
        untold: what happens once nobody could be told for long.
        anew: keys of lines that are told again unless that was just done.
    """
    messages = alarms.raise_for(readings, at, anew=anew)
    lines = [one for one in readings if one.is_over and not one.quiet]
    failed, heard, missed = dict(alarms.undelivered), set[str](), set[str]()
    table, leases = known_owners(run.account.account)
    blocks = sorted({one.tell for one in table if one.tell} - run.notifiers.keys())
    names = {id_: one.name for id_, one in instances.items()}
    own = channels(readings, names, table, leases) if blocks else {}
    for block in blocks:
        mine = own.get(block, [])
        over = {one.key for one in mine if one.is_over and not one.quiet}
        try:
            notifiers = find_notifiers([block])
        except BarrackConfigurationError as error:
            missed |= over
            failed |= {block: str(error)} if over else {}
            continue
        scope = f"{alarms.guard}_{_scope(block)}"
        kind, name = "owner", run.account.account
        told = Alarms(kind, name, notifiers, None, run.log, scope, run.post, emits=False)
        told.raise_for(mine, at, anew=set(anew) & {one.key for one in mine})
        heard |= told.heard()
        missed |= told.unheard(mine)
        failed |= told.undelivered
        failed |= _deaf([block]) if told.unheard(mine) else {}
    general = alarms.unheard(readings) if run.notifiers else frozenset(missed)
    unheard = tuple(one for one in lines if one.key in general and one.key not in heard)
    if unheard and not listening(run.notifiers):
        failed |= _deaf(run.notifiers)
    since = {one.key: alarms.since(one.key) for one in unheard}
    late = late_of(since, at, untold)
    loud = said_of_late([one for one in unheard if one.key in late], untold) if late else ""
    notes = (
        *([loud] if loud else []),
        *(f"the notification block {n} could not send: {why}" for n, why in failed.items()),
        *([_NOBODY] if messages and not run.notifiers and not own else []),
    )
    return Told(messages, frozenset(heard), unheard, late, loud, failed, notes)


def _deaf(names: Iterable[str]) -> dict[str, str]:
    """Those that are not told of notices, as if they could not be reached: with the reason."""
    names = list(names)
    return {name: _ONLY_FAILURES for name in names if name not in listening(names)}


def _scope(block: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in block)


def _prefix(account: str) -> str:
    return f"barrack_owners_{account}_"
