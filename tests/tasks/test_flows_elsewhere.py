"""Flows that are sent to another process, or deployed to another machine."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest
from prefect import flow
from prefect.flows import load_flow_from_entrypoint

from barrack_tasks import flows
from barrack_tasks.runtime.state_hooks import tell_state

ROOT = Path(__file__).resolve().parents[2]
LOAD = """
import base64, pickle, sys
flow = pickle.loads(base64.b64decode(sys.stdin.read()))
print(flow.name, flow.validate_parameters({"select": ["a"], "dry_run": True})["dry_run"])
print([hook.__name__ for hook in flow.on_failure_hooks], type(flow).__name__, flow.description)
"""


@pytest.mark.parametrize("name", flows.__all__)
def test_a_flow_is_pickled_with_its_function_by_name(name: str) -> None:
    flow_ = getattr(flows, name)
    again = cloudpickle.loads(cloudpickle.dumps(flow_.with_options(retries=3)))
    assert again.fn is flow_.fn
    assert (again.retries, flow_.retries) == (3, 0)


@pytest.mark.slow
def test_another_process_reads_parameters_and_keeps_options() -> None:
    """The runner of `serve` sends the flow, and the process knows nothing else."""
    sent = flows.hibernate.with_options(on_failure=[tell_state("team")], description="mine")
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=base64.b64encode(cloudpickle.dumps(sent)).decode(),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "barrack-hibernate True",
        "['tell_state_team'] _BarrackFlow mine",
    ]


@pytest.mark.parametrize("name", flows.__all__)
def test_a_deployment_names_a_module_that_every_machine_has(name: str) -> None:
    flow_ = getattr(flows, name)
    for one in (flow_, flow_.with_options(retries=3)):
        entrypoint = one.to_deployment("mine").entrypoint
        assert entrypoint == f"barrack_tasks.flows.{name}"
    assert load_flow_from_entrypoint(entrypoint) is flow_


def test_an_asynchronous_caller_deploys_by_the_module_too() -> None:
    made = asyncio.run(flows.hibernate.ato_deployment("mine"))
    assert made.entrypoint == "barrack_tasks.flows.hibernate"


def test_who_asks_for_a_path_has_a_path() -> None:
    from prefect.deployments.runner import EntrypointType

    made = flows.hibernate.to_deployment("mine", entrypoint_type=EntrypointType.FILE_PATH)
    assert made.entrypoint.endswith("flows.py:hibernate")
    assert load_flow_from_entrypoint(made.entrypoint).name == "barrack-hibernate"


def test_a_flow_of_ones_own_stays_as_prefect_has_it() -> None:
    @flow
    def own() -> None: ...

    assert ":" in str(own.to_deployment("mine").entrypoint)  # type: ignore[union-attr]
