"""`barrack up` and `barrack down`: from nothing to running guards, and back."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from rich.console import Console
from rich.prompt import Prompt

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli.inputs import Port
from barrack_tasks.cli.screen import Screen

BLOCK = "barrack"


def up(*, port: Port = 4200, credentials: str = BLOCK, worker: bool = True) -> int:
    """Start what is missing, and apply all deployments. Run it again after an upgrade.

    With PREFECT_API_URL set, in the environment or in Prefect's profile, it starts nothing and
    applies there. Guards start as dry runs; what you change on the server stays as it is.

    Parameters
    ----------
    port
        Of the Prefect server, if one is started.
    credentials
        Name of the block that holds the account. It is written from BARRACK_API_KEY and its
        companions where these are set, and asked for where there is no such block.
    worker
        Start a worker beside the server.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from barrack_tasks.deploying import POOL, apply, deployments_file
    from barrack_tasks.services import Services, answers

    console = Screen()
    services = Services()
    named = PREFECT_API_URL.value()
    own = named is None or named == services.url
    with ExitStack() as stack, ExitStack() as undo:
        if own:
            console.print("A Prefect server runs or starts ...")
            if services.url is None:
                undo.callback(services.stop, "server")
            url = services.start_server(port)
            stack.enter_context(temporary_settings({PREFECT_API_URL: url}))
            os.environ["PREFECT_API_URL"] = url
        else:
            url = str(named)
            if not answers(url):
                raise BarrackConfigurationError(
                    f"PREFECT_API_URL is {url}, and nothing answers there; start that server, or "
                    "unset PREFECT_API_URL to have one started here"
                )
        _ensure_block(credentials, console)
        console.print("The deployments are applied ...")
        deployed = apply(deployments_file(), credentials)
        if own and worker:
            services.start_worker(url, POOL)
        undo.pop_all()
    armed = [d.full_name for d in deployed if d.parameters.get("dry_run") is False]
    console.print(f"\n{len(deployed)} deployments are there; armed: {', '.join(armed) or 'none'}.")
    console.print(f"Prefect UI:  {url.removesuffix('/api')}", soft_wrap=True)
    console.print(f"For prefect and your flows:  export PREFECT_API_URL={url}", soft_wrap=True)
    if own and worker:
        console.print(f"Logs:        {services.folder}", soft_wrap=True)
        console.print("`barrack status` shows how things are, `barrack down` ends what runs here.")
    else:
        console.print(f"No worker was started here: prefect worker start --pool {POOL}")
    return 0


def down() -> int:
    """End the worker and the server that `barrack up` has started, and nothing else."""
    from barrack_tasks.services import Services

    console = Screen()
    services = Services()
    ended = [what for what in ("worker", "server") if services.stop(what)]
    console.print(f"Ended: {', '.join(ended)}." if ended else "Nothing that was started here runs.")
    return 0


def _ensure_block(name: str, console: Console) -> None:
    """See to it that the account's block is there, with what the environment says of it."""
    from pydantic import SecretStr

    from barrack_tasks.credentials import BarrackCredentials

    try:
        there: BarrackCredentials | None = BarrackCredentials.resolve(name)
    except BarrackConfigurationError:
        there = None
    if os.environ.get("BARRACK_API_KEY", "").strip():
        given = BarrackCredentials.from_environment()
        if there is not None:
            told = {f: getattr(given, f) for f in ("base_url", "dialect", "protect")}
            said = {field: value for field, value in told.items() if value}
            given = there.model_copy(update={"api_key": given.api_key, **said})
    elif there is not None:
        return
    elif sys.stdin.isatty():
        key = Prompt.ask("Barrack API key (dashboard, API Keys page)", password=True)
        given = BarrackCredentials(api_key=SecretStr(key.strip()))
    else:
        raise BarrackConfigurationError(
            f"there is no block {name!r} with an account: set BARRACK_API_KEY to your key "
            "(dashboard, API Keys page) and try again"
        )
    given.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    console.print(f"The account is kept in the block {name!r}.")
