"""Every operation has a task and a client method, and they agree with each other."""

from __future__ import annotations

import csv
import inspect
import string
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE
from pydantic_core import PydanticUndefined

import barrack_tasks
from barrack_tasks.api import Barrack
from barrack_tasks.api.operations import OPERATIONS
from docs.generate.reference import Trail, client_call

ROOT = Path(__file__).parent.parent.parent
ROWS = list(csv.DictReader((ROOT / "tests" / "data" / "barrack-operations.csv").open()))
NAMES = [row["task"] for row in ROWS]
HELPERS = {"volumes.next_name"}
"""Methods of the client that are no operation of their own."""

every_task = pytest.mark.parametrize("name", NAMES)


def task_of(name: str) -> Task[..., Any]:
    task: Task[..., Any] = getattr(barrack_tasks, name)
    return task


def parameters_of(name: str) -> dict[str, inspect.Parameter]:
    """All parameters but the account."""
    parameters = dict(inspect.signature(task_of(name).fn).parameters)
    del parameters["credentials"]
    return parameters


def method_of(client: Barrack, path: str) -> Any:
    found: Any = client
    for part in path.split("."):
        found = getattr(found, part)
    return found


def test_there_are_the_tasks_of_the_reference_and_few_others() -> None:
    assert len(NAMES) == 68
    own = [
        *("ApprovalNeeded", "AppriseUrl", "BarrackCredentials", "BarrackError", "Caps"),
        *("GuardRefused", "Report", "Rule", "SelectionError", "Selector", "Threshold", "Want"),
        *("WorkFailed", "ask_approval", "create_when_available", "get_instance_by_name"),
        *("guarded_create_instance", "guarded_restore", "on", "tell_state", "with_approval"),
        *("ApiProbe", "Idleness", "Leftover", "Lifetime", "PrometheusProbe", "SshProbe"),
        *("extend_lease", "hibernate_when_done", "keep_awake", "lease_instance", "release_lease"),
        *("set_owner", "wake"),
    ]
    assert sorted(barrack_tasks.__all__) == sorted([*NAMES, *own])
    assert set(NAMES) <= set(dir(barrack_tasks))


@every_task
def test_it_is_a_synchronous_task_of_its_name(name: str) -> None:
    task = task_of(name)
    assert isinstance(task, Task)
    assert task.name == name == task.fn.__name__
    assert not task.isasync
    assert not task.isgenerator


@every_task
def test_prefect_neither_repeats_nor_caches_it(name: str) -> None:
    task = task_of(name)
    assert task.retries == 0
    assert task.cache_policy == NO_CACHE
    assert task.persist_result is False


@every_task
def test_its_first_parameter_is_the_account(name: str) -> None:
    first = next(iter(inspect.signature(task_of(name).fn).parameters.values()))
    assert (first.name, first.annotation) == ("credentials", "Account")
    needed = [p for p in parameters_of(name).values() if p.default is p.empty]
    assert first.default is (first.empty if needed else None)


@every_task
def test_one_limit_of_prefects_holds_over_all(name: str) -> None:
    assert task_of(name).tags == {"barrack"}


@every_task
def test_its_run_is_named_after_what_it_is_about(name: str) -> None:
    template = task_of(name).task_run_name
    parameters = parameters_of(name)
    if all(p.default is not p.empty for p in parameters.values()):
        return
    assert isinstance(template, str)
    fields = {field for _, field, _, _ in string.Formatter().parse(template) if field}
    assert fields
    assert fields <= set(parameters)
    assert (
        {p for p in parameters if p.endswith(("_id", "_ids"))} & fields
        or "name" in fields
        or (name in ("quote_price", "chat"))
    )
    # What is left out has a default that can be shown.
    given = {p: v.default if v.default is not v.empty else "X" for p, v in parameters.items()}
    assert template.format(**given)


