"""A user's own flow that asks a person before it deploys something dear."""

from __future__ import annotations

from prefect import flow

from barrack_tasks import BarrackCredentials, guarded_create_instance
from barrack_tasks.guard import with_approval


@flow
def deploy_with_approval() -> str:
    """Deploy an instance, with the approval of a person."""
    made = with_approval(
        guarded_create_instance,
        BarrackCredentials.from_environment(),
        {"approve_over": 1},
        "approved",
        "CANADA-1",
        "L40",
        image_id="1",
        timeout=120,
    )
    return str(made.id)
