"""The three dialects, learned from the documents that their clouds serve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from barrack_tasks.api.dialect import DialectError, load_dialect
from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.api.models import SnapshotStatus, VMStatus
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn import LearnError, learn_openapi, write_dialect
from barrack_tasks.sandbox import Sandbox
from tests.dialects.learn.helpers import (
    NAMES,
    answer,
    assert_reads_the_same,
    client,
    dialect,
    document,
    furnish,
    furnished,
    known,
    reads,
    served,
    show,
)
from tests.thinning import thinned


@pytest.mark.parametrize("name", NAMES)
def test_reads_and_acts_as_with_the_true_dialect(name: str, tmp_path: Path) -> None:
    with furnished(dialect(name)) as sandbox:
        learned = learn_openapi(
            served(sandbox), name=name, source_url=f"{sandbox.url}/openapi.json"
        )
        show(name, learned)
        report = learned.report()
        assert report.operations.certain == 68
        assert report.operations.open == report.fields.open == report.words.open == 0
        assert all(flow.can_run for flow in report.flows.values())
        ids = furnish(sandbox)
        assert assert_reads_the_same(sandbox, learned, ids) >= 30
        mine = load_dialect(write_dialect(learned, tmp_path / "learned.yaml"))
        assert mine == merged(learned.dialect(), "learned.yaml")
        assert mine.base_url == sandbox.url
        _acts(sandbox, mine, ids["instance_id"])


def _acts(sandbox: Sandbox, mine: Any, machine: str) -> None:
    with client(sandbox, mine) as barrack:
        made = barrack.snapshots.create(machine, "mine")
        sandbox.advance(3600)
        assert barrack.snapshots.get(made.id).status is SnapshotStatus.SUCCESS
        barrack.instances.hibernate(machine)
        sandbox.advance(3600)
        assert barrack.instances.get(machine).status is VMStatus.HIBERNATED
        barrack.instances.restore(machine)
        sandbox.advance(3600)
        assert barrack.instances.get(machine).status is VMStatus.ACTIVE
        found = barrack.perform("list_instances", status="ACTIVE")
        assert machine in [x.id for x in found]


def test_titles_and_names_are_not_needed_to_read() -> None:
    """Without titles, tags and ids of operations, paths and schemas still tell the reads."""
    with furnished(dialect("camel")) as sandbox:
        root = document(sandbox)
        for item in root["paths"].values():
            for operation in item.values():
                for key in ("summary", "tags", "operationId"):
                    del operation[key]
        learned = learn_openapi(json.dumps(root).encode())
        show("camel without titles", learned)
        true = sandbox.dialect.operations
        for what, match in learned.matches.items():
            if what.startswith("operations.") and what.count(".") == 1 and match.wire:
                wire = true[what.split(".")[1]]
                assert (match.wire["method"], match.wire["path"]) == (wire.method, wire.path), what
        assert learned.report().operations.matched >= 50


def test_yaml_is_read_as_json_is() -> None:
    with furnished(dialect("upstream")) as sandbox:
        root = document(sandbox)
        as_yaml = yaml.safe_dump(root).encode()
        assert (
            learn_openapi(as_yaml).dialect() == learn_openapi(json.dumps(root).encode()).dialect()
        )


def test_what_is_not_there_becomes_null() -> None:
    with furnished(dialect("upstream")) as sandbox:
        root = document(sandbox)
        gone = {"list_scripts", "delete_volume", "reboot_instance", "chat"}
        for item in root["paths"].values():
            for method in list(item):
                if item[method]["operationId"] in gone:
                    del item[method]
        learned = learn_openapi(json.dumps(root).encode())
        content = learned.dialect()
        assert {n for n, e in content["operations"].items() if e is None} == gone
        assert {f"operations.{n}" for n in gone} <= set(learned.report().absent)
        assert set(merged(content, "x.yaml").operations) == set(OPERATIONS) - gone


def test_a_flow_that_lacks_an_operation_is_said_to() -> None:
    with furnished(dialect("builtin")) as sandbox:
        root = document(sandbox)
        del root["paths"]["/instances/{instance_id}/hibernate"]
        flows = learn_openapi(json.dumps(root).encode()).report().flows
        assert flows["follow_schedule"].lacking == ["operations.hibernate_instance"]
        assert not flows["follow_schedule"].can_run
        assert flows["watch_gpu_stock"].can_run


def test_a_snapshot_may_be_made_under_its_instance() -> None:
    with furnished(dialect("builtin")) as sandbox:
        root = document(sandbox)
        create = root["paths"]["/snapshots"].pop("post")
        root["paths"]["/machines/{vm_id}/snapshots"] = {"post": create}
        learned = learn_openapi(json.dumps(root).encode())
        wire = learned.dialect()["operations"]["create_snapshot"]
        assert wire["path"] == "/machines/{instance_id}/snapshots"
        assert learned.report().flows["snapshot_before_stop"].can_run


def test_an_operation_of_another_shape_is_named() -> None:
    with furnished(dialect("builtin")) as sandbox:
        root = document(sandbox)
        create = root["paths"]["/snapshots"].pop("post")
        create["operationId"], create["summary"] = "make", "Create a snapshot"
        root["paths"]["/instances/{instance_id}/of/{user}/snapshots"] = {"post": create}
        learned = learn_openapi(json.dumps(root).encode())
        assert learned.matches["operations.create_snapshot"].wire is None
        assert "POST /instances/{instance_id}/of/{user}/snapshots may be it" in str(
            learned.report()
        )
        assert learned.report().flows["snapshot_before_stop"].lacking == [
            "operations.create_snapshot"
        ]


def test_a_needed_field_under_a_name_that_nobody_knows_is_open() -> None:
    with furnished(dialect("builtin")) as sandbox:
        root = document(sandbox)
        fields = root["components"]["schemas"]["Snapshot"]["properties"]
        fields["of"] = fields.pop("instance_id")
        learned = learn_openapi(json.dumps(root).encode())
        what = "schemas.Snapshot.instance_id"
        assert [c.wire for c in learned.open[what].candidates] == ["of"]
        assert learned.report().flows["snapshot_before_stop"].open == [what]
        learned.take_clear()
        assert what in learned.open
        learned.answer(what, "of")
        assert learned.dialect()["schemas"]["Snapshot"] == {"instance_id": "of"}


def test_words_that_could_be_two_things_stay_open() -> None:
    with furnished(dialect("builtin")) as sandbox:
        text = served(sandbox).replace(b'"HIBERNATED"', b'"SUSPENDED"')
        text = text.replace(b'"SHUTOFF"', b'"Terminated"')
        learned = learn_openapi(text, yes=True)
        assert {"words.VMStatus.SUSPENDED", "words.VMStatus.Terminated"} <= set(learned.open)
        assert "words" not in learned.dialect()
        learned.answer("words.VMStatus.SUSPENDED", "HIBERNATED")
        with pytest.raises(LearnError, match="not an open question"):
            learned.answer("words.VMStatus.SUSPENDED", "HIBERNATED")
        with pytest.raises(Exception, match="no VMStatus"):
            learned.answer("words.VMStatus.Terminated", "GONE")
        assert learned.dialect()["words"] == {"VMStatus": {"SUSPENDED": "HIBERNATED"}}


def test_a_verb_that_nobody_knows_leaves_the_operation_open() -> None:
    with furnished(dialect("builtin")) as sandbox:
        root = document(sandbox)
        stop = root["paths"].pop("/instances/{instance_id}/stop")
        stop["post"].update(summary="Park it", operationId="park", tags=[])
        stop["post"]["responses"] = {}
        root["paths"]["/instances/{instance_id}/park"] = stop
        learned = learn_openapi(json.dumps(root).encode(), yes=True)
        what = "operations.stop_instance"
        assert what not in learned.matches
        shown = [c.shown for c in learned.open[what].candidates]
        assert shown == ["POST /instances/{instance_id}/park"]
        assert learned.report().flows["snapshot_before_stop"].can_run, "it stops only when told to"
        with pytest.raises(LearnError, match="1 candidates, not 2"):
            learned.answer(what, 1)
        with pytest.raises(DialectError, match="must hold"):
            learned.answer(what, "POST /instances/park")
        learned.answer(what, "POST /instances/{instance_id}/park")
        wire = merged(learned.dialect(), "x").operations["stop_instance"]
        assert wire.path == "/instances/{instance_id}/park"


def test_other_words_for_an_action_are_known() -> None:
    with furnished(dialect("builtin")) as sandbox:
        root = document(sandbox)
        stop = root["paths"].pop("/instances/{instance_id}/stop")
        stop["post"].update(summary="Power off an instance", operationId="power_off", tags=[])
        root["paths"]["/instances/{instance_id}/power-off"] = stop
        wire = merged(learn_openapi(json.dumps(root).encode()).dialect(), "x").operations
        assert wire["stop_instance"].path == "/instances/{instance_id}/power-off"


PETS: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pets", "version": "1"},
    "servers": [{"url": "https://pets.example/v1"}],
    "paths": {
        "/pets": {
            "get": {
                "summary": "List all pets",
                "operationId": "listPets",
                "tags": ["pets"],
                "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "array",
                                    "items": {"$ref": "#/components/schemas/Pet"},
                                }
                            }
                        }
                    }
                },
            },
            "post": {
                "summary": "Create a pet",
                "responses": {"201": {"description": "made"}},
            },
        },
        "/pets/{petId}": {
            "get": {
                "summary": "Info for a pet",
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}
                        }
                    }
                },
            },
            "delete": {"summary": "Delete pet", "responses": {"204": {"description": "gone"}}},
        },
        "/pets/{petId}/image": {"get": {"summary": "Get image", "responses": {}}},
        "/stores/{id}/start": {"post": {"summary": "Start store", "responses": {}}},
    },
    "components": {
        "schemas": {
            "Pet": {
                "type": "object",
                "required": ["id", "name"],
                "properties": {
                    "id": {"type": "integer"},
                    "name": {"type": "string"},
                    "status": {"type": "string", "enum": ["available", "pending", "sold"]},
                    "tag": {"type": "string"},
                },
            },
        }
    },
}


def test_an_unrelated_api_matches_nothing() -> None:
    learned = learn_openapi(json.dumps(PETS).encode(), yes=True)
    assert not learned.recognised
    assert learned.dialect() == {"name": "learned"}
    assert learned.report().operations.matched == 0
    assert learned.report().fields.matched == 0
    assert learned.report().words.matched == 0


def test_an_api_with_some_of_the_same_titles_is_another_api() -> None:
    success: dict[str, Any] = {"200": {"content": {"application/json": {"schema": {}}}}}
    titles = {
        ("/volumes", "get"): "List volumes",
        ("/volumes", "post"): "Create volume",
        ("/volumes/{name}", "get"): "Get volume details",
        ("/volumes/{name}", "delete"): "Delete volume",
        ("/images", "get"): "List images",
        ("/containers/{id}/start", "post"): "Start container",
    }
    paths: dict[str, Any] = {}
    for (path, method), title in titles.items():
        paths.setdefault(path, {})[method] = {"summary": title, "responses": success}
    learned = learn_openapi(json.dumps({"openapi": "3.0.0", "paths": paths}).encode(), yes=True)
    assert not learned.recognised
    assert learned.dialect() == {"name": "learned"}
    assert "does not look like" in str(learned.report())


def test_one_page_of_the_reference_teaches_what_it_says() -> None:
    with furnished(dialect("upstream")) as sandbox:
        root = document(sandbox)
        root["paths"] = {"/core/stocks": root["paths"]["/core/stocks"]}
        learned = learn_openapi(json.dumps(root).encode())
        assert learned.recognised
        content = learned.dialect()
        assert content["operations"] == {"get_gpu_stock": {"path": "/core/stocks"}}
        assert content["schemas"]["GPUStockItem"] == {"gpu_model": "model"}


def _inlined(root: dict[str, Any], node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            name = node["$ref"].rsplit("/", 1)[1]
            return _inlined(root, root["components"]["schemas"][name])
        return {k: _inlined(root, v) for k, v in node.items()}
    return [_inlined(root, v) for v in node] if isinstance(node, list) else node


@pytest.mark.parametrize(("name", "titles"), thinned(NAMES, [True, False]))
def test_schemas_without_names(name: str, titles: bool) -> None:
    with furnished(dialect(name)) as sandbox:
        root = document(sandbox)
        bare = {**root, "paths": _inlined(root, root["paths"]), "components": {}}
        bare["components"]["securitySchemes"] = root["components"]["securitySchemes"]
        bare = json.loads(json.dumps(bare))
        for item in bare["paths"].values() if not titles else ():
            for operation in item.values():
                for key in ("summary", "tags", "operationId"):
                    del operation[key]
        learned = learn_openapi(json.dumps(bare).encode())
        show(f"{name} without names, titles {titles}", learned)
        mine = merged(learned.dialect(), "learned.yaml")
        ids = furnish(sandbox)
        with client(sandbox, sandbox.dialect) as true, client(sandbox, mine) as other:
            for operation_name, arguments in reads(ids):
                if answer(true, operation_name, arguments) != "BarrackServerError 501":
                    assert known(other.perform(operation_name, **arguments)) == known(
                        true.perform(operation_name, **arguments)
                    ), operation_name


def test_schemas_with_other_names() -> None:
    with furnished(dialect("camel")) as sandbox:
        text = served(sandbox).decode()
        for name in sorted(document(sandbox)["components"]["schemas"], key=len, reverse=True):
            text = text.replace(f'schemas/{name}"', f'schemas/Barrack.Api.V1.{name}Dto"')
            text = text.replace(f'"{name}": {{"', f'"Barrack.Api.V1.{name}Dto": {{"')
        learned, plain = learn_openapi(text.encode()), learn_openapi(served(sandbox))
        assert learned.dialect() == plain.dialect()


def test_an_unrelated_api_inside_barracks_own_matches_nothing_of_its_own() -> None:
    with furnished(dialect("builtin")) as sandbox:
        root = document(sandbox)
        true = learn_openapi(json.dumps(root).encode()).dialect()
        root["paths"].update(PETS["paths"])
        root["components"]["schemas"].update(PETS["components"]["schemas"])
        assert learn_openapi(json.dumps(root).encode()).dialect() == true
