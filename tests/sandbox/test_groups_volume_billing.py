"""What volumes cost: hours, parts, and what is taken from the balance."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.sandbox import Sandbox
from barrack_tasks.sandbox.cloud.clock import SECOND, Clock
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.volumes import hourly_records
from tests.sandbox.conftest import KEY, Api

DATA = {"name": "data", "size_gb": 100, "region": "CANADA-1"}


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


def _volume_world(second: Decimal, size_gb: int, currency: str = "USD") -> tuple[CloudState, str]:
    start = datetime(2026, 1, 1, tzinfo=UTC).replace(
        second=int(second), microsecond=int(second % 1 * SECOND)
    )
    world = CloudState(Clock(start, speed=0), Decimal(10**9), currency)
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
