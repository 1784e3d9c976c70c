"""An account for thirty days at random loads, with the balance guard and without it.

The cloud stand-in over HTTP, the real client, the decisions of `watch_balance` and its alarms;
only the clock is moved from tick to tick, and Prefect is left out, for it decides nothing.
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

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.plans.alerts import Alarm, messages_of, note
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.money.balance import outlook
from barrack_tasks.plans.money.burn import burn_of, tariff_of
from barrack_tasks.plans.money.shedding import Shedding
from barrack_tasks.plans.money.thresholds import WOBBLE, read_thresholds
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.power.rest import decide_rest
from barrack_tasks.plans.power.snapshot_then import Intent, Then, targets_of
from barrack_tasks.plans.steps import Step
from barrack_tasks.plans.world import World
from barrack_tasks.sandbox import Sandbox

START = datetime(2026, 4, 1, tzinfo=UTC)
TICK = timedelta(minutes=10)
HOUR = timedelta(hours=1)
LINES = [72, 24, 6]
RESERVE = 300
"""USD below which everything sleeps: what storage, and people who restore, cost in a month."""
MODELS = ["L40", "A40", "RTX-A6000", "A100-PCIe-80GB", "H100-PCIe-80GB"]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "money.md"


@dataclass
class Month:
    """What was seen in one run of the month."""

    first: dict[int, datetime] = field(default_factory=dict)
    alerts: dict[int, int] = field(default_factory=lambda: dict.fromkeys(LINES, 0))
    crossings: dict[int, int] = field(default_factory=lambda: dict.fromkeys(LINES, 0))
    least: Decimal = Decimal(10**9)
    zero: datetime | None = None
    lost: int = 0
    hibernated: int = 0


class Account:
    """The simulation: people who start and stop machines, and the watch every ten minutes."""

    def __init__(self, sandbox: Sandbox, client: Barrack, seed: int, guard: bool) -> None:
        self.sandbox, self.client, self.guard = sandbox, client, guard
        self.people = random.Random(seed)
        actions = ["alert", "hibernate"] if guard else ["alert"]
        self.thresholds = read_thresholds(
            [{"runway": f"{h}h", "actions": actions if h == 24 else ["alert"]} for h in LINES]
            + ([{"amount": RESERVE, "actions": ["alert", "hibernate_all"]}] if guard else [])
        )
        self.tariff = tariff_of(client.pricing.list())
        self.alarms: dict[str, Alarm] = {}
        self.crossed: set[int] = set()
        self.month = Month()
        self.there = 0

    def people_act(self) -> None:
        """Somebody restores, hibernates or deploys now and then, whatever it costs."""
        dice = self.people
        if dice.random() > 0.08:
            return
        wish, pick, model = dice.random(), dice.random(), dice.choice(MODELS)
        machines = sorted(self.sandbox.state()["instances"], key=lambda i: str(i["name"]))
        with contextlib.suppress(BarrackError, ValueError):
            if wish < 0.1 and len(machines) < 14:
                self.sandbox.seed_instance(f"new-{len(self.sandbox.ledger())}", gpu_model=model)
            elif machines:
                machine = machines[int(pick * len(machines))]
                state = "ACTIVE" if wish < 0.6 else "HIBERNATED"
                self.sandbox.set_instance_status(machine["id"], state)

    def count_crossings(self, now: datetime) -> None:
        """The crossings by the cloud's own figures, counted apart from the library."""
        state = self.sandbox.state()
        balance, burn = Decimal(state["balance"]), Decimal(state["burn_rate"])
        hours = balance / burn if burn else Decimal(10**9)
        self.month.least = min(self.month.least, balance)
        if balance > 0:
            self.there = len(state["instances"])
        elif self.month.zero is None:
            self.month.zero = now
            self.month.lost = self.there - len(state["instances"])
        for line in LINES:
            if hours < line and line not in self.crossed:
                self.crossed.add(line)
                self.month.crossings[line] += 1
            elif hours >= line * WOBBLE:
                self.crossed.discard(line)

    def watch(self, now: datetime) -> None:
        """What one run of `watch_balance` does, without waiting for what takes long."""
        client = self.client
        instances = list(client.instances.list())
        burn = burn_of(instances, client.volumes.list(), client.snapshots.list(), self.tariff)
        view = outlook(
            self.thresholds, client.balance.get(), burn, instances, set(), set(), Shedding()
        )
        for message in messages_of(view.readings, self.alarms, ["team"], now):
            note(self.alarms, message, [], now)
            if message.kind == "crossed" and message.key.startswith("runway"):
                line = self._line(message.key)
                self.month.alerts[line] += 1
                self.month.first.setdefault(line, now)
        if not view.chosen:
            return
        world = World({i.id: i for i in instances})
        targets = targets_of(view.chosen, {}, dict(world.instances), now)
        intent = Intent(targets, Then.HIBERNATE, now, HOUR)
        plan = decide_rest(
            world, intent, Memory(), Manner(shutoff="hibernate"), frozenset(), False, now
        )
        for step in plan.values():
            if isinstance(step, Step):
                client.perform(step.operation, **step.arguments)
                self.month.hibernated += 1

    def _line(self, key: str) -> int:
        [line] = [h for h, t in zip(LINES, self.thresholds, strict=False) if t.key == key]
        return line


