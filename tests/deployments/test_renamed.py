"""Deployments that an earlier release made under the names of then, and what becomes of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client

from barrack_tasks import BarrackCredentials
from barrack_tasks.cli.deployments import Deployed, apply, deployments_file, read_deployed
from barrack_tasks.plans.lease_keys import TOOK_OVER
from barrack_tasks.server.variables import Records
from tests.deployments.playing import start

pytestmark = pytest.mark.slow
BUDGETS = [{"per": "month", "hard": 7}]
FORMER: dict[str, dict[str, Any]] = {
    "watch_balance": {
        "name": "guard",
        "tags": ["barrack", "guard", "money"],
        "applied": {"dry_run": True, "select": ["*"]},
        "parameters": {"dry_run": False, "select": ["train-*"]},
        "schedule": 900,
    },
    "enforce_budget": {
        "name": "guard",
        "tags": ["barrack", "guard", "money"],
        "applied": {"dry_run": True, "budgets": [{"per": "month", "soft": 800, "hard": 1000}]},
        "parameters": {"dry_run": True, "budgets": BUDGETS},
        "schedule": 600,
        "trigger": "barrack - an instance appeared, look at the budgets",
        "paused": True,
    },
    "hibernate": {
        "name": "on-demand",
        "tags": ["barrack"],
        "applied": {},
        "parameters": {},
        "schedule": None,
    },
}
"""As the release before had them, and what somebody had changed of them since."""


@pytest.fixture
def own(prefect_server: str) -> Iterator[str]:
    """What the names of a test end with."""
    name = f"r{uuid.uuid4().hex[:6]}"
    yield name
    with get_client(sync_client=True) as client:
        for one in ending_with(client, name):
            client.delete_resource_owned_automations(f"prefect.deployment.{one.id}")
            client.delete_deployment(UUID(one.id))


@pytest.fixture
def file(own: str, tmp_path: Path) -> Path:
    """The same deployments as this release has them."""
    content = yaml.safe_load(deployments_file().read_text())
    content["deployments"] = [
        {**one, "name": f"{one['name']}-{own}"}
        for one in content["deployments"]
        if one["entrypoint"].rpartition(".")[2] in FORMER
    ]
    for one in content["deployments"]:
        for trigger in one.get("triggers", []):
            trigger["name"] += own
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def ending_with(client: SyncPrefectClient, own: str) -> list[Deployed]:
    return [one for one in read_deployed(client) if one.name.endswith(own)]


def triggers(client: SyncPrefectClient, own: str) -> list[dict[str, Any]]:
    found = client.request("POST", "/automations/filter", json={"limit": 200}).json()
    return [one for one in found if one["name"].endswith(own)]


def starting(deployment: str, name: str, **more: Any) -> dict[str, Any]:
    """An automation that starts a deployment."""
    trigger = {
        "type": "event",
        "match": {"prefect.resource.id": "barrack.instance.*"},
        "expect": ["barrack.instance.appeared"],
        "posture": "Reactive",
        "threshold": 1,
        "within": 0,
    }
    action = {"type": "run-deployment", "source": "selected", "deployment_id": deployment}
    return {"name": name, "trigger": trigger, "actions": [action], **more}


def deploy_as_before(client: SyncPrefectClient, own: str, block: str) -> dict[str, str]:
    """Make the deployments as the earlier release did; their ids by their flows."""
    made: dict[str, str] = {}
    with Records("barrack_applied_") as records:
        for function, was in FORMER.items():
            flow = client.request("POST", "/flows/", json={"name": function}).json()["id"]
            every = was["schedule"]
            times = {"interval": every, "timezone": "UTC"}
            body = {
                "flow_id": flow,
                "name": f"{was['name']}-{own}",
                "entrypoint": f"barrack_tasks.flows.{function}",
                "tags": was["tags"],
                "parameters": {**was["parameters"], "credentials": block},
                "paused": was.get("paused", False),
                "schedules": [{"schedule": times, "active": False}] if every else [],
                "work_pool_name": "barrack",
            }
            id_ = str(client.request("POST", "/deployments/", json=body).json()["id"])
            made[function] = id_
            applied = {f"parameter {k}": v for k, v in was["applied"].items()}
            applied["parameter credentials"] = block
            file_says = {"interval": 300 if every == 900 else 600, "timezone": "UTC"}
            applied["schedules"] = [{**file_says, "active": False}] if every else []
            if "trigger" in was:
                name = f"{was['trigger']}{own}"
                applied[f"trigger {name}"] = True
                owner = f"prefect.deployment.{id_}"
                switched_off = starting(id_, name, enabled=False, owner_resource=owner)
                client.request("POST", "/automations/", json=switched_off)
            records.put(f"{function}__{was['name']}_{own}", applied)
    return made


def test_what_was_changed_goes_over_to_the_new_names_and_nothing_is_doubled(
    own: str, file: Path
) -> None:
    block = f"renamed-{own}"
    account = BarrackCredentials(api_key=f"key-{own}", base_url="https://gpu.example.com/v1")
    account.save(block, _sync=True)  # type: ignore[call-arg]
    with get_client(sync_client=True) as client:
        if not client.read_work_pools():
            client.request("POST", "/work_pools/", json={"name": "barrack", "type": "process"})
        former = deploy_as_before(client, own, block)
        theirs = starting(former["hibernate"], f"theirs {own}")
        client.request("POST", "/automations/", json=theirs)
        for_tomorrow = start(former["hibernate"], select=["a"])

        apply(file, block)
        there = {one.full_name: one for one in ending_with(client, own)}
        watch = there[f"barrack-watch-balance/watch-balance-{own}"]
        budget = there[f"barrack-enforce-budget/enforce-budget-{own}"]
        hibernate = there[f"barrack-hibernate/hibernate-{own}"]
        left = there[f"hibernate/on-demand-{own}"]
        assert len(there) == 4
        assert (watch.parameters["dry_run"], watch.parameters["select"]) == (False, ["train-*"])
        assert len(watch.parameters["thresholds"]) == 3, "what nobody changed follows the release"
        assert [s["interval"] for s in watch.schedules] == [900]
        assert ("armed" in watch.tags, "dry" in watch.tags) == (True, False)
        assert f"{TOOK_OVER}{former['watch_balance']}" in watch.tags
        assert (budget.paused, budget.parameters["budgets"]) == (True, BUDGETS)
        assert "dry" in budget.tags
        assert left.paused, "a run that somebody has planned is not lost"

        automations = triggers(client, own)
        assert not any(one in str(automations) for one in former.values())
        assert len(automations) == 4, "three of the release and their own"
        [at_budgets] = [one for one in automations if "look at the budgets" in one["name"]]
        assert (at_budgets["enabled"], budget.id in str(at_budgets)) == (False, True)
        [of_theirs] = [one for one in automations if one["name"].startswith("theirs")]
        assert of_theirs["actions"][0]["deployment_id"] == hibernate.id

        run = client.read_flow_run(UUID(start(watch.id)))
        assert set(watch.tags) <= set(run.tags), "by these a run finds what was remembered"
        client.delete_flow_run(run.id)
        client.delete_flow_run(UUID(for_tomorrow))
        apply(file, block)
        after = {one.full_name: one for one in ending_with(client, own)}
        assert after == {name: one for name, one in there.items() if one is not left}
        assert len(triggers(client, own)) == 4
