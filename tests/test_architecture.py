"""Who may import whom. Arrows go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "barrack_tasks"
PURE = ("api", "plans", "dialects", "sandbox")


@cache
def files(folder: str) -> tuple[Path, ...]:
    place = ROOT / folder
    found = tuple(sorted(place.rglob("*.py"))) if place.is_dir() else (place,)
    assert found, f"{folder} holds no modules"
    return found


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything that a module imports, wherever in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("importlib.import_module", "import_module", "__import__"):
                first = node.args[0] if node.args else None
                yield first.value if isinstance(first, ast.Constant) else "computed"


def within(name: str, *packages: str) -> bool:
    return any(name == p or name.startswith(f"{p}.") for p in packages)


def offenders(folder: str, *forbidden: str, but: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(folder)
        for name in imports(path)
        if within(name, *forbidden) and not within(name, *but)
    ]


@pytest.mark.parametrize("folder", [f"barrack_tasks/{name}" for name in PURE])
def test_client_plans_and_sandbox_know_nothing_of_prefect(folder: str) -> None:
    assert offenders(folder, "prefect", "flows") == []


ARROWS = {
    "api": (),
    "plans": ("api.models",),
    "dialects": ("api",),
    "sandbox": ("api.models", "api.operations", "api.dialect"),
    "server": ("api", "plans.money.caps"),
    "tasks": ("api", "plans.inputs", "plans.names", "plans.snapshots.images", "server"),
    "runtime": ("api", "plans", "server"),
    "controllers": ("api", "dialects", "plans", "runtime", "server", "tasks"),
    "pytest_plugin": ("sandbox", "server"),
    "__init__": ("api", "controllers", "plans", "runtime", "server", "tasks"),
    "flows": ("_flows",),
    "cli": ("api", "controllers", "dialects", "flows", "plans", "runtime", "server"),
}
"""What each room of the library may import of the others; nothing else, and never a room above."""


def test_every_room_is_in_the_table_and_only_rooms_are() -> None:
    rooms = {p.stem for p in LIBRARY.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms == set(ARROWS)


@pytest.mark.parametrize("room", ARROWS)
def test_a_room_imports_what_the_table_allows(room: str) -> None:
    place = f"barrack_tasks/{room}" + ("" if (LIBRARY / room).is_dir() else ".py")
    own = "barrack_tasks" if room == "__init__" else f"barrack_tasks.{room}"
    allowed = (own, *(f"barrack_tasks.{name}" for name in ARROWS[room]))
    if room == "__init__":
        allowed = allowed[1:]
    assert offenders(place, "barrack_tasks", "flows", but=allowed) == []


def test_no_arrow_of_the_table_runs_up() -> None:
    rooms = list(ARROWS)
    for room, below in ARROWS.items():
        for name in below:
            first = name.split(".")[0]
            assert first == "_flows" or rooms.index(first) < rooms.index(room), (room, name)


def test_flows_import_what_is_below_them() -> None:
    rooms = tuple(
        f"barrack_tasks.{room}"
        for room in ARROWS
        if room not in ("api", "cli", "dialects", "flows", "pytest_plugin", "tasks")
    )
    assert offenders("flows", "barrack_tasks", but=(*rooms, "flows")) == []


def test_plans_touch_nothing_outside() -> None:
    outside = ("httpx", "requests", "socket", "time", "asyncio", "threading", "subprocess")
    assert offenders("barrack_tasks/plans", *outside, "random") == []


def test_no_plan_reads_the_clock() -> None:
    clocks = {"now", "utcnow", "today", "time", "monotonic"}
    for path in files("barrack_tasks/plans"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value).rpartition(".")[2]
                is_clock = owner in ("datetime", "date", "time", "pendulum")
                assert not (is_clock and node.func.attr in clocks), f"{path}:{node.lineno}"


def test_the_sandbox_reads_and_writes_the_wire_with_its_own_hands() -> None:
    codec = ("barrack_tasks.api.dialect.codec", "barrack_tasks.api.dialect.Codec")
    assert offenders("barrack_tasks/sandbox", *codec) == [], "the client's are what it tests"


def test_flows_leave_http_to_the_library() -> None:
    assert offenders("flows", "httpx", "requests", "urllib", "socket") == []


def test_no_module_of_the_product_knows_the_tests() -> None:
    for folder in ("barrack_tasks", "flows"):
        found = offenders(folder, "tests", "scripts", "pytest", "hypothesis")
        assert set(found) <= {"barrack_tasks/pytest_plugin.py imports pytest"}


PROSE = {"why", "said", "sentence", "told"}
"""What sentences for people are called, as attributes and as variables."""


def reads_prose(node: ast.AST) -> bool:
    """Whether an expression looks into, or compares, a sentence that is written for people."""

    def is_prose(one: ast.expr) -> bool:
        if isinstance(one, ast.Attribute):
            return one.attr in PROSE
        return isinstance(one, ast.Name) and one.id in PROSE and one.id != "told"

    def is_words(one: ast.expr) -> bool:
        return isinstance(one, ast.Constant) and isinstance(one.value, str) and " " in one.value

    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        inside = any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)
        text = inside and is_prose(sides[-1]) and isinstance(sides[0], ast.Constant)
        same = any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
        return text or (same and any(is_prose(s) for s in sides) and any(map(is_words, sides)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        looks = node.func.attr in ("startswith", "endswith", "find", "index", "count")
        return looks and (is_prose(node.func.value) or any(is_words(a) for a in node.args))
    return False


@pytest.mark.parametrize(
    "text",
    [
        'next_.why.startswith("held by")',
        '"out of stock" in next_.why',
        'not verdict.why.endswith("as wanted")',
        'u.startswith("instance ")',
        'one.why == "it is protected"',
    ],
)
def test_decisions_by_sentences_are_found(text: str) -> None:
    assert any(reads_prose(node) for node in ast.walk(ast.parse(text)))


def test_no_decision_is_taken_by_reading_a_sentence() -> None:
    """Outcomes carry a reason for programs; sentences are for people, and may be worded anew."""
    read = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for folder in ("barrack_tasks", "flows")
        for path in files(folder)
        # The contract is learned from documents that others wrote, word by word.
        if not path.is_relative_to(LIBRARY / "dialects" / "learn")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.expr) and reads_prose(node)
    ]
    assert read == []


LIGHT = [f"barrack_tasks.{name}" for name in (*PURE, "cli", "pytest_plugin", "server.services")]


@pytest.mark.parametrize("name", LIGHT)
def test_prefect_is_not_loaded_for_what_does_not_need_it(name: str) -> None:
    code = f"import sys, {name}; sys.exit('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or f"{name} loads prefect"


FLOWS = [path for path in files("flows") if path.stem != "__init__"]
LONGEST_FLOW = 60
"""Lines of a flow below its docstring: what can be read top to bottom as one sentence."""


@pytest.mark.parametrize("path", FLOWS, ids=lambda p: p.stem)
def test_a_flow_can_be_read_as_one_sentence(path: Path) -> None:
    [flow] = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == path.stem
    ]
    assert isinstance(flow.end_lineno, int)
    assert flow.end_lineno - flow.body[1].lineno < LONGEST_FLOW


def test_no_name_of_a_class_has_two_meanings() -> None:
    named: dict[str, list[str]] = {}
    for path in (*files("barrack_tasks"), *files("flows")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # A group of operations is called as its place in the client.
            if isinstance(node, ast.ClassDef) and path.parent.name != "resources":
                named.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in named.items() if len(places) > 1} == {}
