"""A day of an account, played on a real server and worker, and seen through Prefect's API."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barrack_tasks.api import Barrack
from barrack_tasks.sandbox import Sandbox
from tests.deployments.playing import barrack, change, deployments, start, wait_for, worker
from tests.flows.conftest import cloud, events_about, hook
from tests.flows.receivers import Webhook

__all__ = ["cloud", "hook"]
HOURS_END = timedelta(seconds=30)
NIGHT = timedelta(seconds=75)


def until(moment: datetime) -> None:
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def told(kind: str, id_: str) -> dict[str, Any]:
    """The event of this kind about a resource, once Prefect has it."""
    resource = f"barrack.{kind.split('.')[1]}.{id_}"
    found = [e for e in events_about(resource, kind) if e["event"] == kind]
    assert found, f"no {kind} about {id_}"
    return found[-1]


@pytest.mark.usefixtures("no_deployments")
@pytest.mark.slow
def test_a_day(cloud: Callable[..., Sandbox], hook: tuple[Webhook, str]) -> None:
    kept, notifier = hook
    sandbox = cloud(fleet=0, balance="500", speed=120, dialect=None)
    ids = {n: sandbox.seed_instance(n, gpu_model="L40") for n in ("day-1", "day-2", "job", "old")}
    sandbox.set_stock("CANADA-1", "A100-PCIe-80GB", 0)
    done = barrack("up", **sandbox.env)
    assert done.returncode == 0, done.stdout + done.stderr
    there = deployments()

    def run(flow: str) -> None:
        # Cancelled for the run that an event has started just before: it may be that one's turn.
        ended = (wait_for(start(there[flow]["id"])) for _ in range(6))
        assert next((one for one in ended if one != "Cancelled"), "Cancelled") == "Completed", flow

    start_of_day = datetime.now(UTC).replace(microsecond=0)
    evening, night_over = start_of_day + HOURS_END, start_of_day + HOURS_END + NIGHT
    hours = [
        (start_of_day - timedelta(hours=9), evening),
        (night_over, night_over + timedelta(hours=9)),
    ]
    timetable = ", ".join(f"{a.isoformat()}-{b.isoformat()}" for a, b in hours)
    change(
        there["follow_schedule"],
        parameters={
            "rules": [{"select": ["day-*"], "timetable": timetable}],
            "dry_run": False,
            "credentials": "barrack",
        },
    )
    change(
        there["watch_balance"],
        parameters={
            "thresholds": [{"amount": 100, "actions": ["alert", "hibernate_all"]}],
            "select": ["job"],
            "notify": [notifier],
            "dry_run": False,
            "credentials": "barrack",
        },
    )
    change(
        there["watch_gpu_stock"],
        parameters={
            "wants": [{"gpu_model": "A100-PCIe-80GB", "claim": {"name": "won", "image_id": "1"}}],
            "watch_for": "10s",
            "interval": "1s",
            "dry_run": False,
            "credentials": "barrack",
        },
    )
    with worker(sandbox), Barrack(sandbox.api_key, sandbox.url) as person:
        # It is day: the timetable is met, and what is there is seen for the first time.
        run("watch_account")
        # The hours end, and the fleet sleeps.
        until(evening)
        run("follow_schedule")
        for name in ("day-1", "day-2"):
            event = told("barrack.instance.hibernated", ids[name])
            assert event["payload"]["status"] == "HIBERNATED"
        # The balance falls: an alert, and what the line says is done.
        sandbox.add_credit(-450)
        run("watch_balance")
        assert len(kept.received) == 1
        assert told("barrack.instance.hibernated", ids["job"])
        # Stock appears, and is claimed.
        sandbox.add_credit(450)
        sandbox.set_stock("CANADA-1", "A100-PCIe-80GB", 4)
        run("watch_gpu_stock")
        [won] = [i for i in person.instances.list() if i.name == "won"]
        assert told("barrack.instance.claimed", won.id)["payload"]["address"] == won.public_ip
        # A person deletes an instance, and Prefect is told.
        person.instances.delete(ids["old"])
        # One look that lacks it proves nothing: minutes later it is asked for again.
        for minutes in (1, 4):
            sandbox.advance(60 * minutes)
            run("watch_account")
        assert told("barrack.instance.disappeared", ids["old"])["payload"]["before"] == "ACTIVE"
        # Morning: the fleet is back.
        until(night_over)
        run("follow_schedule")
        for name in ("day-1", "day-2"):
            event = told("barrack.instance.restored", ids[name])
            assert event["payload"]["status"] == "ACTIVE"
            assert event["payload"]["address"]
    # An upgrade leaves alone what was changed.
    assert barrack("up", **sandbox.env).returncode == 0
    after = deployments()
    assert after["follow_schedule"]["parameters"]["rules"][0]["timetable"] == timetable
    assert after["watch_balance"]["parameters"]["notify"] == [notifier]
    assert after["prune_snapshots"]["parameters"]["dry_run"] is True
    status = barrack("status")
    assert status.returncode == 0, status.stdout + status.stderr
    for flow, armed in (("follow-schedule", True), ("prune-snapshots", False)):
        [line] = [row for row in status.stdout.splitlines() if flow in row]
        assert ("ARMED" in line) is armed
    assert "Runway:" in status.stdout
