"""The run of a flow in which the code that asks is at work."""

from __future__ import annotations

import os

from prefect import runtime
from prefect.context import FlowRunContext


def deployment_of_run() -> str | None:
    """The id of the deployment that this run is of; None outside of one.

    `prefect.runtime` asks the server for it each time, with a client of its own, when there is
    none. A run that another one called is of that one's deployment.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    is_told = "PREFECT__RUNTIME__DEPLOYMENT__ID" in os.environ  # as people's tests tell Prefect
    if run is not None and run.parent_task_run_id is None and not is_told:
        return str(run.deployment_id) if run.deployment_id else None
    found: str | None = runtime.deployment.id
    return found
