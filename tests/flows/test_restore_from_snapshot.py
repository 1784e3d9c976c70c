"""restore_from_snapshot against a real Prefect server and a real local cloud."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import Barrack
from barrack_tasks.api.dialect import load_dialect
from barrack_tasks.controllers.expiry import read_expiries
from barrack_tasks.controllers.proofs import Open, write_open
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.lease_keys import DRILL
from barrack_tasks.plans.report import escape
from barrack_tasks.runtime.leases import holding, intent_of
from barrack_tasks.sandbox import Sandbox
from flows.report_costs import report_costs
from flows.restore_from_snapshot import restore_from_snapshot
from flows.snapshot_before_stop import snapshot_before_stop
from flows.verify_snapshots import verify_snapshots
from tests.flows.conftest import account_of, answer, effects, events_about, states
from tests.flows.killing import Point, killed_and_rerun
from tests.thinning import some_slow

Cloud = Callable[..., Sandbox]
RESTORES = "barrack-restore-from-snapshot"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "restoring.md"


def with_snapshot(cloud: Cloud, *names: str, **how: Any) -> tuple[Sandbox, BarrackCredentials]:
    """A cloud with one instance, `alpha`, of which these snapshots were taken."""
    sandbox = cloud(fleet=0, **{"balance": "500", **how})
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    account = account_of(sandbox)
    for name in names or ("base",):
        account.get_client().snapshots.create(id_, name)
        sandbox.advance(300)
    return sandbox, account


@pytest.mark.slow
def test_an_instance_comes_back_from_its_newest_snapshot(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud, "one", "two")
    plan = restore_from_snapshot("latest:alpha", dry_run=True, credentials=account)
    assert [(r.instance, r.outcome) for r in plan.rows] == [("two-restored", "planned")]
    assert "profile" in plan.notes[0]
    assert list(states(sandbox)) == ["alpha"]
    report = restore_from_snapshot("latest:alpha", credentials=account)
    [restored] = report.restored
    [machine] = [i for i in sandbox.state()["instances"] if i["name"] == "two-restored"]
    assert (restored.id, restored.address) == (machine["id"], machine["public_ip"])
    assert str(restored.hourly_price) == "1.19"
    assert restored.took is not None
    assert restored.took > timedelta(0)
    [event] = events_about(
        f"barrack.snapshot.{restored.snapshot_id}",
        "barrack.snapshot.restored",
        account=account.account,
    )
    assert event["payload"]["address"] == machine["public_ip"]
    roles = {r["prefect.resource.role"]: r["prefect.resource.id"] for r in event["related"]}
    assert roles["new"] == f"barrack.instance.{restored.id}"
    assert roles["old"] == f"barrack.instance.{restored.old_id}"
    again = restore_from_snapshot("two", credentials=account)
    assert [r.instance for r in again.rows] == ["two-restored-2"], "another run, another instance"


def test_several_go_each_on_its_own(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud, "one", "two", "bad")
    sandbox.fault("status", status=400, operation="restore_snapshot", match="bad*", count=None)
    with pytest.raises(WorkFailed) as failed:
        restore_from_snapshot(["one", "bad", "two"], credentials=account)
    outcomes = {r.instance: r.outcome for r in failed.value.report.rows}
    assert outcomes == {"one-restored": "done", "bad-restored": "failed", "two-restored": "done"}


def test_a_lost_answer_makes_no_second_instance(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud)
    sandbox.settings(list_lag=120)
    for kind in ("reset_after", "error_after"):
        sandbox.fault(kind, operation="restore_snapshot")
    report = restore_from_snapshot("base", credentials=account)
    assert report.ok
    assert sorted(states(sandbox)) == ["alpha", "base-restored"]
    assert len(effects(sandbox, "restore_snapshot")) == 1


@pytest.mark.slow
def test_what_was_restored_for_a_time_ends_and_nothing_else(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud)
    restore_from_snapshot("base", expires="8h", on_expiry="delete", credentials=account)
    sandbox.advance(9 * 3600)
    restore_from_snapshot("base", name="other", credentials=account)
    sandbox.advance(60)
    assert sorted(states(sandbox)) == ["alpha", "other"]


@pytest.mark.parametrize(
    "more",
    some_slow([{"can_hibernate": False}], [{"gpu_model": "H100-SXM5-80GB", "gpu_count": 8}]),
)
def test_what_could_not_be_hibernated_is_refused_before_anything_is_sent(
    cloud: Cloud, more: dict[str, Any]
) -> None:
    sandbox = cloud(fleet=0, balance="500")
    id_ = sandbox.seed_instance("big", **{"gpu_model": "L40", **more})
    account = account_of(sandbox)
    account.get_client().snapshots.create(id_, "base")
    sandbox.advance(300)
    for dry_run in (True, False):
        with pytest.raises(WorkFailed, match="cannot hibernate, so it could not be ended when"):
            restore_from_snapshot("base", expires="8h", dry_run=dry_run, credentials=account)
    assert effects(sandbox, "restore_snapshot") == []
    assert read_expiries(account.account) == []
    how: dict[str, Any] = {"dry_run": True, "credentials": account}
    assert restore_from_snapshot("base", expires="8h", on_expiry="delete", **how).ok
    assert restore_from_snapshot("base", **how).ok


@pytest.mark.slow
def test_an_address_that_does_not_come_and_hardware_that_differs_are_said(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud)
    sandbox.fault("addressless", operation="restore_snapshot")
    with pytest.raises(WorkFailed, match="its address is pending"):
        restore_from_snapshot("base", timeout=3, credentials=account)
    assert restore_from_snapshot("base", name="up", wait_until="active", credentials=account).ok
    sandbox.fault("differ", operation="restore_snapshot")
    with pytest.raises(WorkFailed, match=r"vCPUs \d+ instead of \d+.*RAM") as failed:
        restore_from_snapshot("base", name="small", credentials=account)
    assert states(sandbox)["small"] == "ACTIVE", "left for a person"
    assert failed.value.report.rows[0].outcome == "failed"


@pytest.mark.slow
def test_where_the_dialect_tells_no_address_none_is_waited_for(
    cloud: Cloud, tmp_path: Path
) -> None:
    file = tmp_path / "addressless.yaml"
    file.write_text("schemas: {UserVM: {public_ip: null}}\n")
    sandbox = cloud(fleet=0, dialect=load_dialect(str(file)))
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url, dialect=str(file))
    account.get_client().snapshots.create(id_, "base")
    sandbox.advance(300)
    report = restore_from_snapshot("base", timeout=60, credentials=account)
    assert report.ok
    assert report.restored[0].address is None
    with pytest.raises(ValueError, match="probe: the dialect 'addressless' gives no addresses"):
        verify_snapshots(select=["alpha"], probe={"port": 22}, credentials=account)


@pytest.mark.slow
def test_a_failed_run_is_gone_on_with_and_its_instance_ends_all_the_same(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud)
    sandbox.fault("addressless", operation="restore_snapshot")
    how: dict[str, Any] = {"timeout": 3, "expires": "8h", "credentials": account}
    again = restore_from_snapshot.with_options(retries=1, retry_delay_seconds=0)
    with pytest.raises(WorkFailed, match="its address is pending"):
        again("base", **how)
    [expiry] = read_expiries(account.account)
    assert expiry.name == "base-restored"
    restore_from_snapshot("latest:alpha", name="other", dry_run=True, credentials=account)
    with pytest.raises(WorkFailed, match="its address is pending"):
        restore_from_snapshot("base", **how)
    assert sorted(states(sandbox)) == ["alpha", "base-restored"]
    assert len(effects(sandbox, "restore_snapshot")) == 1


@pytest.mark.slow
def test_a_name_of_another_is_not_taken_up_by_the_next_attempt_either(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud, "one", "two")
    restore_from_snapshot("one", name="foo", credentials=account)
    how: dict[str, Any] = {"expires": "1h", "on_expiry": "delete", "credentials": account}
    again = restore_from_snapshot.with_options(retries=1, retry_delay_seconds=0)
    for flow in (again, restore_from_snapshot):
        with pytest.raises(WorkFailed, match="duplicate instance name: 'foo' is taken"):
            flow("two", name="foo", **how)
    assert read_expiries(account.account) == []
    assert len(effects(sandbox, "restore_snapshot")) == 1


@pytest.mark.slow
def test_what_a_person_made_after_a_run_that_asked_for_nothing_is_left_alone(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud)
    sandbox.set_stock("CANADA-1", "L40", 0)
    how: dict[str, Any] = {"expires": "1h", "on_expiry": "delete", "credentials": account}
    with pytest.raises(WorkFailed, match="out of stock"):
        restore_from_snapshot("base", **how)
    sandbox.set_stock("CANADA-1", "L40", 4)
    [only] = account.get_client().snapshots.list()
    by_hand = account.get_client().snapshots.restore(only.id, "base-restored").id
    [restored] = restore_from_snapshot("base", **how).restored
    assert (restored.id != by_hand, restored.name) == (True, "base-restored-2")
    assert [e.id for e in read_expiries(account.account)] == [restored.id]


def test_what_is_not_waited_for_is_told_with_its_id_and_not_as_billed(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud)
    sandbox.advance(900)
    sandbox.settings(list_lag=600)
    report = restore_from_snapshot("base", wait_until="none", credentials=account)
    [made] = effects(sandbox, "restore_snapshot")
    [restored] = report.restored
    assert (restored.id, restored.address) == (made["id"], None)
    assert restored.billed_since is None
    assert events_about("barrack.snapshot." + restored.snapshot_id, "barrack.snapshot.restored")


@pytest.mark.slow
def test_what_a_run_before_has_made_is_not_counted_twice_by_the_caps(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud, "one", "two")
    sandbox.fault("addressless", operation="restore_snapshot")
    sandbox.fault("status", operation="restore_snapshot", status=409, after=1, count=None)
    how: dict[str, Any] = {"caps": {"instances": 3, "approve_over": "1"}, "credentials": account}
    asked: list[str] = []
    for _ in range(2):
        person = threading.Thread(
            target=answer, args=("barrack-restore-from-snapshot", True, asked)
        )
        person.start()
        try:
            report = restore_from_snapshot(["one", "two"], timeout=4, wait_until="active", **how)
        except WorkFailed as failed:
            report = failed.report
        person.join()
        sandbox.clear_faults()
    assert [row.outcome for row in report.rows] == ["done", "done"]
    assert len(effects(sandbox, "restore_snapshot")) == 2


def test_two_runs_at_the_same_are_not_two_instances(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, account = with_snapshot(cloud)
    [only] = account.get_client().snapshots.list()
    same = intent_of("restore_from_snapshot", [only.id], None, None)
    with holding(account.account, "a", "run other", same, timedelta(days=1)) as other:
        other.claim({"restore:base-restored": "base-restored"})
        with pytest.raises(ValueError, match="run other is restoring the same at this moment"):
            restore_from_snapshot("base", credentials=account)
        restore_from_snapshot("base", dry_run=True, credentials=account)
    assert list(states(sandbox)) == ["alpha"]


@pytest.mark.slow
def test_what_a_drill_left_is_ended_in_passing_and_a_drill_at_work_is_left_alone(
    cloud: Cloud,
) -> None:
    sandbox, account = with_snapshot(cloud)
    api = account.get_client()
    [only] = api.snapshots.list()
    left = api.snapshots.restore(only.id, "drill-alpha-1").id
    sandbox.advance(600)
    write_open(account.account, {"drill-alpha-1": Open(datetime.now(UTC), left)})
    with holding(account.account, "other", "a drill", "drill", timedelta(minutes=5)) as drill:
        drill.claim({DRILL: "drill"})
        restore_from_snapshot("base", name="one", credentials=account)
        assert states(sandbox)["drill-alpha-1"] == "ACTIVE"
    restore_from_snapshot("base", name="two", credentials=account)
    sandbox.advance(600)
    assert sorted(states(sandbox)) == ["alpha", "one", "two"]


@pytest.mark.slow
def test_stock_that_vanishes_between_look_and_request_is_waited_for(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, account = with_snapshot(cloud)
    monkeypatch.setattr("barrack_tasks.plans.memory.STOCK_AGAIN", timedelta(seconds=0.5))
    gone = {"status": 409, "message": "L40 is out of stock", "error_reason": "out_of_stock"}
    sandbox.fault("status", operation="restore_snapshot", count=5, **gone)
    report = restore_from_snapshot("base", out_of_stock="wait", credentials=account)
    assert report.ok
    assert len(effects(sandbox, "restore_snapshot")) == 1
    sandbox.fault("status", operation="restore_snapshot", count=1, **gone)
    with pytest.raises(WorkFailed, match=r"out of stock: .*; try again later"):
        restore_from_snapshot("base", name="two", credentials=account)
    assert sorted(states(sandbox)) == ["alpha", "base-restored"]


def _waiting_for_stock(
    sandbox: Sandbox,
    jobs: dict[str, Callable[[], Any]],
    meanwhile: Callable[[], Any] = lambda: None,
) -> dict[str, Any]:
    """What becomes of jobs that run at the same time and all wait for stock until it comes."""
    ends: dict[str, Any] = {}

    def run(name: str, job: Callable[[], Any]) -> None:
        try:
            ends[name] = job()
        except WorkFailed as failed:
            ends[name] = failed

    sandbox.set_stock("CANADA-1", "L40", 0)
    threads = [threading.Thread(target=run, args=job) for job in jobs.items()]
    for thread in threads:
        thread.start()
    looks = 3 * len(jobs)
    while len([r for r in sandbox.requests() if r["operation"] == "get_gpu_stock"]) < looks:
        assert any(thread.is_alive() for thread in threads), ends
        time.sleep(0.1)
    meanwhile()
    sandbox.set_stock("CANADA-1", "L40", 4)
    for thread in threads:
        thread.join()
    return ends


@pytest.mark.slow
def test_two_restores_at_once_stay_within_one_cap(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud, "one", "two")
    how: dict[str, Any] = {"caps": {"burn": "2.5"}, "out_of_stock": "wait", "credentials": account}
    jobs = {n: lambda n=n: restore_from_snapshot(n, **how) for n in ("one", "two")}
    ends = _waiting_for_stock(sandbox, jobs)
    refused = [end for end in ends.values() if isinstance(end, WorkFailed)]
    assert len(refused) == 1
    assert "refused by the caps: the account would burn" in refused[0].report.rows[0].why
    assert len(effects(sandbox, "restore_snapshot")) == 1


@pytest.mark.slow
def test_caps_are_judged_by_what_is_there_when_the_stock_comes(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud, "one")

    def job() -> Any:
        return restore_from_snapshot(
            "one", caps={"instances": 2}, out_of_stock="wait", credentials=account
        )

    end = _waiting_for_stock(
        sandbox, {"one": job}, lambda: sandbox.seed_instance("someone-elses", gpu_model="L40")
    )["one"]
    assert isinstance(end, WorkFailed)
    assert "there are 2 instances, the cap is 2" in end.report.rows[0].why
    assert effects(sandbox, "restore_snapshot") == []


@pytest.mark.slow
def test_of_an_instance_that_is_gone_the_snapshot_tells_what_it_needs(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud, "by-hand")
    snapshot_before_stop(select=["alpha"], then="delete", credentials=account)
    sandbox.advance(600)
    assert states(sandbox) == {}
    [ours] = [s for s in account.get_client().snapshots.list() if s.name != "by-hand"]
    caps = {"gpu_models": ["H100*"]}
    for name, sentence in (
        (ours.name, "GPU model L40 is not allowed"),
        ("by-hand", "nothing tells"),
    ):
        with pytest.raises(WorkFailed, match=sentence) as refused:
            restore_from_snapshot(name, caps=caps, dry_run=True, credentials=account)
    sandbox.set_stock("CANADA-1", "L40", 0)
    assert str(refused.value).startswith(
        "1 of 1 snapshots would fail (a dry run: nothing was changed): "
    )
    with pytest.raises(WorkFailed, match="1x L40 is out of stock in CANADA-1"):
        restore_from_snapshot(ours.name, credentials=account)
    [note] = restore_from_snapshot("by-hand", dry_run=True, credentials=account).notes[1:]
    assert "it is not known which GPU it needs" in note
    ends = restore_from_snapshot("by-hand", expires="8h", dry_run=True, credentials=account).notes
    assert "whether it can hibernate is not known either" in ends[-1]
    report_costs(days=1, credentials=account)
    assert states(sandbox) == {}


def test_an_instance_that_was_seen_is_remembered_when_it_is_gone(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud, "by-hand")
    report_costs(days=1, credentials=account)
    account.get_client().instances.delete(next(account.get_client().instances.list()).id)
    sandbox.advance(600)
    with pytest.raises(WorkFailed, match="GPU model L40 is not allowed"):
        restore_from_snapshot("by-hand", caps={"gpu_models": ["H100*"]}, credentials=account)


@pytest.mark.slow
@pytest.mark.parametrize("says_yes", [True, False])
def test_what_is_over_the_soft_limit_waits_for_a_person(cloud: Cloud, says_yes: bool) -> None:
    sandbox, account = with_snapshot(cloud, "one", "two")
    how: dict[str, Any] = {"caps": {"approve_over": 1}, "credentials": account}
    plan = restore_from_snapshot(["one", "two"], dry_run=True, **how)
    assert [n for n in plan.notes if "A person is asked" in n and "1.19" in n] != []
    asked: list[str] = []
    person = threading.Thread(
        target=answer, args=("barrack-restore-from-snapshot", says_yes, asked)
    )
    person.start()
    if says_yes:
        assert restore_from_snapshot(["one", "two"], **how).ok
    else:
        with pytest.raises(WorkFailed, match=r"a person said no: .* costs 1\.19 USD"):
            restore_from_snapshot(["one", "two"], **how)
    person.join()
    assert len(asked) == 1, "one question for both"
    made = {"one-restored", "two-restored"} if says_yes else set()
    assert set(states(sandbox)) == {"alpha", *made}


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ({"snapshot": "bass"}, "the nearest is 'base'"),
        ({"snapshot": ["other", "base", "latest:x"]}, "an instance 'x'"),
        ({"snapshot": "base", "on_expiry": "delete"}, "give it as well, such as expires='8h'"),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (
                ({"snapshot": "latest:alfa"}, "the nearest is 'alpha'"),
                ({"snapshot": ["base", "other"]}, "none is called 'other'"),
                ({"snapshot": ["other", "base", "latest:x"]}, "none is called 'other'"),
                ({"snapshot": "alpha"}, "its newest snapshot is 'latest:alpha'"),
                ({"snapshot": ["base", "latest:alpha"], "name": "x1"}, "several instances"),
            )
        ),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    cloud: Cloud, what: dict[str, Any], sentence: str
) -> None:
    sandbox, account = with_snapshot(cloud)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        restore_from_snapshot(**what, credentials=account)
    assert effects(sandbox, "restore_snapshot") == []


POINTS = [
    Point("list_snapshots", 1, "after"),
    Point("get_credit_balance", 1, "after"),
    Point("restore_snapshot", 1, "before"),
    Point("restore_snapshot", 1, "after"),
    Point("list_instances", 4, "after"),
]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed_and_started_again_there_is_one_instance(
    cloud: Cloud, prefect_server: str, point: Point
) -> None:
    sandbox, _ = with_snapshot(cloud)
    sandbox.settings(list_lag=240)
    environment = {**sandbox.env, "PREFECT_API_URL": prefect_server}
    rows = killed_and_rerun("restore_from_snapshot", environment, {"snapshot": "base"}, point)
    assert [(r["instance"], r["outcome"], r["now"]) for r in rows] == [
        ("base-restored", "done", "ACTIVE")
    ]
    assert sorted(states(sandbox)) == ["alpha", "base-restored"]
    assert len(effects(sandbox, "restore_snapshot")) == 1


# The failures that the documentation names, each provoked, and what a person reads.


def _deleted_meanwhile(sandbox: Sandbox) -> None:
    def delete() -> None:
        with Barrack(sandbox.api_key, sandbox.url, dialect=sandbox.dialect) as person:
            for _ in range(200):
                if "CREATING" in states(sandbox).values():
                    person.snapshots.delete(next(s.id for s in person.snapshots.list()))
                    return
                time.sleep(0.05)

    sandbox.settings(durations={"create": 6000})
    threading.Thread(target=delete, daemon=True).start()


def _being_deleted(sandbox: Sandbox) -> None:
    sandbox.settings(durations={"delete_snapshot": 60_000})
    with Barrack(sandbox.api_key, sandbox.url, dialect=sandbox.dialect) as person:
        person.snapshots.delete(next(s.id for s in person.snapshots.list()))


def _second(kind: str) -> Callable[[Sandbox], None]:
    def take(sandbox: Sandbox) -> None:
        sandbox.fault(kind, operation="create_snapshot")
        with Barrack(sandbox.api_key, sandbox.url, dialect=sandbox.dialect) as person:
            person.snapshots.create(next(person.instances.list()).id, "newer")
        sandbox.advance(600)

    return take


FAILURES: dict[str, tuple[Callable[[Sandbox], Any], dict[str, Any], str]] = {
    "duplicate instance name": (lambda _: None, {"name": "alpha"}, "'alpha-2' is free"),
    "snapshot not available: failed": (
        _second("fail"),
        {"snapshot": "newer"},
        "the newest ready one is 'base'",
    ),
    "snapshot not available: in progress": (
        _second("stuck"),
        {"snapshot": "newer", "timeout": 2},
        "not finished within",
    ),
    "insufficient credits": (
        lambda s: s.add_credit(f"-{499:d}"),
        {"caps": {"lasts": "24h"}},
        "would not last 24 h",
    ),
    "profile incomplete": (
        lambda s: s.settings(profile_complete=False),
        {},
        "postal code and country",
    ),
    "instance not found after restore": (
        lambda s: s.fault("vanish", operation="restore_snapshot", seconds=30),
        {},
        "was there and is gone",
    ),
    "snapshot deleted during restore": (_deleted_meanwhile, {}, "gone with it; restore another"),
    "invalid snapshot status": (_being_deleted, {}, "it is DELETING"),
    "invalid name format": (lambda _: None, {"name": "bad/name"}, "'/' at position 4"),
    "out of stock": (lambda s: s.set_stock("CANADA-1", "L40", 0), {}, "out of stock in CANADA-1"),
}
ASKED_FOR = {"instance not found after restore", "snapshot deleted during restore"}
"""Failures that come after the request was accepted; all others change nothing at all."""
_BY_A_PERSON = {"delete_snapshot": " by a person"}
KINDS = ("instances", "snapshots", "images", "volumes", "firewalls", "ssh_keys", "scripts")


def everything(sandbox: Sandbox) -> dict[str, str]:
    """All that the account has, and the state of each."""
    state = sandbox.state()
    return {
        f"{kind.removesuffix('s').replace('_', ' ')} {one['name']}": str(one.get("status", "there"))
        for kind in KINDS
        for one in state[kind]
    }


def changed(sandbox: Sandbox, before: dict[str, str], asked_before: int) -> str:
    """What a run changed, by the cloud's own account; the person of a test is told from it."""
    accepted = [
        r["operation"].replace("_", " ") + _BY_A_PERSON.get(r["operation"], "")
        for r in sandbox.requests()[asked_before:]
        if r["method"] != "GET" and (r["status"] is None or r["status"] < 400)
    ]
    after = everything(sandbox)
    moved = [
        f"{what} is {after.get(what, 'gone')}"
        for what in sorted(before.keys() | after.keys())
        if before.get(what) != after.get(what)
    ]
    if not accepted and not moved:
        return "nothing"
    return f"accepted: {', '.join(accepted)}; {'; '.join(moved) or 'all is as it was'}"


