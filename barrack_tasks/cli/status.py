"""`barrack status`: what runs, what it costs, and what watches over it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from barrack_tasks.api import BarrackError
from barrack_tasks.cli.accounts import account_named
from barrack_tasks.cli.answers import AccountShown, DeploymentShown, StatusShown
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.money.burn import runway
from barrack_tasks.plans.report import money

if TYPE_CHECKING:
    from barrack_tasks.controllers.money.funds import Funds

_LONG = timedelta(hours=1)
"""A run that is at work for longer is shown as one that hangs."""


def status(*, credentials: str | None = None, json: AsJson = False) -> int:
    """Show instances, burn and runway, which guards are armed, and which hang or fail and why.

    Ends 0 if the account can be read and a server that is known answers. Without a server there
    are no guards, which is no failure.

    Parameters
    ----------
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    json
        Show JSON instead of text.
    """
    screen = Screen()
    with known_server() as server:
        account, problem = _read_account(credentials, server.answers)
        if not json:
            _show_account(screen, account, problem)
        deployments, troubles, blind = _read_guards() if server.answers else ((), (), ())
        if json:
            answer = StatusShown(
                account=account,
                account_problem=problem,
                server=server.url,
                server_problem=server.absence or None if server.url else None,
                deployments=deployments,
                troubles=troubles,
                blind=blind,
            )
            screen.print_json(answer)
        elif server.answers:
            _show_guards(screen, str(server.url), deployments, troubles, blind)
            _show_unowned(screen)
        else:
            screen.print(f"\n{server.absence}")
    is_fine = server.answers or server.url is None
    return 0 if account is not None and is_fine else 1


def _read_account(name: str | None, there: bool) -> tuple[AccountShown | None, str | None]:
    """What the account has and burns, or why it cannot be read."""
    from barrack_tasks.controllers.money.funds import read_funds

    try:
        return account_shown(read_funds(account_named(name, there))), None
    except BarrackError as error:
        return None, str(error)


def account_shown(funds: Funds) -> AccountShown:
    """What an account has and burns, as `--json` shows it."""
    burn = funds.burn()
    lasts = runway(funds.balance.amount, burn.hourly)
    return AccountShown(
        states=dict(Counter(str(i.status) for i in funds.instances).most_common()),
        balance=funds.balance.amount,
        hourly=burn.hourly,
        currency=str(funds.balance.currency),
        runway_seconds=None if lasts is None else lasts.total_seconds(),
        unread=funds.missing,
    )


def _show_account(screen: Screen, account: AccountShown | None, problem: str | None) -> None:
    if account is None:
        screen.print(f"Account: {problem}", style="red")
        return
    states = ", ".join(f"{n} {word}" for word, n in account.states.items()) or "none"
    screen.print(f"Instances: {states}")
    for line in money_lines(account):
        screen.print(line)
    for missing in account.unread:
        screen.print(f"Could not be read: {missing}", style="yellow")


def money_lines(account: AccountShown) -> list[str]:
    """What an account has, what it burns, and how long that lasts, each in a line."""
    lasts = account.runway_seconds
    runs_out = None if lasts is None else timedelta(seconds=lasts)
    return [
        f"Balance:   {money(account.balance, account.currency)}",
        f"Burn:      {money(account.hourly, account.currency)} an hour",
        f"Runway:    {said(runs_out)}",
    ]


def _read_guards() -> tuple[tuple[DeploymentShown, ...], tuple[str, ...], tuple[str, ...]]:
    """The deployments, what is wrong with their runs, and which guards are blind."""
    from prefect.client.orchestration import get_client

    from barrack_tasks.cli.prefect_lists import read_deployments
    from barrack_tasks.runtime.health import blind_guards, hanging, how_it_ended

    now = datetime.now(UTC)
    troubles: list[str] = []
    with get_client(sync_client=True) as client:
        deployments = tuple(read_deployments(client))
        for one in deployments:
            about = [*hanging(client, one.id, now, _LONG), how_it_ended(client, one.id)]
            troubles += [f"{one.name}: {text}" for text in about if text]
        return deployments, tuple(troubles), tuple(one.text for one in blind_guards(client))


def _show_guards(
    screen: Screen,
    url: str,
    deployments: tuple[DeploymentShown, ...],
    troubles: tuple[str, ...],
    blind: tuple[str, ...],
) -> None:
    from barrack_tasks.cli.prefect_lists import deployment_cells

    screen.print()
    columns, cells = deployment_cells(deployments, datetime.now(UTC))
    title = f"Deployments at {url.removesuffix('/api')}"
    screen.print_rows(title, columns, cells, spare=["schedule"])
    armed, dry, neither = (sum(d.armed is how for d in deployments) for how in (True, False, None))
    screen.print(f"{armed} armed, {dry} dry, {neither} without a dry run")
    for text in troubles:
        screen.print(text, style="yellow")
    for text in blind:
        screen.print(f"BLIND: {text}", style="red")


def _show_unowned(screen: Screen) -> None:
    from barrack_tasks.controllers.adoption import told_of_unowned

    for sentence in told_of_unowned():
        screen.print(sentence, style="yellow")
