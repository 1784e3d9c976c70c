"""A user's own flow that asks a person before each of two things that are dear."""

from __future__ import annotations

from prefect import flow

from barrack_tasks import BarrackCredentials, guarded_create_instance
from barrack_tasks.controllers.guard import with_approval


@flow
def deploy_with_approval() -> list[str]:
    """Deploy two instances, each with the approval of a person."""
    made = [
        with_approval(
            guarded_create_instance,
            BarrackCredentials.from_environment(),
            {"approve_over": "0.1", "instances": 4},
            name,
            "CANADA-1",
            model,
            image_id="1",
            timeout=120,
        )
        for name, model in (("approved", "L40"), ("dearer", "A100-PCIe-80GB"))
    ]
    return [str(one.id) for one in made]
