"""Two API servers and three workers on PostgreSQL and Redis; one of each is killed in the middle.

BARRACK_SCALE_RUNS says how many runs are triggered at once; 24, if it is not set, which CI can do
in a few minutes.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from barrack_tasks.sandbox import Sandbox
from tests.flows.receivers import Webhook, webhook
from tests.scale.engines import ROOT, Several, absent, several

pytestmark = [pytest.mark.scale, pytest.mark.skipif(bool(absent()), reason=absent())]
RUNS = int(os.environ.get("BARRACK_SCALE_RUNS", "24"))
INTERVAL = int(os.environ.get("BARRACK_SCALE_INTERVAL", "120"))
PATIENCE = 600 + 15 * RUNS
WORKERS = ("first", "second", "third")
LEAST_BREAK = timedelta(minutes=9)
"""A snapshot counts for ten minutes after its run was lost; a lease is noted every half minute."""
GUARDS = {
    "watch-balance": {
        "dry_run": False,  # a dry run tells nobody
        "notify": ["people"],
        "thresholds": [{"amount": 100_000, "actions": ["alert"]}],
    },
    "enforce-budget": {},
    "follow-schedule": {},
    "watch-account": {},
    "watch-gpu-stock": {},
    "report-costs": {},
    "prune-snapshots": {},
    "end-expired": {},
    "reap-forgotten": {},
    "doctor": {},
}


class Asking:
    """Prefect's API, through haproxy."""

    def __init__(self, parts: Several) -> None:
        user, _, secret = parts.env["PREFECT_API_AUTH_STRING"].partition(":")
        self._client = httpx.Client(
            base_url=parts.env["PREFECT_API_URL"],
            auth=(user, secret),
            timeout=60,
            trust_env=False,
            follow_redirects=True,
        )

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """A request that is repeated while a server that was killed is still asked."""
        for wait in (1, 2, 4, 8, 0):
            try:
                answer = self._client.request(method, path, json=body or None)
                if answer.status_code < 500:
                    answer.raise_for_status()
                    return answer.json() if answer.content else None
            except httpx.TransportError:
                if not wait:
                    raise
            time.sleep(wait)
        raise AssertionError(f"{path}: {answer.status_code} {answer.text[:300]}")

    def pages(self, path: str, **body: Any) -> Iterator[dict[str, Any]]:
        offset = 0
        while page := self.ask("POST", path, limit=200, offset=offset, **body):
            yield from page
            offset += len(page)

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.pages("/deployments/filter")}

    def start(self, deployment: dict[str, Any], **parameters: Any) -> str:
        # With a key of its own, a request that is repeated starts no second run.
        path = f"/deployments/{deployment['id']}/create_flow_run"
        key = f"{parameters['select'][0]}-{time.monotonic_ns()}"
        state = {"type": "SCHEDULED"}
        more = {"idempotency_key": key, "work_queue_name": "many"}
        made = self.ask("POST", path, parameters=parameters, state=state, **more)
        return str(made["id"])

    def begun(self, run: str) -> list[datetime]:
        """When a run began, each time that it did."""
        states = self.ask("GET", f"/flow_run_states?flow_run_id={run}")
        running = [one["timestamp"] for one in states if one["type"] == "RUNNING"]
        return sorted(map(datetime.fromisoformat, running))

    def states(self) -> dict[str, dict[str, Any]]:
        """Every run by its id, without those that are due later."""
        return {one["id"]: one for one in self.pages("/flow_runs/filter", sort="ID_DESC")}

    def until(self, what: str, done: Any) -> dict[str, dict[str, Any]]:
        """Wait until something holds of all runs."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if done(runs := self.states()):
                return runs
            time.sleep(3)
        told = Counter((run["name"], run["state_name"]) for run in runs.values())
        raise AssertionError(f"waited in vain: {what}; {told}")


@contextmanager
def workers(parts: Several, sandbox: Sandbox) -> Iterator[None]:
    """Workers of the pool, three runs each."""
    for name in WORKERS:
        words = ("worker", "start", "--pool", "barrack", "--type", "process", "--limit", "3")
        parts.prefect(name, *words, "--name", name, **sandbox.env)
    yield


def automations(folder: Path) -> Path:
    """The automations for lost runs, with the shortest times that Prefect allows."""
    text = (ROOT / "deployments" / "lost-runs.yaml").read_text()
    assert "within: 600" in text
    file = folder / "lost-runs.yaml"
    file.write_text(text.replace("within: 600", "within: 100"))
    return file


def one_at_work(parts: Several, sandbox: Sandbox, started: dict[str, str]) -> tuple[str, set[str]]:
    """A worker of which a run has begun a snapshot and no more, and the ids of all its runs."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        effects = sandbox.ledger()
        halfway = {machine_of(one) for one in effects if one["operation"] == "create_snapshot"}
        halfway -= {one["id"] for one in effects if one["operation"] == "hibernate_instance"}
        names = {one["name"] for one in sandbox.state()["instances"] if one["id"] in halfway}
        for worker in WORKERS:
            held = parts.runs_of(worker)
            if {started[id_] for id_ in held & set(started)} & names:
                return worker, held
        time.sleep(0.2)
    raise AssertionError("no worker was ever halfway through a run")


