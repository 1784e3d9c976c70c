"""Tasks work wherever they are called: flows, async flows, notebook cells, and outside of flows."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from prefect import flow, unmapped
from prefect.client.schemas.objects import State

import barrack_tasks
from barrack_tasks import (
    BarrackCredentials,
    get_credit_balance,
    get_instance,
    list_instances,
    start_instance,
    stop_instance,
)
from barrack_tasks.api import BarrackConflictError, BarrackNotFoundError
from barrack_tasks.sandbox import Sandbox
from flows.hibernate import hibernate
from tests.conftest import asked
from tests.tasks.test_every_task import public_key

FLEET = ["alpha", "beta", "gamma"]
HELD = 0.4
"""Real seconds that the cloud holds a request, so that something else can happen meanwhile."""


def ids_of(sandbox: Sandbox) -> list[str]:
    return [instance["id"] for instance in sandbox.state()["instances"]]


# A flow


def test_in_a_flow(sandbox: Sandbox, account: BarrackCredentials) -> None:
    @flow
    def look() -> tuple[list[str], str]:
        names = [instance.name for instance in list_instances(account)]
        return names, str(stop_instance(account, ids_of(sandbox)[0]).status)

    assert look() == (FLEET, "STOPPING")


def test_submitted_in_a_flow(sandbox: Sandbox, account: BarrackCredentials) -> None:
    @flow
    def look() -> list[str]:
        return [instance.name for instance in list_instances.submit(account).result()]

    assert look() == FLEET


def test_mapped_in_a_flow(sandbox: Sandbox, account: BarrackCredentials) -> None:
    @flow
    def stop_all() -> list[str]:
        answers = stop_instance.map(unmapped(account), ids_of(sandbox)).result()
        return [str(answer.status) for answer in answers]

    assert stop_all() == ["STOPPING"] * 3
    stopped = [entry for entry in sandbox.ledger() if entry["operation"] == "stop_instance"]
    assert len(stopped) == 3


@pytest.mark.parametrize("given", ["first", "by name", "a list", "nothing"])
def test_mapped_with_one_account_for_all(
    sandbox: Sandbox, account: BarrackCredentials, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)

    @flow
    def look() -> list[str]:
        ids = ids_of(sandbox)
        found = {
            "first": lambda: get_instance.map(account, ids),
            "by name": lambda: get_instance.map(credentials=account, instance_id=ids),
            "a list": lambda: get_instance.map([account] * 3, ids),
            "nothing": lambda: get_instance.map(instance_id=ids),
        }[given]()
        return [instance.name for instance in found.result()]

    assert look() == FLEET


def test_what_it_raises_comes_out_of_the_flow_as_it_is(
    sandbox: Sandbox, account: BarrackCredentials
) -> None:
    @flow
    def start_what_runs() -> None:
        start_instance(account, ids_of(sandbox)[0])

    with pytest.raises(BarrackConflictError) as caught:
        start_what_runs()
    assert caught.value.operation == "start_instance"
    assert caught.value.took_effect is False
    assert sandbox.api_key not in str(caught.value)


def test_what_it_raises_is_in_the_state_of_the_run(account: BarrackCredentials) -> None:
    @flow
    def look() -> State[Any]:
        state: State[Any] = get_instance(account, "BRK-0000000", return_state=True)
        assert state.is_failed()
        return state

    with pytest.raises(BarrackNotFoundError, match="BRK-0000000"):
        look()


# An async flow


def test_called_in_an_async_flow(sandbox: Sandbox, account: BarrackCredentials) -> None:
    @flow
    async def look() -> tuple[list[str], str]:
        names = [instance.name for instance in list_instances(account)]
        return names, str(stop_instance(account, ids_of(sandbox)[0]).status)

    assert asyncio.run(look()) == (FLEET, "STOPPING")


def test_submitted_in_an_async_flow_it_does_not_block_the_loop(
    sandbox: Sandbox, account: BarrackCredentials
) -> None:
    sandbox.fault("latency", operation="list_instances", seconds=HELD)

    @flow
    async def look() -> tuple[list[str], int]:
        future = list_instances.submit(account)
        waiting = asyncio.create_task(asyncio.to_thread(future.result))
        turns = 0
        while not waiting.done():
            turns += 1
            await asyncio.sleep(0.01)
        return [instance.name for instance in await waiting], turns

    names, turns = asyncio.run(look())
    assert names == FLEET
    assert turns > 1  # this coroutine went on while the request was under way


def test_many_submitted_in_an_async_flow(sandbox: Sandbox, account: BarrackCredentials) -> None:
    @flow
    async def stop_all() -> list[str]:
        futures = [stop_instance.submit(account, id_) for id_ in ids_of(sandbox)]
        answers = await asyncio.gather(*(asyncio.to_thread(f.result) for f in futures))
        return [str(answer.status) for answer in answers]

    assert asyncio.run(stop_all()) == ["STOPPING"] * 3


# A notebook cell: code at the top level, in a loop that runs already

CELL = """
names = [instance.name for instance in list_instances(account)]
balance = get_credit_balance(account)
stopped = stop_instance(account, first)
await asyncio.sleep(0)
"""


async def run_cell(text: str, names: dict[str, Any]) -> None:
    """What IPython does with a cell: compile it with await at the top level, and run it."""
    code = compile(text, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)  # noqa: S307 - that is what a cell is
    if inspect.isawaitable(result):
        await result


def test_in_a_cell(sandbox: Sandbox, account: BarrackCredentials) -> None:
    names: dict[str, Any] = {
        **globals(),
        "account": account,
        "first": ids_of(sandbox)[0],
    }
    asyncio.run(run_cell(CELL, names))
    assert names["names"] == FLEET
    assert str(names["stopped"].status) == "STOPPING"
    assert str(names["balance"].currency) == "USD"


def test_in_a_cell_of_ipython(sandbox: Sandbox, account: BarrackCredentials) -> None:
    shells = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed")
    shell = shells.InteractiveShell()
    shell.user_ns |= {**globals(), "account": account, "first": ids_of(sandbox)[0]}
    code = shell.transform_cell(CELL)
    done = asyncio.run(shell.run_cell_async(CELL, transformed_cell=code))
    done.raise_error()
    assert shell.user_ns["names"] == FLEET
    assert str(shell.user_ns["stopped"].status) == "STOPPING"


def test_a_flow_in_a_cell(sandbox: Sandbox, account: BarrackCredentials) -> None:
    @flow
    def look() -> list[str]:
        return [instance.name for instance in list_instances(account)]

    names: dict[str, Any] = {"look": look}
    asyncio.run(run_cell("found = look()", names))
    assert names["found"] == FLEET


def test_a_flow_that_is_awaited_in_a_cell_gives_its_report(account: BarrackCredentials) -> None:
    names: dict[str, Any] = {"hibernate": hibernate, "account": account}
    cell = "found = await hibernate(select=['*'], dry_run=True, credentials=account)"
    asyncio.run(run_cell(cell, names))
    assert {row.instance for row in names["found"].rows} == set(FLEET)


def test_tasks_may_be_awaited_whatever_they_give(
    sandbox: Sandbox, account: BarrackCredentials
) -> None:
    first, second, _ = ids_of(sandbox)
    cell = """
