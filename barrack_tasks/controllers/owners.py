"""The table of owners, kept where every worker sees it, and telling owners what is theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.models import UserVM
from barrack_tasks.controllers.leases import read_leases
from barrack_tasks.controllers.run import Run
from barrack_tasks.credentials import BarrackCredentials, check_names
from barrack_tasks.plans.alerts import Message
from barrack_tasks.plans.forgotten.owners import Ownership, channels
from barrack_tasks.runtime.alerts import Alarms
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.notify import find_notifiers
from barrack_tasks.server.tables import change_all, read_all
from barrack_tasks.tasks.base import barrack_task

_LONGEST = 200


def read_owners(account: str) -> list[Ownership]:
    """The table of owners. What cannot be read is left out."""
    found = []
    for machines, told in read_all(_prefix(account)).items():
        with suppress(TypeError, ValueError):
            owner, team, note, tell = map(str, told)
            found.append(Ownership(machines, owner, team, note, tell))
    return sorted(found, key=lambda one: one.machines)


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


def tell_owners(
    run: Run, told: Iterable[Message], instances: Mapping[str, UserVM]
) -> tuple[str, ...]:
    """Tell the owners' own channels what people were just told of their machines.

    Args:
        run: the run.
        told: messages whose keys end with a machine's id.
        instances: by id.

    Returns:
        Sentences for the report about channels that could not be told.
    """
    news = {one.key: one.text for one in told if one.kind == "crossed"}
    table = read_owners(run.account.account)
    if not table:
        return ()
    names = {id_: one.name for id_, one in instances.items()}
    leases = read_leases(run.account.account) if news else []
    by_channel = channels(news, names, table, leases)
    missed: list[str] = []
    for block in sorted({one.tell for one in table if one.tell} - run.notifiers.keys()):
        try:
            notifiers = find_notifiers([block])
        except BarrackConfigurationError as error:
            missed += [str(error)] if block in by_channel else []
            continue
        alarms = Alarms(
            "owner", run.account.account, notifiers, None, run.log, _scope(block), run.post
        )
        alarms.pass_on(by_channel.get(block, {}), now())
        missed += [
            f"the notification block {name} could not send: {why}"
            for name, why in alarms.undelivered.items()
        ]
    return tuple(missed)


def _scope(block: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in block)


def _prefix(account: str) -> str:
    return f"barrack_owners_{account}_"
