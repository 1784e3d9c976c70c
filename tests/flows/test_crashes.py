"""Every flow that changes something, cut off at its requests and started again.

It is killed (SIGKILL), ended (SIGTERM), or stopped for longer than its lease (SIGSTOP) while
another run does the work, and then goes on. By the cloud's own ledger: one machine, one snapshot,
and nothing that was made without its end.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.controllers.expiry import add_expiries, read_expiries
from barrack_tasks.controllers.forgotten import remember
from barrack_tasks.plans.forgotten.lifetimes import Lifetime, Sighting
from barrack_tasks.plans.forgotten.notices import Notice
from barrack_tasks.plans.making import Making
from barrack_tasks.plans.names import snapshot_description
from barrack_tasks.plans.power.expiry import Expiry
from barrack_tasks.plans.snapshots.images import mark
from barrack_tasks.sandbox import Sandbox
from tests.flows.conftest import account_of, effects, states
from tests.flows.killing import HIDDEN, Point, ended, start_in_process

Cloud = Callable[..., Sandbox]
LEASE = 8.0
"""Seconds: long enough for a busy machine to renew it."""
WANTS = [{"gpu_model": "L40", "gpu_count": 1, "claim": {"name": "train", "image_id": "1"}}]


OLD = "alpha-202601"
OLD_IMAGE = "golden-20260101T000000Z"


def old(number: int) -> str:
    """The name of a snapshot that an earlier run has taken."""
    return f"{OLD}{number:02}T000000Z"


def window(start: timedelta, end: timedelta) -> str:
    now = datetime.now(UTC)
    return f"{now + start:%Y-%m-%dT%H:%M:%SZ}-{now + end:%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True)
class Case:
    """A flow, what it is asked for, the cloud that it finds, and what must be true in the end."""

    flow: str
    arguments: Callable[[], dict[str, Any]]
    judge: Callable[[Sandbox, BarrackCredentials], None]
    machines: dict[str, str] = field(default_factory=lambda: {"alpha": "ACTIVE"})
    old_snapshots: int = 0
    prepare: Callable[[Sandbox, BarrackCredentials], None] = lambda *_: None


def once(sandbox: Sandbox, operation: str, count: int = 1) -> list[dict[str, Any]]:
    found = effects(sandbox, operation)
    assert len(found) == count, [(e["time"], e["operation"], e["name"]) for e in found]
    return found


def only_once(operation: str) -> Callable[[Sandbox, BarrackCredentials], None]:
    def judge(sandbox: Sandbox, _: BarrackCredentials) -> None:
        once(sandbox, operation)

    return judge


def new_snapshots(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [e for e in effects(sandbox, "create_snapshot") if not e["name"].startswith(OLD)]


def snapshot_then(operation: str) -> Callable[[Sandbox, BarrackCredentials], None]:
    def judge(sandbox: Sandbox, _: BarrackCredentials) -> None:
        [taken] = new_snapshots(sandbox)
        [rested] = once(sandbox, operation)
        ready = [
            e for e in sandbox.ledger() if e["id"] == taken["id"] and "-> SUCCESS" in e["detail"]
        ]
        assert ready
        assert ready[0]["time"] <= rested["time"], "the snapshot was ready before the stop"

    return judge


def restored_once(sandbox: Sandbox, account: BarrackCredentials) -> None:
    once(sandbox, "restore_snapshot")
    [end] = read_expiries(account.account)
    assert {i["name"] for i in sandbox.state()["instances"]} == {"alpha", end.name}


def claimed_once(sandbox: Sandbox, account: BarrackCredentials) -> None:
    once(sandbox, "create_instance")
    [end] = read_expiries(account.account)
    assert end.name == "train"


def ended_or_on_record(sandbox: Sandbox, account: BarrackCredentials) -> None:
    """What was noted as asked is asked for again after ten minutes, and so stays on record."""
    gone = effects(sandbox, "delete_instance")
    assert len(gone) <= 1
    assert gone or [end.name for end in read_expiries(account.account)] == ["alpha"]


def nothing_left(sandbox: Sandbox, _: BarrackCredentials) -> None:
    made = {e["id"] for e in effects(sandbox, "restore_snapshot")}
    gone = {e["id"] for e in effects(sandbox, "delete_instance")}
    assert made
    assert made == gone
    assert states(sandbox) == {"alpha": "ACTIVE"}


def one_image(sandbox: Sandbox, _: BarrackCredentials) -> None:
    made = [e for e in effects(sandbox, "create_image") if e["name"] != OLD_IMAGE]
    assert len(made) == 1
    assert len(new_snapshots(sandbox)) == 1
    assert [e["name"] for e in effects(sandbox, "delete_image")] == [OLD_IMAGE]


def pruned(sandbox: Sandbox, _: BarrackCredentials) -> None:
    assert sorted(e["name"] for e in effects(sandbox, "delete_snapshot")) == [old(1), old(2)]


def with_an_old_image(sandbox: Sandbox, account: BarrackCredentials) -> None:
    [snapshot] = sandbox.state()["snapshots"]
    account.get_client().images.create(snapshot["id"], OLD_IMAGE, mark("golden"))
    sandbox.advance(600)


def with_an_end(sandbox: Sandbox, account: BarrackCredentials) -> None:
    """The instance was made for a time, and that is over."""
    [alpha] = sandbox.state()["instances"]
    client = account.get_client()
    client.instances.get(alpha["id"])
    now = client.now()
    made = Making("alpha", now - timedelta(days=3))
    end = Expiry(alpha["id"], "alpha", now - timedelta(hours=1), "delete", by=made)
    add_expiries(account.account, [end])


FORGOTTEN = {"select": ["alpha"], "longer_than": "1s", "then": "delete"}


def with_a_notice(_: Sandbox, account: BarrackCredentials) -> None:
    """People were told long ago that the instance is deleted."""
    client = account.get_client()
    [alpha] = [i for i in client.instances.list() if i.name == "alpha"]
    then = client.now() - timedelta(hours=2)
    noticed = {Lifetime.model_validate(FORGOTTEN).key: Notice(then, then)}
    remember(account.account, {}, {alpha.id: Sighting("ACTIVE", then, then, noticed=noticed)})


CASES = {
    "snapshot_before_stop": Case(
        "snapshot_before_stop",
        lambda: {"select": ["alpha"], "then": "delete"},
        snapshot_then("delete_instance"),
    ),
    "hibernate": Case(
        "hibernate",
        lambda: {"select": ["alpha"]},
        only_once("hibernate_instance"),
    ),
    "restore": Case(
        "restore",
        lambda: {"select": ["alpha"]},
        only_once("restore_instance"),
        machines={"alpha": "HIBERNATED"},
    ),
    "follow_schedule": Case(
        "follow_schedule",
        lambda: {
            "rules": [
                {
                    "select": ["*"],
                    "timetable": window(timedelta(hours=-3), timedelta(hours=-1)),
                    "snapshot": True,
                }
            ]
        },
        snapshot_then("hibernate_instance"),
    ),
    "restore_from_snapshot": Case(
        "restore_from_snapshot",
        lambda: {"snapshot": old(1), "expires": "8h", "on_expiry": "delete"},
        restored_once,
        old_snapshots=1,
    ),
    "watch_gpu_stock": Case(
        "watch_gpu_stock",
        lambda: {"wants": WANTS, "expires": "8h", "on_expiry": "delete"},
        claimed_once,
    ),
    "verify_snapshots": Case(
        "verify_snapshots", lambda: {"select": ["alpha"]}, nothing_left, old_snapshots=1
    ),
    "publish_image": Case(
        "publish_image",
        lambda: {"source": "alpha", "family": "golden", "keep": 1},
        one_image,
        old_snapshots=1,
        prepare=with_an_old_image,
    ),
    "end_expired": Case("end_expired", dict, ended_or_on_record, prepare=with_an_end),
    "reap_forgotten": Case(
        "reap_forgotten",
        lambda: {"rules": [FORGOTTEN], "dry_run": False},
        snapshot_then("delete_instance"),
        prepare=with_a_notice,
    ),
    "watch_balance": Case(
        "watch_balance",
        lambda: {
            "thresholds": [{"runway": "9000h", "actions": ["alert", "hibernate"]}],
            "select": ["*"],
        },
        only_once("hibernate_instance"),
    ),
    "enforce_budget": Case(
        "enforce_budget",
        lambda: {"budgets": [{"per": "hour", "hard": "0.5"}], "enforce_at_once": True},
        only_once("hibernate_instance"),
    ),
    "prune_snapshots": Case(
        "prune_snapshots",
        lambda: {"select": ["*"], "retention": {"last": 1}},
        pruned,
        old_snapshots=3,
    ),
}


def prepared(case: Case, cloud: Cloud) -> tuple[Sandbox, BarrackCredentials]:
    start = datetime.now(UTC) - timedelta(days=2)
    sandbox = cloud(fleet=0, speed=60, balance="5000", start=start)
    account = account_of(sandbox)
    for name, state in case.machines.items():
        id_ = sandbox.seed_instance(name, gpu_model="L40", status=state)
        for number in range(1, case.old_snapshots + 1):
            account.get_client().snapshots.create(id_, old(number), snapshot_description(id_))
            sandbox.advance(600)
    case.prepare(sandbox, account)
    return sandbox, account


def environment_of(sandbox: Sandbox, server: str) -> dict[str, str]:
    return {**sandbox.env, "PREFECT_API_URL": server, "BARRACK_LOCK_SECONDS": str(LEASE)}


def run_until_it_succeeds(case: Case, arguments: dict[str, Any], environment: Any) -> None:
    """Start the flow again as a person would who is told to wait; a rival may still be there."""
    for _ in range(4):
        code, rows = ended(*start_in_process(case.flow, environment, arguments), patience=90)
        if code == 0 and all(row["outcome"] != "failed" for row in rows):
            return
        time.sleep(LEASE / 2)
    pytest.fail(f"the flow does not succeed when it is started again: {rows}")


def cut_off(case: Case, point: Point, cloud: Cloud, server: str) -> bool:
    """Cut a run off at a point, start it again, judge; False if it never came to the point."""
    sandbox, account = prepared(case, cloud)
    environment, arguments = environment_of(sandbox, server), case.arguments()
    child, rows = start_in_process(case.flow, environment, arguments, point)
    if point.by is signal.SIGSTOP:
        if not _is_stopped(child):
            return False
        time.sleep(LEASE + 1)
        run_until_it_succeeds(case, arguments, environment)
        os.kill(child.pid, signal.SIGCONT)
        ended(child, rows, patience=90)
    else:
        code, _ = ended(child, rows)
        if code == 0:
            return False
        run_until_it_succeeds(case, arguments, environment)
    case.judge(sandbox, account)
    sandbox.stop()
    return True


def _is_stopped(child: Any) -> bool:
    while child.is_alive():
        with open(f"/proc/{child.pid}/stat") as stat:  # noqa: PTH123 - read while it may vanish
            if stat.read().rpartition(")")[2].split()[0] == "T":
                return True
        time.sleep(0.1)
    return False


def points_of(case: Case, cloud: Cloud, server: str) -> Iterator[Point]:
    """Before and after each request that changes something, of a run that is left alone."""
    sandbox, account = prepared(case, cloud)
    before = len(sandbox.requests())
    code, _ = ended(*start_in_process(case.flow, environment_of(sandbox, server), case.arguments()))
    assert code == 0
    case.judge(sandbox, account)
    counts = Counter(r["operation"] for r in sandbox.requests()[before:])
    for operation, count in sorted(counts.items()):
        if OPERATIONS[operation].changes:
            for nth in range(1, count + 1):
                yield Point(operation, nth, "before")
                yield Point(operation, nth, "after")
    sandbox.stop()


WAYS = [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP]
SHORT = [
    ("snapshot_before_stop", Point("create_snapshot", 1, "after")),
    ("snapshot_before_stop", Point("delete_instance", 1, "before", signal.SIGSTOP)),
    ("restore_from_snapshot", Point("restore_snapshot", 1, "after", signal.SIGTERM)),
    ("restore_from_snapshot", Point("restore_snapshot", 1, "before", signal.SIGSTOP)),
    ("follow_schedule", Point("create_snapshot", 1, "after")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("flow", "point"), SHORT, ids=str)
def test_cut_off_and_started_again(
    flow: str, point: Point, cloud: Cloud, prefect_server: str
) -> None:
    assert cut_off(CASES[flow], point, cloud, prefect_server)


@pytest.mark.slow
def test_one_cut_off_in_another_container_is_waited_for(
    cloud: Cloud, prefect_server: str, tmp_path: Path
) -> None:
    """Whether it has ended is not known there: its lease must be over first."""
    case = CASES["restore_from_snapshot"]
    sandbox, account = prepared(case, cloud)
    told = tmp_path / "told"
    environment = {**environment_of(sandbox, prefect_server), HIDDEN: str(told)}
    point = Point("restore_snapshot", 1, "after")
    code, _ = ended(*start_in_process(case.flow, environment, case.arguments(), point))
    assert code == -signal.SIGKILL
    code, rows = ended(*start_in_process(case.flow, environment, case.arguments()))
    assert (code, [row["outcome"] for row in rows]) == (0, ["done"])
    assert "or was cut off a moment ago; this run waits until that is known" in told.read_text()
    case.judge(sandbox, account)


@pytest.mark.slow
@pytest.mark.parametrize(
    "by", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=lambda s: s.name
)
@pytest.mark.parametrize("flow", CASES)
def test_cut_off_at_each_request_that_changes_something(
    flow: str, by: signal.Signals, cloud: Cloud, prefect_server: str
) -> None:
    points = [p._replace(by=by) for p in points_of(CASES[flow], cloud, prefect_server)]
    assert points
    tried = [cut_off(CASES[flow], point, cloud, prefect_server) for point in points]
    assert all(tried)
