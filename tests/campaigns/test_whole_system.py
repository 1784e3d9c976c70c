"""Random histories of an account: flows, faults, people, deaths and new keys, in any order.

After each step the promises are judged on the cloud's own ledger. In the end nothing goes wrong any
more, every flow is started once again, and nothing that was begun is left undone.
"""

from __future__ import annotations

import contextvars
import os
import signal
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.controllers.expiry import read_expiries
from tests.campaigns.faults import PATIENT, Case, Run, Watched, looks_only, must, run_flow
from tests.flows.killing import Point, ended, start_in_process
from tests.flows.test_crashes import window

LEASE = "8"
"""Seconds: what a killed run held is free again after so long."""
TIMEOUT = 8
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
]
OFTEN = [name for name, row in OPERATIONS.items() if row.changes or name.startswith("list_")]
flows = st.sampled_from(sorted(FLOWS))
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
    ended: Counter[str] = Counter()
    """How runs have ended, what the cloud was asked for, and steps, in all histories."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.block = f"whole-{uuid.uuid4().hex[:8]}"
        self.cloud = Watched(
            api_key=f"key-{uuid.uuid4().hex}",
            fleet=[{"name": n, "gpu_model": "L40"} for n in ("s-1", "s-2", "h-1", "keep-1")],
            speed=60,
            balance="5000",
            seed=seed,
            start=datetime.now(UTC) - timedelta(days=2),
        ).start()
        self.save()
        self.runs: list[Run] = []
        [s1] = [i["id"] for i in self.cloud.state()["instances"] if i["name"] == "s-1"]
        self.account().get_client().snapshots.create(s1, "base")
        self.cloud.advance((datetime.now(UTC) - self.cloud.now()).total_seconds())

    def save(self) -> None:
        """Keep the key that counts in the account's block."""
        BarrackCredentials(
            api_key=self.cloud.api_key, base_url=self.cloud.url, protect=["keep-*"]
        ).save(self.block, overwrite=True, _sync=True)  # type: ignore[call-arg]

    def account(self) -> BarrackCredentials:
        return BarrackCredentials.load(self.block, _sync=True)  # type: ignore[call-arg,return-value]

    def run(self, flow: str) -> Run:
        return run_flow(
            Case(flow, dict, looks_only), FLOWS[flow], self.account()
        )  # what it says is judged below

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
        operation=st.sampled_from(CHANGING),
        phase=st.sampled_from(["before", "after"]),
        by=st.sampled_from([signal.SIGKILL, signal.SIGTERM]),
    )
    def a_run_is_cut_off(self, flow: str, operation: str, phase: str, by: signal.Signals) -> None:
        environment = {
            **self.cloud.env,
            "PREFECT_API_URL": self.server,
            "BARRACK_LEASE_SECONDS": LEASE,
            "BARRACK_PROTECT": "keep-*",
        }
        arguments = {**FLOWS[flow], "credentials": self.block}
        ended(*start_in_process(flow, environment, arguments, Point(operation, 1, phase, by)))

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
        if not hasattr(self, "cloud"):
            return
        self.ended["steps"] += 1
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
            known = error is None or type(error).__module__.startswith("barrack_")
            must(known, f"a run ended with {type(error).__name__}: {error}")
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
            self.nothing_is_left_undone()
        finally:
            self.ended.update(e["operation"] for e in self.cloud.whole_ledger())
            self.ended.update(
                "succeeded" if run.error is None else type(run.error).__name__ for run in self.runs
            )
            self.cloud.stop()
            print(f"{self.ended['steps']} steps", flush=True)  # noqa: T201 - for whoever waits

    def nothing_is_left_undone(self) -> None:
        self.cloud.clear_faults()
        self.cloud.settings(list_lag=0)
        self.cloud.advance(600)
        for flow in ("verify_snapshots", "restore_from_snapshot", "end_expired", "hibernate"):
            for _ in range(4):
                last = self.run(flow)
                if last.error is None:
                    break
            must(last.error is None, f"{flow} fails though nothing goes wrong: {last.error}")
        self.cloud.advance(600)
        ends = {end.name for end in read_expiries(self.account().account)}
        there = {i["name"] for i in self.cloud.state()["instances"]}
        lost = {n for n in there if not n.startswith(("s-", "h-"))} - ends
        must(not lost, f"instances were made, and nobody will end them: {lost}")


def search(server: str, examples: int, steps: int) -> None:
    class Here(Account):
        pass

    Here.server = server
    run_machine(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize="BARRACK_SEED" not in os.environ,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def alone(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("barrack_tasks.controllers.reports.told_of_left_ends", lambda *_, **__: [])
    monkeypatch.setattr("barrack_tasks.api.client.RetryPolicy", lambda: PATIENT)
    monkeypatch.setenv("BARRACK_LEASE_SECONDS", LEASE)
    return prefect_server


@pytest.mark.slow
def test_a_short_random_history_keeps_the_promises(alone: str) -> None:
    search(alone, examples=1, steps=6)


@pytest.mark.campaign
def test_many_random_histories_keep_the_promises(alone: str) -> None:
    steps = int(os.environ.get("STEPS", "10000"))
    Account.ended.clear()
    search(alone, examples=max(1, steps // 40), steps=min(steps, 40))
    print(dict(Account.ended))  # noqa: T201
    assert Account.ended["succeeded"] > steps / 10
