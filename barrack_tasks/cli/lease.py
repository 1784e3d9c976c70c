"""`barrack lease`: say that a machine is needed, keep it for longer, or give it back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from cyclopts import App, Parameter

from barrack_tasks.cli.accounts import leasing_account
from barrack_tasks.cli.answers import LeaseShown
from barrack_tasks.cli.failing import WrongWordsError
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.screen import Screen
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.forgotten.leases import Lease, until_said, with_leases

lease_app = App(name="lease", help="Leases of machines: who needs which machine until when.")


@lease_app.default
def lease(
    name: str,
    /,
    *,
    for_: Annotated[str, Parameter(name="--for")] = "8h",
    extend: str | None = None,
    release: bool = False,
    owner: str | None = None,
    credentials: str | None = None,
) -> int:
    """Lease a machine, keep it for longer, or give it back.

    When the last lease of a machine has ended, `end_expired` hibernates it.

    Parameters
    ----------
    name
        Name or id of the machine; snapshot:ID or volume:ID for what belongs to none.
    for_
        How long it is needed from now, such as 8h or 3d.
    extend
        Keep it for at least so long from now, whoever has leased it.
    release
        Say that you do not need it any more.
    owner
        Who needs it; you, if not given.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    """
    from barrack_tasks.controllers.leases import extend_lease, lease_instance, release_lease

    screen = Screen()
    if release and extend:
        raise WrongWordsError("give either --extend or --release, and not both")
    with leasing_account(credentials) as account:
        try:
            if release:
                others = release_lease.fn(account, name, owner)
                screen.print(_said_of_release(name, others))
                return 0
            if extend:
                stands = extend_lease.fn(account, name, extend, owner)
            else:
                stands = lease_instance.fn(account, name, for_, owner)
        except ValueError as error:
            raise WrongWordsError(str(error)) from None
        by = f" for {stands.owner}" if stands.owner else ""
        screen.print(f"{stands.name} is kept{by} until {until_said(stands)}.")
    return 0


@lease_app.command
def ls(*, credentials: str | None = None, json: AsJson = False) -> int:
    """Show all leases of machines, and all machines that were made with an end.

    Parameters
    ----------
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    json
        Show JSON instead of a table.
    """
    from barrack_tasks.controllers.expiry import read_expiries
    from barrack_tasks.controllers.leases import (
        cloud_now,
        read_leases,
        read_leases_of_things,
    )

    screen = Screen()
    with leasing_account(credentials) as account:
        now = cloud_now(account)
        leases = [*read_leases(account.account), *read_leases_of_things(account.account)]
        rows = [_shown(one, now) for one in sorted(leases, key=lambda one: (one.until, one.key))]
        leased = {one.instance_id for one in leases}
        for end in with_leases(read_expiries(account.account), [], now):
            if end.id not in leased:
                rows.append(LeaseShown(machine=end.name, owner=None, until=end.at, state=end.how))
        if json:
            screen.print_json(rows, list[LeaseShown])
        elif rows:
            cells = [
                (
                    one.machine,
                    "made with an end" if one.owner is None else one.owner or "(default)",
                    f"{one.until:%Y-%m-%d %H:%M} UTC" if one.until else "unknown",
                    one.state,
                )
                for one in rows
            ]
            screen.print_rows("Leases", ("machine", "owner", "until", "state"), cells)
        else:
            screen.print("There are no leases.")
    return 0


def _shown(one: Lease, now: datetime) -> LeaseShown:
    state = f"{said(max(one.until - now, timedelta(0)))} left"
    if one.released is not None:
        state = "released"
    elif one.is_unread:
        state = "cannot be read, so it keeps the machine"
    elif not one.runs(now):
        state = "ended"
    elif one.warned is not None:
        state = f"{state}, and people were warned"
    until = None if one.is_unread else one.until
    return LeaseShown(machine=one.name, owner=one.owner, until=until, state=state)


def _said_of_release(name: str, others: list[Lease]) -> str:
    if not others:
        return f"{name} is not leased any more; the next run of end_expired hibernates it."
    whose = ", ".join(sorted(one.owner for one in others))
    return f"You do not need {name} any more; it is kept for {whose}."
