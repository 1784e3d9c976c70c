"""Two API servers and three workers on PostgreSQL and Redis; one of each is killed in the middle.

BARRACK_SCALE_RUNS says how many runs are triggered at once; 200, if it is not set.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from barrack_tasks.sandbox import Sandbox
from tests.flows.receivers import Webhook, webhook
from tests.scale.engines import ROOT, Several, absent, several

pytestmark = [pytest.mark.scale, pytest.mark.skipif(bool(absent()), reason=absent())]
RUNS = int(os.environ.get("BARRACK_SCALE_RUNS", "200"))
INTERVAL = int(os.environ.get("BARRACK_SCALE_INTERVAL", "120"))
PATIENCE = 600 + 12 * RUNS
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
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
        made = self.ask("POST", path, parameters=parameters, state=state, idempotency_key=key)
        return str(made["id"])

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
def workers(parts: Several, sandbox: Sandbox, *names: str) -> Iterator[None]:
    """Workers of the pool, three runs each."""
    for name in names:
        words = ("worker", "start", "--pool", "barrack", "--type", "process", "--limit", "3")
        parts.prefect(name, *words, "--name", name, **sandbox.env)
    yield


def automations(folder: Path) -> Path:
    """The two automations for lost runs, with the shortest times that Prefect allows."""
    text = (ROOT / "deployments" / "lost-runs.yaml").read_text()
    assert "within: 600" in text
    file = folder / "lost-runs.yaml"
    file.write_text(text.replace("within: 600", "within: 100"))
    return file


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
        deployed = server.deployments()
        with workers(parts, sandbox, "first", "second", "third"):
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

            def in_hand(runs: dict[str, dict[str, Any]], kind: str) -> list[str]:
                return [id_ for id_ in started if runs[id_]["state_type"] == kind]

            server.until("runs are under way", lambda runs: len(in_hand(runs, "RUNNING")) > 2)
            parts.lose("first")
            parts.lose("one")
            # What is lost is started again, as a person does who was told of it.
            runs = server.until(
                "all runs have ended",
                lambda runs: all(runs[id_]["state_type"] in ENDED for id_ in started),
            )
            lost = [id_ for id_ in started if runs[id_]["state_type"] != "COMPLETED"]
            assert {runs[id_]["state_type"] for id_ in lost} <= {"CRASHED"}, [
                (runs[id_]["state_name"], runs[id_]["state"]["message"]) for id_ in lost
            ]
            ids = {deployed[name]["id"]: name for name in GUARDS}

            def have_run(runs: dict[str, dict[str, Any]]) -> Counter[str]:
                guards = [run for run in runs.values() if run["state_type"] == "COMPLETED"]
                return Counter(ids.get(run["deployment_id"], "") for run in guards)

            again = {server.start(job, select=[started[id_]]): id_ for id_ in lost}
            server.until(
                "each guard has run, and the one that tells people twice",
                lambda runs: (
                    (have := have_run(runs))["watch-balance"] > 1 and set(GUARDS) <= set(have)
                ),
            )
            for one in deployed.values():
                server.ask("PATCH", f"/deployments/{one['id']}", paused=True)
            runs = server.until(
                "nothing is under way",
                lambda runs: (
                    all(runs[id_]["state_type"] == "COMPLETED" for id_ in again)
                    and not any(is_stuck(run) for run in runs.values())
                ),
            )
            took = time.monotonic() - began
        sys.stdout.write(table(runs, started, again, took, len(people.received)))
        assert set(started) <= set(runs), "no run is lost"
        services = (parts.folder / "services.log").read_text()
        assert "Connect call failed" not in services, "a part of Prefect looks for its engine here"
        judge(sandbox, machines, {started[id_] for id_ in lost})
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


def judge(sandbox: Sandbox, machines: dict[str, str], lost: set[str]) -> None:
    """The promises, by the sandbox's ledger: one snapshot of each machine, then one hibernate.

    Args:
        machines: names by id.
        lost: names of those whose run was lost with its worker.
    """
    effects = sandbox.ledger()
    for id_, name in machines.items():
        slept = [n for n, one in enumerate(effects)
                 if one["id"] == id_ and one["operation"] == "hibernate_instance"]  # fmt: skip
        assert len(slept) == 1, f"{name} was hibernated {len(slept)} times"
    made = Counter(
        one["detail"].partition("of ")[2]
        for one in effects
        if one["operation"] == "create_snapshot"
    )
    # A run that is started again more than ten minutes after it was lost takes a second snapshot.
    assert set(made) == set(machines)
    again = {id_ for id_, count in made.items() if count > 1}
    assert {machines[id_] for id_ in again} <= lost, "no snapshot is doubled"
    assert all(made[id_] == 2 for id_ in again)
    snapshots = sandbox.state()["snapshots"]
    assert {one["instance_id"] for one in snapshots} == set(machines)
    assert {one["status"] for one in snapshots} == {"SUCCESS"}
    assert {one["status"] for one in sandbox.state()["instances"]} == {"HIBERNATED"}


def assert_told_once(people: Webhook) -> None:
    """Each alert reaches people once."""
    told = Counter(str(one) for one in people.received)
    assert told, "the balance is below the line, and nobody was told"
    assert set(told.values()) == {1}, told


def table(
    runs: dict[str, dict[str, Any]],
    started: dict[str, str],
    again: dict[str, str],
    took: float,
    alerts: int,
) -> str:
    """What `make test-scale` shows."""
    others = set(runs) - set(started) - set(again)
    guards = Counter(runs[id_]["state_name"] for id_ in others if not is_due_later(runs[id_]))
    rows: list[tuple[str, int]] = [
        ("runs triggered at once", len(started)),
        ("of these lost with the worker, marked Crashed, completed when started again", len(again)),
        ("stuck", sum(map(is_stuck, runs.values()))),
        *((f"runs of guards: {state}", count) for state, count in sorted(guards.items())),
        ("alerts", alerts),
        ("seconds", round(took)),
    ]
    lines = "".join(f"| {what} | {count} |\n" for what, count in rows)
    return f"\n| what | how many |\n| --- | --- |\n{lines}"
