"""Which runs of the worker start as forks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from barrack_tasks.server.worker import _InFork


@pytest.mark.parametrize(
    ("entrypoint", "command", "forks"),
    [
        ("barrack_tasks.flows.hibernate", None, True),
        ("barrack_tasks.flows.hibernate", "nice python -m prefect.engine", False),
        ("mine.py:nightly", None, False),
        ("barrack_tasks.flows_of_mine.nightly", None, False),
        (None, None, False),
    ],
)
def test_only_flows_that_are_loaded_start_as_forks(
    entrypoint: str | None, command: str | None, forks: bool
) -> None:
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name="a run")
    deployment: Any = SimpleNamespace(
        entrypoint=entrypoint, id=uuid4(), name="one", updated=None, created_by=None, labels={}
    )
    how = _InFork(command=command)
    how.prepare_for_flow_run(run, deployment)
    assert ("run_in_fork.py" in str(how.command)) is forks
    if command:
        assert how.command == command, "what a person has set stays"
