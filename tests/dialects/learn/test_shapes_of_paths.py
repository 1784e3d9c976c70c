"""What stands in paths besides our own ids: parents, owners, and things of the same name."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn import (
    LearnError,
    evidence_text,
    learn_evidence,
    learn_openapi,
    read_evidence,
)
from barrack_tasks.dialects.learn.beyond import told_by_lists
from tests.dialects.learn.helpers import dialect, furnished, served

Paths = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def served_document() -> dict[str, Any]:
    with furnished(dialect("builtin")) as sandbox:
        root: dict[str, Any] = json.loads(served(sandbox))
    return root


@pytest.fixture
def document(served_document: dict[str, Any]) -> dict[str, Any]:
    return deepcopy(served_document)


def learned(root: dict[str, Any], **how: Any) -> Any:
    return learn_openapi(json.dumps(root).encode(), **how)


def test_what_lies_under_a_thing_is_learned_with_the_list_that_tells_it(
    document: dict[str, Any],
) -> None:
    paths: Paths = document["paths"]
    one = paths.pop("/snapshots/{snapshot_id}")
    paths["/instances/{vmId}/snapshots/{snapshot_id}"] = one
    paths["/instances/{vmId}/snapshots"] = paths.pop("/snapshots")
    found = learned(document)
    wire = found.matches["operations.list_snapshots"].wire
    assert wire["path"] == "/instances/{instance_id}/snapshots"
    assert wire["parents"] == {"instance_id": "list_instances"}
    for name in ("get_snapshot", "delete_snapshot"):
        wire = found.matches[f"operations.{name}"].wire
        assert wire["path"] == "/instances/{instance_id}/snapshots/{snapshot_id}"
        assert wire["parents"] == {"instance_id": "list_snapshots"}
    told = merged(found.dialect(), "learned.yaml")
    assert told.operations["list_snapshots"].parents == {"instance_id": "list_instances"}
    assert found.report().flows["snapshot_before_stop"].can_run


def test_what_changes_a_thing_is_not_looked_for_under_another() -> None:
    assert told_by_lists(OPERATIONS["get_snapshot"], ("vmId", "snapshotId"))
    assert not told_by_lists(OPERATIONS["restore_snapshot"], ("vmId", "snapshotId"))
    assert not told_by_lists(OPERATIONS["stop_instance"], ("snapshotId", "vmId"))
    assert not told_by_lists(OPERATIONS["list_instances"], ("projectId",))
    assert not told_by_lists(OPERATIONS["get_snapshot"], ("projectId", "snapshotId"))


def test_what_is_named_like_ours_is_asked_where_something_else_bears_its_title(
    document: dict[str, Any],
) -> None:
    paths: Paths = document["paths"]
    for path in ("/images", "/images/{image_id}"):
        own = deepcopy(paths[path])
        for operation in paths[path].values():
            operation["summary"] = ""
        for method, operation in own.items():
            operation.update(summary="", tags=[], operationId=f"{method}_custom_image")
        paths[path.replace("/images", "/custom-images")] = own
    paths["/images"]["get"]["operationId"] = "listImages"
    paths["/custom-images"]["get"]["operationId"] = "listCustomImages"
    found = learned(document, yes=True)
    asked = found.open["operations.list_images"]
    assert {c.shown for c in asked.candidates} == {"GET /images", "GET /custom-images"}
    assert "operations.list_images" not in found.matches
    taken = found.matches.get("operations.get_image")
    assert taken is None or taken.wire["path"] != "/images/{image_id}"


def test_a_project_is_named_once(document: dict[str, Any]) -> None:
    document["paths"] = {f"/projects/{{project_id}}{p}": i for p, i in document["paths"].items()}
    assert any("--fixed project_id=VALUE" in note for note in learned(document).notes)
    found = learned(document, fixed={"project_id": "p-7"})
    assert not any("--fixed" in note for note in found.notes)
    assert found.matches["operations.stop_instance"].wire["path"] == (
        "/projects/p-7/instances/{instance_id}/stop"
    )
    assert all(flow.can_run for flow in found.report().flows.values())
    again = learn_evidence(read_evidence(evidence_text(found.evidence).encode(), "x.json"))
    assert again.dialect() == found.dialect()


@pytest.mark.parametrize("value", ["", "..", "a/b", "{x}", "a b", "-", "a?b=c", "\u2028"])
def test_what_cannot_stand_in_a_path_is_refused(value: str, document: dict[str, Any]) -> None:
    with pytest.raises(LearnError, match="cannot be fixed"):
        learned(document, fixed={"project_id": value})
