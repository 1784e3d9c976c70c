"""The wheel installs into an empty environment with the shipped pins, and runs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / ".cache" / "wheels"

SMOKE = """
from importlib.metadata import entry_points, requires, version
from barrack_tasks.api import Barrack
from barrack_tasks.sandbox import Sandbox

with Sandbox(fleet=2, speed=0) as sandbox, Barrack(sandbox.api_key, sandbox.url) as client:
    assert len(list(client.instances.list())) == 2
from barrack_tasks import BarrackCredentials
from flows.snapshot_before_stop import snapshot_before_stop

[point] = [p for p in entry_points(group="prefect.collections") if "barrack" in p.name]
assert point.load().BarrackCredentials is BarrackCredentials
print("works", version("prefect-barrack"))
"""


def run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {
        "barrack_tasks",
        "deployments",
        "flows",
    }
    assert "deployments/prefect.yaml" in names
    assert "barrack_tasks/py.typed" in names
    assert "flows/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_runs_in_an_empty_environment_with_the_pins(wheel: Path, tmp_path: Path) -> None:
    if not WHEELS.is_dir():
        pytest.skip("no wheels at hand; `make setup` downloads them into .cache/wheels")
    python = tmp_path / "env" / "bin" / "python"
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    from_disk = ["--no-index", "--find-links", WHEELS, "-c", ROOT / "constraints.txt"]
    run(python, "-m", "pip", "install", "-q", *from_disk, wheel, cwd=tmp_path)
    assert run(python, "-m", "pip", "check", cwd=tmp_path)
    assert "works" in run(python, "-c", SMOKE, cwd=tmp_path)


def test_no_place_on_this_machine_and_no_registry_is_named() -> None:
    """Pins are versions, never addresses."""
    for name in ("constraints.txt", "pyproject.toml", "Makefile", "scripts/setup.sh"):
        text = (ROOT / name).read_text()
        assert "://" not in text.replace("https://docs.", ""), f"{name} names an address"