def machine_of(entry: dict[str, Any]) -> str:
    """The id of the instance that a snapshot was taken of."""
    return str(entry["detail"].partition("of ")[2])


def test_one_worker_and_one_server_are_killed_and_no_run_is_lost_or_doubled() -> None:
    fast = {
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.5",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    with (
        several(fast) as parts,
        Sandbox(fleet=0, balance="5000", speed=5, latency=0.05) as sandbox,
        webhook() as people,
    ):
        names = [f"scale-{n}" for n in range(RUNS)]
        machines = {sandbox.seed_instance(name): name for name in names}
        server = Asking(parts)
        parts.run("-c", "from barrack_tasks.cli import main; main()", "up", "--yes", **sandbox.env)
        parts.run("-c", SAVE, people.url)
        parts.run("-m", "prefect", "automation", "create", "-f", str(automations(parts.folder)))
        server.ask("POST", "/work_pools/barrack/queues", name="many", priority=2)
        deployed = server.deployments()
        ids = {deployed[name]["id"]: name for name in GUARDS}
        with workers(parts, sandbox):
            for name, parameters in GUARDS.items():
                one = deployed[name]
                schedule = {"interval": INTERVAL, "timezone": "UTC"}
                server.ask(
                    "PATCH",
                    f"/deployments/{one['id']}",
                    parameters={**one["parameters"], **parameters},
                    schedules=[{"schedule": schedule, "active": True}],
                )
            job = deployed["snapshot-before-stop"]
            began = time.monotonic()
            started = {server.start(job, select=[name]): name for name in names}
            worker, held = one_at_work(parts, sandbox, started)
            lost_at = datetime.now(UTC)
            parts.lose(worker)
            parts.lose("one")
            server.until(
                "all runs have completed",
                lambda runs: all(runs[id_]["state_type"] == "COMPLETED" for id_ in started),
            )

            def have_run(runs: dict[str, dict[str, Any]]) -> Counter[str]:
                guards = [run for run in runs.values() if run["state_type"] == "COMPLETED"]
                return Counter(ids.get(run["deployment_id"], "") for run in guards)

            server.until(
                "each guard has run, and the one that tells people twice",
                lambda runs: (
                    (have := have_run(runs))["watch-balance"] > 1 and set(GUARDS) <= set(have)
                ),
            )
            for one in deployed.values():
                server.ask("PATCH", f"/deployments/{one['id']}", paused=True)
            runs = server.until(
                "nothing is under way", lambda runs: not any(map(is_stuck, runs.values()))
            )
            took = time.monotonic() - began
            begun = {name: server.begun(id_) for id_, name in started.items()}
        again = {name for name, times in begun.items() if len(times) > 1}
        repeated = {id_ for id_, run in runs.items() if run["run_count"] > 1}
        late = {name for name in again if begun[name][-1] - lost_at > LEAST_BREAK}
        doubled = judge(sandbox, machines, late)
        sys.stdout.write(table(runs, set(started), again, doubled, took, len(people.received)))
        assert set(started) <= set(runs), "no run is lost"
        assert repeated <= held, "only what was lost has begun a second time"
        assert again, "a run that was halfway was lost"
        services = (parts.folder / "services.log").read_text()
        assert "Connect call failed" not in services, "a part of Prefect looks for its engine here"
        assert_told_once(people)


