"""Instances: states, refusals, stock, addresses, and their shape on the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api

DEPLOY = {"name": "new-one", "region": "CANADA-1", "gpu_model": "L40", "image_id": "1"}


@pytest.mark.parametrize(
    ("action", "before", "through", "seconds", "after"),
    [
        ("start", "SHUTOFF", "STARTING", 30, "ACTIVE"),
        ("stop", "ACTIVE", "STOPPING", 20, "SHUTOFF"),
        ("reboot", "ACTIVE", "REBOOTING", 20, "ACTIVE"),
        ("reboot", "ERROR", "REBOOTING", 20, "ACTIVE"),
        ("hibernate", "ACTIVE", "HIBERNATING", 40, "HIBERNATED"),
        ("restore", "HIBERNATED", "RESTORING", 60, "ACTIVE"),
    ],
)
def test_actions_take_their_time(
    sandbox: Sandbox, api: Api, action: str, before: str, through: str, seconds: int, after: str
) -> None:
    id_ = sandbox.seed_instance("alpha", status=before)
    body = api.ok("POST", f"/instances/{id_}/{action}")
    assert body["instance"] == {"id": id_, "status": through}
    sandbox.advance(seconds - 1)
    assert api.status(id_) == through
    sandbox.advance(1)
    assert api.status(id_) == after


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("start", {"SHUTOFF"}),
        ("stop", {"ACTIVE"}),
        ("hibernate", {"ACTIVE"}),
        ("reboot", {"ACTIVE", "ERROR"}),
        ("restore", {"HIBERNATED"}),
    ],
)
def test_wrong_states_are_conflicts(
    sandbox: Sandbox, api: Api, action: str, allowed: set[str]
) -> None:
    states = {"ACTIVE", "SHUTOFF", "HIBERNATED", "ERROR", "CREATING", "HIBERNATING", "STOPPING"}
    for state in sorted(states - allowed):
        id_ = sandbox.seed_instance(f"vm-{state}", status=state)
        body = api.no(409, "POST", f"/instances/{id_}/{action}")
        assert body["error_reason"] == "wrong_state"
        assert state in body["message"]
        assert api.status(id_) == state


def test_unknown_instance_is_not_found(api: Api) -> None:
    for method, path in [
        ("GET", "/instances/BRK-NONONOD"),
        ("GET", "/instances/BRK-NONONOD/billing"),
        ("POST", "/instances/BRK-NONONOD/stop"),
        ("POST", "/instances/BRK-NONONOD/public-ip"),
        ("DELETE", "/instances/BRK-NONONOD"),
    ]:
        assert api.no(404, method, path)["error_reason"] == "not_found"


def test_deleted_instance_disappears(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    assert api.ok("DELETE", f"/instances/{id_}")["instance"] == {"id": id_, "status": "DELETING"}
    assert [x["id"] for x in api.ok("GET", "/instances")["instances"]] == [id_]
    api.no(409, "DELETE", f"/instances/{id_}")
    sandbox.advance(10)
    assert api.ok("GET", "/instances")["instances"] == []
    api.no(404, "GET", f"/instances/{id_}")
    assert api.ok("GET", f"/instances/{id_}/billing")["records"]
    sandbox.seed_instance("alpha")


def test_golden_shape_of_an_instance() -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start) as sandbox:
        id_ = sandbox.seed_instance("alpha", gpu_model="A100-PCIe-80GB", gpu_count=2)
        api = Api(sandbox)
        listed = api.ok("GET", "/instances")
        found = api.ok("GET", f"/instances/{id_}")
    assert re.fullmatch(r"BRK-[A-Z0-9]{6}D", id_)
    (shown,) = listed["instances"]
    ip = {name: shown.pop(name) for name in ("public_ip", "private_ip")}
    assert all(re.fullmatch(r"\d+(\.\d+){3}", address) for address in ip.values())
    assert shown == {
        "id": id_,
        "name": "alpha",
        "status": "ACTIVE",
        "region": "CANADA-1",
        "gpu_model": "A100-PCIe-80GB",
        "gpu_count": 2,
        "hourly_price": "3.10",
        "currency": "USD",
        "flavor": {
            "name": "n3-A100-PCIe-80GBx2",
            "gpu_model": "A100-PCIe-80GB",
            "gpu_count": 2,
            "vcpus": 56,
            "ram_gb": 240,
            "disk_gb": 100,
            "ephemeral_gb": 1500,
        },
        "image": {"id": 1, "name": "Ubuntu 24.04 LTS"},
        "boot_source": "image",
        "ssh_key": None,
        "volumes": [],
        "security_rules": [],
        "created_at": "2026-11-25T08:00:00Z",
        "updated_at": "2026-11-25T08:00:00Z",
        "hibernated_at": None,
    }
    assert listed["pagination"] == {"page": 1, "page_size": 100, "total": 1, "pages": 1}
    assert found["billing"] == {"rate_per_hour": "3.10", "accrued": "0.00", "currency": "USD"}
    extra = set(found["instance"]) - set(shown) - set(ip)
    assert extra == {
        "power_state", "vm_state", "public_ip_status", "labels", "locked", "features",
    }  # fmt: skip


def test_create_takes_stock_and_gets_an_address(sandbox: Sandbox, api: Api) -> None:
    sandbox.set_stock("CANADA-1", "L40", 3)
    made = api.ok("POST", "/instances", {**DEPLOY, "gpu_count": 2})["instance"]
    assert made["status"] == "CREATING"
    assert made["public_ip"] == "pending"
    assert made["hourly_price"] == "2.38"
    refusal = api.no(409, "POST", "/instances", {**DEPLOY, "name": "second", "gpu_count": 2})
    assert refusal["error_reason"] == "out_of_stock"
    assert "stock" in refusal["message"]
    sandbox.advance(60)
    whole = api.ok("GET", f"/instances/{made['id']}")["instance"]
    assert whole["status"] == "ACTIVE"
    assert re.fullmatch(r"\d+(\.\d+){3}", whole["public_ip"])
    assert whole["public_ip_status"] == "assigned"
    api.ok("DELETE", f"/instances/{made['id']}")
    sandbox.advance(10)
    api.ok("POST", "/instances", {**DEPLOY, "name": "second", "gpu_count": 2})


def test_create_without_public_ip(sandbox: Sandbox, api: Api) -> None:
    id_ = api.ok("POST", "/instances", {**DEPLOY, "public_ip": False})["instance"]["id"]
    sandbox.advance(60)
    assert api.ok("GET", f"/instances/{id_}")["instance"]["public_ip"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "x"}, "name"),
        ({"name": "no/slash"}, "name"),
        ({"name": 7}, "name"),
        ({"region": "MARS-1"}, "region"),
        ({"gpu_model": "ABACUS"}, "gpu_model"),
        ({"gpu_count": 3}, "gpu_count"),
        ({"tier": "gold"}, "tier"),
        ({"gpu_count": "many"}, "gpu_count"),
        ({"public_ip": "yes"}, "public_ip"),
        ({"volume_ids": "1"}, "volume_ids"),
        ({"security_rules": [{"protocol": "tcp", "port_range_min": 0}]},
         "security_rules.0.port_range_min"),
        ({"security_rules": [{"protocol": "tcp", "port_range_min": "x"}]},
         "security_rules.0.port_range_min"),
        ({"image_id": None}, "body"),
        ({"snapshot_id": "1"}, "body"),
    ],
)  # fmt: skip
def test_invalid_creates_name_the_field(api: Api, change: dict[str, object], field: str) -> None:
    body = api.no(422, "POST", "/instances", {**DEPLOY, **change})
    assert list(body["errors"]) == [field]
    assert api.ok("GET", "/instances")["instances"] == []


def test_names_are_unique(sandbox: Sandbox, api: Api) -> None:
    sandbox.seed_instance("new-one")
    assert api.no(409, "POST", "/instances", DEPLOY)["error_reason"] == "duplicate_name"


def test_hibernation_gives_hardware_and_address_back(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha", gpu_model="A40", gpu_count=4)
    sandbox.set_stock("CANADA-1", "A40", 0)
    address = api.ok("GET", f"/instances/{id_}")["instance"]["public_ip"]
    api.ok("POST", f"/instances/{id_}/hibernate")
    sandbox.advance(40)
    asleep = api.ok("GET", f"/instances/{id_}")["instance"]
    assert asleep["public_ip"] is None
    assert asleep["hibernated_at"] == asleep["updated_at"]
    stock = {(x["region"], x["gpu_model"]): x for x in api.ok("GET", "/gpu-stocks")["stocks"]}
    assert stock["CANADA-1", "A40"]["available"] == "4"
    # Somebody else takes the hardware: the instance cannot be brought back for a while.
    sandbox.set_stock("CANADA-1", "A40", 3)
    assert api.no(409, "POST", f"/instances/{id_}/restore")["error_reason"] == "out_of_stock"
    assert api.status(id_) == "HIBERNATED"
    sandbox.set_stock("CANADA-1", "A40", 4)
    api.ok("POST", f"/instances/{id_}/restore")
    assert api.ok("GET", f"/instances/{id_}")["instance"]["public_ip"] == "pending"
    sandbox.advance(60)
    awake = api.ok("GET", f"/instances/{id_}")["instance"]
    assert awake["public_ip"] not in (None, "pending", address)
    assert awake["hibernated_at"] is None


def test_stopping_keeps_the_hardware(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha", gpu_model="A40")
    sandbox.set_stock("CANADA-1", "A40", 0)
    api.ok("POST", f"/instances/{id_}/stop")
    sandbox.advance(20)
    items = api.ok("GET", "/gpu-stocks", None)["stocks"]
    (item,) = [x for x in items if (x["region"], x["gpu_model"]) == ("CANADA-1", "A40")]
    assert item["available"] == "0"
    api.ok("POST", f"/instances/{id_}/start")


def test_some_flavors_cannot_hibernate(sandbox: Sandbox, api: Api) -> None:
    big = sandbox.seed_instance("big", gpu_model="H100-SXM5-80GB", gpu_count=8)
    odd = sandbox.seed_instance("odd", can_hibernate=False)
    for id_ in (big, odd):
        body = api.no(409, "POST", f"/instances/{id_}/hibernate")
        assert body["error_reason"] == "hibernation_not_supported"


def test_public_ip_toggles(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", f"/instances/{id_}/public-ip")
    assert api.ok("GET", f"/instances/{id_}")["instance"]["public_ip"] is None
    api.ok("POST", f"/instances/{id_}/public-ip")
    assert api.ok("GET", f"/instances/{id_}")["instance"]["public_ip"]
    sandbox.set_instance_status(id_, "HIBERNATED")
    api.no(409, "POST", f"/instances/{id_}/public-ip")


def test_a_person_overtakes_work_under_way(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", f"/instances/{id_}/hibernate")
    sandbox.set_instance_status(id_, "SHUTOFF")
    sandbox.advance(600)
    assert api.status(id_) == "SHUTOFF"


def test_filters(sandbox: Sandbox, api: Api) -> None:
    here = sandbox.seed_instance("here", region="CANADA-1")
    there = sandbox.seed_instance("there", region="US-1", status="SHUTOFF")

    def ids(**query: str) -> list[str]:
        return [x["id"] for x in api.ok("GET", "/instances", **query)["instances"]]

    assert ids() == [here, there]
    assert ids(region="US-1") == [there]
    assert ids(status="ACTIVE") == [here]
    assert ids(status="shutoff") == [there]
    assert ids(status="ACTIVE", region="US-1") == []
    assert "status" in api.no(422, "GET", "/instances", status="FLYING")["errors"]
    assert "region" in api.no(422, "GET", "/instances", region="MARS")["errors"]


def test_hibernated_instances(sandbox: Sandbox, api: Api) -> None:
    sandbox.seed_instance("awake")
    first = sandbox.seed_instance("first", status="HIBERNATED")
    sandbox.advance(3600)
    second = sandbox.seed_instance("second", status="HIBERNATED")
    body = api.ok("GET", "/instances/hibernated")
    assert body["count"] == 2
    assert [x["id"] for x in body["recent"]] == [second, first]
    assert body["billing"] == {"rate_per_hour": "0.02", "accrued": "0.01", "currency": "USD"}


def test_jitter_is_seeded() -> None:
    def moments(seed: int) -> list[str]:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        with Sandbox(api_key=KEY, speed=0, seed=seed, start=start, settings={"jitter": 0.5}) as box:
            api = Api(box)
            for instance in api.ok("GET", "/instances")["instances"]:
                api.ok("POST", f"/instances/{instance['id']}/stop")
            box.advance(60)
            return [f"{x['id']} {x['time']}" for x in box.ledger()]

    assert moments(1) == moments(1)
    assert moments(1) != moments(2)
