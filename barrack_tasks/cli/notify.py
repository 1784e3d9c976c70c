"""`barrack notify`: who can be told, as blocks on the Prefect server, without a line of code."""

from __future__ import annotations

import re
import sys
from typing import Annotated

from cyclopts import App, Parameter

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli.answers import NotifierShown
from barrack_tasks.cli.failing import WrongWordsError
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server

notify_app = App(name="notify", help="Who is told: Slack, Teams, mail, and whatever Apprise knows.")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@notify_app.command
def add(
    name: str,
    url: str | None = None,
    /,
    *,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Save a channel under a name that flows take in `notify`.

    Slack: https://hooks.slack.com/services/... Teams: https://TENANT.webhook.office.com/... Mail:
    mailtos://USER:PASSWORD@HOST?to=team@example.com. Any other service: its Apprise URL.

    Parameters
    ----------
    name
        Lower case letters, digits and hyphens.
    url
        The address of the channel, which is a secret. Without it, it is asked for, or read from the
        input, so that it stands in no history of a shell.
    overwrite
        Replace the channel that is saved under this name.
    """
    if not _NAME.fullmatch(name):
        raise WrongWordsError(
            "the name of a channel has lower case letters, digits and hyphens, such as team-slack"
        )
    screen = Screen()
    secret = url or _asked(screen)
    with known_server() as server:
        if not server.answers:
            raise server.away()
        from pydantic import SecretStr

        from barrack_tasks.runtime.notify import AppriseUrl, saved_notifiers

        slug = f"{AppriseUrl._block_type_slug}/{name}"
        if slug in saved_notifiers() and not overwrite:
            raise WrongWordsError(
                f"a channel called {name!r} is saved already; pass --overwrite to replace it"
            )
        try:
            block = AppriseUrl(url=SecretStr(secret))
        except BarrackConfigurationError as error:
            raise WrongWordsError(str(error)) from None
        block.save(name, overwrite=overwrite, _sync=True)  # type: ignore[call-arg]
    screen.print(f"Saved. `barrack notify test {name}` sends a message; flows take {name!r}.")
    return 0


def _asked(screen: Screen) -> str:
    if sys.stdin and sys.stdin.isatty():
        from getpass import getpass

        found = getpass("URL of the channel: ").strip()
    else:
        found = (sys.stdin.readline() if sys.stdin else "").strip()
    if not found:
        raise WrongWordsError("no URL was given, so nothing was saved")
    return found


@notify_app.command
def test(names: list[str], /) -> int:
    """Send a message to channels, and say who could not be told. Ends 1 if somebody could not.

    Parameters
    ----------
    names
        Names of channels, as `barrack notify ls` shows them.
    """
    screen = Screen()
    with known_server() as server:
        if not server.answers:
            raise server.away()
        from barrack_tasks.runtime.notify import find_notifiers, tell

        found = find_notifiers(names)
        text = "This is a test of `barrack notify test`: this channel can be told."
        failed = tell(found, list(found), "Barrack: a test message", text)
    for name in found:
        if name in failed:
            screen.print(f"{name} could not be told: {failed[name]}", style="red")
        else:
            screen.print(f"{name} was told.")
    return 1 if failed else 0


@notify_app.command(name="ls")
def ls_notifiers(*, json: AsJson = False) -> int:
    """List the channels that are saved, and whether they can be used. Nobody is told anything.

    Parameters
    ----------
    json
        Show JSON instead of a table.
    """
    screen = Screen()
    with known_server() as server:
        if not server.answers:
            raise server.away()
        from barrack_tasks.runtime.notify import saved_notifiers

        saved = saved_notifiers()
    rows = [
        NotifierShown(name=slug.partition("/")[2], type=slug.partition("/")[0], problem=problem)
        for slug, problem in sorted(saved.items())
    ]
    if json:
        screen.print_json(rows, list[NotifierShown])
    elif rows:
        cells = [(row.name, row.type, row.problem or "can be used") for row in rows]
        screen.print_rows("", ("channel", "type", "state"), cells)
    else:
        screen.print("No channel is saved; `barrack notify add NAME URL` saves one.")
    return 0
