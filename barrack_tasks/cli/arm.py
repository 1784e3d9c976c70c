"""`barrack arm` and `barrack disarm`: whether a deployment acts, and runs by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from barrack_tasks.cli.servers import known_server
from barrack_tasks.plans.recurrence import runs_when

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from barrack_tasks.deploying import Deployed


def arm(deployments: list[str], /) -> int:
    """Let deployments act: `dry_run` is false, and their schedules are on.

    All other parameters stay as they are on the server.

    Parameters
    ----------
    deployments
        As `barrack status` shows them, such as verify_snapshots/drill.
    """
    return _set(deployments, True)


def disarm(deployments: list[str], /) -> int:
    """Make deployments dry runs: `dry_run` is true, and their schedules are off.

    All other parameters stay as they are on the server, and runs that began go on.

    Parameters
    ----------
    deployments
        As `barrack status` shows them, such as verify_snapshots/drill.
    """
    return _set(deployments, False)


def _set(names: list[str], armed: bool) -> int:
    console = Console(highlight=False)
    with known_server() as server:
        if not server.answers:
            console.print(server.absence, soft_wrap=True)
            return 1
        from prefect.client.orchestration import get_client

        from barrack_tasks.arming import called, set_armed
        from barrack_tasks.deploying import read_deployed

        with get_client(sync_client=True) as client:
            wanted = called(names, read_deployed(client))
            for one in wanted:
                set_armed(client, one, armed)
                # Said as the server has it now, not as it was asked for.
                [now] = called([one.full_name], read_deployed(client))
                said = _armed(client, now) if armed else _disarmed(client, now)
                console.print(said, markup=False, soft_wrap=True)
    return 0


def _armed(client: SyncPrefectClient, one: Deployed) -> str:
    from barrack_tasks.arming import has_dry_run

    how = "acts" if has_dry_run(client, one) else "has no dry run"
    times = " and ".join(runs_when(s) for s in one.schedules if s["active"])
    return f"{one.full_name} {how}, and runs {times or 'when somebody starts it'}."


def _disarmed(client: SyncPrefectClient, one: Deployed) -> str:
    from barrack_tasks.arming import acting_runs, has_dry_run

    dry = has_dry_run(client, one)
    how = "is a dry run" if dry else "has no dry run"
    off = {0: "runs when somebody starts it", 1: "its schedule is off"}
    said = f"{one.full_name} {how}, and {off.get(len(one.schedules), 'its schedules are off')}"
    going = acting_runs(client, one) if dry else 0
    if going:
        runs = "a run that acts goes" if going == 1 else f"{going} runs that act go"
        said += f"; {runs} on, begun or waiting since before"
    return f"{said}."
