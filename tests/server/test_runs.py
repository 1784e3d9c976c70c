"""The deployment of a run, as Prefect knows it and without asking the server."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from barrack_tasks.server.runs import deployment_of_run


@flow
def inner() -> str | None:
    return deployment_of_run()


@task
def in_a_task() -> str | None:
    return deployment_of_run()


@flow
def outer() -> list[str | None]:
    return [deployment_of_run(), inner(), in_a_task()]


def test_a_run_that_a_person_called_has_none_and_asks_nobody(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    send = httpx.AsyncClient.send

    async def noted(self: httpx.AsyncClient, request: httpx.Request, **more: object) -> object:
        asked.append(request.url.path)
        return await send(self, request, **more)  # type: ignore[arg-type]

    @flow
    def alone() -> str | None:
        monkeypatch.setattr(httpx.AsyncClient, "send", noted)
        found = deployment_of_run()
        monkeypatch.setattr(httpx.AsyncClient, "send", send)
        return found

    assert deployment_of_run() is None
    assert alone() is None
    assert not [path for path in asked if "/flow_runs/" in path]


def test_a_run_of_a_deployment_and_what_it_calls_are_of_that_deployment(
    prefect_server: str,
) -> None:
    from prefect.flow_engine import run_flow_sync

    with get_client(sync_client=True) as client:
        made = client.create_deployment(client.create_flow(outer), name=uuid4().hex[:8])
        run = client.create_flow_run_from_deployment(made)
        assert run_flow_sync(outer, flow_run=client.read_flow_run(run.id)) == [str(made)] * 3
    assert FlowRunContext.get() is None
