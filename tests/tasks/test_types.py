"""What mypy makes of calls of the tasks, which have the types of the client's methods."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import barrack_tasks
from barrack_tasks.api import models

ROOT = Path(__file__).resolve().parents[2]
CALLS = """
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture

from barrack_tasks import BarrackCredentials, create_volume, guarded_restore, list_instances
from barrack_tasks import stop_instance, with_approval
from barrack_tasks.api.models import UserVM, VMResponse, VolumeResponse


def calls(account: BarrackCredentials) -> None:
    stopped: VMResponse = stop_instance(account, "BRK-A1B2C3D")
    stopped = stop_instance("a saved one", instance_id="BRK-A1B2C3D")
    stopped = stop_instance(None, "BRK-A1B2C3D")
    later: PrefectFuture[VMResponse] = stop_instance.submit(account, "BRK-A1B2C3D")
    pages: list[UserVM] = list_instances(account, status="ACTIVE")
    volume: VolumeResponse = create_volume(account, "data", 10, "CANADA-1")
    pages = list_instances(status="ACTIVE")
    stopped = stop_instance(instance_id="BRK-A1B2C3D")
    looked: PrefectFuture[list[UserVM]] = list_instances.submit()
    stopped = guarded_restore(caps=None, instance_id="BRK-A1B2C3D")
    stopped = with_approval(guarded_restore, account, {"burn": 10}, "BRK-A1B2C3D")
    state: State[VMResponse] = stop_instance(account, "BRK-A1B2C3D", return_state=True)
    stop_instance()  # wrong: the instance is missing
    list_instances(5)  # wrong: a number is no account
    stop_instance(account)  # wrong: the instance is missing
    stop_instance(5, "BRK-A1B2C3D")  # wrong: a number is no account
    stop_instance(account, 5)  # wrong: an id is text
    stop_instance(account, "BRK-A1B2C3D", force=True)  # wrong: there is no such parameter
    stop_instance.submit(account, name="alpha")  # wrong: nor is there when it is submitted
    create_volume(account, "data", "10", "CANADA-1")  # wrong: a size is a number
    volume = stop_instance(account, "BRK-A1B2C3D")  # wrong: it gives something else
"""


def errors(file: Path, text: str) -> dict[int, str]:
    """What mypy has against a text, by line."""
    file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(rf"{file.name}:(\d+): error: (.*)", done.stdout)
    return {int(line): said for line, said in found}


@pytest.mark.slow
def test_a_wrong_argument_is_a_type_error(tmp_path: Path) -> None:
    wrong = {n for n, line in enumerate(CALLS.splitlines(), 1) if "# wrong" in line}
    assert set(errors(tmp_path / "calls.py", CALLS)) == wrong


@pytest.mark.slow
def test_mypy_finds_every_name_where_it_is_said_to_be(tmp_path: Path) -> None:
    lines = [
        *(f"from barrack_tasks import {name}" for name in barrack_tasks.__all__),
        *(f"from barrack_tasks.api.models import {name}" for name in models.__all__),
        "from barrack_tasks import Task, launch_instance",
        "from barrack_tasks.api.models import Annotated, base",
    ]
    last = len(lines)
    assert set(errors(tmp_path / "names.py", "\n".join(lines))) == {last - 1, last}
