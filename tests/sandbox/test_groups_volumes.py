"""Volumes: their life, and which instance has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api

DATA = {"name": "data", "size_gb": 100, "region": "CANADA-1"}


@pytest.fixture
def volume(sandbox: Sandbox, api: Api) -> int:
    """Id of a volume that is available."""
    made = api.ok("POST", "/volumes", DATA)["volume"]
    sandbox.advance(15)
    return int(made["id"])


def status(api: Api, id_: int) -> str:
    return str(api.ok("GET", f"/volumes/{id_}")["volume"]["status"])


def test_golden_shape_and_life_of_a_volume() -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start, settings={"jitter": 0}) as sandbox:
        api = Api(sandbox)
        id_ = sandbox.seed_instance("alpha")
        assert api.ok("GET", "/volumes")["next_name"] == "volume-1"
        made = api.ok("POST", "/volumes", DATA)["volume"]
        assert made == {
            "id": 2101,
            "name": "data",
            "size_gb": 100,
            "volume_type": "Cloud-SSD",
            "status": "creating",
            "bootable": False,
            "region": "CANADA-1",
            "image_id": None,
            "attachments": [],
            "created_at": "2026-11-25T08:00:00Z",
            "updated_at": "2026-11-25T08:00:00Z",
        }
        api.no(409, "POST", f"/instances/{id_}/volumes/attach", {"volume_ids": [2101]})
        api.no(409, "DELETE", "/volumes/2101")
        sandbox.advance(15)
        done = {**made, "status": "available", "updated_at": "2026-11-25T08:00:15Z"}
        assert api.ok("GET", "/volumes/2101")["volume"] == done
        listed = api.ok("GET", "/volumes")
        assert listed["volumes"] == [done]
        assert listed["pagination"] == {"page": 1, "page_size": 100, "total": 1, "pages": 1}
        there = api.ok("POST", f"/instances/{id_}/volumes/attach", {"volume_ids": ["2101"]})
        short = {"id": 2101, "name": "data", "size_gb": 100, "status": "in-use"}
        assert there["volumes"] == [short]
        assert api.ok("GET", f"/instances/{id_}")["instance"]["volumes"] == [short]
        assert api.ok("GET", "/instances")["instances"][0]["volumes"] == [short]
        held = api.ok("GET", "/volumes/2101")["volume"]
        assert held["status"] == "in-use"
        assert held["attachments"] == [
            {
                "instance_id": id_,
                "instance_name": "alpha",
                "device": "/dev/vdb",
                "status": "attached",
                "attached_at": "2026-11-25T08:00:15Z",
            }
        ]
        assert api.no(409, "DELETE", "/volumes/2101")["error_reason"] == "volume_in_use"
        api.ok("POST", f"/instances/{id_}/volumes/detach", {"volume_ids": [2101]})
        assert api.ok("GET", f"/instances/{id_}")["instance"]["volumes"] == []
        assert api.ok("GET", "/volumes/2101")["volume"] == done
        api.ok("DELETE", "/volumes/2101")
        assert status(api, 2101) == "deleting"
        sandbox.advance(5)
        api.no(404, "GET", "/volumes/2101")
        assert api.ok("GET", "/volumes/2101/billing")["summary"]["currency"] == "USD"


def test_names(sandbox: Sandbox, api: Api, volume: int) -> None:
    assert api.no(409, "POST", "/volumes", DATA)["error_reason"] == "duplicate_name"
    for n in (1, 2):
        name = api.ok("GET", "/volumes")["next_name"]
        assert name == f"volume-{n}"
        api.ok("POST", "/volumes", {**DATA, "name": name})
    assert api.ok("GET", "/volumes")["next_name"] == "volume-3"
    api.ok("DELETE", f"/volumes/{volume}")
    sandbox.advance(5)
    api.ok("POST", "/volumes", DATA)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"size_gb": 0}, "size_gb"),
        ({"size_gb": 1_048_577}, "size_gb"),
        ({"size_gb": "100"}, "size_gb"),
        ({"size_gb": None}, "size_gb"),
        ({"region": "MARS-1"}, "region"),
        ({"volume_type": "Floppy"}, "volume_type"),
        ({"name": "x" * 51}, "name"),
    ],
)
def test_volumes_that_are_refused(api: Api, change: dict[str, Any], field: str) -> None:
    assert list(api.no(422, "POST", "/volumes", {**DATA, **change})["errors"]) == [field]
    api.no(404, "POST", "/volumes", {**DATA, "image_id": 99})
    assert "region" in api.no(409, "POST", "/volumes", {**DATA, "image_id": 4})["errors"]
    assert api.ok("GET", "/volumes")["volumes"] == []


def test_volumes_cost_credits(sandbox: Sandbox, api: Api) -> None:
    sandbox.add_credit(-100)
    assert api.no(402, "POST", "/volumes", DATA)["error_reason"] == "insufficient_credits"


def test_types(api: Api) -> None:
    assert api.ok("GET", "/volumes/types")["volume_types"] == ["Cloud-SSD"]


def test_a_volume_only_grows(sandbox: Sandbox, api: Api, volume: int) -> None:
    at = f"/volumes/{volume}/resize"
    for size in (100, 99):
        body = api.no(409, "POST", at, {"size_gb": size})
        assert body["error_reason"] == "cannot_shrink"
        assert "100 GB" in body["errors"]["size_gb"]
    assert "size_gb" in api.no(422, "POST", at, {"size_gb": 0})["errors"]
    assert "size_gb" in api.no(422, "POST", at, {"size_gb": 2_000_000})["errors"]
    assert api.ok("POST", at, {"size_gb": 150})["volume"]["size_gb"] == 150
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", f"/instances/{id_}/volumes/attach", {"volume_ids": [volume]})
    assert api.no(409, "POST", at, {"size_gb": 200})["error_reason"] == "volume_in_use"
    api.no(404, "POST", "/volumes/1/resize", {"size_gb": 200})


def test_clone(sandbox: Sandbox, api: Api, volume: int) -> None:
    at = f"/volumes/{volume}/clone"
    api.no(409, "POST", at, {"name": "data"})
    made = api.ok("POST", at, {"name": "copy"})["volume"]
    assert (made["id"], made["size_gb"], made["region"]) == (volume + 1, 100, "CANADA-1")
    assert made["status"] == "creating"
    api.no(409, "POST", f"/volumes/{volume + 1}/clone", {"name": "copy of copy"})
    sandbox.advance(15)
    assert status(api, volume + 1) == "available"
    api.no(404, "POST", "/volumes/1/clone", {"name": "x"})


def test_attach_all_or_none(sandbox: Sandbox, api: Api, volume: int) -> None:
    far = api.ok("POST", "/volumes", {**DATA, "name": "far", "region": "US-1"})["volume"]["id"]
    more = api.ok("POST", "/volumes", {**DATA, "name": "more"})["volume"]["id"]
    sandbox.advance(15)
    one, two = sandbox.seed_instance("one"), sandbox.seed_instance("two", status="SHUTOFF")
    asleep = sandbox.seed_instance("asleep", status="HIBERNATED")

    def ids(*volumes: int) -> dict[str, Any]:
        return {"volume_ids": list(volumes)}

    at = f"/instances/{one}/volumes"
    assert api.no(409, "POST", f"{at}/attach", ids(volume, far))["error_reason"] == "wrong_region"
    api.no(404, "POST", f"{at}/attach", ids(volume, 1))
    api.no(422, "POST", f"{at}/attach", ids())
    api.no(422, "POST", f"{at}/attach", ids(volume, volume))
    api.no(409, "POST", f"/instances/{asleep}/volumes/attach", ids(volume))
    api.no(404, "POST", "/instances/none/volumes/attach", ids(volume))
    assert status(api, volume) == "available"
    api.ok("POST", f"{at}/attach", ids(volume))
    body = api.no(409, "POST", f"/instances/{two}/volumes/attach", ids(volume))
    assert body["error_reason"] == "volume_in_use"
    api.ok("POST", f"/instances/{two}/volumes/attach", ids(more))
    body = api.no(409, "POST", f"{at}/detach", ids(volume, more))
    assert body["error_reason"] == "not_attached"
    assert status(api, volume) == "in-use"
    api.no(409, "POST", f"{at}/detach", ids(far))


def test_devices_are_taken_and_given_back(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    made = [
        api.ok("POST", "/volumes", {**DATA, "name": f"v{n}"})["volume"]["id"] for n in range(26)
    ]
    sandbox.advance(15)
    at = f"/instances/{id_}/volumes"
    body = api.no(409, "POST", f"{at}/attach", {"volume_ids": made})
    assert body["error_reason"] == "too_many_volumes"
    api.ok("POST", f"{at}/attach", {"volume_ids": made[:25]})
    api.no(409, "POST", f"{at}/attach", {"volume_ids": made[25:]})
    api.ok("POST", f"{at}/detach", {"volume_ids": [made[3]]})
    api.ok("POST", f"{at}/attach", {"volume_ids": made[25:]})
    last = api.ok("GET", f"/volumes/{made[25]}")["volume"]["attachments"][0]
    assert last["device"] == "/dev/vde"


def test_volumes_outlive_their_instance(sandbox: Sandbox, api: Api, volume: int) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", f"/instances/{id_}/volumes/attach", {"volume_ids": [volume]})
    api.ok("DELETE", f"/instances/{id_}")
    assert status(api, volume) == "in-use"
    sandbox.advance(10)
    after = api.ok("GET", f"/volumes/{volume}")["volume"]
    assert (after["status"], after["attachments"]) == ("available", [])


def test_an_instance_with_volumes(sandbox: Sandbox, api: Api, volume: int) -> None:
    boot = api.ok("POST", "/volumes", {**DATA, "name": "boot", "image_id": 1})["volume"]
    assert boot["bootable"] is True
    ask: dict[str, Any] = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40"}
    at_boot = {**ask, "volume_id": boot["id"]}
    api.no(409, "POST", "/instances", at_boot)
    sandbox.advance(15)
    body = api.no(409, "POST", "/instances", {**ask, "volume_id": volume})
    assert body["error_reason"] == "volume_not_bootable"
    api.no(404, "POST", "/instances", {**ask, "volume_id": 1})
    api.no(404, "POST", "/instances", {**at_boot, "volume_ids": [1]})
    api.no(409, "POST", "/instances", {**at_boot, "region": "US-1"})
    sandbox.set_stock("CANADA-1", "L40", 0)
    api.no(409, "POST", "/instances", {**at_boot, "volume_ids": [volume]})
    assert status(api, volume) == "available"
    sandbox.set_stock("CANADA-1", "L40", 1)
    made = api.ok("POST", "/instances", {**at_boot, "volume_ids": [volume, boot["id"], volume]})[
        "instance"
    ]
    assert made["boot_source"] == "volume"
    sandbox.advance(60)
    there = api.ok("GET", f"/instances/{made['id']}")["instance"]["volumes"]
    assert [x["id"] for x in there] == [boot["id"], volume]
    at = f"/instances/{made['id']}/volumes/detach"
    body = api.no(409, "POST", at, {"volume_ids": [boot["id"]]})
    assert body["error_reason"] == "boot_volume"
    api.ok("POST", at, {"volume_ids": [volume]})


def test_volumes_can_fail_stick_and_vanish(sandbox: Sandbox, api: Api) -> None:
    made = {}
    for kind in ("fail", "stuck", "vanish"):
        sandbox.fault(kind, "create_volume", seconds=10)
        made[kind] = api.ok("POST", "/volumes", {**DATA, "name": kind})["volume"]["id"]
    sandbox.advance(3600)
    assert status(api, made["fail"]) == "error"
    assert status(api, made["stuck"]) == "creating"
    api.no(404, "GET", f"/volumes/{made['vanish']}")
    api.ok("DELETE", f"/volumes/{made['fail']}")


def test_the_end_of_the_credits(sandbox: Sandbox, api: Api, volume: int) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", f"/instances/{id_}/volumes/attach", {"volume_ids": [volume]})
    sandbox.add_credit(-100)
    sandbox.advance(60)
    assert status(api, volume) == "available"
    sandbox.settings(depletion_takes_volumes=True)
    sandbox.advance(60)
    api.no(404, "GET", f"/volumes/{volume}")
