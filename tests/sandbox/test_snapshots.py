"""Snapshots: when they can be taken, how they end, what comes of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api


def test_golden_shape_and_life_of_a_snapshot() -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start, settings={"jitter": 0}) as sandbox:
        api = Api(sandbox)
        id_ = sandbox.seed_instance("alpha")
        ask = {"instance_id": id_, "name": "nightly", "description": "before the stop"}
        made = api.ok("POST", "/snapshots", ask)["snapshot"]
        assert made == {
            "id": 4101,
            "name": "nightly",
            "description": "before the stop",
            "status": "CREATING",
            "size_gb": 100,
            "instance_id": id_,
            "instance_name": "alpha",
            "region": "CANADA-1",
            "is_image": False,
            "created_at": "2026-11-25T08:00:00Z",
            "updated_at": "2026-11-25T08:00:00Z",
        }
        sandbox.advance(90)
        done = {**made, "status": "SUCCESS", "updated_at": "2026-11-25T08:01:30Z"}
        assert api.ok("GET", "/snapshots/4101")["snapshot"] == done
        listed = api.ok("GET", "/snapshots")
        assert listed["snapshots"] == [done]
        assert listed["pagination"] == {"page": 1, "page_size": 100, "total": 1, "pages": 1}


@pytest.mark.parametrize("state", ["SHUTOFF", "HIBERNATED", "ERROR", "STOPPING", "CREATING"])
def test_instance_must_be_active(sandbox: Sandbox, api: Api, state: str) -> None:
    id_ = sandbox.seed_instance("alpha", status=state)
    api.no(409, "POST", "/snapshots", {"instance_id": id_, "name": "s"})
    assert api.ok("GET", "/snapshots")["snapshots"] == []


def test_one_at_a_time_and_unique_names(sandbox: Sandbox, api: Api) -> None:
    one, two = sandbox.seed_instance("one"), sandbox.seed_instance("two")
    api.ok("POST", "/snapshots", {"instance_id": one, "name": "s"})
    body = api.no(409, "POST", "/snapshots", {"instance_id": one, "name": "t"})
    assert body["error_reason"] == "snapshot_in_progress"
    body = api.no(409, "POST", "/snapshots", {"instance_id": two, "name": "s"})
    assert body["error_reason"] == "duplicate_name"
    eligible = api.ok("GET", "/snapshots/eligible-instances")["instances"]
    assert [x["id"] for x in eligible] == [two]
    sandbox.advance(90)
    api.ok("POST", "/snapshots", {"instance_id": one, "name": "t"})
    assert len(api.ok("GET", "/snapshots", instance_id=one)["snapshots"]) == 2
    assert api.ok("GET", "/snapshots", instance_id=two)["snapshots"] == []


@pytest.mark.parametrize("action", ["stop", "hibernate", "reboot"])
def test_a_copy_is_lost_when_its_disk_is_pulled_away(
    sandbox: Sandbox, api: Api, action: str
) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
    sandbox.advance(30)
    api.ok("POST", f"/instances/{id_}/{action}")
    assert api.ok("GET", "/snapshots/4101")["snapshot"]["status"] == "FAILED"
    sandbox.advance(600)
    assert api.ok("GET", "/snapshots/4101")["snapshot"]["status"] == "FAILED"


def test_delete(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
    api.no(409, "DELETE", "/snapshots/4101")
    sandbox.advance(90)
    api.ok("DELETE", "/snapshots/4101")
    assert api.ok("GET", "/snapshots/4101")["snapshot"]["status"] == "DELETING"
    sandbox.advance(5)
    api.no(404, "GET", "/snapshots/4101")
    api.no(404, "DELETE", "/snapshots/4101")
    assert api.ok("GET", "/snapshots/4101/billing")["summary"]["currency"] == "USD"
    api.no(404, "GET", "/snapshots/9999/billing")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})


def test_restore_makes_a_new_instance(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha", gpu_model="A40", gpu_count=2, region="NORWAY-1")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
    api.no(409, "POST", "/snapshots/4101/restore", {"name": "alpha-restored"})
    sandbox.advance(90)
    sandbox.set_instance_status(id_, "DELETED")
    assert api.ok("GET", "/snapshots/4101")["snapshot"]["status"] == "SUCCESS"
    made = api.ok("POST", "/snapshots/4101/restore", {"name": "alpha-restored"})["instance"]
    assert made["id"] != id_
    assert made["boot_source"] == "snapshot"
    assert made["public_ip"] == "pending"
    sandbox.advance(60)
    new = api.ok("GET", f"/instances/{made['id']}")["instance"]
    assert (new["status"], new["gpu_model"], new["gpu_count"], new["region"]) == (
        "ACTIVE",
        "A40",
        2,
        "NORWAY-1",
    )


def test_restores_that_are_refused(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
    sandbox.advance(90)

    def reason(status: int, name: str = "beta") -> str:
        return str(
            api.no(status, "POST", "/snapshots/4101/restore", {"name": name})["error_reason"]
        )

    assert reason(409, "alpha") == "duplicate_name"
    assert reason(422, "x") == "validation_error"
    sandbox.settings(profile_complete=False)
    assert reason(400) == "profile_incomplete"
    sandbox.settings(profile_complete=True)
    sandbox.set_stock("CANADA-1", "L40", 0)
    assert reason(409) == "out_of_stock"
    sandbox.set_stock("CANADA-1", "L40", 1)
    balance = api.ok("GET", "/balance")["data"]["balance"]["amount"]
    sandbox.add_credit(f"-{balance}")
    sandbox.add_credit("0.99")
    assert reason(402) == "insufficient_credits"
    sandbox.add_credit("0.01")
    api.ok("POST", "/snapshots/4101/restore", {"name": "beta"})


def test_create_instance_from_a_snapshot(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
    sandbox.advance(90)
    ask = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40", "snapshot_id": 4101}
    assert api.ok("POST", "/instances", ask)["instance"]["boot_source"] == "snapshot"
    api.no(409, "POST", "/instances", {**ask, "name": "gamma", "region": "US-1"})
    api.no(404, "POST", "/instances", {**ask, "name": "gamma", "snapshot_id": "77"})


def test_lists_can_lag(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    sandbox.advance(60)
    sandbox.settings(list_lag=30)
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
    deploy = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40", "image_id": 1}
    api.ok("POST", "/instances", deploy)
    assert api.ok("GET", "/snapshots")["snapshots"] == []
    assert len(api.ok("GET", "/instances")["instances"]) == 1
    api.ok("GET", "/snapshots/4101")
    sandbox.advance(30)
    assert len(api.ok("GET", "/snapshots")["snapshots"]) == 1
    assert len(api.ok("GET", "/instances")["instances"]) == 2
