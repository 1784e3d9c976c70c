"""Images: what they are made from, what depends on what, what boots from them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api


@pytest.fixture
def snapshot(sandbox: Sandbox, api: Api) -> int:
    """Id of a snapshot that is ready."""
    id_ = sandbox.seed_instance("alpha")
    made = api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})["snapshot"]
    sandbox.advance(90)
    return int(made["id"])


def test_golden_shape_and_life_of_an_image() -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start, settings={"jitter": 0}) as sandbox:
        api = Api(sandbox)
        id_ = sandbox.seed_instance("alpha")
        api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
        ask = {"snapshot_id": 4101, "name": "base", "description": "with drivers"}
        assert api.no(409, "POST", "/images", ask)["error_reason"] == "snapshot_not_ready"
        sandbox.advance(90)
        made = api.ok("POST", "/images", ask)["image"]
        assert made == {
            "id": 6101,
            "name": "base",
            "status": "CREATING",
            "description": "with drivers",
            "size_gb": 100,
            "snapshot_id": 4101,
            "region": "CANADA-1",
            "created_at": "2026-11-25T08:01:30Z",
            "updated_at": "2026-11-25T08:01:30Z",
        }
        api.no(409, "DELETE", "/images/6101")
        sandbox.advance(60)
        done = {**made, "status": "SUCCESS", "updated_at": "2026-11-25T08:02:30Z"}
        assert api.ok("GET", "/images/6101")["image"] == done
        listed = api.ok("GET", "/images")
        assert listed["images"] == [done]
        assert listed["pagination"] == {"page": 1, "page_size": 100, "total": 1, "pages": 1}
        related = api.ok("GET", "/snapshots/4101/image")
        assert (related["snapshot_id"], related["images"]) == (4101, [done])
        api.ok("DELETE", "/images/6101")
        api.no(409, "DELETE", "/images/6101")
        sandbox.advance(5)
        api.no(404, "GET", "/images/6101")
        api.no(404, "DELETE", "/images/6101")
        assert api.ok("GET", "/snapshots/4101/image")["images"] == []


def test_bad_requests(api: Api, snapshot: int) -> None:
    api.no(404, "POST", "/images", {"snapshot_id": 9, "name": "base"})
    for bad in ("", "x" * 51, "a\nb"):
        body = api.no(422, "POST", "/images", {"snapshot_id": snapshot, "name": bad})
        assert list(body["errors"]) == ["name"]
    api.ok("POST", "/images", {"snapshot_id": snapshot, "name": "base"})
    body = api.no(409, "POST", "/images", {"snapshot_id": snapshot, "name": "base"})
    assert body["error_reason"] == "duplicate_name"
    api.no(404, "GET", "/images/77")


def test_relationships_of_many(sandbox: Sandbox, api: Api, snapshot: int) -> None:
    other = sandbox.seed_instance("beta")
    bare = api.ok("POST", "/snapshots", {"instance_id": other, "name": "bare"})["snapshot"]["id"]
    api.ok("POST", "/images", {"snapshot_id": snapshot, "name": "one"})
    api.ok("POST", "/images", {"snapshot_id": snapshot, "name": "two"})
    ask = {"snapshot_ids": [bare, str(snapshot)]}
    related = api.ok("POST", "/snapshots/images", ask)["relationships"]
    assert [(x["snapshot_id"], [i["name"] for i in x["images"]]) for x in related] == [
        (bare, []),
        (snapshot, ["one", "two"]),
    ]
    api.no(404, "POST", "/snapshots/images", {"snapshot_ids": [bare, 99]})
    api.no(422, "POST", "/snapshots/images", {"snapshot_ids": []})
    api.no(422, "POST", "/snapshots/images", {"snapshot_ids": [bare, str(bare)]})
    api.no(404, "GET", "/snapshots/99/image")


def test_a_snapshot_with_an_image_stays(sandbox: Sandbox, api: Api, snapshot: int) -> None:
    image = api.ok("POST", "/images", {"snapshot_id": snapshot, "name": "base"})["image"]["id"]
    for seconds in (0, 60):
        sandbox.advance(seconds)
        body = api.no(409, "DELETE", f"/snapshots/{snapshot}")
        assert body["error_reason"] == "snapshot_in_use"
        assert "'base'" in body["message"]
    assert api.ok("GET", f"/snapshots/{snapshot}")["snapshot"]["status"] == "SUCCESS"
    api.ok("DELETE", f"/images/{image}")
    api.no(409, "DELETE", f"/snapshots/{snapshot}")
    sandbox.advance(5)
    api.ok("DELETE", f"/snapshots/{snapshot}")


def test_a_snapshot_as_image(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    ask = {"instance_id": id_, "name": "golden", "is_image": True}
    made = api.ok("POST", "/snapshots", ask)["snapshot"]
    assert made["is_image"] is True

    def image() -> tuple[str, str]:
        (found,) = api.ok("GET", f"/snapshots/{made['id']}/image")["images"]
        return found["name"], found["status"]

    assert image() == ("golden", "PENDING")
    sandbox.advance(90)
    assert image() == ("golden", "CREATING")
    sandbox.advance(60)
    assert image() == ("golden", "SUCCESS")
    api.no(409, "DELETE", f"/snapshots/{made['id']}")


def test_a_snapshot_as_image_needs_a_free_name(sandbox: Sandbox, api: Api, snapshot: int) -> None:
    api.ok("POST", "/images", {"snapshot_id": snapshot, "name": "golden"})
    id_ = sandbox.seed_instance("beta")
    ask = {"instance_id": id_, "name": "golden", "is_image": True}
    assert api.no(409, "POST", "/snapshots", ask)["error_reason"] == "duplicate_name"
    assert len(api.ok("GET", "/snapshots")["snapshots"]) == 1
    api.ok("POST", "/snapshots", {**ask, "is_image": False})


def test_a_snapshot_that_fails_leaves_no_image(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    ask = {"instance_id": id_, "name": "golden", "is_image": True}
    made = api.ok("POST", "/snapshots", ask)["snapshot"]["id"]
    api.ok("POST", f"/instances/{id_}/stop")
    assert api.ok("GET", f"/snapshots/{made}/image")["images"] == []
    api.ok("DELETE", f"/snapshots/{made}")


def test_images_can_fail_stick_and_vanish(sandbox: Sandbox, api: Api, snapshot: int) -> None:
    made = {}
    for kind in ("fail", "stuck", "vanish"):
        sandbox.fault(kind, "create_image", seconds=10)
        ask = {"snapshot_id": snapshot, "name": kind}
        made[kind] = api.ok("POST", "/images", ask)["image"]["id"]
    sandbox.advance(3600)
    assert api.ok("GET", f"/images/{made['fail']}")["image"]["status"] == "FAILED"
    assert api.ok("GET", f"/images/{made['stuck']}")["image"]["status"] == "CREATING"
    api.no(404, "GET", f"/images/{made['vanish']}")


def test_os_images(api: Api) -> None:
    def names(**query: str) -> list[str]:
        return [x["name"] for x in api.ok("GET", "/os-images", **query)["images"]]

    assert api.ok("GET", "/os-images")["images"][0] == {
        "id": 1,
        "name": "Ubuntu 24.04 LTS",
        "type": "Ubuntu",
        "version": "24.04",
        "region": None,
        "size_gb": 4,
        "description": None,
    }
    assert "Debian 12" in names()
    assert "Debian 12" in names(region="NORWAY-1")
    assert "Debian 12" not in names(region="CANADA-1")
    assert "region" in api.no(422, "GET", "/os-images", region="MARS-1")["errors"]


def test_an_instance_boots_from_an_image(sandbox: Sandbox, api: Api, snapshot: int) -> None:
    image = api.ok("POST", "/images", {"snapshot_id": snapshot, "name": "base"})["image"]["id"]
    ask = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40", "image_id": image}
    assert api.no(409, "POST", "/instances", ask)["error_reason"] == "image_not_ready"
    sandbox.advance(60)
    assert "region" in api.no(409, "POST", "/instances", {**ask, "region": "US-1"})["errors"]
    made = api.ok("POST", "/instances", ask)["instance"]
    assert made["boot_source"] == "image"
    new = api.ok("GET", f"/instances/{made['id']}")["instance"]
    assert new["image"] == {"id": image, "name": "base"}
    api.ok("DELETE", f"/images/{image}")
    sandbox.advance(60)
    assert api.status(made["id"]) == "ACTIVE"


def test_an_instance_boots_from_an_os_image(api: Api) -> None:
    ask = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40", "image_id": "2"}
    api.no(404, "POST", "/instances", {**ask, "image_id": 12})
    assert "region" in api.no(409, "POST", "/instances", {**ask, "image_id": 4})["errors"]
    made = api.ok("POST", "/instances", ask)["instance"]
    new = api.ok("GET", f"/instances/{made['id']}")["instance"]
    assert new["image"] == {"id": 2, "name": "Ubuntu 22.04 LTS"}
