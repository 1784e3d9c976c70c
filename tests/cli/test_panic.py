"""`barrack panic` against a real local cloud, with Prefect out of reach."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from barrack_tasks.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
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
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_PREFECT, "panic", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **sandbox.env, "COLUMNS": "120", **env},
    )


def states(sandbox: Sandbox) -> dict[str, str]:
    return {i["name"]: i["status"] for i in sandbox.state()["instances"]}


def test_everything_unprotected_is_hibernated_without_prefect(sandbox: Sandbox) -> None:
    done = panic(sandbox, "--yes", BARRACK_PROTECT="prod-*")
    assert done.returncode == 0, done.stdout + done.stderr
    found = states(sandbox)
    assert found.pop("prod-db") == "ACTIVE"
    assert set(found.values()) == {"HIBERNATED"}
    assert "left alone: protected" in done.stdout
    assert "3 hibernated, nothing unprotected is left running" in done.stdout


def test_it_asks_before_it_does_anything(sandbox: Sandbox) -> None:
    done = panic(sandbox)
    assert done.returncode == 1
    assert "--yes" in done.stdout
    assert "Nothing was done" in done.stdout
    assert states(sandbox)["one"] == "ACTIVE"


def test_a_misspelt_protection_stops_it_before_it_begins(sandbox: Sandbox) -> None:
    done = panic(sandbox, "--yes", "--protect", "prod-bd")
    assert done.returncode == 2
    assert "nearest are prod-db" in done.stderr
    assert states(sandbox)["one"] == "ACTIVE"


def test_it_goes_on_through_an_api_that_fails_and_says_what_is_left(sandbox: Sandbox) -> None:
    sandbox.seed_instance("big", gpu_model="H100-SXM5-80GB", gpu_count=8)
    sandbox.fault("status", operation="list_instances", status=503, after=1, count=4)
    sandbox.fault("status", operation="hibernate_instance", status=500, count=2)
    done = panic(sandbox, "--yes", "--protect", "prod-*")
    assert done.returncode == 1
    assert "NOT hibernated, and burning 21.52 an hour: big" in done.stdout
    found = states(sandbox)
    assert {found[n] for n in ("one", "two", "parked")} == {"HIBERNATED"}


def test_nothing_is_left_to_do_a_second_time(sandbox: Sandbox) -> None:
    assert panic(sandbox, "--yes", "--protect", "prod-*").returncode == 0
    again = panic(sandbox, "--yes", "--protect", "prod-*")
    assert again.returncode == 0
    assert "Nothing is left to hibernate" in again.stdout


def test_what_cannot_be_seen_again_is_asked_to_hibernate_and_never_called_done(
    sandbox: Sandbox,
) -> None:
    sandbox.fault("status", operation="list_instances", status=403, after=1, count=None)
    done = panic(sandbox, "--yes", "--protect", "prod-*", "--minutes", "0.05")
    assert done.returncode == 1
    assert "nothing unprotected is left running" not in done.stdout
    assert "NOT hibernated" in done.stdout
    assert {"one", "two", "parked"} <= set(done.stdout.rpartition(": ")[2].strip().split(", "))
    found = states(sandbox)
    assert found["prod-db"] == "ACTIVE"
    assert {found[n] for n in ("one", "two")} <= {"HIBERNATING", "HIBERNATED"}
