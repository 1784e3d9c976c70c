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
PURE = ("api", "plans", "sandbox")


@cache
def files(folder: str) -> tuple[Path, ...]:
    found = tuple(sorted((ROOT / folder).rglob("*.py")))
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


def library_beyond(*allowed: str, folder: str) -> list[str]:
    """What a folder imports of the library, beyond what is allowed."""
    return offenders(folder, "barrack_tasks", "flows", but=allowed)


@pytest.mark.parametrize("folder", [f"barrack_tasks/{name}" for name in PURE])
def test_client_plans_and_sandbox_know_nothing_of_prefect(folder: str) -> None:
    assert offenders(folder, "prefect", "flows") == []


def test_the_client_knows_nothing_but_itself() -> None:
    assert (
        library_beyond("barrack_tasks.api", "barrack_tasks.version", folder="barrack_tasks/api")
        == []
    )


def test_plans_know_the_models_and_themselves() -> None:
    allowed = ("barrack_tasks.api.models", "barrack_tasks.plans", "barrack_tasks.zones")
    assert library_beyond(*allowed, folder="barrack_tasks/plans") == []
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


def test_the_sandbox_knows_the_models_the_operations_and_the_dialects() -> None:
    allowed = ("models", "operations", "dialect")
    assert (
        library_beyond(
            "barrack_tasks.sandbox",
            *(f"barrack_tasks.api.{name}" for name in allowed),
            folder="barrack_tasks/sandbox",
        )
        == []
    )
    # It reads and writes the wire with its own hands: the client's are what it tests.
    codec = ("barrack_tasks.api.dialect.codec", "barrack_tasks.api.dialect.Codec")
    assert offenders("barrack_tasks/sandbox", *codec) == []


def test_flows_leave_http_to_the_library() -> None:
    assert offenders("flows", "httpx", "requests", "urllib", "socket") == []


def test_the_library_knows_no_flow_but_for_the_command_line() -> None:
    assert [
        o for o in offenders("barrack_tasks", "flows") if not o.startswith("barrack_tasks/cli")
    ] == []


def test_no_module_of_the_product_knows_the_tests() -> None:
    for folder in ("barrack_tasks", "flows"):
        assert offenders(folder, "tests", "scripts", "pytest", "hypothesis") == []


@pytest.mark.parametrize("name", [f"barrack_tasks.{name}" for name in PURE])
def test_prefect_is_not_loaded_for_what_does_not_need_it(name: str) -> None:
    code = f"import sys, {name}; sys.exit('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or f"{name} loads prefect"