def provoke(cloud: Cloud, failure: str) -> tuple[str, str]:
    """What a person reads, and what was changed."""
    prepare, how, _ = FAILURES[failure]
    sandbox, account = with_snapshot(cloud)
    prepare(sandbox)
    before, asked = everything(sandbox), len(sandbox.requests())
    with pytest.raises(WorkFailed) as failed:
        restore_from_snapshot(**{"snapshot": "base", "credentials": account, **how})
    [row] = failed.value.report.rows
    why = re.sub(r" \[request [^]]*\]", "", row.why)
    return re.sub(r"BRK-\w+", "BRK-...", why), changed(sandbox, before, asked)


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_has_its_sentence_and_what_it_changes_is_measured(
    cloud: Cloud, failure: str
) -> None:
    why, what = provoke(cloud, failure)
    assert FAILURES[failure][2] in why
    assert (what != "nothing") == (failure in ASKED_FOR), what
    assert "instance" not in what, "the instances are as they were"
    line = f"| {failure} | {escape(why)} | {escape(what)} |"
    if os.environ.get("BARRACK_WRITE_DOCS"):
        text = DOCUMENT.read_text()
        old = re.compile(rf"^\| {re.escape(failure)} \|.*$", re.MULTILINE)
        DOCUMENT.write_text(old.sub(lambda _: line, text))
    assert re.sub(r"\d+\.\d\d", "N", line) in re.sub(r"\d+\.\d\d", "N", DOCUMENT.read_text())
