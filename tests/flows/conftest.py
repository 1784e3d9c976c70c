"""Flows run for real: against a Prefect server and a sandbox, both over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.sandbox import Sandbox

QUICK = 120
"""Sandbox seconds per real second: a snapshot takes about one real second."""


@pytest.fixture
def cloud(prefect_server: str) -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes that end with the test."""
    running: list[Sandbox] = []

    def start(**how: Any) -> Sandbox:
        sandbox = Sandbox(**{"speed": QUICK, "balance": "5000", "fleet": 3, **how})
        sandbox.start()
        running.append(sandbox)
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()


def account_of(sandbox: Sandbox, **more: Any) -> BarrackCredentials:
    """Credentials of a sandbox."""
    return BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url, **more)


def effects(sandbox: Sandbox, operation: str) -> list[dict[str, Any]]:
    """What the cloud's ledger says an operation did."""
    return [entry for entry in sandbox.ledger() if entry["operation"] == operation]
