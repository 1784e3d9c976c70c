"""No wire name stands outside the dialect: where every one of them is another, all still works."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import barrack_tasks
from barrack_tasks.api import Barrack
from barrack_tasks.api.dialect import Dialect, builtin
from barrack_tasks.api.dialect.loading import merged, open_enums, schema_fields
from barrack_tasks.api.errors import BarrackConflictError, BarrackNotFoundError
from barrack_tasks.api.models import VMStatus
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.sandbox import Sandbox

ROOT = Path(barrack_tasks.__file__).parent
NOT_ON_THE_WIRE = {"Answer", "Model", "Request"}


def scrambled() -> Dialect:
    """A dialect in which nothing is called what it is called anywhere else."""
    numbers = itertools.count(1)

    def word(kind: str) -> str:
        return f"{kind}{next(numbers)}q"

    operations = {
        name: {
            "path": f"/{word('p')}" + "".join(f"/{{{x}}}" for x in operation.path_parameters),
            "query": {q: word("q") for q in operation.query},
        }
        for name, operation in OPERATIONS.items()
    }
    schemas = {
        name: {field: word("f") for field in fields}
        for name, fields in schema_fields().items()
        if name not in NOT_ON_THE_WIRE
    }
    words = {
        name: {word("w"): str(member.value) for member in kind}
        for name, kind in open_enums().items()
        if issubclass(kind, str) and name != "OpenEnum"
    }
    paging = {"style": "page", "page": word("n"), "page_size": word("n")}
    content = {
        "base_url": f"https://example.invalid/{word('b')}",
        "auth": {"header": word("h"), "scheme": word("s")},
        "envelope": f"{word('e')}.{word('e')}",
        "error_envelope": word("e"),
        "request_id_header": word("h"),
        "paging": paging,
        "operations": operations,
        "schemas": schemas,
        "words": words,
    }
    return merged(content, "scrambled")


@pytest.fixture(scope="module")
def client() -> Iterator[tuple[Barrack, Sandbox]]:
    dialect = scrambled()
    with (
        Sandbox(dialect=dialect, fleet=3, speed=0, balance="500") as sandbox,
        Barrack(sandbox.api_key, sandbox.url, dialect=dialect) as client,
    ):
        yield client, sandbox


def test_the_work_is_done_where_every_name_is_another(client: tuple[Barrack, Sandbox]) -> None:
    api, sandbox = client
    instance = next(api.instances.list())
    sandbox.fault("reset_after", operation="create_snapshot")
    snapshot = api.snapshots.create(instance.id, "first")
    sandbox.advance(600)
    assert api.snapshots.get(snapshot.id).status.is_ready
    sandbox.fault("error_after", operation="hibernate_instance")
    api.instances.hibernate(instance.id)
    sandbox.advance(600)
    assert api.instances.get(instance.id).status is VMStatus.HIBERNATED
    api.instances.restore(instance.id)
    sandbox.advance(600)
    assert [i.id for i in api.instances.list(status="ACTIVE")].count(instance.id) == 1
    assert api.balance.get().amount < 500
    assert api.gpu_stocks.list()[0].count.at_least > 0
    with pytest.raises(BarrackConflictError, match="start_instance"):
        api.instances.start(instance.id)
    with pytest.raises(BarrackNotFoundError):
        api.instances.get("BRK-0000000")
    made = [e["operation"] for e in sandbox.ledger() if e["operation"] in OPERATIONS]
    assert made == ["create_snapshot", "hibernate_instance", "restore_instance"]


def test_every_page_is_read_where_every_name_is_another() -> None:
    dialect = scrambled()
    fleet = [{"name": f"m-{n}", "gpu_model": "L40", "region": "CANADA-1"} for n in range(120)]
    with (
        Sandbox(dialect=dialect, fleet=fleet, speed=0) as sandbox,
        Barrack(sandbox.api_key, sandbox.url, dialect=dialect) as api,
    ):
        assert len({i.name for i in api.instances.list()}) == 120


WIRE_HOMES = {"api/operations.py", "api/dialect", "dialects/learn", "sandbox"}
"""Where wire names may stand: the table, the dialect, what learns it, and the cloud's own."""


def test_no_path_or_header_of_the_wire_stands_in_the_source_elsewhere() -> None:
    dialect = builtin()
    segments = {
        part
        for wire in dialect.operations.values()
        for part in re.findall(r"/[a-z-]+", wire.path)
        if len(part) > 4
    }
    telling = segments | {dialect.auth.header, dialect.base_url}
    sources = [*ROOT.rglob("*.py"), *(ROOT.parent / "flows").glob("*.py")]
    for file in sources:
        place = file.relative_to(ROOT.parent).as_posix().removeprefix("barrack_tasks/")
        if any(place.startswith(home) for home in WIRE_HOMES):
            continue
        tree = ast.parse(file.read_text())
        documentation = {id(n) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        texts = [
            node.value
            for parent in ast.walk(tree)
            if id(parent) not in documentation
            for node in ast.iter_child_nodes(parent)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        for text in texts:
            found = [name for name in telling if text == name or text.startswith(f"{name}/")]
            assert not found, f"{place} holds {text!r}, which belongs into the dialect"
