"""Money: minutes, records, the end of the credits."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.sandbox import Sandbox
from barrack_tasks.sandbox.cloud.clock import Clock
from barrack_tasks.sandbox.cloud.refusals import Refused
from barrack_tasks.sandbox.cloud.settings import Settings
from barrack_tasks.sandbox.cloud.world import CloudState
from tests.sandbox.conftest import KEY, Api

RATES = {
    "USD": {
        "ACTIVE": "1.19",
        "SHUTOFF": "1.19",
        "HIBERNATED": "0.01",
        "ERROR": "0",
        "STOPPING": "0",
    },
    "EUR": {"ACTIVE": "1.19", "HIBERNATED": "0.01"},
    "INR": {"ACTIVE": "101.15", "HIBERNATED": "1.00"},
}


@pytest.mark.parametrize(
    ("currency", "status"), [(c, s) for c, rates in RATES.items() for s in rates]
)
@given(second=st.decimals(0, 59, places=6))
@settings(max_examples=15, deadline=None)
def test_an_hour_costs_its_rate(currency: str, status: str, second: Decimal) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC).replace(
        second=int(second), microsecond=int(second % 1 * 1_000_000)
    )
    world = CloudState(Clock(start, speed=0), Decimal(10_000), currency)
    machine = world.machines.seed(name="alpha", status=status)
    world.clock.advance(3600)
    world.settle()
    assert Decimal(10_000) - world.balance() == Decimal(RATES[currency][status])
    assert world.meter.accrued(machine.resource, world.micros) == Decimal(RATES[currency][status])


ACTS = st.one_of(
    st.tuples(st.just("advance"), st.decimals(0, 40_000, places=3)),
    st.tuples(
        st.sampled_from(["ACTIVE", "SHUTOFF", "HIBERNATED", "ERROR", "DELETED"]),
        st.integers(0, 2),
    ),
    st.tuples(st.just("snapshot"), st.integers(0, 2)),
)


@given(acts=st.lists(ACTS, max_size=25), balance=st.sampled_from(["1000000", "50", "3"]))
@settings(max_examples=80, deadline=None)
def test_records_add_up_to_what_is_taken(acts: list[tuple[str, object]], balance: str) -> None:
    world = CloudState(Clock(speed=0), Decimal(balance), settings=Settings(jitter=0.5))
    machines = [
        world.machines.seed(name=name, gpu_model=model)
        for name, model in [("one", "L40"), ("two", "H100-PCIe-80GB"), ("three", "A40")]
    ]
    snapshots = []
    for number, (act, how) in enumerate(acts):
        if act == "advance":
            world.clock.advance(float(str(how)))
            world.settle()
            continue
        try:
            machine = world.machines.get(machines[int(str(how))].id)
            if act == "snapshot":
                made = world.snapshots.create(machine, f"s{number}", None, False)
                snapshots.append(f"snapshot:{made.id}")
            else:
                world.machines.force(machine.id, act)
        except Refused:
            continue
    resources = [*(m.resource for m in machines), *snapshots]
    now = world.micros
    taken = Decimal(balance) - world.balance()
    assert taken == sum(world.meter.accrued(r, now) for r in resources)
    for resource in resources:
        stretches = world.meter.stretches(resource)
        for stretch in stretches:
            exact = stretch.rate * stretch.minutes(now) / 60
            assert abs(stretch.cost(now) - exact) <= Decimal("0.0000005")
        for one, next_ in pairwise(stretches):
            assert one.end == next_.start
    if world.balance() <= 0:
        assert {str(m.status) for m in world.machines.all()} <= {"HIBERNATED"}


def test_records_on_the_wire(api: Api) -> None:
    start = datetime(2026, 11, 25, 8, 0, 30, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start, settings={"jitter": 0}) as sandbox:
        api = Api(sandbox)
        id_ = sandbox.seed_instance("alpha")
        sandbox.advance(3600)
        api.ok("POST", f"/instances/{id_}/hibernate")
        sandbox.advance(40 + 7200)
        body = api.ok("GET", f"/instances/{id_}/billing")
        query = {"from": "2026-11-25T08:30:00Z", "to": "2026-11-25T09:00:00Z"}
        part = api.ok("GET", f"/instances/{id_}/billing", **query)
        for bad in ("yesterday", "2026-13-01"):
            assert (
                "from" in api.no(422, "GET", f"/instances/{id_}/billing", **{"from": bad})["errors"]
            )
        turned = {"from": query["to"], "to": query["from"]}
        empty = api.ok("GET", f"/instances/{id_}/billing", **turned)
        assert (empty["records"], empty["summary"]["total"]) == ([], "0.00")
        for far in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:60-23:59"):
            api.ok("GET", f"/instances/{id_}/billing", **{"from": far, "to": far})
        balance = api.ok("GET", "/balance")["data"]["balance"]
    assert body["summary"] == {
        "total": "1.21",
        "currency": "USD",
        "from": "2026-11-25T08:00:30Z",
        "to": "2026-11-25T11:01:10Z",
    }
    assert body["records"] == [
        {
            "start": "2026-11-25T08:00:30Z",
            "end": "2026-11-25T09:00:30Z",
            "status": "ACTIVE",
            "minutes": 60,
            "rate_per_hour": "1.19",
            "cost": "1.19",
        },
        {
            "start": "2026-11-25T09:00:30Z",
            "end": "2026-11-25T09:01:10Z",
            "status": "HIBERNATING",
            "minutes": 1,
            "rate_per_hour": "0.00",
            "cost": "0.00",
        },
        {
            "start": "2026-11-25T09:01:10Z",
            "end": None,
            "status": "HIBERNATED",
            "minutes": 120,
            "rate_per_hour": "0.01",
            "cost": "0.02",
        },
    ]
    assert balance == {"amount": "98.79", "currency": "USD"}
    assert part["summary"]["total"] == "0.595"
    assert [r["minutes"] for r in part["records"]] == [30]


def test_snapshots_cost_by_size(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
    sandbox.advance(3600)
    prices = {p["resource_type"]: p["hourly"] for p in api.ok("GET", "/pricing")["prices"]}
    total = api.ok("GET", "/snapshots/4101/billing")["summary"]["total"]
    assert Decimal(total) == 100 * Decimal(prices["snapshot"])


def test_at_zero_everything_awake_is_taken(api: Api) -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(
        api_key=KEY, speed=0, fleet=0, balance="1.19", start=start, settings={"jitter": 0}
    ) as sandbox:
        api = Api(sandbox)
        awake = sandbox.seed_instance("awake")
        asleep = sandbox.seed_instance("asleep", status="HIBERNATED")
        sandbox.advance(59 * 60)
        assert api.status(awake) == "ACTIVE"
        # Put forward by a week at once: what happened when is found all the same.
        sandbox.advance(7 * 86400)
        api.no(404, "GET", f"/instances/{awake}")
        assert api.status(asleep) == "HIBERNATED"
        ends = [x for x in sandbox.ledger() if "depleted" in x["detail"]]
        assert [x["id"] for x in ends] == ["", awake]
        assert {x["time"] for x in ends} == {"2026-11-25T09:00:00+00:00"}
        refusal = api.no(402, "POST", f"/instances/{asleep}/restore")
        assert refusal["error_reason"] == "insufficient_credits"
        sandbox.add_credit(100)
        api.ok("POST", f"/instances/{asleep}/restore")


def test_depletion_can_take_snapshots(sandbox: Sandbox, api: Api) -> None:
    sandbox.settings(depletion_takes_snapshots=True)
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s"})
    sandbox.advance(90)
    sandbox.add_credit(-100)
    sandbox.advance(60)
    assert api.ok("GET", "/snapshots")["snapshots"] == []


def test_deploy_needs_a_minimum(sandbox: Sandbox, api: Api) -> None:
    ask = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40", "image_id": 1}
    sandbox.add_credit("-99.01")
    assert api.no(402, "POST", "/instances", ask)["error_reason"] == "insufficient_credits"
    sandbox.add_credit("0.01")
    api.ok("POST", "/instances", ask)
