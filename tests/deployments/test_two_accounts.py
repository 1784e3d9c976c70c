"""Deployments of two accounts on one server: whose they are, and whose events they take."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli import deployments as deploying
from barrack_tasks.cli.deployments import (
    Deployed,
    _deploy,
    apply,
    check_place,
    deployments_file,
    read_deployed,
)
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.events import Happening, on
from flows.watch_account import watch_account
from tests.deployments.playing import change
from tests.flows.conftest import cloud, events_about

__all__ = ["cloud"]
OF_A = "https://gpu.example.com/v1"
GUARD = "enforce_budget"


@pytest.fixture
def file(prefect_server: str, tmp_path: Path) -> Iterator[Path]:
    """One of the library's guards, with a trigger, under names of this test."""
    content = yaml.safe_load(deployments_file().read_text())
    own = uuid.uuid4().hex[:6]
    content["deployments"] = [
        {**one, "name": f"{one['name']}-{own}"}
        for one in content["deployments"]
        if one["entrypoint"].endswith(GUARD)
    ]
    for trigger in content["deployments"][0]["triggers"]:
        trigger["name"] += own
    path = tmp_path / "prefect.yaml"
    path.write_text(yaml.safe_dump(content))
    yield path
    with get_client(sync_client=True) as client:
        for one in read_deployed(client):
            if own in one.name:
                client.delete_deployment(UUID(one.id))


def saved() -> str:
    """A block with a key of its own."""
    name = f"two-{uuid.uuid4().hex[:6]}"
    account = BarrackCredentials(api_key=f"key-{uuid.uuid4().hex}", base_url=OF_A)
    account.save(name, _sync=True)  # type: ignore[call-arg]
    return name


def here(file: Path) -> list[Deployed]:
    name = yaml.safe_load(file.read_text())["deployments"][0]["name"]
    with get_client(sync_client=True) as client:
        return [one for one in read_deployed(client) if one.name.startswith(name)]


def triggers_of(file: Path) -> dict[str, Any]:
    """Accounts whose events the triggers take, by the trigger's name."""
    own = yaml.safe_load(file.read_text())["deployments"][0]["triggers"][0]["name"]
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/automations/filter", json={"limit": 200}).json()
    return {
        one["name"]: one["trigger"]["match_related"]["prefect.resource.id"]
        for one in found
        if one["name"].startswith(own)
    }


@pytest.mark.slow
def test_deployments_of_one_account_are_not_moved_to_another_unasked(file: Path) -> None:
    a, b = saved(), saved()
    apply(file, a)
    [armed] = here(file)
    change({"id": armed.id}, parameters={**armed.parameters, "dry_run": False})
    with pytest.raises(
        BarrackConfigurationError, match=f"belong to the account of the block '{a}'"
    ):
        apply(file, b)
    [left] = here(file)
    assert (left.parameters["credentials"], left.parameters["dry_run"]) == (a, False)

    apply(file, b, "beside")
    of_a, of_b = sorted(here(file), key=lambda one: len(one.name))
    assert of_a == left, "the other account is guarded as before"
    assert of_b.name == f"{of_a.name}-{b}"
    assert (of_b.parameters["credentials"], of_b.parameters["dry_run"]) == (b, True)
    accounts = {BarrackCredentials.find(name).account for name in (a, b)}
    assert {f"barrack.account.{one}" for one in accounts} == set(triggers_of(file).values())

    apply(file, b)
    apply(file, a)
    assert len(here(file)) == 2, "each goes on with its own"
    of_a = sorted(here(file), key=lambda one: len(one.name))[0]
    assert of_a.tags[-1] == "armed", "a tag tells what somebody has set by hand, too"
    assert replace(of_a, tags=left.tags) == left


@pytest.mark.slow
def test_what_is_moved_outright_is_a_dry_run_again(file: Path) -> None:
    a, b = saved(), saved()
    apply(file, a)
    [one] = here(file)
    budgets = [{"per": "month", "hard": 7}]
    change({"id": one.id}, parameters={**one.parameters, "dry_run": False, "budgets": budgets})
    apply(file, b, "move")
    [moved] = here(file)
    assert moved.parameters == {"credentials": b, "dry_run": True, "budgets": budgets}
    assert set(triggers_of(file).values()) == {
        f"barrack.account.{BarrackCredentials.find(b).account}"
    }


@pytest.mark.slow
@pytest.mark.parametrize("another", ["refuse", "beside"])
def test_deployments_belong_to_the_account_that_they_run_for_now(
    file: Path, another: Literal["refuse", "beside"]
) -> None:
    """Whoever wrote them: the parameter says for whom they act."""
    a, b, stranger = saved(), saved(), saved()
    if another == "beside":
        apply(file, stranger)
    apply(file, a, another)
    [own] = [one for one in here(file) if one.parameters["credentials"] == a]
    change({"id": own.id}, parameters={**own.parameters, "credentials": b, "dry_run": False})
    before = here(file)
    with pytest.raises(BarrackConfigurationError, match=f"the account of the block '{b}'"):
        apply(file, a)
    with pytest.raises(BarrackConfigurationError, match=f"the account of the block '{b}'"):
        check_place(file, BarrackCredentials.find(a).account, a)
    assert here(file) == before
    apply(file, a, "move")
    [back] = [one for one in here(file) if one.id == own.id]
    assert (back.parameters["credentials"], back.parameters["dry_run"]) == (a, True)
    assert len(here(file)) == len(before)


@pytest.mark.slow
def test_what_a_first_time_that_was_cut_off_left_is_told_as_such(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = saved(), saved()
    content = yaml.safe_load(file.read_text())
    [one] = content["deployments"]
    file.write_text(
        yaml.safe_dump(
            {**content, "deployments": [one, {**one, "name": f"{one['name']}x", "triggers": []}]}
        )
    )

    def cut_off(content: dict[str, Any]) -> None:
        _deploy({**content, "deployments": content["deployments"][:1]})
        raise KeyboardInterrupt

    with monkeypatch.context() as here_:
        here_.setattr(deploying, "_deploy", cut_off)
        with pytest.raises(KeyboardInterrupt):
            apply(file, a)
    with pytest.raises(
        BarrackConfigurationError, match=f"'{a}', whose `barrack up` was interrupted"
    ):
        check_place(file, BarrackCredentials.find(b).account, b)
    apply(file, a)
    assert len(here(file)) == 2
    with pytest.raises(BarrackConfigurationError) as refused:
        check_place(file, BarrackCredentials.find(b).account, b)
    assert "interrupted" not in str(refused.value)


@pytest.mark.slow
def test_a_rotated_key_is_no_other_account(file: Path) -> None:
    name = saved()
    apply(file, name)
    other = BarrackCredentials(api_key=f"key-{uuid.uuid4().hex}", base_url=OF_A)
    other.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    apply(file, name)
    assert len(here(file)) == 1


def test_an_event_of_a_flow_carries_its_account(cloud: Any) -> None:
    """So that no trigger of another account takes it."""
    sandbox: Sandbox = cloud(fleet=1)
    account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
    watch_account(credentials=account)
    id_ = sandbox.seed_instance(f"made-{uuid.uuid4().hex[:6]}", gpu_model="L40")
    heard: list[Happening] = []
    with on("barrack.instance.appeared", heard.append):
        watch_account(credentials=account)
    assert [one.account for one in heard] == [account.account]
    [event] = events_about(f"barrack.instance.{id_}", "barrack.instance.appeared")
    assert {
        "prefect.resource.id": f"barrack.account.{account.account}",
        "prefect.resource.role": "account",
    } in event["related"]
