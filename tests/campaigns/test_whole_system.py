"""Random histories of an account: flows, faults, people, deaths and new keys, in any order.

After each step the promises are judged on the cloud's own ledger. In the end nothing goes wrong any
more, every flow is started once again, and nothing that was begun is left undone.
"""

from __future__ import annotations

import contextvars
import json
import os
import signal
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.controllers.expiry import read_expiries
from tests.campaigns import leaps
from tests.campaigns.faults import (
    PATIENCE,
    PATIENT,
    Case,
    Run,
    Watched,
    is_of_ours,
    looks_only,
    must,
    run_flow,
)
from tests.flows.killing import LEAPS, Point, ended, start_in_process
from tests.flows.test_crashes import window

LOG = Path(os.environ.get("BARRACK_HISTORIES_LOG", ".cache/histories.jsonl"))
"""Has a line for each history."""
LEASE = "30"
"""Seconds; what a killed run held is free at once, since its process is seen to have ended."""
TIMEOUT = 20
"""Seconds that a flow has for one instance; most of them pass at once."""
SPEED = 60
DAYLIGHT = window(timedelta(hours=-3), timedelta(hours=-1))
"""A window that is over; the instances were there before."""
FLOWS: dict[str, dict[str, Any]] = {
    "snapshot_before_stop": {"select": ["s-*"], "timeout": TIMEOUT},
    "hibernate": {"select": ["h-*"], "timeout": TIMEOUT},
    "restore": {"select": ["s-*", "h-*"], "timeout": TIMEOUT},
    "follow_schedule": {
        "rules": [{"select": ["s-*"], "timetable": DAYLIGHT, "snapshot": True}],
        "timeout": TIMEOUT,
    },
    "verify_snapshots": {"select": ["s-*"], "timeout": TIMEOUT},
    "prune_snapshots": {"select": ["*"], "retention": {"last": 1}, "timeout": TIMEOUT},
    "watch_balance": {
        "thresholds": [{"runway": "9000h", "actions": ["alert", "hibernate"]}],
        "select": ["h-*"],
        "patience": 0,
        "timeout": TIMEOUT,
    },
    "restore_from_snapshot": {"snapshot": "base", "expires": "8h", "timeout": TIMEOUT},
    "end_expired": {},
    "watch_account": {},
}
CHANGING = ("create_snapshot", "hibernate_instance", "restore_instance", "restore_snapshot")
KINDS: list[dict[str, Any]] = [
    {"kind": "refuse"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "timeout_after", "seconds": 2},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "html"},
    {"kind": "truncated"},
    {"kind": "malformed"},
    {"kind": "mislabelled"},
]
OFTEN = [name for name, row in OPERATIONS.items() if row.changes or name.startswith("list_")]
flows = st.sampled_from(sorted(FLOWS))
fleets = st.lists(
    st.tuples(
        st.sampled_from(["s", "h", "keep"]),
        st.sampled_from(["ACTIVE", "HIBERNATED", "SHUTOFF"]),
        st.sampled_from(["L40", "A100-PCIe-80GB"]),
    ),
    max_size=6,
)
"""What there is besides `s-1`, `s-2`, `h-1` and `keep-1`."""
points = st.builds(
    Point,
    st.sampled_from(CHANGING),
    st.integers(1, 2),
    st.sampled_from(["before", "after"]),
    st.sampled_from([signal.SIGKILL, signal.SIGTERM]),
)
happenings = st.one_of(
    st.tuples(
        st.just("_goes_wrong"), st.sampled_from(OFTEN), st.sampled_from(KINDS), st.integers(0, 2)
    ),
    st.tuples(st.just("_lists_lag"), st.sampled_from([0, 20, 120])),
    st.tuples(
        st.just("_a_person_acts"),
        st.sampled_from(["s-1", "s-2", "h-1"]),
        st.sampled_from(["ACTIVE", "HIBERNATED"]),
    ),
    st.tuples(st.just("_an_instance_is_new")),
    st.tuples(st.just("_time_passes"), st.integers(1, 30)),
)


