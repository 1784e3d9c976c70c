"""`barrack adopt`: take over the records of an account that had another name."""

from __future__ import annotations

from datetime import UTC, datetime

from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.cli.up import BLOCK


def adopt(old: str, /, *, to: str = BLOCK, yes: bool = False, yes_to_living: bool = False) -> int:
    """Give records that no known account owns to the account that they belong to.

    An account whose key was changed where nothing named it leaves its ends, proofs, drills, notes
    and locks under its old name; `barrack status` tells of them.

    Parameters
    ----------
    old
        The name that the records carry, as `barrack status` shows it.
    to
        Name of the block of the account that they belong to.
    yes
        Do not ask.
    yes_to_living
        Move the records even if the account was used in the last hour and may still be in use.
    """
    screen = Screen()
    with known_server() as server:
        if not server.answers:
            screen.print(server.absence)
            return 1
        from barrack_tasks.controllers import adoption as adopting
        from barrack_tasks.server.credentials import BarrackCredentials

        account = BarrackCredentials.find(to)
        found = adopting.check_adoption(old, datetime.now(UTC), yes_to_living)
        question = f"Move what is kept under {old!r} ({adopting.kept(found)}) to the block {to!r}?"
        if not yes and not screen.agrees(question):
            screen.print("Nothing was moved.")
            return 1
        count = adopting.adopt(old, account, living=yes_to_living)
        screen.print(f"{count} records of {old!r} now belong to the block {to!r}.")
    return 0
