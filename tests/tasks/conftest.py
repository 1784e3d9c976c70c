"""Tasks run for real: against a Prefect server and a sandbox, both over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.sandbox import Sandbox


@pytest.fixture
def sandbox(prefect_server: str) -> Iterator[Sandbox]:
    """A cloud with three instances, whose clock stands still until it is put forward."""
    with Sandbox(speed=0, balance="5000", fleet=3) as running:
        yield running


@pytest.fixture
def account(sandbox: Sandbox) -> BarrackCredentials:
    """The sandbox's account."""
    return BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
