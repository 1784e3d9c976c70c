"""A fleet that follows its timetables for a quarter, with everything that gets in the way.

The real cloud stand-in over HTTP, the real client, the decisions of `follow_schedule`; only the
clock is moved from tick to tick, and Prefect is left out, for it decides nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from barrack_tasks.api import Barrack, BarrackError, RetryPolicy
from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.power.evidence import Known, Note
from barrack_tasks.plans.power.rise import Shortage
from barrack_tasks.plans.power.schedule import Policy, judge_all, read_rules, remember
from barrack_tasks.plans.power.schedule_run import Round, asked_of, decide_round
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.steps import Step
from barrack_tasks.plans.world import World, stock_of
from barrack_tasks.sandbox import Sandbox

START = datetime(2026, 1, 5, tzinfo=UTC)
TICK = timedelta(minutes=10)
RULES = [
    {"select": ["office-*"], "timetable": "Mon-Fri 08:00-20:00 Europe/Berlin"},
    {"select": ["night-*"], "timetable": "Mon-Sun 22:00-06:00 America/New_York"},
    {"select": ["lazy-*"], "timetable": "Mon-Sun -21:00 Europe/Berlin"},
    {"select": ["long-*"], "timetable": "Sun-Thu 00:00-24:00 Asia/Kathmandu"},
]
MODELS = ["L40", "A40", "RTX-A6000", "A100-PCIe-80GB"]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "timetables.md"


@dataclass
class Account:
    """What is added up over the quarter, by kind of machine."""

    wrong: timedelta = timedelta(0)
    wrong_by_people: timedelta = timedelta(0)
    cost: Decimal = Decimal(0)
    ideal: Decimal = Decimal(0)
    always: Decimal = Decimal(0)
    machines: set[str] = field(default_factory=set)


class Quarter:
    """The simulation: people, outages, stock, and the decision every ten minutes."""

    def __init__(self, sandbox: Sandbox, client: Barrack, seed: int) -> None:
        self.sandbox, self.client = sandbox, client
        self.dice = random.Random(seed)
        self.policy = Policy(tuple(read_rules(RULES)), exclude=("free-*",))
        self.notes: dict[str, Note] = {}
        self.moved: dict[str, datetime] = {}
        self.worker_back = self.api_back = self.stock_back = START
        self.accounts: dict[str, Account] = {}
        self.broken: list[str] = []

    def tick(self, now: datetime) -> None:
        self.interfere(now)
        if now >= self.worker_back:
            with contextlib.suppress(BarrackError):  # the API is away; the next run looks again
                self.run(now)
        self.sandbox.clear_faults()
        self.measure(now)

    def interfere(self, now: datetime) -> None:
        dice = self.dice
        if dice.random() < 0.004:
            self.worker_back = now + timedelta(minutes=dice.randint(20, 300))
        if dice.random() < 0.01:
            self.sandbox.fault("status", status=503, count=None, probability=0.5)
        if dice.random() < 0.003:
            self.stock_back = now + timedelta(minutes=dice.randint(30, 400))
            self.sandbox.set_stock("CANADA-1", "L40", 0)
        if now >= self.stock_back:
            self.sandbox.set_stock("CANADA-1", "L40", 50)
            self.stock_back = now + timedelta(days=999)
        if dice.random() < 0.05:
            machine = dice.choice(self.sandbox.state()["instances"])
            wanted = dice.choice(["ACTIVE", "HIBERNATED"])
            if machine["status"] in ("ACTIVE", "HIBERNATED") and machine["status"] != wanted:
                self.sandbox.set_instance_status(machine["id"], wanted)
                self.moved[machine["id"]] = now

    def run(self, now: datetime) -> None:
        """What `follow_schedule` does in one run, without waiting for what takes long."""
        instances = {i.id: i for i in self.client.instances.list()}
        stock = stock_of(self.client.gpu_stocks.list())
        known = Known(dict(self.notes))
        verdicts = judge_all(instances.values(), known, self.policy, now)
        targets = tuple(
            Target(id_, instances[id_].name, now, instances[id_])
            for id_ in asked_of(verdicts, instances, ())
        )
        span = timedelta(minutes=15)
        round_ = Round(verdicts, targets, (), now, span, 10, Shortage())
        memory = Memory()
        plan = decide_round(round_, World(instances=instances, stock=stock), memory, now)
        self.notes |= remember(instances, verdicts, plan, known, memory, instances, now, now)
        for id_, step in plan.items():
            if isinstance(step, Step):
                self.check(instances[id_], step, now)
                try:
                    self.client.perform(step.operation, **step.arguments)
                    memory.succeeded(step)
                except BarrackError as error:
                    memory.was_refused(step, str(error), may_pass=True)

    def check(self, machine: UserVM, step: Step, now: datetime) -> None:
        """The rules that must hold for whatever is asked of a machine."""
        if machine.name.startswith("free-"):
            self.broken.append(f"{now}: {machine.name} is excluded")
        [rule] = [r for r in self.policy.rules if machine.name.split("-")[0] in r.select.names[0]]
        boundary = rule.timetable.last_boundary(now)
        wants_up = rule.timetable.is_on(now)
        if step.operation == "hibernate_instance" and wants_up:
            self.broken.append(f"{now}: {machine.name} was put to rest inside its window")
        moved = self.moved.get(machine.id)
        if boundary and moved and moved > boundary.moment:
            self.broken.append(f"{now}: {machine.name} was moved by a person, and is not left")

    def measure(self, now: datetime) -> None:
        for i in self.sandbox.state()["instances"]:
            kind = i["name"].split("-")[0]
            if kind == "free":
                continue
            account = self.accounts.setdefault(kind, Account())
            account.machines.add(i["id"])
            [rule] = [r for r in self.policy.rules if r.select.names[0].startswith(kind)]
            machine = UserVM(
                id=i["id"],
                name=i["name"],
                status=i["status"],
                currency="USD",
                hourly_price=self.prices[i["id"]],
            )
            wanted = VMStatus.ACTIVE if rule.timetable.is_on(now) else VMStatus.HIBERNATED
            share = Decimal(1) / 6
            account.always += (hourly_cost(machine, VMStatus.ACTIVE) or 0) * share
            account.ideal += (hourly_cost(machine, wanted) or 0) * share
            account.cost += (hourly_cost(machine) or 0) * share
            if i["status"] != str(wanted):
                boundary = rule.timetable.last_boundary(now)
                by_person = self.moved.get(i["id"], START) >= (boundary.moment if boundary else now)
                if by_person:
                    account.wrong_by_people += TICK
                else:
                    account.wrong += TICK

    prices: dict[str, Decimal]
    ledger: list[dict[str, str]]


def simulate(days: int, machines: int, seed: int) -> Quarter:
    dice = random.Random(seed)
    kinds = ["office", "office", "night", "lazy", "long", "free"]
    fleet = [
        {
            "name": f"{kinds[n % len(kinds)]}-{n}",
            "gpu_model": dice.choice(MODELS),
            "region": "CANADA-1",
        }
        for n in range(machines)
    ]
    with (
        Sandbox(fleet=fleet, speed=0, start=START, balance="9000000", seed=seed) as sandbox,
        Barrack(
            sandbox.api_key,
            sandbox.url,
            retry=RetryPolicy(attempts=2, first_wait=0.001, longest_wait=0.002),
        ) as client,
    ):
        for model in MODELS:
            sandbox.set_stock("CANADA-1", model, 100)
        quarter = Quarter(sandbox, client, seed)
        quarter.prices = {i.id: i.hourly_price or Decimal(0) for i in client.instances.list()}
        now = START
        while now < START + timedelta(days=days):
            quarter.tick(now)
            sandbox.advance(TICK.total_seconds())
            now += TICK
        quarter.ledger = sandbox.ledger()
    return quarter


def table_of(quarter: Quarter, days: int) -> str:
    lines = [
        "| machines | not as wished | moved by people | cost | ideal | always on |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind, account in quarter.accounts.items():
        span = timedelta(days=days) * len(account.machines)
        lines.append(
            f"| {len(account.machines)} {kind} | {account.wrong / span:.2%} | "
            f"{account.wrong_by_people / span:.2%} | {account.cost:,.0f} USD | "
            f"{account.ideal:,.0f} USD | {account.always:,.0f} USD |"
        )
    return "\n".join(lines)


def judge_quarter(quarter: Quarter) -> None:
    assert quarter.broken == []
    asked = [e for e in quarter.ledger if e["operation"] not in ("person", "clock")]
    assert asked, "the fleet was moved"
    assert not [e for e in asked if e["name"].startswith("free-")]
    for kind, account in quarter.accounts.items():
        assert account.cost < account.always, kind


@pytest.mark.slow
def test_a_week_of_a_small_fleet() -> None:
    quarter = simulate(days=7, machines=12, seed=3)
    judge_quarter(quarter)


@pytest.mark.campaign
def test_a_quarter_of_a_fleet_of_fifty() -> None:
    quarter = simulate(days=90, machines=50, seed=1)
    table = table_of(quarter, 90)
    print(table)  # noqa: T201
    judge_quarter(quarter)
    if os.environ.get("BARRACK_WRITE_DOCS"):
        text = DOCUMENT.read_text()
        head, rest = text.split("<!-- quarter -->\n", 1)
        _, tail = rest.split("<!-- /quarter -->", 1)
        DOCUMENT.write_text(f"{head}<!-- quarter -->\n{table}\n<!-- /quarter -->{tail}")