SAVE = """
import sys
from pydantic import SecretStr
from prefect.blocks.notifications import CustomWebhookNotificationBlock
CustomWebhookNotificationBlock(
    name="people",
    url=sys.argv[1],
    method="POST",
    json_data={"subject": "{{subject}}", "body": "{{body}}"},
).save("people", overwrite=True, _sync=True)
"""


def is_stuck(run: dict[str, Any]) -> bool:
    """Whether a run is in somebody's hands, or says so."""
    return run["state_type"] in ("PENDING", "RUNNING", "CANCELLING")


def is_due_later(run: dict[str, Any]) -> bool:
    return bool(run["state_type"] == "SCHEDULED")


def judge(sandbox: Sandbox, machines: dict[str, str], late: set[str]) -> set[str]:
    """The promises, by the sandbox's ledger: one snapshot of each machine, then one hibernate.

    Args:
        machines: names by id.
        late: names of those whose run was in nobody's hand for about ten minutes or longer, so
            that it may have taken a second snapshot.

    Returns:
        Names of those with a second snapshot.
    """
    effects = sandbox.ledger()
    slept = Counter(one["id"] for one in effects if one["operation"] == "hibernate_instance")
    assert slept == Counter(list(machines)), "each machine is hibernated once"
    made = Counter(machine_of(one) for one in effects if one["operation"] == "create_snapshot")
    assert set(made) == set(machines)
    assert set(made.values()) <= {1, 2}
    doubled = {machines[id_] for id_, count in made.items() if count > 1}
    assert doubled <= late, "a run that is taken up finds the snapshot that was begun"
    snapshots = sandbox.state()["snapshots"]
    assert {one["instance_id"] for one in snapshots} == set(machines)
    assert {one["status"] for one in snapshots} == {"SUCCESS"}
    assert {one["status"] for one in sandbox.state()["instances"]} == {"HIBERNATED"}
    return doubled


def assert_told_once(people: Webhook) -> None:
    """Each alert reaches people once."""
    told = Counter(str(one) for one in people.received)
    assert told, "the balance is below the line, and nobody was told"
    assert set(told.values()) == {1}, told


def table(
    runs: dict[str, dict[str, Any]],
    started: set[str],
    again: set[str],
    doubled: set[str],
    took: float,
    alerts: int,
) -> str:
    """What `make test-scale` shows."""
    others = set(runs) - started
    guards = Counter(runs[id_]["state_name"] for id_ in others if not is_due_later(runs[id_]))
    rows: list[tuple[str, int]] = [
        ("runs triggered at once, all Completed", len(started)),
        ("of these lost with their worker, and completed by another", len(again)),
        ("of these with a second snapshot, after more than ten minutes", len(doubled)),
        ("stuck", sum(map(is_stuck, runs.values()))),
        *((f"runs of guards: {state}", count) for state, count in sorted(guards.items())),
        ("alerts", alerts),
        ("seconds", round(took)),
    ]
    lines = "".join(f"| {what} | {count} |\n" for what, count in rows)
    return f"\n| what | how many |\n| --- | --- |\n{lines}"
