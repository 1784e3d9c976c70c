"""`barrack panic` against a real local cloud, with Prefect out of reach."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from barrack_tasks.api import Barrack
from barrack_tasks.api.models import VMStatus
from barrack_tasks.cli.answers import PanicShown
from barrack_tasks.cli.panicking import hibernate_everything, targets_of
from barrack_tasks.sandbox import Sandbox
from tests.forks import ROOT, run_in_fork

WITHOUT_PREFECT = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "prefect":
            raise ImportError("Prefect is broken today")
sys.meta_path.insert(0, Broken())
from barrack_tasks.cli import main
sys.argv = ["barrack", *sys.argv[1:]]
main()
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(fleet=0, speed=200, balance="5000") as cloud:
        for name, status in (
            ("one", "ACTIVE"),
            ("two", "ACTIVE"),
            ("parked", "SHUTOFF"),
            ("asleep", "HIBERNATED"),
            ("prod-db", "ACTIVE"),
        ):
            cloud.seed_instance(name, gpu_model="L40", status=status)
        yield cloud


def panic(sandbox: Sandbox, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **sandbox.env, "COLUMNS": "120", **env}
    return run_in_fork("panic", *arguments, env=env)


def states(sandbox: Sandbox) -> dict[str, str]:
    return {i["name"]: i["status"] for i in sandbox.state()["instances"]}


def test_everything_unprotected_is_hibernated_without_prefect(sandbox: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PREFECT, "panic", "--yes"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **sandbox.env, "COLUMNS": "120", "BARRACK_PROTECT": "prod-*"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = states(sandbox)
    assert found.pop("prod-db") == "ACTIVE"
    assert set(found.values()) == {"HIBERNATED"}
    assert "left alone: protected" in done.stdout
    assert "3 hibernated; no unprotected instance is left running" in done.stdout


def test_lines_of_json_say_what_happens_and_what_is_left(sandbox: Sandbox) -> None:
    asked = panic(sandbox, "--json")
    assert asked.returncode == 1
    assert states(sandbox)["one"] == "ACTIVE"
    done = panic(sandbox, "--json", "--yes", BARRACK_PROTECT="prod-*")
    assert done.returncode == 0, done.stdout + done.stderr
    for text, ok in ((asked.stdout, False), (done.stdout, True)):
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            PanicShown.model_validate(line)
        of_instances = [line for line in lines if line["kind"] == "instance"]
        assert {line["name"] for line in of_instances} == states(sandbox).keys()
        assert (lines[-1]["kind"], lines[-1]["ok"]) == ("end", ok)


def test_it_asks_before_it_does_anything(sandbox: Sandbox) -> None:
    done = panic(sandbox)
    assert done.returncode == 1
    assert "--yes" in done.stdout
    assert "Nothing was done" in done.stdout
    assert states(sandbox)["one"] == "ACTIVE"


def test_a_misspelt_protection_stops_it_before_it_begins(sandbox: Sandbox) -> None:
    done = panic(sandbox, "--yes", "--protect", "prod-bd")
    assert done.returncode == 2
    assert "nearest is prod-db" in done.stderr
    assert states(sandbox)["one"] == "ACTIVE"


def test_a_name_in_the_environment_that_is_gone_is_told_and_stops_nothing(
    sandbox: Sandbox,
) -> None:
    done = panic(sandbox, "--yes", BARRACK_PROTECT="prod-db, old-machine, two")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no instance is called 'old-machine'" in done.stdout
    found = states(sandbox)
    assert {found["prod-db"], found["two"]} == {"ACTIVE"}
    assert {found["one"], found["parked"]} == {"HIBERNATED"}


@pytest.mark.slow
def test_it_goes_on_through_an_api_that_fails_and_says_what_is_left(sandbox: Sandbox) -> None:
    sandbox.seed_instance("big", gpu_model="H100-SXM5-80GB", gpu_count=8)
    sandbox.fault("status", operation="list_instances", status=503, after=1, count=4)
    sandbox.fault("status", operation="hibernate_instance", status=500, count=2)
    done = panic(sandbox, "--yes", "--protect", "prod-*")
    assert done.returncode == 1
    assert "NOT hibernated, and burning 21.52 USD an hour: big" in done.stdout
    found = states(sandbox)
    assert {found[n] for n in ("one", "two", "parked")} == {"HIBERNATED"}


def test_nothing_is_left_to_do_a_second_time(sandbox: Sandbox) -> None:
    assert panic(sandbox, "--yes", "--protect", "prod-*").returncode == 0
    again = panic(sandbox, "--yes", "--protect", "prod-*")
    assert again.returncode == 0
    assert "Nothing is left to hibernate" in again.stdout


@pytest.mark.slow
def test_what_cannot_be_seen_again_is_asked_to_hibernate_and_never_called_done(
    sandbox: Sandbox,
) -> None:
    sandbox.fault("status", operation="list_instances", status=403, after=1, count=None)
    done = panic(sandbox, "--yes", "--protect", "prod-*", "--minutes", "0.05")
    assert done.returncode == 1
    assert "no unprotected instance is left running" not in done.stdout
    assert "NOT hibernated" in done.stdout
    assert {"one", "two", "parked"} <= set(done.stdout.rpartition(": ")[2].strip().split(", "))
    found = states(sandbox)
    assert found["prod-db"] == "ACTIVE"
    assert {found[n] for n in ("one", "two")} <= {"HIBERNATING", "HIBERNATED"}


ODD = ("[/red]", "[bold]x", ":smile:", "bell\x07\x1b[2J", "lone \udc80 half")
"""Names that are markup of the display, an emoji's, a terminal's commands, and no text at all."""


def rename(sandbox: Sandbox, instance_id: str, name: str) -> None:
    """Give an instance a name that this cloud's own rules, which are guesses, do not allow."""
    assert sandbox._server is not None
    machine = sandbox._server.config.app.world.machines.ever(instance_id)
    machine.name = name


