"""`barrack wake` and `barrack ssh`: bring a machine back, and log in."""

from __future__ import annotations

import os
import sys
from typing import Annotated

from cyclopts import Parameter

from barrack_tasks.cli.accounts import account_named
from barrack_tasks.cli.failing import WrongWordsError, in_one_line
from barrack_tasks.cli.inputs import Port
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server


def wake(
    name: str,
    /,
    *,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    owner: str | None = None,
    timeout: str = "15m",
    user: str = "ubuntu",
    port: Port = 22,
    credentials: str | None = None,
) -> int:
    """Bring a machine back from its rest, wait until ssh answers, and print how to reach it.

    Parameters
    ----------
    name
        Name or id of the machine.
    for_
        Lease it for so long as well, such as 8h. Needs a Prefect server.
    owner
        Whose lease; yours, if not given.
    timeout
        How long to wait for all of it.
    user
        Who logs in.
    port
        Of its ssh server.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    """
    return _wake(name, for_, owner, timeout, user, port, credentials, log_in=False)


def ssh(
    name: str,
    /,
    *command: str,
    for_: Annotated[str | None, Parameter(name="--for")] = None,
    owner: str | None = None,
    timeout: str = "15m",
    user: str = "ubuntu",
    port: Port = 22,
    credentials: str | None = None,
) -> int:
    """Log in to a machine; if it is at rest, bring it back first.

    Parameters
    ----------
    name
        Name or id of the machine.
    command
        What to run there instead of a shell; words that begin with a dash come behind `--`.
    for_
        Lease it for so long as well, such as 8h. Needs a Prefect server.
    owner
        Whose lease; yours, if not given.
    timeout
        How long to wait for all of it.
    user
        Who logs in.
    port
        Of its ssh server.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    """
    how = (name, for_, owner, timeout, user, port, credentials)
    return _wake(*how, log_in=True, command=command)


def _wake(
    name: str,
    for_: str | None,
    owner: str | None,
    timeout: str,
    user: str,
    port: int,
    credentials: str | None,
    log_in: bool,
    command: tuple[str, ...] = (),
) -> int:
    from barrack_tasks.controllers.guard import GuardRefused
    from barrack_tasks.controllers.wake import NotAwakeError, awaken

    screen = Screen(stderr=log_in)
    with known_server() as server:
        if for_ is not None and not server.answers:
            raise server.away()
        account = account_named(credentials, server.answers)
        try:
            woken = awaken(account, name, for_, owner, timeout, user, port)
        except (NotAwakeError, GuardRefused) as error:
            told = Screen(stderr=True)
            told.print(f"barrack: {in_one_line(str(error))}", style="red")
            return 1
        except ValueError as error:
            raise WrongWordsError(str(error)) from None
    if not log_in:
        screen.print(f"{woken.name} answers at {woken.address}.")
        for line in woken.ssh_config.splitlines():
            screen.print(line)
        return 0
    words = ["ssh", "-p", str(woken.port), "--", f"{woken.user}@{woken.address}", *command]
    sys.stdout.flush()
    os.execvp("ssh", words)  # noqa: S606, S607 - the user's own ssh, in place of this process
