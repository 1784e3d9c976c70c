"""Every task's docstring is complete, and the reference on disk is made from them."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from importlib import import_module
from typing import Any

import pytest

import barrack_tasks
from barrack_tasks.api import errors
from barrack_tasks.api.operations import OPERATIONS
from docs.generate.reference import TARGET, Docs, reference, when_lost

every_task = pytest.mark.parametrize("name", list(OPERATIONS))
GENERAL = "BarrackError"
"""Named where nothing is more specific than what any request can come to."""


def docs_of(name: str) -> Docs:
    return Docs.of(getattr(barrack_tasks, name))


@every_task
def test_it_says_what_the_task_does(name: str) -> None:
    docs = docs_of(name)
    assert re.fullmatch(r"[A-Z].*\.", docs.summary)
    assert docs.details == "" or docs.details.endswith(".")


@every_task
def test_every_parameter_is_described(name: str) -> None:
    parameters = inspect.signature(getattr(barrack_tasks, name).fn).parameters
    docs = docs_of(name)
    assert list(docs.parameters) == list(parameters)
    for parameter, text in docs.parameters.items():
        assert text.endswith("."), parameter
    for parameter in docs.parameters:
        if parameter.endswith("_gb"):
            assert " GB" in docs.parameters[parameter]
        if parameter in ("start", "end"):
            assert "zone-aware" in docs.parameters[parameter]


@every_task
def test_it_says_what_comes_back(name: str) -> None:
    text = docs_of(name).returns
    returns = inspect.signature(getattr(barrack_tasks, name).fn).return_annotation
    assert text.endswith(".")
    assert (text == "Nothing.") == (returns == "None")


@every_task
def test_it_says_what_is_raised(name: str) -> None:
    raised = docs_of(name).errors
    assert raised
    assert all(text.endswith(".") for text in raised.values())
    assert all(issubclass(getattr(errors, error), errors.BarrackError) for error in raised)
    assert GENERAL not in raised or len(raised) == 1
    operation = OPERATIONS[name]
    assert not operation.path_parameters or "BarrackNotFoundError" in raised
    assert operation.request is None or "BarrackValidationError" in raised


@every_task
def test_its_example_can_be_typed_in(name: str) -> None:
    """It compiles, uses nothing that is not there, and its calls fit the signatures."""
    tree = ast.parse(docs_of(name).example)
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not is_read(n)}
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and is_read(n)}
    assert name in read
    assert read <= {*stored, *barrack_tasks.__all__, *dir(builtins), "account"}
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and called(n) == name]
    assert calls
    for call in calls:
        signature = inspect.signature(getattr(barrack_tasks, name).fn)
        signature.bind(*call.args, **{k.arg: k.value for k in call.keywords if k.arg})
        assert isinstance(call.args[0], ast.Name)
        assert call.args[0].id == "account"


def is_read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def called(call: ast.Call) -> str | None:
    return call.func.id if isinstance(call.func, ast.Name) else None


@every_task
def test_it_says_what_is_documented_and_what_is_inferred(name: str) -> None:
    found = re.fullmatch(
        r"Operation: (documented|inferred)( in an earlier edition)?; "
        r"its path and fields: inferred\.",
        docs_of(name).provenance,
    )
    assert found
    assert found[1] == OPERATIONS[name].method_is
    assert bool(found[2]) == (name == "get_hibernated_instances")
    assert OPERATIONS[name].path_is == "inferred"


@every_task
def test_what_happens_when_an_answer_is_lost_is_a_sentence(name: str) -> None:
    text = when_lost(OPERATIONS[name].lost)
    looks = re.findall(r"(?:with )?`(\w+)`(?: tells|; sent)", text)
    assert text.endswith(".")
    assert set(looks) <= set(OPERATIONS)
    assert bool(looks) == bool(getattr(OPERATIONS[name].lost, "look", None))


def test_the_reference_is_the_one_that_the_docstrings_make() -> None:
    assert TARGET.read_text(encoding="utf-8") == reference(), (
        "docs/reference.md is not up to date; run: make pages"
    )


def test_the_reference_has_a_section_for_every_operation() -> None:
    text = TARGET.read_text(encoding="utf-8")
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == list(OPERATIONS)
    links = re.findall(r"\]\(#(\w+)\)", text)
    assert sorted(links) == sorted([*OPERATIONS, "exports"])
    groups = list(dict.fromkeys(operation.group for operation in OPERATIONS.values()))
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [*groups, "Exports"]


@pytest.mark.parametrize("name", sorted(set(barrack_tasks.__all__) - set(OPERATIONS)))
def test_what_the_top_level_gives_is_what_its_home_gives_and_is_listed(name: str) -> None:
    home = f"barrack_tasks.{barrack_tasks.HOMES[name]}"
    thing = getattr(import_module(home), name)
    assert getattr(barrack_tasks, name) is thing
    assert getattr(thing, "fn", thing).__module__ == home, "it is not from a third place"
    [row] = re.findall(rf"^\| `{name}` \| .*$", TARGET.read_text(encoding="utf-8"), re.MULTILINE)
    assert f"| `{home}` |" in row
    assert re.search(r"[A-Z].*\. \|$", row), "its meaning is a sentence"


def test_no_row_of_a_table_falls_apart() -> None:
    """A bar inside of a cell is escaped."""
    lines = TARGET.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    cells: list[Any] = [re.split(r"(?<!\\)\|", row) for row in rows]
    assert rows
    assert {len(row) for row in cells} == {6}