class Account(RuleBasedStateMachine):
    """One account of one cloud, and all that is done with it."""

    server: str
    number: int
    all_seen: Counter[str] = Counter()
    """How runs have ended, what the cloud was asked for, and steps, in all histories."""

    @initialize(seed=st.integers(0, 1000), more=fleets)
    def begin(self, seed: int, more: list[tuple[str, str, str]]) -> None:
        self.block = f"whole-{uuid.uuid4().hex[:8]}"
        self.cloud = Watched(
            api_key=f"key-{uuid.uuid4().hex}",
            fleet=[{"name": n, "gpu_model": "L40"} for n in ("s-1", "s-2", "h-1", "keep-1")],
            speed=SPEED,
            balance="5000",
            seed=seed,
            start=datetime.now(UTC) - timedelta(days=2),
        ).start()
        for number, (kind, status, model) in enumerate(more, 3):
            self.cloud.seed_instance(f"{kind}-{number}", gpu_model=model, status=status)
        leaps.CURRENT.set(leaps.Leaps.of(self.cloud, SPEED))
        self.save()
        [s1] = [i["id"] for i in self.cloud.state()["instances"] if i["name"] == "s-1"]
        self.account().get_client().snapshots.create(s1, "base")
        self.cloud.advance((datetime.now(UTC) - self.cloud.now()).total_seconds())
        self.runs: list[Run] = []
        self.seen: Counter[str] = Counter()

    def save(self) -> None:
        """Keep the key that counts in the account's block."""
        BarrackCredentials(
            api_key=self.cloud.api_key, base_url=self.cloud.url, protect=["keep-*"]
        ).save(self.block, overwrite=True, _sync=True)  # type: ignore[call-arg]

    def account(self) -> BarrackCredentials:
        return BarrackCredentials.load(self.block, _sync=True)  # type: ignore[call-arg,return-value]

    def run(self, flow: str, timeout: int = TIMEOUT) -> Run:
        """Run a flow here; what it says is judged after the step."""
        arguments = {**FLOWS[flow]}
        if "timeout" in arguments:
            arguments["timeout"] = timeout
        return run_flow(Case(flow, dict, looks_only), arguments, self.account())

    @rule(flow=flows)
    def a_flow_runs(self, flow: str) -> None:
        self.runs.append(self.run(flow))

    @rule(one=flows, other=flows)
    def two_flows_run_at_once(self, one: str, other: str) -> None:
        with ThreadPoolExecutor(2) as pool:
            begun = [
                pool.submit(contextvars.copy_context().run, self.run, flow) for flow in (one, other)
            ]
            self.runs += [run.result() for run in begun]

    @rule(
        flow=flows,
        point=st.none() | points,
        beside=st.none() | flows,
    )
    def another_worker_runs(self, flow: str, point: Point | None, beside: str | None) -> None:
        """One in a process of its own, which may be cut off; another flow may run beside it."""
        environment = {
            **self.cloud.env,
            "PREFECT_API_URL": self.server,
            "BARRACK_LOCK_SECONDS": LEASE,
            "BARRACK_PROTECT": "keep-*",
            LEAPS: f"{SPEED}",
        }
        arguments = {**FLOWS[flow], "credentials": self.block}
        child = start_in_process(flow, environment, arguments, point)
        if beside is not None:
            self.runs.append(self.run(beside))
        code, _ = ended(*child)
        self.seen["workers cut off" if code < 0 else "workers that came to their end"] += 1

    @rule(how=st.lists(happenings, min_size=1, max_size=4))
    def something_happens(self, how: list[tuple[Any, ...]]) -> None:
        for what, *more in how:
            getattr(self, what)(*more)

    def _goes_wrong(self, operation: str, how: dict[str, Any], after: int) -> None:
        self.cloud.fault(operation=operation, after=after, **how)

    def _lists_lag(self, lag: float) -> None:
        self.cloud.settings(list_lag=lag)

    def _a_person_acts(self, name: str, to: str) -> None:
        for instance in self.cloud.state()["instances"]:
            if instance["name"] == name:
                self.cloud.set_instance_status(instance["id"], to)

    def _an_instance_is_new(self) -> None:
        self.cloud.seed_instance(f"h-{len(self.cloud.ledger())}", gpu_model="L40")

    def _time_passes(self, minutes: int) -> None:
        self.cloud.advance(minutes * 60)

    @rule()
    def the_key_is_rotated(self) -> None:
        app: Any = self.cloud._server.config.app  # type: ignore[union-attr]
        self.cloud.api_key = f"key-{uuid.uuid4().hex}"
        app._auth_value = f"{self.cloud.dialect.auth.scheme} {self.cloud.api_key}".strip()
        app._api_key = self.cloud.api_key
        self.save()

    @invariant()
    def promises_are_kept(self) -> None:
        if not hasattr(self, "runs"):
            return
        self.seen["steps"] += 1
        whole = self.cloud.whole_ledger()
        by_api = [e for e in whole if e["operation"] in OPERATIONS]
        must(not [e for e in by_api if e["name"].startswith("keep-")], "a protected one is touched")
        made = [
            (e["kind"], e["name"]) for e in by_api if e["operation"].startswith(("create", "rest"))
            and "instance" not in e["operation"]
        ]  # fmt: skip
        must(len(made) == len(set(made)), f"made twice under one name: {made}")
        self.rests_have_snapshots(whole)
        for run in self.runs:
            error = run.error
            must(is_of_ours(error), f"a run ended with {type(error).__name__}: {error}")
            must(self.cloud.api_key not in run.text, "the key is in what a run said")

    def rests_have_snapshots(self, whole: list[dict[str, Any]]) -> None:
        """Each rest of an `s-` instance has a snapshot of its own, ready before it."""
        of: dict[str, str] = {}
        ready: dict[str, int] = {}
        for e in whole:
            if e["operation"] == "create_snapshot":
                of[e["id"]] = e["detail"].rpartition(" of ")[2]
            is_ready = e["kind"] == "snapshot" and "-> SUCCESS" in e["detail"]
            if is_ready and e["id"] in of and e["name"] != "base":
                ready[of[e["id"]]] = ready.get(of[e["id"]], 0) + 1
            if e["operation"] == "hibernate_instance" and e["name"].startswith("s-"):
                must(ready.get(e["id"]), f"put to rest without a snapshot of its own: {e}")
                ready[e["id"]] = 0

    def teardown(self) -> None:
        if not hasattr(self, "cloud"):
            return
        try:
            if hasattr(self, "runs"):
                self.nothing_is_left_undone()
                self.tell()
        finally:
            self.cloud.stop()

    def tell(self) -> None:
        """Note what this history has seen, for whoever waits."""
        self.seen.update(e["operation"] for e in self.cloud.whole_ledger())
        self.seen.update(
            "runs that succeeded" if r.error is None else "runs that failed" for r in self.runs
        )
        self.all_seen.update(self.seen)
        with LOG.open("a") as log:
            log.write(json.dumps({"seed": self.number, **self.seen}) + "\n")

    def nothing_is_left_undone(self) -> None:
        self.cloud.clear_faults()
        self.cloud.settings(list_lag=0)
        self.cloud.advance(600)
        for flow in ("verify_snapshots", "restore_from_snapshot", "end_expired", "hibernate"):
            for _ in range(4):
                last = self.run(flow, PATIENCE)
                if last.error is None:
                    break
            must(last.error is None, f"{flow} fails though nothing goes wrong: {last.error}")
        self.cloud.advance(600)
        ends = {end.name for end in read_expiries(self.account().account)}
        there = {i["name"] for i in self.cloud.state()["instances"]}
        lost = {n for n in there if not n.startswith(("s-", "h-"))} - ends
        must(not lost, f"instances were made, and nobody will end them: {lost}")


