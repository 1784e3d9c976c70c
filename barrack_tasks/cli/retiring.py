"""Taking a deployment of an earlier release away, once another has its place."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events import AutomationCore

from barrack_tasks.runtime.health import unfinished_runs

_PAGE = 200


def retire(client: SyncPrefectClient, old: str, new: str) -> None:
    """Delete a deployment in favour of another, which gets the automations that name it.

    While it has runs that have not ended, it is only paused: they would be lost with it.

    Args:
        client: of the server.
        old: id of the deployment that goes.
        new: id of the one that has its place.
    """
    client.delete_resource_owned_automations(f"prefect.deployment.{old}")
    for automation in _automations(client):
        text = json.dumps(automation)
        if old in text:
            changed = json.loads(text.replace(old, new))
            body = {k: v for k, v in changed.items() if k in AutomationCore.model_fields}
            about = {"id": automation["id"]}
            client.request("PUT", "/automations/{id}", path_params=about, json=body)
    # The server drops what its schedules have planned, and plans no more.
    client.pause_deployment(UUID(old))
    if not unfinished_runs(client, old):
        client.delete_deployment(UUID(old))


def _automations(client: SyncPrefectClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        body = {"limit": _PAGE, "offset": len(found), "sort": "CREATED_DESC"}
        page = client.request("POST", "/automations/filter", json=body).json()
        found += page
        if len(page) < _PAGE:
            return found
