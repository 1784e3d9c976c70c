"""What the tests of learning share: served documents, and two clients that must read the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from hypothesis import strategies as st
from pydantic import BaseModel

from barrack_tasks.api import Barrack
from barrack_tasks.api.dialect import Dialect, builtin, load_dialect
from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.api.models.base import Answer
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn import Learned, dialect_text
from barrack_tasks.sandbox import Sandbox

DIALECTS = Path(__file__).parents[3] / "docs" / "dialects"
NAMES = ("builtin", "camel", "upstream")
KEY = "brk-secret-0123456789abcdef"


def dialect(name: str) -> Dialect:
    """One of the three dialects."""
    return builtin() if name == "builtin" else load_dialect(DIALECTS / f"{name}.yaml")


def served(sandbox: Sandbox) -> bytes:
    """The document that a sandbox serves."""
    return httpx.get(f"{sandbox.url}/openapi.json", trust_env=False).content


def furnished(which: Dialect, **settings: Any) -> Sandbox:
    """A cloud that stands still, with machines in several states."""
    fleet = [
        {"name": "one"},
        {"name": "two", "status": "SHUTOFF", "region": "NORWAY-1", "gpu_model": "A40"},
        {"name": "three", "status": "HIBERNATED"},
    ]
    return Sandbox(
        api_key=KEY,
        dialect=which,
        speed=0,
        fleet=fleet,
        balance=500,
        settings={"jitter": 0},
        **settings,
    )


def client(sandbox: Sandbox, which: Dialect) -> Barrack:
    """A client that speaks a dialect to a sandbox."""
    return Barrack(sandbox.api_key, sandbox.url, dialect=which)


def furnish(sandbox: Sandbox) -> dict[str, str]:
    """Make one of everything, through a client with the true dialect; ids by parameter."""
    with client(sandbox, sandbox.dialect) as true:
        machine = next(iter(true.instances.list()))
        image = next(iter(true.perform("list_os_images")))
        made = true.perform("create_snapshot", instance_id=machine.id, name="first")
        sandbox.advance(3600)
        true.perform("create_snapshot", instance_id=machine.id, name="second")
        ids = {
            "instance_id": machine.id,
            "snapshot_id": made.id,
            "key_id": true.perform(
                "create_ssh_key", name="key", public_key="ssh-ed25519 " + _PUBLIC
            ).id,
            "script_id": true.perform("create_script", name="script", content="#!/bin/sh").id,
            "volume_id": true.perform(
                "create_volume", name="disk", size_gb=10, region="CANADA-1"
            ).id,
            "firewall_id": true.perform("create_firewall", name="wall", region="CANADA-1").id,
            "image_id": true.perform("create_image", snapshot_id=made.id, name="image").id,
        }
        rule = {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
        true.perform("add_firewall_rule", firewall_id=ids["firewall_id"], **rule)
        true.perform("attach_firewall", firewall_id=ids["firewall_id"], instance_ids=[machine.id])
        sandbox.advance(600)
    assert image.id
    return ids


_PUBLIC = "AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43


def reads(ids: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation that changes nothing, with its arguments."""
    for name, operation in OPERATIONS.items():
        if operation.changes or name == "chat":
            continue
        arguments: dict[str, Any] = {p: ids[p] for p in operation.path_parameters}
        if name == "quote_price":
            arguments["gpu_model"] = "A40"
        elif name == "list_snapshot_images":
            arguments["snapshot_ids"] = [ids["snapshot_id"]]
        yield name, arguments


def plain(value: Any) -> Any:
    """Objects of a client as plain data."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def known(value: Any) -> Any:
    """Objects as plain data, with the fields only that the models know."""
    if isinstance(value, list):
        return [known(item) for item in value]
    if not isinstance(value, BaseModel):
        return value
    beside = ("status", "message") if isinstance(value, Answer) else ()
    return {f: known(getattr(value, f)) for f in type(value).model_fields if f not in beside}


def answer(reader: Barrack, name: str, arguments: dict[str, Any]) -> Any:
    """What an operation gives, or the kind of its refusal."""
    try:
        return plain(reader.perform(name, **arguments))
    except Exception as error:  # noqa: BLE001 - compared
        return f"{type(error).__name__} {getattr(error, 'status_code', None)}"


def assert_reads_the_same(sandbox: Sandbox, learned: Learned, ids: dict[str, str]) -> int:
    """Both clients read the same objects with every read operation; how many were compared."""
    mine = merged(learned.dialect(), "learned.yaml")
    compared = 0
    with client(sandbox, sandbox.dialect) as true, client(sandbox, mine) as other:
        for name, arguments in reads(ids):
            expected, got = answer(true, name, arguments), answer(other, name, arguments)
            assert got == expected, name
            if not isinstance(expected, str):
                compared += 1
    return compared


def show(title: str, learned: Learned) -> None:
    """Print the figures."""
    report = learned.report()
    figures = f"operations {report.operations}; fields {report.fields}; words {report.words}"
    print(f"\n{title}: {figures}")  # noqa: T201


def document(sandbox: Sandbox) -> dict[str, Any]:
    """The served document, as data to be changed."""
    found: dict[str, Any] = json.loads(served(sandbox))
    return found


def everything(learned: Learned) -> str:
    """All that can be seen of what was learned."""
    return "\n".join(
        (dialect_text(learned), str(learned.report()), repr(learned), str(vars(learned)))
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["id", "status", "instances", "data", "url", "request", "response",
                         "content", "text", "log", "entries", "headers", "name", "a.b", ""]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
"""Any JSON, of names that mean something."""
