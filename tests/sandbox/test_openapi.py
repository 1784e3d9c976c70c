"""The document the sandbox serves about itself, held against what it does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from barrack_tasks.api import models as m
from barrack_tasks.api.dialect import builtin
from barrack_tasks.api.models.rules import IPV4
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.sandbox.handlers import HANDLERS
from barrack_tasks.sandbox.http.openapi import document
from tests.sandbox.conftest import KEY, Api
from tests.sandbox.test_dialects import FOREIGN


def _refs(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*(_refs(v) for v in value.values()))
    return set().union(*(_refs(v) for v in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("dialect", [builtin(), FOREIGN], ids=["built-in", "foreign"])
def test_document_is_whole(dialect: Any) -> None:
    said = document(dialect)
    known = {f"#/components/schemas/{name}" for name in said["components"]["schemas"]}
    assert _refs(said) <= known
    ids = [o["operationId"] for methods in said["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(dialect.operations) & set(OPERATIONS)
    for path, methods in said["paths"].items():
        for described in methods.values():
            inside = {p["name"] for p in described["parameters"] if p["in"] == "path"}
            assert inside == set(re.findall(r"\{(\w+)\}", path))
            operation = OPERATIONS[described["operationId"]]
            assert described["summary"] == operation.title
            assert described["tags"] == [operation.group]


def test_every_operation_is_served() -> None:
    assert set(HANDLERS) == set(OPERATIONS)


def test_answers_are_as_described(sandbox: Sandbox, api: Api) -> None:
    root = sandbox.url.removesuffix("/v1")
    said = httpx.get(f"{root}/openapi.json").json()
    assert said["components"]["securitySchemes"]["key"] == {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
    }
    id_ = sandbox.seed_instance("alpha")
    sandbox.seed_instance("beta", status="HIBERNATED")
    ask = {"instance_id": id_, "name": "s"}
    for template, method, path, body in [
        ("/snapshots", "post", "/snapshots", ask),
        ("/snapshots", "post", "/snapshots", ask),
        ("/snapshots", "post", "/snapshots", {}),
        ("/snapshots", "get", "/snapshots", None),
        ("/balance", "get", "/balance", None),
        ("/pricing", "get", "/pricing", None),
        ("/pricing", "post", "/pricing", {"gpu_model": "L40"}),
        ("/gpu-stocks", "get", "/gpu-stocks", None),
        ("/gpu-specs", "get", "/gpu-specs", None),
        ("/regions", "get", "/regions", None),
        ("/instances", "get", "/instances", None),
        ("/instances/hibernated", "get", "/instances/hibernated", None),
        ("/instances/{instance_id}", "get", f"/instances/{id_}", None),
        ("/instances/{instance_id}", "get", "/instances/none", None),
        ("/instances/{instance_id}/billing", "get", f"/instances/{id_}/billing", None),
        ("/instances/{instance_id}/stop", "post", f"/instances/{id_}/stop", None),
    ]:
        answer = api.http.request(method, path, json=body)
        described = said["paths"][template][method]["responses"][str(answer.status_code)]
        schema = described["content"]["application/json"]["schema"]
        jsonschema.validate(answer.json(), {**schema, "components": said["components"]})
        assert answer.headers["content-type"] == "application/json"


def test_document_speaks_the_dialect() -> None:
    with Sandbox(api_key=KEY, speed=0, fleet=1, dialect=FOREIGN) as sandbox:
        said = httpx.get(f"{sandbox.url}/openapi.json").json()
        body = httpx.post(
            f"{sandbox.url}/machines/search", headers={"authorization": f"Bearer {KEY}"}
        ).json()
    assert said["servers"] == [{"url": "/api/v2"}]
    assert said["components"]["securitySchemes"]["key"] == {"type": "http", "scheme": "bearer"}
    assert "/machines/{machineId}" in said["paths"]
    search = said["paths"]["/machines/search"]["post"]
    assert [p["name"] for p in search["parameters"]] == ["phase", "zone", "take", "skip"]
    schema = search["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(body, {**schema, "components": said["components"]})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body["result"], {**schema, "components": said["components"]})
    asked = said["components"]["schemas"]["CreateSnapshotRequest"]
    assert asked["required"] == ["source"]
    assert asked["properties"]["source"]["required"] == ["machine", "title"]


@pytest.mark.parametrize(
    ("network", "fits"),
    [
        ("0.0.0.0/0", True),
        ("10.0.0.0/8", True),
        ("203.0.113.64/26", True),
        ("203.0.113.5/32", True),
        ("203.0.113.65/26", False),
        ("10.0.0.5/24", False),
        ("256.0.0.0/8", False),
        ("10.0.0.0/33", False),
        ("10.0.0.0", False),
    ],
)
def test_networks(network: str, fits: bool) -> None:
    assert bool(re.search(IPV4["pattern"], network)) is fits


# The whole API under generated requests


class Run:
    """How a run of Schemathesis ended."""

    def __init__(self, sandbox: Sandbox, folder: Path, *options: str) -> None:
        root = sandbox.url.removesuffix("/v1")
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{sandbox.url}/openapi.json"),
                *("--header", f"x-api-key: {KEY}", "--checks", "all", "--max-examples", "15"),
                *("--generation-deterministic", "--no-color", *options),
            ],
            cwd=folder,
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "tests.sandbox.schemathesis_hooks",
                "SANDBOX_CONTROL": root,
                "PYTHONPATH": os.pathsep.join(x for x in sys.path if x),
            },
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        self.found_something = done.returncode == 1
        self.said = done.stdout + done.stderr
        assert done.returncode in (0, 1), self.said


@pytest.mark.slow
def test_no_generated_request_breaks_a_promise(tmp_path: Path) -> None:
    """All phases, stateful ones too, and all checks, of all operations."""
    with Sandbox(api_key=KEY, speed=0, fleet=20, balance=10**9, settings={"jitter": 0}) as sandbox:
        api = Api(sandbox)
        for n, instance in enumerate(sandbox.state()["instances"][:6]):
            ask = {"instance_id": instance["id"], "name": f"s{n}", "is_image": n % 2 == 0}
            api.ok("POST", "/snapshots", ask)
            disk = {"name": f"v{n}", "size_gb": 10 + n, "region": instance["region"]}
            api.ok("POST", "/volumes", {**disk, "image_id": 1})
            api.ok("POST", "/firewalls", {"name": f"f{n}", "region": instance["region"]})
        sandbox.advance(600)
        run = Run(sandbox, tmp_path)
        assert not run.found_something, run.said
        assert "68 selected / 68 total" in run.said
        counts = sandbox.state()["requests"]
        answered: dict[str, set[int]] = {}
        for asked in sandbox.requests():
            answered.setdefault(str(asked["operation"]), set()).add(int(asked["status"]))
    assert counts["total"] > 2000
    # The run went further than to refusals.
    succeeded = {name for name, statuses in answered.items() if 200 in statuses}
    assert len(succeeded & set(OPERATIONS)) > 60, sorted(set(OPERATIONS) - succeeded)
    assert not any(status >= 500 for statuses in answered.values() for status in statuses)


def _accept_anything(world: Any, call: Any) -> Any:
    return m.OSImagesResponse(images=[])


def _break(world: Any, call: Any) -> Any:
    raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param(None, None, marks=pytest.mark.slow),
        pytest.param({"kind": "status", "status": 500}, "Server error", marks=pytest.mark.slow),
        pytest.param({"kind": "malformed"}, "JSON deserialization error", marks=pytest.mark.slow),
        pytest.param(
            {"kind": "html", "status": 404}, "Undocumented Content-Type", marks=pytest.mark.slow
        ),
        pytest.param(
            HANDLERS["get_credit_balance"], "Response violates schema", marks=pytest.mark.slow
        ),
        (_break, "Server error"),
        pytest.param(_accept_anything, "accepted", marks=pytest.mark.slow),
    ],
    ids=["nothing", "500", "no JSON", "no ErrorResponse", "another shape", "a bug", "lax"],
)
def test_a_run_notices_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Any, said: str | None
) -> None:
    """The negative control: the run above can fail."""
    with Sandbox(api_key=KEY, speed=0, fleet=0) as sandbox:
        if callable(wrong):
            monkeypatch.setitem(HANDLERS, "list_os_images", wrong)
        elif wrong:
            sandbox.fault(operation="list_os_images", count=None, **wrong)
        run = Run(sandbox, tmp_path, "--include-operation-id", "list_os_images")
    assert run.found_something is (wrong is not None), run.said
    if said is not None:
        assert said in run.said
