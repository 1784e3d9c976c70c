"""The examples of the generated pages: each call is one that its flow, task or class takes.

They name ids and machines of the reader's own. Every call in them is bound to the signature of what
it calls, and the parameters of flows are validated as Prefect does before a run. The examples of
tasks are also executed, with ids that the sandbox has in place of the reader's.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow, Task

import barrack_tasks
from barrack_tasks import BarrackCredentials, flows
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.sandbox import Sandbox
from tests.api.recipes import PUBLIC_KEY, RECIPES, Account
from tests.docs.blocks import Block, blocks

PAGES = ("docs/reference", "docs/flows")
EXAMPLES = [b for b in blocks() if b.place.startswith(PAGES) and b.language == "python"]
MODULES = (flows, barrack_tasks, importlib.import_module("barrack_tasks.api"))


def callee(name: str) -> Any:
    return next((getattr(m, name) for m in MODULES if hasattr(m, name)), None)


def calls(block: Block) -> Iterator[tuple[str, ast.Call]]:
    """The calls of what the library gives, by name."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).removesuffix(".map").removesuffix(".submit")
            if callee(name) is not None:
                yield name, node


def literal(node: ast.expr) -> Any:
    """The value of an argument; None for what only the reader has, such as `account`."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda b: b.place)
def test_each_call_of_an_example_is_one_that_can_be_made(block: Block) -> None:
    for name, call in calls(block):
        called = callee(name)
        function = called.fn if isinstance(called, (Flow, Task)) else called
        given = [literal(one) for one in call.args]
        named = {word.arg: literal(word.value) for word in call.keywords if word.arg}
        bound = inspect.signature(function).bind(*given, **named)
        if isinstance(called, Flow) and None not in bound.arguments.values():
            called.validate_parameters(dict(bound.arguments))


def test_each_flow_has_an_example_that_calls_it() -> None:
    called = {name for b in EXAMPLES if b.place.startswith("docs/flows") for name, _ in calls(b)}
    assert called >= set(flows.__all__)


def with_ids(block: Block, cloud: Account) -> ast.Module:
    """An example of a task with ids that the account has, of things in the state that it needs."""
    tree = ast.parse(block.text)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if name in OPERATIONS:
            words = {word.arg: word.value for word in call.keywords if word.arg}
            signature = inspect.signature(getattr(barrack_tasks, name).fn)
            given = signature.bind(*call.args, **words).arguments
            ids = [one for one in given if one.endswith(("_id", "_ids"))]
            prepared = RECIPES[name](cloud) if name in RECIPES else things(ids, cloud)
            for one in ids:
                fill(given[one], prepared[one])
    return ast.fix_missing_locations(tree)


def things(names: list[str], cloud: Account) -> dict[str, Any]:
    """What parameters of tasks that only read can name."""
    how: dict[str, Any] = {
        "instance_id": cloud.instance,
        "snapshot_id": cloud.snapshot,
        "snapshot_ids": lambda: [cloud.snapshot(), cloud.snapshot()],
        "volume_id": cloud.volume,
        "firewall_id": cloud.firewall,
        "script_id": cloud.script,
        "image_id": lambda: cloud.make("create_image", snapshot_id=cloud.snapshot()),
        "key_id": lambda: cloud.make("create_ssh_key", public_key=PUBLIC_KEY),
    }
    return {name: how[name]() for name in names}


def fill(node: ast.expr, value: Any) -> None:
    """Put an id, or a list of them, in the place of those of an example."""
    if isinstance(node, ast.List):
        node.elts = [ast.Constant(one) for one in value]
    else:
        assert isinstance(node, ast.Constant)
        node.value = value


@pytest.mark.slow
def test_each_example_of_a_task_can_be_executed(
    prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "id_ed25519.pub").write_text(PUBLIC_KEY)
    examples = [block for block in EXAMPLES if block.place.startswith("docs/reference")]
    with Sandbox(fleet=0, speed=0, balance=100_000) as sandbox:
        account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
        cloud = Account(sandbox, account.get_client())
        names = {name: getattr(barrack_tasks, name) for name in OPERATIONS}
        for block in examples:
            code = compile(with_ids(block, cloud), block.place, "exec")
            exec(code, {"account": account, **names})  # noqa: S102 - our own words
            sandbox.advance(600)
        done = {one["operation"] for one in sandbox.requests() if one["status"] == 200}
    assert done == set(OPERATIONS)