@every_task
def test_its_parameters_are_those_of_the_operation(name: str) -> None:
    operation = OPERATIONS[name]
    fields = operation.request.model_fields if operation.request else {}
    parameters = parameters_of(name)
    assert set(parameters) == {*operation.path_parameters, *operation.query, *fields}
    for parameter in parameters.values():
        assert parameter.kind is not parameter.VAR_KEYWORD
        assert parameter.annotation not in (parameter.empty, "Any")
        if parameter.name in operation.path_parameters:
            assert parameter.default is parameter.empty
        elif parameter.name in operation.query:
            assert parameter.default is None
        else:
            assert same_default(parameter, fields[parameter.name])


def same_default(parameter: inspect.Parameter, field: Any) -> bool:
    if field.is_required():
        return parameter.default is parameter.empty
    default = field.get_default(call_default_factory=True)
    assert default is not PydanticUndefined
    if parameter.name == "remote_ip_prefix":  # what it is without one depends on the IP version
        return parameter.default is None
    if isinstance(default, list):
        return list(parameter.default) == default
    if isinstance(default, Enum):
        return parameter.default is default
    return bool(parameter.default == default)


@every_task
def test_a_method_of_the_client_takes_the_same(name: str) -> None:
    """Each parameter goes on to the one it is meant for, with the same default."""
    path, args, kwargs = client_call(task_of(name))
    with Barrack("any-key") as client:
        method = method_of(client, path)
    ours, theirs = parameters_of(name), inspect.signature(method).parameters
    assert {p: (v.kind, v.default, v.annotation) for p, v in ours.items()} == {
        p: (v.kind, v.default, v.annotation) for p, v in theirs.items()
    }
    bound = inspect.signature(method).bind(*args, **kwargs).arguments
    assert bound == {p: p for p in ours}


@every_task
def test_the_method_of_the_client_says_the_same(name: str) -> None:
    path, _, _ = client_call(task_of(name))
    with Barrack("any-key") as client:
        said = inspect.getdoc(method_of(client, path)) or ""
    assert f"client.{path}(" in said
    assert "credentials" not in said
    assert said.endswith(OPERATIONS[name].provenance)
    assert said.splitlines()[0] == (inspect.getdoc(task_of(name)) or "").splitlines()[0]


@every_task
def test_the_account_can_be_given_by_name(name: str) -> None:
    trail = Trail()
    task_of(name).fn(credentials=trail, **{p: p for p in parameters_of(name)})
    assert (".".join(trail.path), *trail.given) == client_call(task_of(name))


def test_a_method_refuses_what_does_not_fit_as_any_method_does() -> None:
    with Barrack("any-key") as client:
        with pytest.raises(TypeError, match=r"Instances\.stop\(\) missing 1 .*: 'instance_id'"):
            client.instances.stop()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="unexpected keyword argument 'force'"):
            client.instances.stop("BRK-A1B2C3D", force=True)  # type: ignore[call-arg]


def test_every_method_of_the_client_is_an_operation() -> None:
    paths = {client_call(task_of(name))[0] for name in NAMES}
    with Barrack("any-key") as client:
        there = {
            f"{group}.{name}"
            for group, resource in vars(client).items()
            if type(resource).__module__.startswith("barrack_tasks.api.resources.")
            for name in dir(resource)
            if not name.startswith("_")
        }
    assert len(paths) == len(NAMES)
    assert there == paths | HELPERS


def test_the_names_are_loaded_when_they_are_asked_for() -> None:
    code = (
        "import sys, barrack_tasks; assert 'prefect' not in sys.modules; "
        "from barrack_tasks import chat; assert 'prefect' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_the_tasks_are_there_where_docstrings_are_taken_out() -> None:
    code = "from barrack_tasks import create_instance as made; print(made.name, made.fn.__name__)"
    run = [sys.executable, "-OO", "-c", code]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["create_instance"] * 2, done.stderr


def test_a_name_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'launch_instance'"):
        barrack_tasks.launch_instance  # noqa: B018
