"""A day of an account at speed: all guards on three threads, and 2 of 100 requests go wrong.

What a process holds stays flat, what is remembered stays bounded, and the bill is what the simple
arithmetic over the cloud's ledger says. Cloud and guards live by the same fast clock.
"""

from __future__ import annotations

import contextvars
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.runtime import loop
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.services import Services
from tests.campaigns.faults import PATIENT, Case, Run, looks_only, run_flow
from tests.conftest import asked
from tests.flows.conftest import account_of, spoken

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
SPEED = 120
CREDIT = Decimal(5000)
RATE = 30
"""Requests a second that the account allows."""
WORKERS = 3
SHARE = 0.02
KINDS: list[dict[str, Any]] = [
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "error_after"},
    {"kind": "html"},
    {"kind": "truncated"},
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "status", "status": 503},
    {"kind": "timeout_after", "seconds": 2},
]
ODD = ", ".join(f"Mon-Sun {h:02}:00-{h + 1:02}:00 UTC" for h in range(0, 24, 2))
GUARDS: dict[str, dict[str, Any]] = {
    "follow_schedule": {
        "rules": [
            {"select": ["hourly-*"], "timetable": ODD},
            {"select": ["office-*"], "timetable": "Mon-Sun 08:00-20:00 UTC"},
        ]
    },
    "watch_balance": {
        "thresholds": [{"runway": "24h", "actions": ["alert", "hibernate"]}],
        "select": ["*"],
    },
    "enforce_budget": {"budgets": [{"per": "day", "hard": "4000"}], "enforce_at_once": True},
    "watch_account": {},
    "end_expired": {},
    "report_costs": {"days": 2},
}
FLEET = [
    {"name": f"{kind}-{n}", "gpu_model": "L40"}
    for kind in ("hourly", "office", "always")
    for n in range(4)
]


@dataclass
class Sample:
    """What the process holds, and what the server remembers, at one moment."""

    megabytes: float
    descriptors: int
    threads: int
    variables: int


