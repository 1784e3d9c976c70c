"""`barrack deployments export` prints what `prefect deploy` takes, with what people changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate

from barrack_tasks.cli.deployments import apply, deployments_file
from barrack_tasks.sandbox import Sandbox
from tests.deployments.playing import ROOT, barrack, change, deployments, start, wait_for
from tests.flows.conftest import account_of, cloud

__all__ = ["cloud"]
IMAGE = "registry.example.com/team/barrack:1"


@pytest.mark.usefixtures("no_deployments")
@pytest.mark.slow
def test_what_is_exported_is_deployed_as_it_is(
    cloud: Callable[..., Sandbox], tmp_path: Path
) -> None:
    sandbox = cloud(dialect=None)
    account_of(sandbox).save("barrack", overwrite=True, _sync=True)  # type: ignore[call-arg]
    apply(deployments_file(), "barrack")
    watch = deployments()["watch_balance"]
    change(watch, parameters={**watch["parameters"], "select": ["only-this"]})
    done = barrack("deployments", "export", "--pool", "elsewhere", "--image", IMAGE)
    assert done.returncode == 0, done.stderr
    content = yaml.safe_load(done.stdout)
    assert len(content["deployments"]) == len(deployments())
    assert sandbox.api_key not in done.stdout
    file = tmp_path / "prefect.yaml"
    file.write_text(done.stdout)
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="elsewhere", type="docker"))
    words = ["--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    deployed = subprocess.run(
        [sys.executable, "-m", "prefect", *words],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    after = deployments()
    assert {one["work_pool_name"] for one in after.values()} == {"elsewhere"}
    assert {one["job_variables"]["image"] for one in after.values()} == {IMAGE}
    assert {one["entrypoint"] for one in after.values()} == {
        f"barrack_tasks.flows.{flow}" for flow in after
    }
    assert after["watch_balance"]["parameters"]["select"] == ["only-this"]
    assert after["watch_balance"]["id"] == watch["id"]
    assert after["watch_balance"]["parameters"]["credentials"] == "barrack"
    # A container of such a pool runs this, with the address of Prefect's API and nothing else.
    run = start(after["hibernate"]["id"], select=["*"], dry_run=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    executed = subprocess.run(
        [sys.executable, "-m", "prefect", "flow-run", "execute", run],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert executed.returncode == 0, executed.stdout + executed.stderr
    assert wait_for(run) == "Completed"
