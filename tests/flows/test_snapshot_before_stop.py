"""The whole flow against a real Prefect server and a real local cloud."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

import barrack_tasks.runtime.loop
from barrack_tasks import BarrackCredentials
from barrack_tasks.api import (
    Barrack,
    BarrackAuthenticationError,
    BarrackResponseError,
    RetryPolicy,
)
from barrack_tasks.api.errors import BarrackConfigurationError, BarrackTransportError
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans import SelectionError, Selector
from barrack_tasks.plans.cadence import Cadence
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.observe import observe
from barrack_tasks.sandbox import Sandbox
from flows.snapshot_before_stop import snapshot_before_stop
from tests.conftest import PREFECT_AUTH
from tests.flows.conftest import account_of, effects, spoken
from tests.thinning import some_slow

Cloud = Callable[..., Sandbox]


def changes(sandbox: Sandbox) -> list[str]:
    """Requests other than reads that the cloud has had."""
    return [r["operation"] for r in sandbox.requests() if r["method"] != "GET"]


def flow_run_states(server: str, name: str = "barrack-snapshot-before-stop") -> list[str]:
    found = httpx.post(
        f"{server}/flow_runs/filter",
        json={"flows": {"name": {"any_": [name]}}, "sort": "START_TIME_DESC"},
        auth=PREFECT_AUTH,
    ).json()
    return [run["state_type"] for run in found]


@pytest.mark.slow
def test_the_first_look_is_used_and_old_snapshots_go_without_a_look_between(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cloud(fleet=1)
    account = account_of(sandbox)
    for _ in range(3):
        (row,) = snapshot_before_stop(select=["*"], keep=9, credentials=account).rows
        sandbox.set_instance_status(row.instance_id, "ACTIVE")
    before = len(sandbox.requests())
    # A deletion that waited for a look would find one before it, on a slow machine, too.
    monkeypatch.setattr(barrack_tasks.runtime.loop, "Cadence", lambda: Cadence(5.0, 5.0))

    (row,) = snapshot_before_stop(select=["*"], keep=1, credentials=account).rows

    assert row.outcome == "done"
    asked = [str(r["operation"]) for r in sandbox.requests()[before:]]
    ahead = asked[: asked.index("create_snapshot")]
    assert ahead.count("list_instances") == 1
    dropped = [place for place, name in enumerate(asked) if name == "delete_snapshot"]
    assert len(dropped) == 3
    assert "list_instances" not in asked[dropped[0] : dropped[-1]]


@pytest.mark.slow
def test_a_fleet_goes_to_rest_behind_its_snapshots(cloud: Cloud, prefect_server: str) -> None:
    sandbox = cloud()
    report = snapshot_before_stop(select=["*"], credentials=account_of(sandbox))

    assert [row.outcome for row in report.rows] == ["done"] * 3
    assert {row.now for row in report.rows} == {"HIBERNATED"}
    assert {row.hourly_now for row in report.rows} == {Decimal("0.01")}
    assert all(row.hourly_before and row.hourly_before > 1 for row in report.rows)
    assert all(row.snapshot and len(row.snapshot) <= 50 for row in report.rows)
    for row in report.rows:
        ready = [
            e for e in sandbox.ledger() if e["name"] == row.snapshot and "-> SUCCESS" in e["detail"]
        ]
        slept = [e for e in effects(sandbox, "hibernate_instance") if e["id"] == row.instance_id]
        assert len(ready) == len(slept) == 1
        assert ready[0]["time"] <= slept[0]["time"]
    assert flow_run_states(prefect_server)[0] == "COMPLETED"


def test_events_and_artifact_can_be_found_at_the_server(cloud: Cloud, prefect_server: str) -> None:
    sandbox = cloud(fleet=1)
    account = account_of(sandbox)
    row = snapshot_before_stop(select=["*"], credentials=account).rows[0]

    def events() -> set[str]:
        found = httpx.post(
            f"{prefect_server}/events/filter",
            json={"filter": {"resource": {"id_prefix": ["barrack."]}}, "limit": 50},
            auth=PREFECT_AUTH,
        ).json()["events"]
        about = [row.instance_id, *(e["id"] for e in effects(sandbox, "create_snapshot"))]
        return {
            e["event"]
            for e in found
            if any(e["resource"]["prefect.resource.id"].endswith(f".{id_}") for id_ in about)
        }

    expected = {"barrack.snapshot.created", "barrack.instance.hibernated"}
    for _ in range(100):
        if events() >= expected:
            break
        threading.Event().wait(0.1)
    assert events() >= expected
    key = f"barrack-snapshot-before-stop-{account.account}"
    artifact = httpx.get(f"{prefect_server}/artifacts/{key}/latest", auth=PREFECT_AUTH).json()
    assert row.instance in artifact["data"]


def test_a_failed_snapshot_leaves_its_instance_running_and_holds_up_nobody(
    cloud: Cloud, prefect_server: str
) -> None:
    sandbox = cloud()
    sandbox.fault("fail", operation="create_snapshot", match="beta*")
    with pytest.raises(WorkFailed) as caught:
        snapshot_before_stop(select=["*"], credentials=account_of(sandbox))

    rows = {row.instance: row for row in caught.value.report.rows}
    assert rows["beta"].outcome == "failed"
    assert rows["beta"].now == "ACTIVE"
    assert "ended as FAILED" in rows["beta"].why
    assert rows["alpha"].now == rows["gamma"].now == "HIBERNATED"
    assert flow_run_states(prefect_server)[0] == "FAILED"
    assert "beta" in str(caught.value)


def test_a_vanished_snapshot_leaves_its_instance_running(cloud: Cloud) -> None:
    sandbox = cloud(fleet=1)
    sandbox.fault("vanish", operation="create_snapshot", seconds=30)
    with pytest.raises(WorkFailed, match="vanished"):
        snapshot_before_stop(select=["*"], credentials=account_of(sandbox))
    assert not effects(sandbox, "hibernate_instance")


@pytest.mark.slow
def test_a_stuck_snapshot_times_out_and_each_instance_goes_on_its_own(cloud: Cloud) -> None:
    sandbox = cloud()
    sandbox.fault("stuck", operation="create_snapshot", match="alpha*")
    with pytest.raises(WorkFailed) as caught:
        snapshot_before_stop(select=["*"], timeout=6, credentials=account_of(sandbox))
    rows = {row.instance: row for row in caught.value.report.rows}
    assert "not finished within 6 s: its snapshot is CREATING" in rows["alpha"].why
    assert rows["alpha"].now == "ACTIVE"
    assert rows["beta"].now == rows["gamma"].now == "HIBERNATED"


@pytest.mark.slow
def test_stop_and_delete(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    sandbox = cloud()
    account = account_of(sandbox)
    stopped = snapshot_before_stop(select=["alpha"], then="stop", credentials=account)
    assert stopped.rows[0].now == "SHUTOFF"
    assert stopped.rows[0].hourly_now == stopped.rows[0].hourly_before
    assert "stays billed in full" in caplog.text
    deleted = snapshot_before_stop(select=["beta"], then="delete", credentials=account)
    assert deleted.rows[0].now == "DELETED"
    assert deleted.rows[0].hourly_now == 0


def test_what_is_there_already_is_done_and_what_cannot_be_done_is_said(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0)
    for name, status in (("asleep", "HIBERNATED"), ("off", "SHUTOFF"), ("broken", "ERROR")):
        sandbox.seed_instance(name, status=status)
    with pytest.raises(WorkFailed) as caught:
        snapshot_before_stop(select=["*"], credentials=account_of(sandbox))
    rows = {row.instance: row for row in caught.value.report.rows}
    assert rows["asleep"].outcome == "already"
    assert "billed in full" in rows["off"].why
    assert "ERROR" in rows["broken"].why
    assert changes(sandbox) == []


@pytest.mark.slow
def test_only_the_newest_snapshots_of_this_library_are_kept(cloud: Cloud) -> None:
    sandbox = cloud(fleet=1)
    account = account_of(sandbox)
    instance = account.get_client().perform("list_instances")[0]
    account.get_client().snapshots.create(instance.id, "mine", "by hand")
    sandbox.advance(600)
    taken = []
    for _ in range(3):
        taken.append(snapshot_before_stop(select=["*"], keep=2, credentials=account).rows[0])
        sandbox.set_instance_status(instance.id, "ACTIVE")
    left = {s.name for s in account.get_client().snapshots.list()}
    assert left == {"mine", taken[1].snapshot, taken[2].snapshot}


def test_dry_run_changes_nothing_and_shows_the_same_rows(cloud: Cloud) -> None:
    sandbox = cloud()
    report = snapshot_before_stop(select=["*"], dry_run=True, credentials=account_of(sandbox))
    assert report.dry_run
    assert [row.outcome for row in report.rows] == ["planned"] * 3
    assert all("hibernate" in row.did for row in report.rows)
    assert changes(sandbox) == []


def test_a_misspelt_protect_is_refused_before_what_it_was_to_protect_is_touched(
    cloud: Cloud,
) -> None:
    sandbox = cloud()
    with pytest.raises(SelectionError, match="no instance is called 'alhpa'; the nearest is alpha"):
        snapshot_before_stop(
            select=["*"], protect=["alhpa", "prod-*"], credentials=account_of(sandbox)
        )
    assert changes(sandbox) == []


@pytest.mark.parametrize("by", some_slow(["account"], ["parameter"]))
def test_protected_instances_are_never_touched(cloud: Cloud, by: str) -> None:
    sandbox = cloud()
    account = account_of(sandbox, protect=["al*"] if by == "account" else [])
    report = snapshot_before_stop(
        select=["*"], protect=["al*"] if by == "parameter" else [], credentials=account
    )
    rows = {row.instance: row for row in report.rows}
    assert (rows["alpha"].outcome, rows["alpha"].now) == ("skipped", "ACTIVE")
    assert not [e for e in sandbox.ledger() if e["operation"] != "person" and "alpha" in e["name"]]


@pytest.mark.parametrize(
    ("select", "says"),
    [
        ([], "does not mean everything"),
        (["alpah"], "nearest is alpha"),
        ({"colour": ["red"]}, "no such key .colour.; there are names, ids"),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (
                ({}, "does not mean everything"),
                (["BRK-0000000"], "no instance matches 'BRK-0000000'"),
                ({"states": ["SLEEPING"]}, "known are ACTIVE, SHUTOFF"),
                ({"regions": ["MARS-1"]}, "no instance has the region 'MARS-1'"),
                ({"states": ["ERROR"]}, "matches no instance"),
            )
        ),
    ],
)
def test_a_selection_that_means_nothing_is_refused(cloud: Cloud, select: Any, says: str) -> None:
    sandbox = cloud()
    with pytest.raises(Exception, match=says):
        snapshot_before_stop(select=select, credentials=account_of(sandbox))
    assert changes(sandbox) == []


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"then": "explode"}, "hibernate"),
        ({"keep": 0}, "keep must be 1 or more, and is 0"),
        ({"timeout": 0}, "must be longer than zero"),
        ({"timeout": timedelta(seconds=-5)}, "must be longer than zero"),
        ({"protect": "alpha"}, "protect"),
    ],
)
def test_bad_parameters_are_refused(cloud: Cloud, how: dict[str, Any], says: str) -> None:
    sandbox = cloud(fleet=1)
    with pytest.raises(Exception, match=says):
        snapshot_before_stop(select=["*"], credentials=account_of(sandbox), **how)
    assert changes(sandbox) == []


def test_a_wrong_key_is_said_and_not_shown(cloud: Cloud) -> None:
    sandbox = cloud(fleet=1)
    wrong = account_of(sandbox).model_copy(update={"api_key": SecretStr("wrong-key-1234")})
    with pytest.raises(BarrackAuthenticationError, match="Check the API key") as caught:
        snapshot_before_stop(select=["*"], credentials=wrong)
    assert "wrong-key-1234" not in str(caught.value)


@pytest.mark.slow
def test_no_server_and_no_json_are_said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = partial(Barrack, retry=RetryPolicy(attempts=2, first_wait=0.01))
    monkeypatch.setattr("barrack_tasks.server.credentials.Barrack", impatient)
    nobody = BarrackCredentials(api_key="k", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(BarrackTransportError, match=r"cannot connect to http://127\.0\.0\.1:9"):
        snapshot_before_stop(select=["*"], credentials=nobody)
    sandbox = cloud(fleet=1)
    sandbox.fault("html", status=200, count=None)
    page = account_of(sandbox)
    with pytest.raises(BarrackResponseError, match="not JSON but text/html"):
        snapshot_before_stop(select=["*"], credentials=page)


def test_no_account_at_all_is_one_sentence(cloud: Cloud) -> None:
    with pytest.raises(BarrackConfigurationError, match="set BARRACK_API_KEY"):
        snapshot_before_stop(select=["*"])
    with pytest.raises(BarrackConfigurationError, match="no saved Barrack Credentials block"):
        snapshot_before_stop(select=["*"], credentials="nobody-saved-this")


@pytest.mark.slow
def test_the_environment_and_a_saved_block_serve_as_accounts(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cloud()
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    assert snapshot_before_stop(select=["alpha"]).ok
    account_of(sandbox).save("team-a", overwrite=True)
    selector = Selector(names=("beta",), states=("ACTIVE",))
    assert snapshot_before_stop(select=selector, credentials="team-a").ok


@pytest.mark.slow
def test_two_runs_that_want_the_same_instance_do_not_interleave(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cloud(fleet=1, speed=60)
    account = account_of(sandbox)
    reports: dict[str, Any] = {}
    both = threading.Barrier(2, timeout=60)

    def seen_by_both(*arguments: Any) -> World:
        world = observe(*arguments)
        both.wait()
        return world

    monkeypatch.setattr("flows.snapshot_before_stop.observe", seen_by_both)

    def run(then: str) -> None:
        try:
            reports[then] = snapshot_before_stop(select=["*"], then=then, credentials=account)  # type: ignore[arg-type]
        except WorkFailed as error:
            reports[then] = error.report

    threads = [threading.Thread(target=run, args=(then,)) for then in ("hibernate", "delete")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    effects_in_order = [
        e["operation"] for e in sandbox.ledger() if e["operation"] not in ("person", "clock")
    ]
    first = effects_in_order[:2]
    assert first in (
        ["create_snapshot", "hibernate_instance"],
        ["create_snapshot", "delete_instance"],
    )
    assert len(effects_in_order) == 2, "the other found nothing it could do"
    assert sorted(r.rows[0].outcome for r in reports.values()) == ["done", "failed"]


@pytest.mark.slow
def test_a_run_that_breaks_off_is_taken_up_by_the_next(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cloud(fleet=1)
    account = account_of(sandbox)

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("barrack_tasks.runtime.loop.announce", broken)
        with pytest.raises(BaseException):  # noqa: B017, PT011
            snapshot_before_stop(select=["*"], credentials=account)
    assert len(effects(sandbox, "create_snapshot")) == 1
    assert snapshot_before_stop(select=["*"], credentials=account).ok
    assert len(effects(sandbox, "create_snapshot")) == 1


@pytest.mark.slow
def test_a_run_that_prefect_retries_goes_on_with_its_snapshot(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cloud(fleet=1)
    original = barrack_tasks.runtime.loop.announce
    attempts: list[int] = []

    def broken_once(*given: Any) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("broken")
        original(*given)

    monkeypatch.setattr("barrack_tasks.runtime.loop.announce", broken_once)
    retried = snapshot_before_stop.with_options(retries=1)
    assert retried(select=["*"], credentials=account_of(sandbox)).ok
    assert len(effects(sandbox, "create_snapshot")) == 1
    assert len(effects(sandbox, "hibernate_instance")) == 1


@pytest.mark.slow
def test_the_key_is_nowhere_in_prefects_database(
    cloud: Cloud, prefect_server: str, prefect_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "key-that-must-not-be-found-4711"
    sandbox = cloud(fleet=1, api_key=key)
    account = account_of(sandbox)
    account.save("secret-account", overwrite=True)
    sandbox.fault("fail", operation="create_snapshot")
    with pytest.raises(WorkFailed):
        snapshot_before_stop(select=["*"], credentials=account)
    with pytest.raises(SelectionError):
        snapshot_before_stop(select=["nobody"], credentials="secret-account")
    threading.Event().wait(1.5)  # logs and events are written behind the run
    with sqlite3.connect(prefect_home / "prefect.db") as database:
        dump = "\n".join(database.iterdump())
    assert "snapshot_before_stop" in dump
    assert key not in dump
    assert key not in caplog.text
    assert key not in repr(account)
    assert key not in repr(account.get_client())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["camel", "upstream"])
def test_a_fleet_goes_to_rest_in_a_foreign_dialect(cloud: Cloud, name: str) -> None:
    sandbox = cloud(dialect=spoken(name))
    sandbox.fault("reset_after", operation="create_snapshot")
    sandbox.fault("error_after", operation="hibernate_instance")
    report = snapshot_before_stop(select=["*"], credentials=account_of(sandbox))
    assert [row.now for row in report.rows] == ["HIBERNATED"] * 3
    assert len(effects(sandbox, "create_snapshot")) == 3
    assert len(effects(sandbox, "hibernate_instance")) == 3


def test_a_dialect_that_lacks_what_the_flow_needs_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    sandbox = cloud(dialect=None)
    file = tmp_path / "lacking.yaml"
    file.write_text("operations: {create_snapshot: null}\nschemas: {Snapshot: {status: null}}\n")
    account = account_of(sandbox, dialect=str(file))
    with pytest.raises(
        BarrackConfigurationError,
        match=r"lacks what snapshot_before_stop needs: operations\.create_snapshot, "
        r"schemas\.Snapshot\.status",
    ):
        snapshot_before_stop(select=["*"], credentials=account)
    assert sandbox.requests() == []
