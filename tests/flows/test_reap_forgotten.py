"""reap_forgotten against a real Prefect server and a real local cloud."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks import extend_lease, lease_instance, set_owner
from barrack_tasks.controllers.leases import read_leases, read_leases_of_things
from barrack_tasks.plans import Row
from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.runtime.alerts import NobodyTold
from barrack_tasks.runtime.keep_form import keeping_link
from barrack_tasks.sandbox import Sandbox
from flows.end_expired import end_expired
from flows.keep_machine import keep_machine
from flows.reap_forgotten import reap_forgotten as reap_forgotten_flow
from tests.flows.conftest import account_of, effects, rename, saved_hook, states
from tests.flows.killing import Point, ended, start_in_process
from tests.flows.receivers import Webhook

reap_forgotten = partial(reap_forgotten_flow, dry_run=False)

Cloud = Callable[..., Sandbox]
RULES = [
    {"select": ["scratch-*"], "longer_than": "8h", "then": "hibernate"},
    {"select": {"states": ["SHUTOFF"]}, "longer_than": "15m", "then": "hibernate"},
    {"select": {"states": ["HIBERNATED"]}, "longer_than": "30d", "then": "delete"},
]


def advance(sandbox: Sandbox, **span: float) -> None:
    sandbox.advance(timedelta(**span).total_seconds())


def test_the_forgotten_are_told_of_and_put_to_rest_unless_somebody_leases_them(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    sandbox = cloud(fleet=0, seed=8411, start=start)
    names = ("scratch-1", "scratch-2", "prod", "train-1", "off")
    ids = {name: sandbox.seed_instance(name, gpu_model="L40") for name in names}
    account = account_of(sandbox, protect=["prod"])
    receiver, block = hook

    def run(**more: Any) -> dict[str, str]:
        report = reap_forgotten(rules=RULES, notify=[block], credentials=account, **more)
        return {row.instance: row.why for row in report.rows}

    account.get_client().instances.stop(ids["off"])  # as from inside: billed in full
    advance(sandbox, hours=9)
    plan = run(dry_run=True)
    assert "people would be told" in plan["scratch-1"]
    assert receiver.received == []
    rows = run()
    assert rows["train-1"] == "nobody has leased it"
    assert "prod" not in rows
    assert "it has been SHUTOFF for" in rows["off"]
    told = "\n".join(str(message) for message in receiver.received)
    assert "barrack lease scratch-1 --extend 8h" in told
    lease_instance(account, "scratch-2", for_="8h", owner="ann")
    run()
    assert effects(sandbox, "create_snapshot") == [], "the grace is not over"
    sandbox.advance(3700)
    rows = run()
    assert "the lease of ann keeps it" in rows["scratch-2"]
    assert states(sandbox) == {
        "scratch-1": "HIBERNATED",
        "scratch-2": "ACTIVE",
        "prod": "ACTIVE",
        "train-1": "ACTIVE",
        "off": "HIBERNATED",
    }
    assert {e["id"] for e in effects(sandbox, "hibernate_instance")} == {
        ids["scratch-1"],
        ids["off"],
    }
    assert len(effects(sandbox, "create_snapshot")) == 2


@pytest.mark.slow
def test_a_notice_has_a_link_to_the_form_that_keeps_the_machine(
    cloud: Cloud, hook: tuple[Webhook, str], prefect_server: str
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    sandbox = cloud(fleet=0, seed=8414, start=start, speed=0)
    id_ = sandbox.seed_instance("scratch-1", gpu_model="L40")
    account, (receiver, block) = account_of(sandbox), hook
    with get_client(sync_client=True) as client:
        flow = client.request("POST", "/flows/", json={"name": keep_machine.name}).json()
        made = {
            "name": "on-demand",
            "flow_id": flow["id"],
            "tags": ["barrack"],
            "entrypoint": "barrack_tasks.flows.keep_machine",
        }
        deployed = client.request("POST", "/deployments/", json=made).json()
        path: Any = f"/deployments/{deployed['id']}"
        try:
            advance(sandbox, hours=9)
            reap_forgotten(rules=RULES, notify=[block], credentials=account)
            [told] = [str(message) for message in receiver.received]
            here = f"/deployments/deployment/{deployed['id']}/run?parameters="
            page, _, query = told.partition(here)
            assert page.rpartition(" ")[2].startswith("http")
            given = json.loads(unquote(re.match(r"[A-Za-z0-9%:_-]+", query)[0]))  # type: ignore[index]
            assert given == {"instance": id_, "for_": "8h"}
            of_another = json.loads(unquote(keeping_link("team-b")(id_).partition("=")[2]))
            assert of_another == {**given, "credentials": "team-b"}, "the form may be of another"
            # What the form sends when somebody starts the run that it shows, and a worker runs it.
            asked = {"parameters": {**given, "owner": "ann"}}
            started = client.request("POST", f"{path}/create_flow_run", json=asked).json()
            done = subprocess.run(
                [sys.executable, "-m", "prefect.engine", started["id"]],
                env={**os.environ, **sandbox.env, "PREFECT_API_URL": prefect_server},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            run: Any = f"/flow_runs/{started['id']}"
            assert client.request("GET", run).json()["state"]["type"] == "COMPLETED"
        finally:
            client.request("DELETE", path)
    [kept] = read_leases(account.account)
    assert (kept.owner, kept.until - sandbox.now() > timedelta(hours=7.9)) == ("ann", True)
    [spared] = reap_forgotten(rules=RULES, notify=[block], credentials=account).rows
    assert "the lease of ann keeps it" in spared.why


@pytest.mark.slow
def test_what_has_slept_for_a_month_is_restored_snapshotted_and_deleted(cloud: Cloud) -> None:
    start = datetime.now(UTC) - timedelta(days=40)
    sandbox = cloud(fleet=0, seed=8412, start=start, balance="90000")
    sandbox.seed_instance("old", gpu_model="L40")
    id_ = sandbox.seed_instance("sleeps", gpu_model="L40")
    account = account_of(sandbox)
    account.get_client().instances.hibernate(id_)
    advance(sandbox, days=31)
    reap_forgotten(rules=RULES, credentials=account)
    advance(sandbox, hours=1.1)
    reap_forgotten(rules=RULES, credentials=account)
    assert states(sandbox) == {"old": "ACTIVE"}
    [taken] = effects(sandbox, "create_snapshot")
    [gone] = effects(sandbox, "delete_instance")
    assert taken["time"] < gone["time"]


def test_a_machine_that_nobody_leased_gets_a_lease_and_ends_with_it(
    cloud: Cloud,
) -> None:
    sandbox = cloud(fleet=0, seed=8413, speed=0)
    for name in ("new", "mine"):
        sandbox.seed_instance(name, gpu_model="L40")
    account = account_of(sandbox)
    lease_instance(account, "mine", for_="30d", owner="ann")
    report = reap_forgotten(default_lease="8h", dry_run=True, credentials=account)
    [row] = report.rows
    assert row.why == "nobody has leased it, so it gets a lease without an owner"
    assert len(read_leases(account.account)) == 1
    reap_forgotten(default_lease="8h", credentials=account)
    assert {one.owner for one in read_leases(account.account)} == {"ann", ""}
    for hours in (7.9, 0.3):
        advance(sandbox, hours=hours)
        end_expired(credentials=account)
    sandbox.advance(600)
    assert states(sandbox) == {"new": "HIBERNATED", "mine": "ACTIVE"}


@pytest.mark.slow
def test_a_notice_that_could_not_be_sent_begins_no_grace_and_who_extends_says_no(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    sandbox = cloud(fleet=0, seed=8415, start=start)
    for name in ("scratch-1", "scratch-2"):
        sandbox.seed_instance(name, gpu_model="L40")
    account, (receiver, block) = account_of(sandbox), hook

    def run() -> None:
        reap_forgotten(rules=RULES, default_lease="30d", notify=[block], credentials=account)

    advance(sandbox, hours=9)
    receiver.status = 500
    for _ in range(2):
        with pytest.raises(NobodyTold):
            run()
        sandbox.advance(3700)
    receiver.status = 200
    run()
    assert effects(sandbox, "create_snapshot") == [], "the grace begins when somebody was told"
    assert "scratch-1" in str(receiver.received)
    assert extend_lease(account, "scratch-2", for_="8h").owner, "the default lease is nobody's"
    sandbox.advance(3700)
    run()
    assert states(sandbox) == {"scratch-1": "HIBERNATED", "scratch-2": "ACTIVE"}


@pytest.mark.slow
def test_a_channel_that_hears_of_failures_alone_has_heard_of_no_notice(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    sandbox = cloud(fleet=0, seed=8416, start=start)
    sandbox.seed_instance("scratch-1", gpu_model="L40")
    account, (_, block) = account_of(sandbox), hook

    def run(*notify: str) -> None:
        reap_forgotten(rules=RULES, notify=list(notify), credentials=account)

    advance(sandbox, hours=9)
    for _ in range(2):
        with pytest.raises(NobodyTold, match="told of failures alone"):
            run(f"{block}:failure")
        sandbox.advance(3700)
    assert effects(sandbox, "create_snapshot") == [], "nobody was told, so no grace has begun"
    set_owner(account, "scratch-*", owner="ann", tell=f"{block}:failure")
    with pytest.raises(NobodyTold, match="told of failures alone"):
        run()
    sandbox.advance(3700)
    set_owner(account, "scratch-*", owner="ann", tell=block)
    run()
    assert effects(sandbox, "create_snapshot") == [], "the grace has begun only now"
    sandbox.advance(3700)
    run()
    assert states(sandbox) == {"scratch-1": "HIBERNATED"}


def test_a_rule_that_counts_idle_time_without_a_probe_is_told_to_do_nothing(cloud: Cloud) -> None:
    account = account_of(cloud(fleet=1, seed=8416))
    idle = [{"select": ["*"], "longer_than": "1h", "then": "hibernate", "idle": True}]
    report = reap_forgotten(rules=idle, dry_run=True, credentials=account)
    assert "rules that count idle time do nothing: idleness names no probe" in report.notes


def test_what_belongs_to_nothing_is_deleted_after_a_notice_and_what_somebody_leased_is_not(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    sandbox = cloud(fleet=0, seed=8417, speed=0, start=datetime.now(UTC) - timedelta(days=9))
    id_ = sandbox.seed_instance("gone", gpu_model="L40")
    account, (receiver, block) = account_of(sandbox, protect=["keep-*"]), hook
    client = account.get_client()
    names = [snapshot_name("gone", id_, client.now() + timedelta(hours=n)) for n in range(3)]
    for name in names:
        client.snapshots.create(id_, name, snapshot_description(id_))
        advance(sandbox, hours=1)
    snapshots = {one.name: one.id for one in client.snapshots.list()}
    disks = {n: client.volumes.create(n, 10, "CANADA-1").id for n in ("loose", "leased", "keep-1")}
    client.instances.delete(id_)
    advance(sandbox, days=2)
    rules = [
        {"of": what, "longer_than": "1d", "then": "delete"} for what in ("snapshots", "volumes")
    ]

    def run(**more: Any) -> dict[str, Row]:
        how: dict[str, Any] = {"notify": [block], "credentials": account, **more}
        return {row.instance: row for row in reap_forgotten(leftovers=rules, **how).rows}

    assert run(dry_run=True)["volume loose"].outcome == "planned"
    assert receiver.received == []
    run()
    advance(sandbox, minutes=5)  # by now it is certain that the machine is gone
    rows = run()
    told = "\n".join(str(message) for message in receiver.received)
    assert f"barrack lease snapshot:{snapshots[names[0]]} --extend 30d" in told
    assert "newest ready snapshot" in rows[f"snapshot {names[2]}"].why
    assert "it is protected" in rows["volume keep-1"].why
    # What the form starts, and what the command does.
    [kept] = keep_machine(f"volume:{disks['leased']}", "30d", "ann", credentials=account).rows
    assert "the lease of ann keeps it until" in kept.why
    extend_lease(account, f"snapshot:{snapshots[names[1]]}", for_="30d", owner="ann")
    assert effects(sandbox, "delete_volume") == effects(sandbox, "delete_snapshot") == []
    advance(sandbox, hours=2)
    rows = run()
    assert rows[f"snapshot {names[0]}"].did == ("delete snapshot",), (
        rows[f"snapshot {names[0]}"].outcome + "|" + rows[f"snapshot {names[0]}"].why
    )
    assert rows["volume loose"].did == ("delete volume",)
    assert "the lease of ann keeps it" in rows["volume leased"].why
    assert [e["id"] for e in effects(sandbox, "delete_volume")] == [disks["loose"]]
    assert [e["id"] for e in effects(sandbox, "delete_snapshot")] == [snapshots[names[0]]]
    end_expired(credentials=account)
    assert len(read_leases_of_things(account.account)) == 2, "those are no leases of machines"


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["start_instance", "create_snapshot"])
def test_what_a_run_has_begun_that_was_killed_is_finished_by_the_next_one(
    cloud: Cloud, prefect_server: str, operation: str
) -> None:
    sandbox = cloud(fleet=0, seed=8418, start=datetime.now(UTC) - timedelta(days=1))
    id_ = sandbox.seed_instance("off", gpu_model="L40")
    account = account_of(sandbox)
    account.get_client().instances.stop(id_)
    advance(sandbox, hours=2)
    reap_forgotten(rules=RULES, credentials=account)
    advance(sandbox, hours=1.1)
    environment = {
        **sandbox.env,
        "PREFECT_API_URL": prefect_server,
        "BARRACK_LOCK_SECONDS": "5",
    }
    arguments = {"rules": RULES, "dry_run": False}
    point = Point(operation, 1, "after")
    code, _ = ended(*start_in_process("reap_forgotten", environment, arguments, point))
    assert code == -9
    for _ in range(3):
        ended(*start_in_process("reap_forgotten", environment, arguments), patience=90)
        if states(sandbox)["off"] == "HIBERNATED":
            break
        sandbox.advance(600)
    assert states(sandbox) == {"off": "HIBERNATED"}
    assert len(effects(sandbox, "create_snapshot")) == 1
    assert len(effects(sandbox, "hibernate_instance")) == 1


def test_what_is_set_otherwise_after_a_notice_shortens_no_grace(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    """A dry run, another grace, another channel and another name between a notice and the act."""
    start = datetime.now(UTC) - timedelta(days=1)
    sandbox = cloud(fleet=0, seed=8431, start=start, speed=0)
    sandbox.seed_instance("fresh", gpu_model="L40")
    rename(sandbox, "fresh", "scratch-[1] ä'")
    account, (receiver, block) = account_of(sandbox), hook
    rules = [{"select": ["scratch-[1] ä'"], "longer_than": "8h", "then": "hibernate"}]

    def run(**how: Any) -> str:
        [row] = reap_forgotten(**{"rules": rules, "credentials": account, **how}).rows
        return row.why

    advance(sandbox, hours=9)
    assert "people would be told" in run(dry_run=True, notify=[block])
    assert receiver.received == []
    advance(sandbox, hours=9)
    told = run(grace="3h", notify=[block])
    [message] = receiver.received
    at = told.partition("hibernated at ")[2][:20]
    assert f"hibernated at {at}" in str(message)
    advance(sandbox, hours=2)
    assert f"hibernated at {at}" in run(grace="5m", notify=[block]), "as people were told"
    with saved_hook() as (another, other):
        assert f"hibernated at {at}" in run(grace="5m", notify=[other])
        assert len(another.received) == 1, "who is told from now on hears of it as well"
    rename(sandbox, "scratch-[1] ä'", "mine")
    assert run(grace="5m", notify=[block]) == "nobody has leased it", "no rule is about it now"
    rename(sandbox, "mine", "scratch-[1] ä'")
    advance(sandbox, hours=3)
    assert "people were told" in run(notify=[block]), "it was let go, and so it is told of anew"
    assert states(sandbox) == {"scratch-[1] ä'": "ACTIVE"}


def test_a_list_that_lacks_a_machine_once_and_another_of_its_name(
    cloud: Cloud, hook: tuple[Webhook, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    sandbox = cloud(fleet=0, seed=8432, start=start)
    id_ = sandbox.seed_instance("scratch-1", gpu_model="L40")
    account, (_, block) = account_of(sandbox), hook

    def run() -> dict[str, str]:
        report = reap_forgotten(rules=RULES, notify=[block], credentials=account)
        return {row.instance_id: row.why for row in report.rows}

    advance(sandbox, hours=9)
    assert "people were told" in run()[id_]
    advance(sandbox, minutes=30)
    machines = sandbox._server.config.app.world.machines  # type: ignore[union-attr]
    with monkeypatch.context() as lacks:
        lacks.setattr(machines, "all", list)
        assert run() == {}
    # Another machine of that name has not been there for long.
    other = sandbox.seed_instance("scratch-2", gpu_model="L40")
    rename(sandbox, "scratch-2", "scratch-1")
    advance(sandbox, minutes=31)
    assert run()[other] == "nobody has leased it"
    assert {i["id"]: i["status"] for i in sandbox.state()["instances"]} == {
        id_: "HIBERNATED",
        other: "ACTIVE",
    }


def test_a_machine_whose_lease_has_ended_is_named_and_gets_no_other(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, seed=8433, speed=0)
    sandbox.seed_instance("mine", gpu_model="L40")
    account = account_of(sandbox)
    lease_instance(account, "mine", for_="1h", owner="ann")
    assert reap_forgotten(default_lease="8h", credentials=account).rows == ()
    advance(sandbox, hours=2)
    for _ in range(2):
        [row] = reap_forgotten(default_lease="8h", credentials=account).rows
        assert "its last lease has ended" in row.why
    [lease] = read_leases(account.account)
    assert lease.owner == "ann"