lease = await lease_instance(account, first, for_="8h", owner="ann")
released = await release_lease(account, first, owner="ann")
nothing = await release_lease.with_options(name="again")(account, second)
key = await create_ssh_key(account, "mine", public_key())
gone = await delete_ssh_key(account, key.id)
plain = delete_scripts(account, [create_script(account, "x", "true").id])
looked = await get_instance(account, first)
many = await list_instances(account)
"""
    names: dict[str, Any] = {name: getattr(barrack_tasks, name) for name in barrack_tasks.HOMES}
    names |= {"public_key": public_key, "account": account, "first": first, "second": second}
    asyncio.run(run_cell(cell, names))
    assert names["lease"].owner == "ann"
    assert names["released"] == names["nothing"] == []
    assert names["gone"] is None
    assert names["plain"] is None
    assert names["looked"].id == first
    assert [one.name for one in names["many"]] == FLEET


# Outside of flows

ALONE = "from barrack_tasks import list_instances; print(len(list_instances()))"


@pytest.mark.slow
def test_outside_of_any_flow_prefect_warns_of_nothing(sandbox: Sandbox) -> None:
    # As it is for people: the other tests have it set.
    plain = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_LOGGING")}
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        env={**plain, **sandbox.env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == str(len(FLEET)), done.stderr
    assert "Warning" not in done.stderr


def test_outside_of_any_flow(sandbox: Sandbox, account: BarrackCredentials) -> None:
    assert [instance.name for instance in list_instances(account)] == FLEET
    assert str(stop_instance(account, ids_of(sandbox)[0]).status) == "STOPPING"


def test_without_prefect_around_it(sandbox: Sandbox, account: BarrackCredentials) -> None:
    """The plain function behind a task, as a unit test would call it."""
    assert [instance.name for instance in list_instances.fn(account)] == FLEET


# What Prefect shows of it


def test_runs_have_the_names_of_what_they_are_about(
    prefect_server: str, sandbox: Sandbox, account: BarrackCredentials
) -> None:
    id_ = ids_of(sandbox)[0]

    @flow(name="names of runs")
    def work() -> None:
        get_credit_balance(account)
        stop_instance(account, id_)

    work()
    wanted = {f"stop {id_}"}
    shown = wait_for(lambda: task_run_names(prefect_server, "names of runs"), wanted)
    assert wanted <= shown
    assert any(name.startswith("get_credit_balance") for name in shown)


def task_run_names(server: str, flow_name: str) -> set[str]:
    about = {"flows": {"name": {"any_": [flow_name]}}}
    runs = asked("POST", f"{server}/task_runs/filter", body=about).raise_for_status().json()
    return {run["name"] for run in runs}


def wait_for(read: Callable[[], set[str]], wanted: set[str], patience: float = 20) -> set[str]:
    """Task runs reach the server as events, a little later than the flow ends."""
    until = time.monotonic() + patience
    while not wanted <= (shown := read()) and time.monotonic() < until:
        time.sleep(0.1)
    return shown


@pytest.mark.parametrize("how", ["called", "submitted"])
def test_no_run_says_the_key(
    prefect_server: str, account: BarrackCredentials, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "a-key-that-must-not-be-seen-" + how
    stranger = BarrackCredentials(api_key=secret, base_url=account.base_url)

    @flow(name=f"wrong key {how}")
    def look(credentials: BarrackCredentials) -> None:
        if how == "called":
            get_credit_balance(credentials)
        else:
            get_credit_balance.submit(credentials).result()

    with pytest.raises(Exception, match="API key") as caught:
        look(stranger)
    about = {"flows": {"name": {"any_": [f"wrong key {how}"]}}}
    runs = asked("POST", f"{prefect_server}/flow_runs/filter", body=about).text
    assert '"credentials"' in runs
    tasks = asked("POST", f"{prefect_server}/task_runs/filter", body=about).text
    for text in (str(caught.value), repr(caught.value), runs, tasks, caplog.text):
        assert secret not in text
