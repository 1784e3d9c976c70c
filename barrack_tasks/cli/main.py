"""`barrack`, and how its commands end: with output, or with one sentence and a code."""

from __future__ import annotations

import logging
import sys

import httpx
from cyclopts import App

from barrack_tasks.api import BarrackError
from barrack_tasks.api.transport.addresses import host_of
from barrack_tasks.api.version import VERSION
from barrack_tasks.cli.adopt import adopt
from barrack_tasks.cli.arm import arm, disarm
from barrack_tasks.cli.dialects import dialect_app
from barrack_tasks.cli.doctor import doctor
from barrack_tasks.cli.learn import learn
from barrack_tasks.cli.panic import panic
from barrack_tasks.cli.schedule import schedule_app
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.status import status
from barrack_tasks.cli.up import down, up

app = App(
    name="barrack",
    help="Guard, schedule and restore GPU machines at Barrack (barrack.ai).",
    version=VERSION,
)
app.command(up)
app.command(down)
app.command(status)
app.command(arm)
app.command(disarm)
app.command(adopt)
app.command(doctor)
app.command(learn)
app.command(panic)
app.command(schedule_app)
app.command(dialect_app)


def main() -> None:
    """Entry point of the command line. Exits 0 if all is well, 1 if not, 2 on bad input."""
    # Prefect sends an event for each block that was read, and a command that ends soon waits for
    # them: that is no news, and would stand below what the command says.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
    try:
        result = app(sys.argv[1:], result_action="return_value")
    except BarrackError as error:
        Screen(stderr=True).print(f"barrack: {error}", style="red")
        sys.exit(2)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The API's client raises its own errors, so this is the Prefect server's, whose errors of
        # HTTP are those of httpx: nothing of Prefect is needed to know them.
        Screen(stderr=True).print(f"barrack: {_about_server(error)}", style="red")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)


def _about_server(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    """What the Prefect server did, or did not, and what to do about it."""
    if isinstance(error, httpx.InvalidURL):
        return (
            f"PREFECT_API_URL is not an address ({error}); it must look like http://HOST:PORT/api"
        )
    if not isinstance(error, httpx.HTTPStatusError):
        why = f"{type(error).__name__}: {error}".rstrip(": ")
        return (
            f"the Prefect server could not be reached ({why}); check that it runs, and that "
            f"PREFECT_API_URL is its address"
        )
    url, status = error.request.url, error.response.status_code
    where = f"{url.scheme}://{host_of(str(url))}"
    if status in (401, 403):
        return (
            f"the Prefect server at {where} requires its password (HTTP {status}); set "
            f"PREFECT_API_AUTH_STRING to it, as user:secret, or source the file that `barrack "
            f"up` names"
        )
    return (
        f"the Prefect server at {where} answered {url.path} with HTTP {status}; check its log, "
        f"and that PREFECT_API_URL is the address of its API, which ends in /api"
    )
