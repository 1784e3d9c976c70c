"""A bill and its parts."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import BillingRecord
from barrack_tasks.plans.money.bill import Bill, Charge, Thing, charge_of, cost_of, days_back
from barrack_tasks.plans.money.budgets import Period
from barrack_tasks.plans.money.burn import Burn
from barrack_tasks.plans.money.cost_report import CostReport

START = datetime(2026, 3, 20, 7, 31, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"]
KEYS = ["thing", "kind", "model", "region", "state", "day"]
THINGS = st.builds(
    Thing,
    st.sampled_from(["instance", "volume", "snapshot"]),
    st.sampled_from(["1", "2", "3"]),
    st.sampled_from(["alpha", "beta"]),
    st.sampled_from(["", "1x L40"]),
    st.sampled_from(["", "CANADA-1"]),
    st.none() | st.decimals(0, 30, places=4),
)


@st.composite
def charges(draw: st.DrawFn) -> Charge:
    start = START + timedelta(minutes=draw(st.integers(0, 30_000)))
    minutes = draw(st.integers(0, 20_000))
    state = draw(st.sampled_from(["ACTIVE", "SHUTOFF", "HIBERNATED", "volume"]))
    cost = draw(st.decimals(0, 5000, places=6))
    end = start + timedelta(minutes=minutes)
    return Charge(draw(THINGS), start, end, state, minutes, cost)


BILLS = st.builds(
    lambda parts, zone: Bill(START, START + timedelta(days=90), "USD", zone, tuple(parts)),
    st.lists(charges(), max_size=12),
    st.sampled_from(ZONES),
)


@given(bill=BILLS)
def test_the_parts_of_a_bill_add_up_to_the_whole_however_it_is_divided(bill: Bill) -> None:
    for key in KEYS:
        assert sum(bill.by(key).values()) == bill.total, key
    for key in KEYS[:-1]:
        assert sum(sum(day.values()) for day in bill.by_day_and(key).values()) == bill.total
    assert sum(r["cost"] for r in bill.records()) == bill.total
    assert sum(r["minutes"] for r in bill.records()) == sum(c.minutes for c in bill.charges)


@given(charge=charges(), zone=st.sampled_from(ZONES))
def test_a_charge_is_divided_at_the_midnights_of_its_zone(charge: Charge, zone: str) -> None:
    parts = list(charge.on_days(ZoneInfo(zone)))
    assert sum(part.cost for _, part in parts) == charge.cost
    assert all(part.cost >= 0 for _, part in parts)
    assert parts[0][1].start == charge.start
    assert parts[-1][1].end == charge.end
    for (day, part), (_, following) in pairwise(parts):
        assert part.end == following.start
        assert part.start.astimezone(ZoneInfo(zone)).date().isoformat() == day
        assert part.end.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S") == "00:00:00"


@given(bill=BILLS, days=st.integers(0, 40))
def test_what_was_spent_before_and_since_a_day_is_the_whole(bill: Bill, days: int) -> None:
    edge = (START + timedelta(days=days)).astimezone(ZoneInfo(bill.zone))
    midnight = edge.replace(hour=0, minute=0, second=0)
    later = bill.from_moment(midnight)
    assert later.total == bill.since(midnight)
    before = sum(v for day, v in bill.by("day").items() if day < midnight.date().isoformat())
    assert before + later.total == bill.total


@given(bill=BILLS)
def test_csv_and_json_carry_every_cent(bill: Bill) -> None:
    rows = list(csv.DictReader(io.StringIO(bill.csv())))
    assert sum((Decimal(r["cost"]) for r in rows), Decimal(0)) == bill.total
    content = json.loads(bill.json())
    assert Decimal(content["total"]) == bill.total
    assert sum((Decimal(r["cost"]) for r in content["records"]), Decimal(0)) == bill.total


def one(state: str, minutes: int, cost: str) -> Charge:
    thing = Thing("instance", "1", "alpha", "1x L40", "CANADA-1", Decimal("1.20"))
    return Charge(thing, START, START + timedelta(minutes=minutes), state, minutes, Decimal(cost))


def bill_of(*parts: Charge) -> Bill:
    return Bill(START, START + timedelta(days=9), "USD", "UTC", parts)


@given(st.text(st.characters(), max_size=20) | st.sampled_from(["=1+1", "-1", "\t@x", "a\r\nb,c"]))
def test_no_name_in_a_csv_is_a_formula_or_a_row_of_its_own(name: str) -> None:
    thing = Thing("instance", name, name, name, name, Decimal(1))
    refund = Charge(thing, START, START + timedelta(minutes=1), name, 1, Decimal("-0.50"))
    text = bill_of(refund).csv()
    assert all(line.isprintable() for line in text.split("\n"))
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["cost"] == "-0.50", "an amount is a number"
    for cell in (row["id"], row["name"], row["model"], row["region"], row["state"]):
        assert not cell.lstrip().startswith(("=", "+", "-", "@"))


def test_what_hibernation_saved_and_what_stopping_wasted() -> None:
    bill = bill_of(one("HIBERNATED", 600, "0.10"), one("SHUTOFF", 120, "2.40"))
    assert bill.saved_by_hibernation == Decimal("11.90")
    assert bill.wasted_by_stopping == Decimal("2.38")
    assert bill_of(one("ACTIVE", 60, "1.20")).wasted_by_stopping == 0


@pytest.mark.parametrize(("end", "minutes"), [(None, 90), (START + timedelta(minutes=30), 30)])
def test_a_record_that_is_open_ends_now(end: datetime | None, minutes: int) -> None:
    record = BillingRecord(start=START, end=end, status="ACTIVE", cost="1")
    thing = Thing("instance", "1", "alpha")
    charge = charge_of(thing, record, START + timedelta(minutes=90))
    assert (charge.minutes, charge.state) == (minutes, "ACTIVE")


@pytest.mark.parametrize(
    ("zone", "now", "first"),
    [
        ("Europe/Berlin", "2026-03-30T22:30:00Z", "2026-03-28T00:00:00+01:00"),
        ("Europe/Berlin", "2026-10-26T23:30:00Z", "2026-10-24T00:00:00+02:00"),
        ("America/New_York", "2026-11-02T04:30:00Z", "2026-10-29T00:00:00-04:00"),
        ("Africa/Cairo", "2026-04-26T22:00:00Z", "2026-04-24T01:00:00+03:00"),
        ("Africa/Cairo", "2026-11-01T23:30:00Z", "2026-10-30T00:00:00+02:00"),
    ],
)
def test_days_are_days_of_the_local_calendar_after_a_clock_change(
    zone: str, now: str, first: str
) -> None:
    moment, wanted = datetime.fromisoformat(now), datetime.fromisoformat(first)
    days = (moment.astimezone(ZoneInfo(zone)).date() - wanted.date()).days
    assert days_back(moment, days, zone) == wanted
    charge = Charge(Thing("volume", "1", "v"), wanted - timedelta(hours=3), moment, "volume", 0, 0)
    edges = [part.start for _, part in charge.on_days(ZoneInfo(zone))]
    assert wanted in edges


def test_a_charge_is_divided_by_billed_minutes_and_else_by_time_which_is_said() -> None:
    thing = Thing("instance", "1", "big", hourly=Decimal("26.90"))
    start = datetime(2026, 3, 10, 23, 59, 59, tzinfo=UTC)
    end = datetime(2026, 3, 11, 0, 1, 1, tzinfo=UTC)
    rate = Decimal("26.90")
    exact = Charge(thing, start, end, "ACTIVE", 2, cost_of(rate, 2), rate)
    bill = replace(bill_of(exact), end=end)
    each = cost_of(rate, 1)
    assert bill.by("day") == {"2026-03-10": each, "2026-03-11": exact.cost - each}
    assert bill.divided_by_time == ()
    late = datetime(2026, 3, 10, 23, 29, 1, tzinfo=UTC)
    until = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)
    at_no_rate = Charge(thing, late, until, "ACTIVE", 91, Decimal(91))
    assert bill_of(at_no_rate).by("day") == {"2026-03-10": 31, "2026-03-11": 60}
    assert bill_of(at_no_rate).divided_by_time == ()
    rounded_up = replace(exact, minutes=3, cost=cost_of(rate, 3))
    other = bill_of(rounded_up)
    assert other.divided_by_time == (rounded_up,)
    assert sum(other.by("day").values()) == rounded_up.cost
    assert other.by("day")["2026-03-10"] < each


def test_a_report_of_a_bill_that_lacks_something_says_at_least() -> None:
    def head(*missing: str) -> str:
        bill = replace(bill_of(one("ACTIVE", 60, "1.20")), missing=missing)
        month = Period("2026-03", START, START + timedelta(days=30))
        return CostReport.of(bill, START, month, bill.end, Burn(())).markdown()

    assert head().startswith("## 1.20 USD spent")
    assert head("volume v: not found").startswith("## at least 1.20 USD spent")
    assert "| this month so far | at least 1.20 USD |" in head("volume v: not found")
