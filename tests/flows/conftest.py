"""Flows run for real: against a Prefect server and a sandbox, both over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.dialect import Dialect, load_dialect
from barrack_tasks.sandbox import Sandbox

QUICK = 120
"""Sandbox seconds per real second: a snapshot takes about one real second."""
DIALECTS = Path(__file__).resolve().parents[2] / "docs" / "dialects"
DIALECT = os.environ.get("BARRACK_TEST_DIALECT", "built-in")
"""The dialect that all flow tests speak; `make test-dialects` runs them in each."""


def dialect_file(name: str) -> str | None:
    """The file of one of the dialects that ship as examples; None for the built-in one."""
    return None if name == "built-in" else str(DIALECTS / f"{name}.yaml")


def spoken(name: str = DIALECT) -> Dialect | None:
    """The dialect that a sandbox is to speak."""
    file = dialect_file(name)
    return load_dialect(file) if file else None


@pytest.fixture
def cloud(prefect_server: str) -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes that end with the test."""
    running: list[Sandbox] = []

    def start(**how: Any) -> Sandbox:
        sandbox = Sandbox(
            **{"speed": QUICK, "balance": "5000", "fleet": 3, "dialect": spoken(), **how}
        )
        sandbox.start()
        running.append(sandbox)
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()


def account_of(sandbox: Sandbox, **more: Any) -> BarrackCredentials:
    """Credentials of a sandbox."""
    file = dialect_file(sandbox.dialect.name)
    return BarrackCredentials(
        api_key=sandbox.api_key, base_url=sandbox.url, **{"dialect": file, **more}
    )


def effects(sandbox: Sandbox, operation: str) -> list[dict[str, Any]]:
    """What the cloud's ledger says an operation did."""
    return [entry for entry in sandbox.ledger() if entry["operation"] == operation]


@pytest.fixture(autouse=True)
def _dialect_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    file = dialect_file(DIALECT)
    if file:
        monkeypatch.setenv("BARRACK_DIALECT", file)
