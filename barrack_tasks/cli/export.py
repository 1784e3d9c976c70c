"""`barrack deployments export`: the deployments of an account as a file of Prefect."""

from __future__ import annotations

import sys
from typing import Any

from cyclopts import App

from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.cli.up import BLOCK

deployments_app = App(name="deployments", help="The deployments of an account.")


@deployments_app.command
def export(*, credentials: str = BLOCK, pool: str = "barrack", image: str | None = None) -> int:
    """Print a prefect.yaml of an account's deployments, as `prefect deploy --all` takes it.

    Parameters, schedules and triggers are as somebody set them on the server; what is not there
    is as `barrack up` would deploy it. Nothing is changed.

    Parameters
    ----------
    credentials
        Name of the block that holds the account.
    pool
        The work pool that the deployments use.
    image
        The image in which a docker or kubernetes pool runs them.
    """
    import yaml

    with known_server() as server:
        if not server.answers:
            Screen(stderr=True).print(server.absence)
            return 1
        from barrack_tasks.cli.deployments import deployments_file, exported

        content = exported(deployments_file(), credentials, pool, image)

    class Plain(yaml.SafeDumper):
        """Writes out what several deployments share, so that each can be changed alone."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    sys.stdout.write(yaml.dump(content, Dumper=Plain, sort_keys=False, allow_unicode=True))
    return 0
