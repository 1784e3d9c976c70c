"""`barrack up` and `barrack down`: from nothing to running guards, and back."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli.answers import DeployedShown, UpShown
from barrack_tasks.cli.inputs import AsJson, Port
from barrack_tasks.cli.screen import Screen

if TYPE_CHECKING:
    from barrack_tasks.cli.upgrade import Another

BLOCK = "barrack"
_WAITS = "Another `barrack up` or `barrack down` is running on this machine; waiting for it ..."


def up(
    *,
    port: Port = 4200,
    credentials: str = BLOCK,
    worker: bool = True,
    yes: bool = False,
    untried: bool = False,
    beside: bool = False,
    move: bool = False,
    json: AsJson = False,
) -> int:
    """Start what is missing, and apply all deployments. Run it again after an upgrade.

    The key is tested with reads before anything is saved. With PREFECT_API_URL set, in the
    environment or in Prefect's profile, it starts nothing and applies them there. Guards start as
    dry runs; what you change on the server stays as it is.

    Parameters
    ----------
    port
        Port of the Prefect server, if one is started.
    credentials
        Name of the block that holds the account. It is written from BARRACK_API_KEY and the
        variables beside it if these are set; if there is no such block, the key is asked for.
    worker
        Start a worker beside the server.
    yes
        Do not ask before a block is replaced that holds another key or address.
    untried
        Replace such a block even if it is not known whether the new key works.
    beside
        Where the deployments belong to another account, add a separate set for this one, whose
        names end in the name of its block.
    move
        Where the deployments belong to another account, take them away from it; they are dry
        runs again, and nothing guards that account then.
    json
        Show JSON at the end; what happens meanwhile goes to the error output.
    """
    from prefect.settings import PREFECT_API_URL

    from barrack_tasks.cli.deployments import POOL, apply, check_place, deployments_file
    from barrack_tasks.cli.keeping import choose, key_at_hand
    from barrack_tasks.cli.servers import is_same_server, spoken_with
    from barrack_tasks.runtime.notify import register_blocks
    from barrack_tasks.server.services import Services

    if beside and move:
        raise BarrackConfigurationError("--beside and --move exclude each other; pass one of them")
    another: Another = "beside" if beside else "move" if move else "refuse"
    console = Screen(stderr=json)
    services = Services()
    named = PREFECT_API_URL.value()
    _check_who_says(str(named) if named else None)
    if named is None or is_same_server(str(named), services.url):
        services.check_port(port)
    else:
        _check_answers(str(named))
    given = key_at_hand(credentials)
    with ExitStack() as stack, ExitStack() as undo:
        stack.enter_context(services.alone(lambda: console.print(_WAITS)))
        own = named is None or is_same_server(str(named), services.url)
        if own:
            if services.is_open:
                console.print(
                    "The server of an earlier release asks for no password; stopping it ..."
                )
                services.stop("worker")
                services.stop("server")
            elif worker and services.has_lost_its_worker:
                console.print("The server has no worker; restarting both ...")
                services.stop("server")
            console.print("Starting a Prefect server, unless one is running ...")
            if services.url is None:
                undo.callback(services.stop, "server")
            url = services.start_server(port)
            stack.enter_context(spoken_with(services.environment(url)))
        else:
            url = str(named)
        choice = choose(credentials, given, yes, console, untried)
        check_place(deployments_file(), choice.called, credentials, another)
        choice.keep(console)
        register_blocks()
        console.print("Applying the deployments ...")
        deployed = apply(deployments_file(), credentials, another)
        if own and worker:
            services.start_worker(url, POOL)
        undo.pop_all()
    for old in (d for d in deployed if d.successor):
        console.print(
            f"{old.full_name} of an earlier release has runs that have not ended; it is paused, "
            f"and the next `barrack up` deletes it.",
            style="yellow",
        )
    if json:
        Screen().print_json(
            UpShown(
                url=url,
                own=own,
                worker=own and worker,
                password_file=str(services.password_file) if own else None,
                environment_file=str(services.environment_file) if own else None,
                logs=str(services.folder) if own else None,
                deployments=tuple(
                    DeployedShown(
                        name=one.full_name,
                        armed=None if (dry := one.parameters.get("dry_run")) is None else not dry,
                    )
                    for one in deployed
                ),
            )
        )
        return 0
    armed = [d.full_name for d in deployed if d.parameters.get("dry_run") is False]
    console.print(
        f"\n{len(deployed)} deployments are on the server; armed: {', '.join(armed) or 'none'}."
    )
    console.print(f"Prefect UI:  {url.removesuffix('/api')}")
    if own:
        console.print(f"Sign in with what this prints:  cat {services.password_file}")
        console.print(f"For prefect and your flows:  . {services.environment_file}")
    if own and worker:
        console.print(f"Logs:        {services.folder}")
        console.print(
            "`barrack status` shows the state, and `barrack down` stops the server and the worker."
        )
    else:
        console.print(
            "No worker was started here; start one with: "
            f"python -m barrack_tasks.server.worker {POOL}"
        )
    return 0


def _check_answers(url: str) -> None:
    """Refuse a server that does not answer, or does not let this person in."""
    from barrack_tasks.cli.servers import about, problem_at

    problem = problem_at(url)
    if isinstance(problem, httpx.TransportError):
        raise BarrackConfigurationError(
            f"PREFECT_API_URL is {url}, and nothing answers there; start that server, or "
            "unset PREFECT_API_URL to have one started here"
        )
    if problem is not None:
        raise BarrackConfigurationError(about(problem))


def _check_who_says(named: str | None) -> None:
    """Let no file of the folder at hand decide to which server the key goes."""
    from prefect.context import get_settings_context
    from prefect.settings import PREFECT_API_URL

    profile = get_settings_context().profile.settings
    if named in (None, os.environ.get("PREFECT_API_URL"), profile.get(PREFECT_API_URL)):
        return
    raise BarrackConfigurationError(
        f"a file in this folder (.env, prefect.toml or pyproject.toml) sets PREFECT_API_URL to "
        f"{named}, but a file in a folder must not decide on which server the key is saved; if "
        f"that is your server, export PREFECT_API_URL={named} and try again"
    )


def down() -> int:
    """End the worker and the server that `barrack up` has started, and nothing else.

    Runs that are under way end first and count as crashed; the next runs go on with their work.
    """
    from barrack_tasks.server.services import Services

    console = Screen()
    services = Services()
    with services.alone(lambda: console.print(_WAITS)):
        ended = [what for what in ("worker", "server") if services.stop(what)]
    console.print(
        f"Stopped: {', '.join(ended)}."
        if ended
        else "Nothing that `barrack up` started is running."
    )
    return 0