def search(server: str, examples: int, steps: int, number: int) -> None:
    @seeded(number)
    class Here(Account):
        pass

    Here.server, Here.number = server, number
    run_machine(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=False,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def alone(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("barrack_tasks.controllers.reports.told_of_left_ends", lambda *_, **__: [])
    monkeypatch.setattr("barrack_tasks.api.client.RetryPolicy", lambda: PATIENT)
    # Prefect makes it anew for each field of a block, which takes a second for each new key.
    schema = cache(BarrackCredentials.model_json_schema)
    copies = staticmethod(lambda **how: deepcopy(schema(**how)))
    monkeypatch.setattr(BarrackCredentials, "model_json_schema", copies)
    monkeypatch.setenv("BARRACK_LOCK_SECONDS", LEASE)
    leaps.install(monkeypatch)
    Account.all_seen.clear()
    return prefect_server


def test_short_random_histories_keep_the_promises(alone: str) -> None:
    search(alone, examples=2, steps=6, number=1)  # the first is always the simplest
    assert Account.all_seen["runs that succeeded"] + Account.all_seen["runs that failed"]
    assert Account.all_seen["workers cut off"] + Account.all_seen["workers that came to their end"]


SEED = int(os.environ.get("SEED") or 1)
PARTS = int(os.environ.get("PARTS") or 1)


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(SEED, SEED + PARTS))
def test_many_random_histories_keep_the_promises(alone: str, number: int) -> None:
    steps = int(os.environ.get("STEPS", "10000")) // PARTS
    search(alone, max(1, steps // 40), min(steps, 40), number)
    assert Account.all_seen["runs that succeeded"] > steps / 10
