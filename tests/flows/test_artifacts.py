"""A guard that runs every few minutes leaves an artifact only where it has something new to say."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks import BarrackCredentials
from barrack_tasks.flows import hibernate
from barrack_tasks.sandbox import Sandbox
from tests.flows.conftest import account_of

Cloud = Callable[..., Sandbox]


def artifacts(account: BarrackCredentials) -> list[str]:
    """Of the flow, the oldest first."""
    key = f"barrack-hibernate-{account.account}"
    wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 200}
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/filter", json=wanted).json()
    return [one["data"] for one in reversed(found)]


def test_a_deployed_run_leaves_one_only_for_what_is_new(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cloud(fleet=0)
    name = f"m-{uuid.uuid4().hex[:8]}"
    id_ = sandbox.seed_instance(name)
    account = account_of(sandbox)

    def left(**how: bool) -> int:
        before = len(artifacts(account))
        hibernate(select=[name], credentials=account, **how)
        return len(artifacts(account)) - before

    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid.uuid4()))
    assert left(dry_run=True) == 1
    assert left(dry_run=True) == 0, "the same would be done"
    assert left() == 1, "something was done"
    assert left() == 0, "all was as it should be"
    monkeypatch.delenv("PREFECT__RUNTIME__DEPLOYMENT__ID")
    assert left() == 1, "a person who starts it looks for its report"
    assert sandbox.state()["instances"][0]["id"] == id_
