"""Fixtures for the tests of people who use this library; pytest finds them by itself.

A test that asks for `barrack_sandbox` has a cloud of its own and cannot reach a real account.
Nothing of this library is loaded until a test asks.

Example:
    >>> @pytest.mark.barrack_sandbox(fleet=[{"name": "train-1"}], speed=0)
    ... def test_mine(barrack_sandbox, barrack_account):
    ...     stop_instance(barrack_account, "BRK-A1B2C3D")
    ...     barrack_sandbox.advance(60)  # seconds of the cloud's clock
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from barrack_tasks.sandbox import Sandbox
    from barrack_tasks.server.credentials import BarrackCredentials

_MARK = "barrack_sandbox"


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark with which a test says how its sandbox is to be."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(fleet=3, speed=60, balance='100', ...): the arguments of the "
        "barrack_tasks.sandbox.Sandbox that the fixtures of this test use",
    )


@pytest.fixture
def barrack_sandbox(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """A running `Sandbox`, and the environment leads to it, whatever it said before.

    Its clock runs 60 times faster than the real one. With `speed=0` in the mark it stands still
    until the test calls `barrack_sandbox.advance(seconds)`; a flow that waits needs a clock that
    runs.

    Example:
        >>> def test_mine(barrack_sandbox):
        ...     barrack_sandbox.seed_instance("train-1", gpu_model="L40")
        ...     assert hibernate(select=["train-1"]).ok
    """
    from barrack_tasks.sandbox import Sandbox

    mark = request.node.get_closest_marker(_MARK)
    # What is remembered on a Prefect server belongs to a key, and a port may be given out again.
    given = {"api_key": f"test-{secrets.token_hex(8)}", **(mark.kwargs if mark else {})}
    for name in [name for name in os.environ if name.startswith("BARRACK_")]:
        monkeypatch.delenv(name)
    with Sandbox(**given) as sandbox:
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def barrack_account(barrack_sandbox: Sandbox) -> BarrackCredentials:
    """The account of `barrack_sandbox`, as every flow and task takes it.

    Example:
        >>> def test_mine(barrack_account):
        ...     assert len(list_instances(barrack_account)) == 3
    """
    from barrack_tasks.server.credentials import BarrackCredentials

    return BarrackCredentials.from_environment()
