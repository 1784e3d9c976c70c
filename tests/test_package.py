"""The wheel installs into an empty environment with the shipped pins, and runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import httpx
import pytest

from barrack_tasks.sandbox import Sandbox
from tests.conftest import PREFECT_AUTH
from tests.test_architecture import imports

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ROOT / ".cache" / "wheels"
PINS = ("constraints.txt", "hashes.txt", "hashes-test.txt")

SMOKE = """
from importlib.metadata import entry_points, requires, version
from barrack_tasks.api import Barrack
from barrack_tasks.sandbox import Sandbox

with Sandbox(fleet=2, speed=0) as sandbox, Barrack(sandbox.api_key, sandbox.url) as client:
    assert len(list(client.instances.list())) == 2
from barrack_tasks import BarrackCredentials
from barrack_tasks.flows import snapshot_before_stop

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
    assert tops == {"barrack_tasks"}
    assert "barrack_tasks/_deployments/prefect.yaml" in names
    assert "barrack_tasks/_flows/hibernate.py" in names
    assert "barrack_tasks/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that holds the wheel and the pinned versions alone."""
    if not WHEELS.is_dir():
        pytest.skip("no wheels at hand; `make setup` downloads them into .cache/wheels")
    folder = tmp_path_factory.mktemp("env")
    made = folder / "bin" / "python"
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    from_disk = ["--no-index", "--find-links", WHEELS, "-c", ROOT / "constraints.txt"]
    run(made, "-m", "pip", "install", "-q", *from_disk, wheel, cwd=folder)
    return made


def test_the_wheel_runs_in_an_empty_environment_with_the_pins(python: Path, tmp_path: Path) -> None:
    assert run(python, "-m", "pip", "check", cwd=tmp_path)
    assert "works" in run(python, "-c", SMOKE, cwd=tmp_path)


OWN_FLOW = """
from prefect import flow

@flow
def mine(number: int = 1) -> int:
    return number + 1
"""
BOTH = """
import flows.mine
from barrack_tasks.flows import hibernate
from prefect.flows import load_flow_from_entrypoint

assert flows.mine.mine(2) == 3
assert hibernate(select=["*"], dry_run=True).rows
assert load_flow_from_entrypoint("barrack_tasks.flows.hibernate").name == hibernate.name
assert load_flow_from_entrypoint("flows/mine.py:mine").name == "mine"
"""
DEPLOYED = """
deployments:
  - {name: theirs, entrypoint: "flows/mine.py:mine", work_pool: {name: %(pool)s}}
  - name: ours
    entrypoint: barrack_tasks.flows.hibernate
    work_pool: {name: %(pool)s}
    parameters: {select: ["*"], dry_run: true}
pull:
  - prefect.deployments.steps.set_working_directory: {directory: %(here)s}
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a package", "a namespace"])
def test_a_project_has_flows_of_its_own_beside_ours(
    python: Path, tmp_path: Path, kind: str, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "mine.py").write_text(OWN_FLOW)
    if kind == "a package":
        (tmp_path / "flows" / "__init__.py").touch()
    pool = f"own-{kind[2:]}"
    (tmp_path / "prefect.yaml").write_text(DEPLOYED % {"pool": pool, "here": tmp_path})
    with Sandbox(fleet=2, speed=0) as sandbox:
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)
        run(python, "-c", BOTH, cwd=tmp_path)
        prefect = (python, "-m", "prefect", "--no-prompt")
        run(*prefect, "work-pool", "create", pool, "--type", "process", cwd=tmp_path)
        run(*prefect, "deploy", "--all", cwd=tmp_path)
        for name in ("mine/theirs", "barrack-hibernate/ours"):
            run(*prefect, "deployment", "run", name, cwd=tmp_path)
        run(*prefect, "worker", "start", "--pool", pool, "--run-once", cwd=tmp_path)
        asked = httpx.post(
            f"{prefect_server}/flow_runs/filter",
            json={"work_pools": {"name": {"any_": [pool]}}},
            auth=PREFECT_AUTH,
        ).json()
        assert [one["state_type"] for one in asked] == ["COMPLETED"] * 2


def test_no_place_on_this_machine_and_no_registry_is_named() -> None:
    """Pins are versions, never addresses."""
    for name in (*PINS, "constraints-oldest.txt", "pyproject.toml", "Makefile", "scripts/setup.sh"):
        text = (ROOT / name).read_text()
        assert "://" not in text.replace("https://docs.", ""), f"{name} names an address"


def test_the_oldest_prefect_that_is_allowed_is_the_one_that_is_tried() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [floor] = [text for text in needed if text.startswith("prefect>=")]
    tried = (ROOT / "constraints-oldest.txt").read_text().splitlines()
    assert floor.partition(",")[0].replace(">=", "==") in tried


def test_every_pin_has_its_hashes_and_all_that_is_installed_is_pinned() -> None:
    pins = {line for line in (ROOT / PINS[0]).read_text().splitlines() if line and line[0] != "#"}
    hashed: dict[str, int] = {}
    for name in PINS[1:]:
        text = (ROOT / name).read_text().replace("\\\n", " ")
        lines = [line.split() for line in text.splitlines() if line and line[0] != "#"]
        hashed |= {line[0]: sum(w.startswith("--hash=sha256:") for w in line) for line in lines}
    assert set(hashed) == {canonical(pin) for pin in pins}
    assert all(hashed.values())
    # An environment has these whatever is pinned.
    given = {"pip", "setuptools", "wheel", "prefect-barrack"}
    installed = {canonical(f"{d.name}=={d.version}") for d in distributions()}
    assert {one for one in installed if one.partition("==")[0] not in given} <= set(hashed)


def canonical(pin: str) -> str:
    name, _, version = pin.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def test_the_bill_of_materials_names_each_package_with_licence_and_hashes(tmp_path: Path) -> None:
    file = tmp_path / "made" / "sbom.json"
    run(sys.executable, ROOT / "scripts" / "make_sbom.py", file, cwd=tmp_path)
    bill = json.loads(file.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    needed = {one["name"]: one for one in bill["components"]}
    assert {"prefect", "httpx", "pydantic", "pendulum", "pygal"} <= set(needed)
    assert "pytest" not in needed, "what only tests need is not shipped"
    assert all(one["hashes"] and one["licenses"] for one in needed.values())
    assert "LGPL" in str(needed["pygal"]["licenses"])


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    of_a_module = packages_distributions()
    imported = {
        name.split(".")[0]
        for folder in ("barrack_tasks", "flows")
        for path in (ROOT / folder).rglob("*.py")
        for name in imports(path)
    }
    needed = {
        of_a_module[name][0].lower()
        for name in imported - sys.stdlib_module_names - {"barrack_tasks", "flows"}
        if name in of_a_module
    }
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = {re.split(r"[<>=]", text)[0].lower() for text in settings["project"]["dependencies"]}
    # The core is a part of pydantic, pytest itself loads what imports pytest, a notebook has
    # IPython, and to_frame() says so where pandas is missing.
    assert needed - {"pydantic_core", "pytest", "pandas", "ipython"} == declared
