"""The examples of the generated pages: each call is one that its flow, task or class takes.

They name ids and machines of the reader's own, so they are not executed as they stand; but every
call in them is bound to the signature of what it calls, and the parameters of flows are validated
as Prefect does before a run.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import Flow, Task

import barrack_tasks
from barrack_tasks import flows
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
