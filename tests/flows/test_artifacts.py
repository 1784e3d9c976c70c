"""A guard that runs every few minutes leaves an artifact only where it has something new to say."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from prefect.client.orchestration import get_client

import barrack_tasks.flows
from barrack_tasks import BarrackCredentials
from barrack_tasks.flows import hibernate
from barrack_tasks.plans.names import artifact_key, snapshot_description, snapshot_name
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


@pytest.mark.slow
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


@pytest.mark.parametrize("name", ["restore_from_snapshot", "verify_snapshots"])
def test_what_makes_instances_of_snapshots_shows_how_far_it_is(cloud: Cloud, name: str) -> None:
    sandbox = cloud(fleet=0, balance="500")
    account = account_of(sandbox)
    id_ = sandbox.seed_instance(name.replace("_", "-"), gpu_model="L40")
    client = account.get_client()
    said = snapshot_name("it", id_, sandbox.now()), snapshot_description(id_)
    made = client.snapshots.create(id_, *said)
    sandbox.advance(600)
    flow = getattr(barrack_tasks.flows, name)
    how = {"snapshot": made.id} if name == "restore_from_snapshot" else {"select": ["*"]}
    flow(**how, credentials=account)
    key = {"any_": [artifact_key(f"{name}_progress", account.account)]}
    with get_client(sync_client=True) as prefect:
        asked = {"artifacts": {"key": key, "type": {"any_": ["progress"]}}}
        found = prefect.request("POST", "/artifacts/filter", json=asked).json()
    assert [one["data"] for one in found] == [100.0]
