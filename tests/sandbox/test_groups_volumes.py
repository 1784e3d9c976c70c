"""Volumes: their life, which instance has them, what they cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.sandbox import Sandbox
from barrack_tasks.sandbox.clock import SECOND, Clock
from barrack_tasks.sandbox.groups.volumes import hourly_records
from barrack_tasks.sandbox.world import World
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


def test_records_on_the_wire() -> None:
    start = datetime(2026, 11, 25, 8, 0, 30, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start, settings={"jitter": 0}) as sandbox:
        api = Api(sandbox)
        prices = {p["resource_type"]: p["hourly"] for p in api.ok("GET", "/pricing")["prices"]}
        api.ok("POST", "/volumes", {**DATA, "size_gb": 250})
        sandbox.advance(5400)
        api.ok("POST", "/volumes/2101/resize", {"size_gb": 500})
        sandbox.advance(600)
        body = api.ok("GET", "/volumes/2101/billing")
        query = {"from": "2026-11-25T09:00:00Z", "to": "2026-11-25T09:30:00Z"}
        part = api.ok("GET", "/volumes/2101/billing", **query)
        api.no(422, "GET", "/volumes/2101/billing", **{"from": "yesterday"})
        api.no(404, "GET", "/volumes/1/billing")
        balance = api.ok("GET", "/balance")["data"]["balance"]["amount"]
        details = [x["detail"] for x in sandbox.ledger() if x["kind"] == "volume"]
    assert prices["volume"] == "0.0001"
    shape = [
        (r["start"][11:19], r["end"] and r["end"][11:19], r["size_gb"], r["minutes"], r["cost"])
        for r in body["records"]
    ]
    assert shape == [
        ("08:00:30", "09:00:30", 250, 60, "0.025"),
        ("09:00:30", "09:30:30", 250, 30, "0.0125"),
        ("09:30:30", None, 500, 10, "0.008333"),
    ]
    assert [r["rate_per_hour"] for r in body["records"]] == ["0.025", "0.025", "0.05"]
    assert body["summary"] == {
        "total": "0.045833",
        "currency": "USD",
        "from": "2026-11-25T08:00:30Z",
        "to": "2026-11-25T09:40:30Z",
    }
    assert Decimal(balance) == 100 - Decimal("0.045833")
    assert part["summary"]["total"] == "0.0125"
    assert "resized: 250 -> 500 GB" in details


def _volume_world(second: Decimal, size_gb: int, currency: str = "USD") -> tuple[World, str]:
    start = datetime(2026, 1, 1, tzinfo=UTC).replace(
        second=int(second), microsecond=int(second % 1 * SECOND)
    )
    world = World(Clock(start, speed=0), Decimal(10**9), currency)
    return world, world.volumes.seed(name="data", size_gb=size_gb, region="US-1").id


SECONDS = st.decimals(0, 59, places=6)
SIZES = st.integers(1, 1_048_576)


@given(second=SECONDS, size_gb=SIZES, currency=st.sampled_from(["USD", "EUR", "INR"]))
@settings(max_examples=60)
def test_an_hour_costs_its_rate(second: Decimal, size_gb: int, currency: str) -> None:
    world, id_ = _volume_world(second, size_gb, currency)
    world.clock.advance(3600)
    world.settle()
    rate = size_gb * Decimal("0.0001") * (85 if currency == "INR" else 1)
    assert 10**9 - world.balance() == rate
    (stretch,) = world.meter.stretches(f"volume:{id_}")
    assert sum(r.cost for r in hourly_records(stretch, world.micros)) == rate


@given(
    second=SECONDS,
    size_gb=SIZES,
    steps=st.lists(
        st.tuples(st.decimals(0, 30_000, places=3), st.integers(0, 1000)), min_size=1, max_size=6
    ),
    cuts=st.lists(st.decimals(0, 200_000, places=3), max_size=5),
)
@settings(max_examples=80)
def test_parts_add_up_to_what_is_taken(
    second: Decimal, size_gb: int, steps: list[tuple[Decimal, int]], cuts: list[Decimal]
) -> None:
    world, id_ = _volume_world(second, size_gb)
    begin = world.micros
    size = size_gb
    for seconds, growth in steps:
        world.clock.advance(float(seconds))
        world.settle()
        if growth and size + growth <= 1_048_576:
            size += growth
            world.volumes.resize(id_, size)
    now = world.micros
    taken = 10**9 - world.balance()
    marks = sorted({begin, now, *(min(now, begin + int(cut * SECOND)) for cut in cuts)})

    def cost(since: int, until: int) -> Decimal:
        records = [
            record
            for stretch in world.meter.stretches(f"volume:{id_}")
            for record in hourly_records(stretch, now, since, until)
        ]
        for record in records:
            assert record.minutes is not None
            assert 0 <= record.minutes <= 60
            assert record.rate_per_hour is not None
            exact = record.rate_per_hour * record.minutes / 60
            assert abs(record.cost - exact) <= Decimal("0.000001")
            if record.minutes == 60:
                assert record.cost == record.rate_per_hour
        return sum((record.cost for record in records), Decimal(0))

    assert cost(begin, now) == taken == world.meter.accrued(f"volume:{id_}", now)
    assert sum(cost(a, b) for a, b in pairwise(marks)) == taken


def test_the_end_of_the_credits(sandbox: Sandbox, api: Api, volume: int) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", f"/instances/{id_}/volumes/attach", {"volume_ids": [volume]})
    sandbox.add_credit(-100)
    sandbox.advance(60)
    assert status(api, volume) == "available"
    sandbox.settings(depletion_takes_volumes=True)
    sandbox.advance(60)
    api.no(404, "GET", f"/volumes/{volume}")
