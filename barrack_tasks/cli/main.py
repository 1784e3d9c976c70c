"""`barrack`, and how its commands end: with output, or with one sentence and a code."""

from __future__ import annotations

import logging
import sys

import httpx
from cyclopts import App

from barrack_tasks.api import BarrackError
from barrack_tasks.api.version import VERSION
from barrack_tasks.cli.adopt import adopt
from barrack_tasks.cli.alert_on_failure import alert_on_failure
from barrack_tasks.cli.arm import arm, disarm
from barrack_tasks.cli.check import check, schema
from barrack_tasks.cli.dialects import dialect_app
from barrack_tasks.cli.doctor import doctor
from barrack_tasks.cli.export import deployments_app
from barrack_tasks.cli.init import init
from barrack_tasks.cli.learn import learn
from barrack_tasks.cli.panic import panic
from barrack_tasks.cli.plan import apply, plan, two_means_differs
from barrack_tasks.cli.schedule import schedule_app
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import about
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
app.command(init)
app.command(check)
app.command(plan)
app.command(apply)
app.command(schema)
app.command(arm)
app.command(disarm)
app.command(alert_on_failure)
app.command(adopt)
app.command(doctor)
app.command(learn)
app.command(panic)
app.command(schedule_app)
app.command(dialect_app)
app.command(deployments_app)


@two_means_differs
def main() -> None:
    """Entry point of the command line. Exits 0 if all is well, 1 if not, 2 on bad input."""
    if sys.platform == "win32":
        Screen(stderr=True).print(
            "barrack: Windows is not supported; run barrack in the Windows Subsystem for Linux "
            "(WSL), on Linux or on macOS",
            style="red",
        )
        sys.exit(2)
    # Prefect sends an event for each block that was read, and a command that ends soon waits for
    # them: that is no news, and would stand below what the command says. Nor are tracebacks of its
    # websockets when a server goes away: the command itself says so in one sentence.
    for name in ("EventsWorker", "prefect.events.clients", "APILogWorker"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        result = app(sys.argv[1:], result_action="return_value")
    except BarrackError as error:
        Screen(stderr=True).print(f"barrack: {error}", style="red")
        sys.exit(2)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The API's client raises its own errors, so this is the Prefect server's, whose errors of
        # HTTP are those of httpx: nothing of Prefect is needed to know them.
        Screen(stderr=True).print(f"barrack: {about(error)}", style="red")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(result if isinstance(result, int) else 0)