@dataclass
class Soak:
    """What was seen."""

    samples: list[Sample] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    requests: int = 0
    struck: int = 0
    peak: int = 0
    spent: Decimal = Decimal(0)
    by_arithmetic: Decimal = Decimal(0)

    def line(self, hours: float) -> str:
        """The figures as a table."""
        first, last = self.samples[len(self.samples) // 4], self.samples[-1]
        runs = sum(self.ended.values())
        return "\n".join(
            [
                "| figure | measured |",
                "| --- | --- |",
                f"| simulated hours, at {SPEED} times the speed | {hours:g} |",
                f"| runs of guards, on {WORKERS} threads | {runs} |",
                f"| of these succeeded, and failed with a reason | "
                f"{self.ended['succeeded']}, {runs - self.ended['succeeded']} |",
                f"| requests, and of these went wrong | {self.requests}, {self.struck} |",
                f"| most requests within one second, of {RATE} allowed | {self.peak} |",
                f"| memory after a quarter and in the end, MB | "
                f"{first.megabytes:.0f}, {last.megabytes:.0f} |",
                f"| descriptors after a quarter and in the end | "
                f"{first.descriptors}, {last.descriptors} |",
                f"| threads after a quarter and in the end | {first.threads}, {last.threads} |",
                f"| variables on the server after a quarter and in the end | "
                f"{first.variables}, {last.variables} |",
                f"| spent by the cloud's meter, and by the arithmetic, USD | "
                f"{self.spent:.2f}, {self.by_arithmetic:.2f} |",
            ]
        )


def sample(server: str) -> Sample:
    status = Path("/proc/self/status").read_text()
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return Sample(
        int(kilobytes) / 1024,
        len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a path of each is not needed
        threading.active_count(),
        int(asked("POST", f"{server}/variables/count", body={}).text),
    )


def arithmetic(sandbox: Sandbox, prices: dict[str, Decimal]) -> Decimal:
    """What the instances have cost: full minutes in each state, at its hourly rate."""
    entered: dict[str, tuple[datetime, str]] = {}
    total = Decimal(0)

    def pay(id_: str, until: datetime) -> Decimal:
        since, status = entered[id_]
        minutes = int(until.timestamp()) // 60 - int(since.timestamp()) // 60
        one = UserVM(id=id_, name="", status=status, currency="USD", hourly_price=prices[id_])
        rate = hourly_cost(one) if status in ("ACTIVE", "SHUTOFF", "HIBERNATED") else None
        return (rate or Decimal(0)) * minutes / 60

    for e in sandbox.ledger():
        if e["kind"] != "instance" or ": " not in e["detail"]:
            continue
        status = e["detail"].split(": ")[0].rpartition(" -> ")[2]
        if not status.isupper():
            continue
        at = datetime.fromisoformat(e["time"])
        if e["id"] in entered:
            total += pay(e["id"], at)
        entered[e["id"]] = (at, status)
    now = sandbox.now()
    return total + sum((pay(id_, now) for id_ in entered), Decimal(0))


def soak(sandbox: Sandbox, account: BarrackCredentials, server: str, hours: float) -> Soak:
    """Run all guards again and again until the time is over."""
    seen = Soak()
    prices = {i.id: i.hourly_price or Decimal(0) for i in account.get_client().instances.list()}
    for how in KINDS:
        sandbox.fault(count=None, probability=SHARE / len(KINDS), **how)
    until = time.monotonic() + hours * 3600 / SPEED
    lock = threading.Lock()

    def worker(number: int) -> None:
        dice = random.Random(number)
        while time.monotonic() < until:
            for flow in dice.sample(sorted(GUARDS), len(GUARDS)):
                note(flow, run_flow(Case(flow, dict, looks_only), GUARDS[flow], account))
            if number == 0:
                seen.samples.append(sample(server))

    def note(flow: str, run: Run) -> None:
        with lock:
            error = run.error
            seen.ended["succeeded" if error is None else type(error).__name__] += 1
            if error is not None and not type(error).__module__.startswith("barrack_"):
                seen.foreign.append(f"{flow}: {type(error).__name__}: {error}")

    with ThreadPoolExecutor(WORKERS) as pool:
        begun = [pool.submit(contextvars.copy_context().run, worker, n) for n in range(WORKERS)]
        for one in begun:
            one.result()
    state = sandbox.state()
    seen.requests = state["requests"]["total"]
    seen.peak = state["requests"]["peak_per_second"]
    seen.struck = sum(fault["hits"] for fault in state["faults"])
    sandbox.set_speed(0)
    seen.spent = CREDIT - Decimal(sandbox.state()["balance"])
    seen.by_arithmetic = arithmetic(sandbox, prices)
    return seen


def judge(seen: Soak) -> None:
    assert seen.foreign == []
    assert seen.ended["succeeded"] > sum(seen.ended.values()) / 2
    assert seen.struck
    assert seen.peak <= RATE
    assert abs(seen.spent - seen.by_arithmetic) < Decimal("0.01")
    quarter = max(1, len(seen.samples) // 4)
    early, late = seen.samples[quarter : 2 * quarter], seen.samples[-quarter:]

    def middle(of: Callable[[Sample], float], some: list[Sample]) -> float:
        return median(map(of, some))

    if len(seen.samples) < 8:  # too short for that
        return
    assert middle(lambda s: s.megabytes, late) < 1.15 * middle(lambda s: s.megabytes, early)
    assert middle(lambda s: s.descriptors, late) <= middle(lambda s: s.descriptors, early) + 8
    assert middle(lambda s: s.threads, late) <= middle(lambda s: s.threads, early) + 8
    assert middle(lambda s: s.variables, late) <= middle(lambda s: s.variables, early) + 8


def run_soak(server: str, hours: float, monkeypatch: pytest.MonkeyPatch) -> Soak:
    start = datetime(2026, 3, 2, tzinfo=UTC)
    began = time.monotonic()

    def now() -> datetime:
        return start + timedelta(seconds=(time.monotonic() - began) * SPEED)

    for flow in GUARDS:
        import_module(f"flows.{flow}")
    real = loop.now
    for module in [m for m in sys.modules.values() if getattr(m, "now", None) is real]:
        monkeypatch.setattr(module, "now", now)
    monkeypatch.setattr("barrack_tasks.controllers.reports.told_of_left_ends", lambda *_, **__: [])
    monkeypatch.setattr("barrack_tasks.api.client.RetryPolicy", lambda: PATIENT)
    with Sandbox(
        api_key=f"soak-{random.SystemRandom().randrange(10**9)}",
        fleet=FLEET,
        speed=SPEED,
        balance=CREDIT,
        start=now(),
        process=True,
        dialect=spoken(),
    ) as sandbox:
        account = account_of(sandbox, requests_per_second=RATE)
        retries = Services().environment(server)["PREFECT_CLIENT_MAX_RETRIES"]
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: retries}):
            seen = soak(sandbox, account, server, hours)
    return seen


@pytest.mark.slow
def test_an_hour_of_all_guards(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judge(run_soak(prefect_server, 1, monkeypatch))


@pytest.mark.campaign
def test_a_day_of_all_guards(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = float(os.environ.get("HOURS") or 24)
    seen = run_soak(prefect_server, hours, monkeypatch)
    table = seen.line(hours)
    print(table, seen.ended, seen.foreign)  # noqa: T201
    if os.environ.get("BARRACK_WRITE_DOCS"):
        text = DOCUMENT.read_text()
        head, rest = text.split("<!-- soak -->\n", 1)
        _, tail = rest.split("<!-- /soak -->", 1)
        DOCUMENT.write_text(f"{head}<!-- soak -->\n{table}\n<!-- /soak -->{tail}")
    judge(seen)
