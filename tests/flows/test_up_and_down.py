"""hibernate, restore and follow_schedule against a real Prefect server and a real local cloud."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barrack_tasks.api import (
    BarrackConfigurationError,
    BarrackError,
    BarrackInsufficientCreditsError,
)
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans import Report
from barrack_tasks.sandbox import Sandbox
from flows.follow_schedule import follow_schedule
from flows.hibernate import hibernate
from flows.restore import restore
from tests.flows.conftest import account_of, effects, events_about
from tests.flows.killing import ended, start_in_process
from tests.flows.receivers import Webhook

Cloud = Callable[..., Sandbox]


def rows(report: Report) -> dict[str, tuple[str, str]]:
    return {row.instance: (row.outcome, row.now) for row in report.rows}


def window(start: timedelta, end: timedelta) -> str:
    """An absolute window around now."""
    moment = datetime.now(UTC).replace(microsecond=0)
    return f"{(moment + start).isoformat()}-{(moment + end).isoformat()}"


def as_of_now(sandbox: Sandbox) -> None:
    """Put a cloud that began in the past forward to this moment; its machines are old by then."""
    sandbox.advance((datetime.now(UTC) - sandbox.now()).total_seconds())


HOUR = timedelta(hours=1)


def changed(sandbox: Sandbox) -> list[str]:
    return [e["operation"] for e in sandbox.ledger() if e["operation"] not in ("person", "clock")]


@pytest.mark.slow
def test_hibernate_and_restore_bring_a_fleet_down_and_up(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0)
    for name, status in (("on", "ACTIVE"), ("off", "SHUTOFF"), ("asleep", "HIBERNATED")):
        sandbox.seed_instance(name, gpu_model="L40", status=status)
    account = account_of(sandbox)
    down = hibernate(select=["*"], credentials=account)
    assert rows(down) == {
        "on": ("done", "HIBERNATED"),
        "off": ("skipped", "SHUTOFF"),
        "asleep": ("already", "HIBERNATED"),
    }
    assert "billed in full" in {r.instance: r.why for r in down.rows}["off"]
    lower = hibernate(select=["off"], shutoff="hibernate", credentials=account)
    assert rows(lower) == {"off": ("done", "HIBERNATED")}
    up = restore(select=["*"], at_once=2, credentials=account)
    assert {outcome for outcome, _ in rows(up).values()} == {"done"}
    assert all("new address" in row.why for row in up.rows if row.instance == "on")


def test_hibernate_with_a_snapshot_first(cloud: Cloud) -> None:
    sandbox = cloud(fleet=2)
    report = hibernate(select=["*"], snapshot=True, credentials=account_of(sandbox))
    assert {now for _, now in rows(report).values()} == {"HIBERNATED"}
    assert changed(sandbox).count("create_snapshot") == 2


@pytest.mark.parametrize(("choice", "now"), [("leave", "ACTIVE"), ("stop", "SHUTOFF")])
def test_a_flavor_that_cannot_hibernate(cloud: Cloud, choice: Any, now: str) -> None:
    sandbox = cloud(fleet=0)
    sandbox.seed_instance("big", gpu_model="H100-SXM5-80GB", gpu_count=8)
    try:
        report = hibernate(select=["*"], cannot_hibernate=choice, credentials=account_of(sandbox))
    except WorkFailed as failed:
        report = failed.report
    assert rows(report)["big"][1] == now
    assert "cannot hibernate" in report.rows[0].why
    assert "hibernate_instance" not in changed(sandbox)


def test_a_restore_waits_for_stock_and_asks_only_when_it_is_there(cloud: Cloud) -> None:
    import threading

    sandbox = cloud(fleet=0)
    sandbox.seed_instance("one", gpu_model="L40", region="CANADA-1", status="HIBERNATED")
    sandbox.set_stock("CANADA-1", "L40", 0)
    timer = threading.Timer(3, lambda: sandbox.set_stock("CANADA-1", "L40", 4))
    timer.start()
    report = restore(select=["one"], credentials=account_of(sandbox))
    timer.join()
    assert rows(report) == {"one": ("done", "ACTIVE")}
    asked = [r for r in sandbox.requests() if r["operation"] == "restore_instance"]
    assert [r["status"] for r in asked] == [200]


@pytest.mark.slow
def test_out_of_stock_can_alert_or_let_another_stand_in(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0)
    id_ = sandbox.seed_instance("one", gpu_model="L40", region="CANADA-1")
    account = account_of(sandbox)
    account.get_client().snapshots.create(id_, "one-saved")
    sandbox.advance(600)
    sandbox.set_instance_status(id_, "HIBERNATED")
    sandbox.set_stock("CANADA-1", "L40", 0)
    with pytest.raises(
        WorkFailed, match="out of stock in CANADA-1; this run waited for it and gave up"
    ):
        restore(select=["one"], out_of_stock="alert", patience=1, credentials=account)
    report = restore(
        select=["one"],
        out_of_stock="substitute",
        patience=1,
        substitutes=["H100-PCIe*", "A40"],
        credentials=account,
    )
    assert rows(report) == {"one": ("done", "HIBERNATED")}
    assert "one-alt (H100-PCIe" in report.rows[0].why
    there = {i.name: i for i in account.get_client().instances.list()}
    assert there["one-alt"].status == "ACTIVE"
    assert len(effects(sandbox, "create_instance")) == 1


def test_nothing_is_restored_on_an_empty_balance(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, balance="0.50")
    sandbox.seed_instance("one", status="HIBERNATED")
    with pytest.raises(BarrackInsufficientCreditsError, match=r"is 0\.\d+ USD, and restoring"):
        restore(select=["one"], credentials=account_of(sandbox))
    assert changed(sandbox) == []


def test_a_timetable_is_followed_and_people_are_left_alone(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, start=datetime.now(UTC) - timedelta(days=1))
    night = sandbox.seed_instance("night", gpu_model="L40", status="HIBERNATED")
    day = sandbox.seed_instance("day", gpu_model="A40")
    sandbox.seed_instance("free", gpu_model="A40")
    as_of_now(sandbox)
    account = account_of(sandbox)
    rules = [
        {"select": ["night"], "timetable": window(-HOUR, HOUR)},
        {"select": ["day"], "timetable": window(-3 * HOUR, -HOUR)},
    ]

    def run(**more: Any) -> dict[str, tuple[str, str]]:
        return rows(follow_schedule(rules=rules, credentials=account, adopt="now", **more))

    assert run(dry_run=True)["night"] == ("planned", "HIBERNATED")
    assert changed(sandbox) == []
    assert run() == {"night": ("done", "ACTIVE"), "day": ("done", "HIBERNATED")}
    assert run() == {"night": ("already", "ACTIVE"), "day": ("already", "HIBERNATED")}
    sandbox.set_instance_status(night, "HIBERNATED")
    sandbox.set_instance_status(day, "ACTIVE")
    assert run() == {"night": ("skipped", "HIBERNATED"), "day": ("skipped", "ACTIVE")}
    assert run(strict=True) == {"night": ("done", "ACTIVE"), "day": ("done", "HIBERNATED")}


@pytest.mark.slow
def test_what_takes_no_snapshot_goes_on_while_snapshots_cannot_be_read(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0)
    for name in ("day", "night"):
        sandbox.seed_instance(name, gpu_model="L40")
    sandbox.fault("status", operation="list_snapshots", count=None, status=404)
    account = account_of(sandbox)
    assert rows(hibernate(select=["day"], credentials=account)) == {"day": ("done", "HIBERNATED")}
    never = [{"select": ["night"], "timetable": "never"}]
    followed = follow_schedule(rules=never, credentials=account)
    assert rows(followed) == {"night": ("done", "HIBERNATED")}
    with pytest.raises(BarrackError):
        hibernate(select=["day"], snapshot=True, credentials=account)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([], "at least one rule"),
        ([{"select": ["*"], "timetable": "Mon-Fry 08:00-20:00 UTC"}], "no day is called 'Fry'"),
        ([{"select": [], "timetable": "always"}], "does not mean everything"),
        ([{"select": ["*"], "timetable": "Mon 08:00-20:00 Mars/Base"}], "Mars/Base"),
    ],
)
def test_rules_that_cannot_be_read_are_refused_before_anything(
    cloud: Cloud, rules: Any, says: str
) -> None:
    sandbox = cloud(fleet=1)
    with pytest.raises(Exception, match=says):
        follow_schedule(rules=rules, credentials=account_of(sandbox))
    assert sandbox.requests() == []


@pytest.mark.slow
def test_two_workers_on_one_timetable_do_not_fight(cloud: Cloud, prefect_server: str) -> None:
    sandbox = cloud(fleet=0, start=datetime.now(UTC) - timedelta(days=1))
    for number in range(4):
        sandbox.seed_instance(f"down-{number}", gpu_model="A40")
        sandbox.seed_instance(f"up-{number}", gpu_model="A40", status="HIBERNATED")
    as_of_now(sandbox)
    rules = [
        {"select": ["up-*"], "timetable": window(-HOUR, HOUR)},
        {"select": ["down-*"], "timetable": window(-3 * HOUR, -HOUR)},
    ]
    environment = {**sandbox.env, "PREFECT_API_URL": prefect_server}
    arguments = {"rules": rules, "adopt": "now"}
    workers = [start_in_process("follow_schedule", environment, arguments) for _ in range(2)]
    found = [ended(*worker) for worker in workers]
    assert [code for code, _ in found] == [0, 0]
    for _, told in found:
        assert {row["outcome"] for row in told} <= {"done", "already", "skipped"}
    assert len(effects(sandbox, "hibernate_instance")) == 4
    assert len(effects(sandbox, "restore_instance")) == 4
    refused = [r for r in sandbox.requests() if r["status"] >= 400]
    assert refused == [], "nothing was asked for twice"
    rows_now = rows(follow_schedule(rules=rules, credentials=account_of(sandbox)))
    assert {outcome for outcome, _ in rows_now.values()} == {"already"}


def test_a_rule_may_ask_for_a_snapshot_before_each_rest(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, start=datetime.now(UTC) - timedelta(days=1))
    id_ = sandbox.seed_instance("day", gpu_model="A40")
    as_of_now(sandbox)
    rules = [{"select": ["day"], "timetable": window(-3 * HOUR, -HOUR), "snapshot": True}]
    report = follow_schedule(rules=rules, credentials=account_of(sandbox))
    assert rows(report) == {"day": ("done", "HIBERNATED")}
    ledger = sandbox.ledger()
    [taken] = [e for e in ledger if e["operation"] == "create_snapshot"]
    ready = next(e for e in ledger if e["id"] == taken["id"] and "-> SUCCESS" in e["detail"])
    slept = next(e for e in ledger if e["id"] == id_ and e["operation"] == "hibernate_instance")
    assert ready["time"] < slept["time"]


def test_failures_are_told_to_notifiers(cloud: Cloud, hook: tuple[Webhook, str]) -> None:
    kept, name = hook
    sandbox = cloud(fleet=0)
    sandbox.seed_instance("big", gpu_model="H100-SXM5-80GB", gpu_count=8)
    account = account_of(sandbox)
    with pytest.raises(BarrackConfigurationError, match="no notification block is called 'nobo'"):
        hibernate(select=["*"], notify=["nobo"], credentials=account)
    with pytest.raises(WorkFailed):
        hibernate(select=["*"], notify=[name], credentials=account)
    [message] = kept.received
    assert message["subject"] == "Barrack hibernate failed"
    assert "1 of 1 instances failed: big: its flavor cannot hibernate" in message["body"]


def test_the_new_address_is_in_the_event_and_in_the_report(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, seed=4711)  # ids that no other test's instances have
    id_ = sandbox.seed_instance("one", gpu_model="L40", status="HIBERNATED")
    report = restore(select=["one"], credentials=account_of(sandbox))
    [machine] = sandbox.state()["instances"]
    assert report.rows[0].why == f"new address {machine['public_ip']}"
    [event] = events_about(f"barrack.instance.{id_}", "barrack.instance.restored")
    assert event["payload"] == {
        "status": "ACTIVE",
        "address": machine["public_ip"],
        "region": machine["region"],
        "gpu_model": "L40",
        "gpu_count": 1,
        "hourly": "1.19",
        "currency": "USD",
    }
