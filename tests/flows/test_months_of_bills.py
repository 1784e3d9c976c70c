"""Random months of a real local cloud, as bills tell them and as its ledger does."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.controllers.money.bills import _read_bill
from barrack_tasks.controllers.money.funds import Funds
from barrack_tasks.plans.money.bill import Bill, days_back
from barrack_tasks.plans.money.burn import tariff_of
from barrack_tasks.sandbox import Sandbox
from tests.plans.money.plain_bill import PRICES, PlainBill, plain_bill
from tests.thinning import some_slow

CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Santiago", "2026-04-05"),
    ("Africa/Cairo", "2026-10-30"),
]
"""Zones, and days on which their clocks change; in the last two that is at midnight."""
CURRENCIES = ("USD", "EUR", "INR")
STATES = ("ACTIVE", "HIBERNATED", "SHUTOFF", "ACTIVE", "HIBERNATED")


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What bills keep, in this process: a Prefect server is asked by other tests."""
    tables: dict[str, dict[str, Any]] = {}

    def merge(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        gone = before.keys() - after.keys()
        tables[prefix] = {
            k: v for k, v in {**tables.get(prefix, {}), **after}.items() if k not in gone
        }

    home = "barrack_tasks.controllers.money.seen"
    monkeypatch.setattr(f"{home}.read_all", lambda prefix: dict(tables.get(prefix, {})))
    monkeypatch.setattr(f"{home}.merge_all", merge)

    def change(prefix: str, to: Any) -> None:
        tables[prefix] = json.loads(json.dumps(to(dict(tables.get(prefix, {})))))

    monkeypatch.setattr(f"{home}.change_all", change)
    return tables


@dataclass
class Account:
    """What `_read_bill` needs of an account."""

    client: Barrack
    account: str
    max_concurrency: int = 2

    def get_client(self) -> Barrack:
        """Its client."""
        return self.client


def funds_of(client: Barrack) -> Funds:
    """The account as it is, as `read_funds` reads it."""
    balance = client.balance.get()
    return Funds(
        tuple(client.instances.list()),
        tuple(client.volumes.list()),
        tuple(client.snapshots.list()),
        balance,
        tariff_of(client.pricing.list(), str(balance.currency)),
        client.now().replace(microsecond=0),
    )


@dataclass
class Month:
    """People who do what they like in an account, and a watch that reads the bill."""

    sandbox: Sandbox
    client: Barrack
    dice: random.Random
    models: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    made: int = 0
    seen: set[str] = field(default_factory=set)
    """Ids that a watch has seen: what comes and goes unseen is on no bill."""

    def seed(self, status: str = "ACTIVE") -> None:
        """Put an instance in."""
        self.made += 1
        model = self.dice.choice(list(PRICES))
        name = f"machine-{self.made}"
        id_ = self.sandbox.seed_instance(name, gpu_model=model, status=status)
        self.models[id_] = model

    def person_acts(self) -> None:
        """Something is moved, made or deleted."""
        wish = self.dice.random()
        machines = self.sandbox.state()["instances"]
        if wish < 0.12 or not machines:
            self.seed(self.dice.choice(STATES))
        elif wish < 0.2:
            self._make_storage(self.dice.choice(machines)["id"])
        elif wish < 0.28:
            self._delete_storage()
        elif wish < 0.36:
            known = [i["id"] for i in machines if i["id"] in self.seen]
            self.client.instances.delete(self.dice.choice(known)) if known else None
        else:
            state = self.dice.choice(STATES)
            self.sandbox.set_instance_status(self.dice.choice(machines)["id"], state)

    def _make_storage(self, instance_id: str) -> None:
        self.made += 1
        now = self.sandbox.now().timestamp()
        if self.dice.random() < 0.5:
            size = self.dice.randint(10, 5000)
            disk = self.client.volumes.create(f"disk-{self.made}", size, "CANADA-1", "Cloud-SSD")
            self.sizes[f"volume {disk.id}"] = [(now - 1, size)]
            return
        saved = self.client.snapshots.create(instance_id, f"saved-{self.made}")
        self.sizes[f"snapshot {saved.id}"] = [(now - 1, saved.size_gb or 0)]

    def _delete_storage(self) -> None:
        if known := [v.id for v in self.client.volumes.list() if v.id in self.seen]:
            self.client.volumes.delete(self.dice.choice(known))


def watched(month: Month, days: int, read: Any) -> Iterator[Bill]:
    """The bills of a month of ticks: people act between them, each after it was seen."""
    end = month.sandbox.now() + timedelta(days=days)
    while month.sandbox.now() < end:
        yield read()
        for _ in range(month.dice.randint(0, 3)):
            month.sandbox.advance(month.dice.uniform(1, 5 * 3600))
            try:
                month.person_acts()
            except BarrackError:
                continue  # it was not in a state for that
        month.sandbox.advance(month.dice.uniform(1, 30 * 3600))
    yield read()


def compare(bill: Bill, plain: PlainBill) -> None:
    near = Decimal("0.001")
    days = bill.by("day")
    for day in {*days, *plain.days}:
        assert abs(days.get(day, Decimal(0)) - plain.days.get(day, Decimal(0))) < near, day
    states = bill.by("state")
    for state in {*states, *plain.states}:
        assert abs(states.get(state, Decimal(0)) - plain.states[state]) < near, state
    assert abs(bill.total - plain.total) < near
    assert abs(bill.saved_by_hibernation - plain.saved) < near
    assert abs(bill.wasted_by_stopping - plain.wasted) < near
    assert bill.missing == ()
    assert bill.unpriced == ()
    assert bill.divided_by_time == ()


def play(seed: int) -> None:
    dice = random.Random(seed)
    zone, change = CHANGES[seed % len(CHANGES)]
    currency = CURRENCIES[seed % len(CURRENCIES)]
    on = datetime.fromisoformat(change).replace(tzinfo=ZoneInfo(zone))
    start = on - timedelta(days=dice.randint(3, 20), seconds=dice.randint(0, 86_400))
    with (
        Sandbox(
            fleet=0, balance="90000000", speed=0, start=start, seed=seed, currency=currency
        ) as sandbox,
        Barrack(sandbox.api_key, sandbox.url) as client,
    ):
        month = Month(sandbox, client, dice)
        for _ in range(4):
            month.seed(dice.choice(STATES))
        account: Any = Account(client, f"month{seed}")
        is_steady = seed % 2 == 0

        def read(is_last: bool = False) -> Bill:
            funds = funds_of(client)
            month.seen |= {one.id for one in (*funds.instances, *funds.volumes, *funds.snapshots)}
            since = start
            if not is_steady and not is_last:  # budgets of a day and of a month read the same bills
                since = max(start, funds.at - timedelta(hours=dice.choice([1, 30, 300, 3000])))
            return _read_bill(account, funds, since, funds.at, zone, [])

        for _ in watched(month, dice.randint(5, 27), read):
            pass
        bill = read(is_last=True)
        first = max(days_back(bill.end, dice.randint(2, 15), zone), start)
        for since, part in ((start, bill), (first, bill.from_moment(first))):
            moments = (since.timestamp(), bill.end.timestamp())
            ledger = sandbox.ledger()
            compare(part, plain_bill(ledger, month.models, month.sizes, *moments, currency, zone))
        asked = sum(r["operation"].endswith("_billing") for r in sandbox.requests())
        moved = sum(e["kind"] in ("instance", "volume", "snapshot") for e in sandbox.ledger())
        things, days = len(month.models) + len(month.sizes), (bill.end - start).days + 1
        if is_steady:
            assert asked <= moved + things * days, "once for each move, and once a day"


@pytest.mark.parametrize("seed", some_slow([0], range(1, 5)))
def test_a_random_month_is_told_to_the_cent_as_the_ledger_has_it(seed: int) -> None:
    play(seed)


def test_what_was_read_for_a_day_alone_is_told_as_missing_in_the_month() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    with (
        Sandbox(fleet=0, balance="5000", speed=0, start=start) as sandbox,
        Barrack(sandbox.api_key, sandbox.url) as client,
    ):
        account: Any = Account(client, "gone")
        old = sandbox.seed_instance("old", gpu_model="L40")
        sandbox.advance(10 * 86_400)
        new = sandbox.seed_instance("new", gpu_model="L40")
        sandbox.advance(3600)
        day = datetime(2026, 3, 11, tzinfo=UTC)

        def missing(since: datetime) -> list[str]:
            sandbox.advance(360)
            funds = funds_of(client)
            bill = _read_bill(account, funds, since, funds.at, "UTC", [])
            return [text.partition(":")[0] for text in bill.missing]

        assert missing(day) == []
        for id_ in (old, new):
            client.instances.delete(id_)
        sandbox.advance(3600)
        assert missing(day) == []
        sandbox.fault("status", operation="get_instance_billing", status=404, count=99)
        for _ in range(3):
            assert missing(start) == ["instance old"], "of the new one all was read"
        assert missing(day) == []


@pytest.mark.slow
def test_each_use_of_ai_chat_is_read_once_and_stays_on_the_bill() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    with (
        Sandbox(fleet=0, balance="5000", speed=0, start=start) as sandbox,
        Barrack(sandbox.api_key, sandbox.url) as client,
    ):
        account: Any = Account(client, "chats")
        model = client.ai.models()[0].id
        told: list[int] = []

        def used(since: datetime, times: int) -> Decimal:
            for _ in range(times):
                client.ai.chat(model, [{"role": "user", "content": "how are you?"}])
                sandbox.advance(61)
            funds = funds_of(client)
            before = len(sandbox.requests())
            bill = _read_bill(account, funds, since, funds.at, "UTC", [])
            pages = [
                r for r in sandbox.requests()[before:] if r["operation"] == "list_ai_usage_history"
            ]
            told.append(len(pages))
            expected = sum((t.cost for t in client.ai.usage_history(since, funds.at)), Decimal(0))
            assert bill.total == expected
            assert bill.missing == ()
            return bill.total

        noon = start + timedelta(hours=2)
        assert used(start, 250) > 0
        sandbox.advance(7200)
        assert used(start, 0) == used(start, 0)
        assert used(noon, 3) < used(start, 1)
        assert told[0] > 1, "the first time all pages"
        assert told[1:] == [1] * 4
        sandbox.fault("status", operation="list_ai_usage_history", status=403, count=1)
        funds = funds_of(client)
        bill = _read_bill(account, funds, start, funds.at, "UTC", [])
        assert len(bill.charges) == 254
        assert "AI chat" in bill.missing[0]
        assert "what was read until" in bill.missing[0]
        sandbox.clear_faults()
        early: Any = Account(client, "early")
        _read_bill(early, funds, noon, funds.at, "UTC", [])
        assert len(_read_bill(early, funds, start, funds.at, "UTC", []).charges) == 254


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_two_hundred_random_months_are_told_to_the_cent(first: int) -> None:
    for seed in range(first, first + 20):
        play(seed)