def test_odd_names_show_as_they_are_and_stop_nothing(sandbox: Sandbox) -> None:
    for number, name in enumerate(ODD):
        rename(sandbox, sandbox.seed_instance(f"odd-{number}", gpu_model="L40"), name)
    done = panic(sandbox, "--yes", "--protect", "prod-*")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = ("[/red]", "[bold]x", ":smile:", r"bell\x07\x1b[2J", r"lone \udc80 half")
    assert [name for name in shown if f"{name}: done" not in done.stdout] == []
    found = states(sandbox)
    assert {found[name] for name in ODD} == {"HIBERNATED"}


def test_no_name_and_no_state_makes_a_line_of_its_own(sandbox: Sandbox) -> None:
    rename(sandbox, sandbox.seed_instance("odd", gpu_model="L40"), "odd\nFORGED name")
    odd = sandbox.seed_instance("strange", gpu_model="L40")
    assert sandbox._server is not None
    sandbox._server.config.app.world.machines.ever(odd).status = VMStatus("ACTIVE\nFORGED state")
    with Barrack(sandbox.api_key, sandbox.url) as client:
        targets, _ = targets_of(list(client.instances.list()), ["prod-*"], datetime.now(UTC))
        told: list[str] = []
        hibernate_everything(client, targets, ["prod-*"], timedelta(seconds=2), told.append)
    assert {"odd FORGED name", "FORGED state"} <= {
        shown for line in told for shown in ("odd FORGED name", "FORGED state") if shown in line
    }
    assert [line for line in told if "\n" in line] == []


def start(sandbox: Sandbox, stdout: int, **env: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT_PREFECT, "panic", "--yes", "--protect", "prod-*"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **sandbox.env, **env},
    )


def all_is_hibernated(sandbox: Sandbox) -> bool:
    return {s for name, s in states(sandbox).items() if name != "prod-db"} == {"HIBERNATED"}


@pytest.mark.slow
@pytest.mark.parametrize("output", ["full", "unread", "gone", "ascii"])
def test_an_output_that_fails_or_hangs_does_not_stop_it(sandbox: Sandbox, output: str) -> None:
    for number in range(40):
        id_ = sandbox.seed_instance(f"odd-{number}", gpu_model="L40")
        rename(sandbox, id_, f"\u00fcber-{number}")
    reads, writes = os.pipe()
    fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, 4096)
    if output == "full":
        writes = os.open("/dev/full", os.O_WRONLY)
    if output == "ascii":
        writes = os.open(os.devnull, os.O_WRONLY)
    if output == "gone":
        os.close(reads)
    child = start(sandbox, writes, PYTHONIOENCODING="ascii" if output == "ascii" else "utf-8")
    os.close(writes)
    assert child.wait(120) == 0
    assert all_is_hibernated(sandbox)