def simulate(days: int, balance: str, seed: int, guard: bool) -> Month:
    fleet = [{"name": f"m-{n}", "gpu_model": MODELS[n % len(MODELS)]} for n in range(8)]
    sandbox = Sandbox(fleet=fleet, speed=0, start=START, balance=balance, seed=seed)
    with sandbox, Barrack(sandbox.api_key, sandbox.url) as client:
        client.volumes.create("data", 2000, "CANADA-1", "Cloud-SSD")
        account = Account(sandbox, client, seed, guard)
        now = START
        while now < START + timedelta(days=days) and account.month.zero is None:
            sandbox.advance(TICK.total_seconds() / 2)
            account.people_act()
            sandbox.advance(TICK.total_seconds() / 2)
            now += TICK
            account.count_crossings(now)
            if account.month.zero is None:
                account.watch(now)
    return account.month


def table_of(without: Month, guarded: Month, days: int) -> str:
    assert without.zero is not None
    lines = [
        "| threshold | first alert before zero, without the guard | crossings and alerts, "
        "without | crossings and alerts, with the guard |",
        "| --- | ---: | ---: | ---: |",
    ]
    for line in LINES:
        ahead = (without.zero - without.first[line]) / HOUR
        lines.append(
            f"| {line} h | {ahead:.1f} h | {without.crossings[line]} and {without.alerts[line]} "
            f"| {guarded.crossings[line]} and {guarded.alerts[line]} |"
        )
    ended = (without.zero - START) / timedelta(days=1)
    lines += [
        "",
        f"Without the guard the balance was at zero after {ended:.1f} days, and "
        f"{without.lost} machines were gone. With it the balance was never below "
        f"{guarded.least:.2f} USD in {days} days; {guarded.hibernated} hibernations.",
    ]
    return "\n".join(lines)


def judge(without: Month, guarded: Month) -> None:
    assert without.zero is not None, "the load is high enough to use the balance up"
    for month in (without, guarded):
        assert month.alerts == month.crossings, "exactly one alert a crossing"
    assert guarded.zero is None
    assert guarded.least > 0
    assert guarded.hibernated > 0
    firsts = [without.first[line] for line in LINES]
    assert firsts == sorted(firsts)
    assert all(without.zero > first for first in firsts)


@pytest.mark.slow
def test_a_week_at_random_loads() -> None:
    judge(
        simulate(days=7, balance="900", seed=5, guard=False),
        simulate(days=7, balance="900", seed=5, guard=True),
    )


@pytest.mark.campaign
def test_a_month_at_random_loads() -> None:
    without = simulate(days=30, balance="2500", seed=8, guard=False)
    guarded = simulate(days=30, balance="2500", seed=8, guard=True)
    table = table_of(without, guarded, 30)
    print(table)  # noqa: T201
    judge(without, guarded)
    if os.environ.get("BARRACK_WRITE_DOCS"):
        text = DOCUMENT.read_text()
        head, rest = text.split("<!-- month -->\n", 1)
        _, tail = rest.split("<!-- /month -->", 1)
        DOCUMENT.write_text(f"{head}<!-- month -->\n{table}\n<!-- /month -->{tail}")
