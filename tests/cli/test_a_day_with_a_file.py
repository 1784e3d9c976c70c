"""The day of a new user: init, edit, check, plan, apply, a change by hand, drift, arm, run."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks import BarrackCredentials
from barrack_tasks.cli import main
from barrack_tasks.cli.applying import _pages
from barrack_tasks.config.tags import owner_of
from barrack_tasks.sandbox import Sandbox
from tests.deployments import playing
from tests.deployments.playing import change, start, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def account(prefect_server: str) -> Iterator[tuple[Sandbox, str]]:
    with Sandbox(fleet=0, speed=120, balance="5000") as sandbox:
        for name in ("train-1", "train-2", "prod-1"):
            sandbox.seed_instance(name, gpu_model="L40")
        block = f"day-{uuid.uuid4().hex[:8]}"
        BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url).save(
            block,
            _sync=True,  # type: ignore[call-arg]
        )
        yield sandbox, block
    with get_client(sync_client=True) as client:
        for one in of_file(block):
            client.delete_deployment(UUID(one["id"]))


def of_file(name: str) -> list[dict[str, Any]]:
    with get_client(sync_client=True) as client:
        return [one for one in _pages(client) if owner_of(one["tags"]) == name]


Barrack = Callable[..., str]


@pytest.fixture
def barrack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Barrack:
    """Runs a command, which must end with a code; gives what it said."""

    def run(expected: int, *words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["barrack", *words])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        assert end.value.code == expected, told.out + told.err
        return told.out

    return run


def states(sandbox: Sandbox) -> dict[str, str]:
    return {one["name"]: one["status"] for one in sandbox.state()["instances"]}


def test_a_new_user_writes_plans_applies_arms_and_runs_a_file(
    account: tuple[Sandbox, str], barrack: Barrack, tmp_path: Path
) -> None:
    sandbox, block = account
    file = tmp_path / "barrack.yaml"
    barrack(0, "init", str(file), "--credentials", block)
    barrack(0, "check", str(file))
    # Three sections are enough for the first day.
    text = file.read_text().partition("# Deletes old snapshots")[0]
    text = text.replace("protect: []", "protect: [prod-*]")
    text = text.replace("Mon-Fri 08:00-20:00 Europe/Berlin", "never")
    text = text.replace(
        "timetables:\n  armed: false", "timetables:\n  armed: false\n  strict: true\n  adopt: now"
    )
    file.write_text(text)

    said = barrack(2, "plan", str(file), "--detailed-exitcode")
    assert "(dry), if it ran now:" in said
    barrack(0, "apply", str(file), "--yes")
    assert len(of_file(block)) == 3
    assert "The server is as the file says." in barrack(0, "plan", str(file), "--detailed-exitcode")
    assert set(states(sandbox).values()) == {"ACTIVE"}, "all of it is dry"

    # Somebody changes a parameter in the UI.
    [schedule] = [one for one in of_file(block) if one["entrypoint"].endswith("follow_schedule")]
    change(schedule, parameters={**schedule["parameters"], "at_once": 3})
    drift = json.loads(barrack(2, "plan", str(file), "--detailed-exitcode", "--json"))
    [changed] = drift["changes"]
    [difference] = changed["differences"]
    assert (changed["action"], difference["name"]) == ("keep", "parameter at_once")
    assert (difference["old"], difference["new"], difference["kept"]) == (3, None, True)
    barrack(0, "apply", str(file), "--yes", "--overwrite")
    assert "The server is as the file says." in barrack(0, "plan", str(file), "--detailed-exitcode")

    # Arming shows what would be done, instance by instance.
    file.write_text(
        file.read_text().replace("timetables:\n  armed: false", "timetables:\n  armed: true")
    )
    plan = json.loads(barrack(2, "plan", str(file), "--detailed-exitcode", "--json"))
    [now] = [one for one in plan["now"] if one["section"] == "timetables"]
    promised = {row["instance"] for row in now["rows"] if row["outcome"] == "planned"}
    assert (now["armed"], promised) == (True, {"train-1", "train-2"})
    assert now["hourly"].startswith("-")
    barrack(0, "apply", str(file), "--yes")
    [schedule] = [one for one in of_file(block) if one["entrypoint"].endswith("follow_schedule")]
    assert "armed" in schedule["tags"]
    assert [one["active"] for one in schedule["schedules"]] == [True]

    with playing.worker(sandbox):
        assert wait_for(start(schedule["id"])) == "Completed"
    assert states(sandbox) == {
        "train-1": "HIBERNATED",
        "train-2": "HIBERNATED",
        "prod-1": "ACTIVE",
    }
    after = json.loads(barrack(0, "plan", str(file), "--detailed-exitcode", "--json"))
    [now] = [one for one in after["now"] if one["section"] == "timetables"]
    assert not any(row["outcome"] == "planned" for row in now["rows"])
