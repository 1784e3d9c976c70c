"""`barrack owner`: say whose machines are."""

from __future__ import annotations

from cyclopts import App

from barrack_tasks.cli.accounts import leasing_account
from barrack_tasks.cli.answers import OwnerShown
from barrack_tasks.cli.failing import WrongWordsError
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.screen import Screen

owner_app = App(name="owner", help="Owners of machines, for reports and messages.")


@owner_app.default
def owner(
    machines: str,
    /,
    *,
    owner: str = "",
    team: str = "",
    note: str = "",
    tell: str = "",
    remove: bool = False,
    credentials: str | None = None,
) -> int:
    """Say whose machines are, or forget it.

    Parameters
    ----------
    machines
        An id, a name or a glob such as 'train-*'.
    owner
        A person.
    team
        The team that pays for them.
    note
        What they are for.
    tell
        Name of a notification block that tells the owner of leases that end and of notices.
    remove
        Forget whose they are.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    """
    from barrack_tasks.controllers.owners import drop_owner, set_owner

    screen = Screen()
    with leasing_account(credentials) as account:
        if remove:
            drop_owner(account.account, machines)
            screen.print(f"The owner of {machines} was removed.")
            return 0
        try:
            row = set_owner.fn(account, machines, owner, team, note, tell)
        except ValueError as error:
            raise WrongWordsError(str(error)) from None
        whose = ", ".join(part for part in (row.owner, row.team and f"team {row.team}") if part)
        screen.print(f"{row.machines} belongs to {whose}.")
    return 0


@owner_app.command
def ls(*, credentials: str | None = None, json: AsJson = False) -> int:
    """Show the table of owners.

    Parameters
    ----------
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    json
        Show JSON instead of a table.
    """
    from barrack_tasks.controllers.owners import read_owners

    screen = Screen()
    with leasing_account(credentials) as account:
        rows = [
            (one.machines, one.owner, one.team, one.tell, one.note)
            for one in read_owners(account.account)
        ]
        if json:
            keys = ("machines", "owner", "team", "tell", "note")
            shown = [OwnerShown(**dict(zip(keys, row, strict=True))) for row in rows]
            screen.print_json(shown, list[OwnerShown])
        elif rows:
            screen.print_rows("Owners", ("machines", "owner", "team", "told by", "note"), rows)
        else:
            screen.print("No owners are known.")
    return 0
