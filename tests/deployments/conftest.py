"""What the tests of deployments begin with."""

from __future__ import annotations

from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks.cli.deployments import read_deployed


@pytest.fixture
def no_deployments(prefect_server: str) -> None:
    """A server without deployments of ours; the tests of one process share it."""
    with get_client(sync_client=True) as client:
        for one in read_deployed(client):
            client.delete_resource_owned_automations(f"prefect.deployment.{one.id}")
            client.delete_deployment(UUID(one.id))
