"""end_expired against a real Prefect server and a real local cloud."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError

from barrack_tasks import BarrackCredentials
from barrack_tasks.controllers.expiry import add_expiries, end_due, read_expiries
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.power.expiry import Expiry
from barrack_tasks.plans.report import Report, Row
from barrack_tasks.plans.steps import Step, Wait
from barrack_tasks.runtime.leases import holding
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.variables import Records, key_of_id
from flows.end_expired import end_expired
from flows.restore_from_snapshot import restore_from_snapshot
from flows.watch_gpu_stock import watch_gpu_stock
from tests.flows.conftest import account_of, effects, events_about, states
from tests.flows.receivers import Webhook

Cloud = Callable[..., Sandbox]
AGO = datetime.now(UTC) - timedelta(hours=1)


@pytest.mark.slow
def test_what_was_made_for_a_time_ends_and_nothing_else(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, seed=8112)  # ids that no other test has
    names = ("sleeps", "goes", "later", "prod", "off", "bystander")
    ids = {n: sandbox.seed_instance(n, gpu_model="L40") for n in names}
    account = account_of(sandbox, protect=["prod"])
    account.get_client().instances.stop(ids["off"])
    sandbox.advance(600)
    ends = [
        Expiry(ids["sleeps"], "sleeps", AGO, "hibernate"),
        Expiry(ids["goes"], "goes", AGO, "delete"),
        Expiry(ids["later"], "later", AGO + timedelta(days=1), "delete"),
        Expiry(ids["prod"], "prod", AGO, "delete"),
        Expiry(ids["off"], "off", AGO, "hibernate"),
        Expiry("BRK-GONE", "gone", AGO, "delete"),
    ]
    add_expiries(account.account, ends)
    plan = end_expired(dry_run=True, credentials=account)
    assert {r.instance: r.outcome for r in plan.rows if r.did} == dict.fromkeys(
        ("sleeps", "goes", "off"), "planned"
    )
    [gone] = [r for r in plan.rows if r.instance == "gone"]
    assert gone.why == "it is missing from the list of instances", "until it is said twice"
    assert len(read_expiries(account.account)) == len(ends)
    assert effects(sandbox, "delete_instance") == []
    rows = {r.instance: r for r in end_expired(credentials=account).rows}
    assert rows["prod"].why == "its time is over, and it is protected"
    assert rows["later"].why.startswith("it ends at ")
    sandbox.advance(600)
    # The one that was SHUTOFF is up now, and is hibernated by the next run.
    rows = {r.instance: r for r in end_expired(credentials=account).rows}
    assert {n: rows[n].outcome for n in ("sleeps", "goes", "off")} == dict.fromkeys(
        ("sleeps", "goes", "off"), "done"
    )
    assert {e.name for e in read_expiries(account.account)} == {"later", "prod", "off"}
    sandbox.advance(600)
    end_expired(credentials=account)
    assert states(sandbox) == {
        "sleeps": "HIBERNATED",
        "later": "ACTIVE",
        "prod": "ACTIVE",
        "off": "HIBERNATED",
        "bystander": "ACTIVE",
    }
    assert {e.name for e in read_expiries(account.account)} == {"later", "prod"}
    for name in ("sleeps", "goes", "off"):
        [_] = events_about(f"barrack.instance.{ids[name]}", "barrack.instance.expired")
    # One that a person brings back after its end is theirs.
    account.get_client().instances.restore(ids["sleeps"])
    sandbox.advance(600)
    end_expired(credentials=account)
    sandbox.advance(600)
    assert states(sandbox)["sleeps"] == "ACTIVE"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Puts the flow's clock forward by minutes."""
    passed = [0.0]
    monkeypatch.setattr(
        "flows.end_expired.cloud_now", lambda _: datetime.now(UTC) + timedelta(minutes=passed[0])
    )

    def forward(minutes: float) -> None:
        passed[0] += minutes

    return forward


Clock = Callable[[float], None]


def about(account: BarrackCredentials) -> Row:
    """What a run says of the only instance that is made for a time, whether it fails or not."""
    try:
        report: Report = end_expired(credentials=account)
    except WorkFailed as failed:
        report = failed.report
    [row] = report.rows
    return row


def one_due(cloud: Cloud, seed: int, how: str, **more: Any) -> tuple[Sandbox, Any, str]:
    """A cloud with one instance whose time is over; its id is no other test's."""
    sandbox = cloud(fleet=0, seed=seed)
    id_ = sandbox.seed_instance("due", **{"gpu_model": "L40", **more})
    account = account_of(sandbox)
    add_expiries(account.account, [Expiry(id_, "due", AGO, how)])
    return sandbox, account, id_


@pytest.mark.slow
def test_what_could_not_be_ended_is_asked_again_after_ten_minutes(
    cloud: Cloud, clock: Clock
) -> None:
    sandbox, account, _ = one_due(cloud, 8120, "delete")
    sandbox.fault("status", status=400, operation="delete_instance", count=1)
    with pytest.raises(WorkFailed, match="1 of 1 instances with an end failed: due"):
        end_expired(credentials=account)
    clock(5)
    waiting = about(account)
    assert (waiting.outcome, waiting.did) == ("skipped", ())
    assert waiting.why.startswith("as before: "), "what was told is no failure of this run"
    clock(6)
    assert end_expired(credentials=account).ok
    sandbox.advance(600)
    assert states(sandbox) == {}
    assert about(account).why == "it is gone"
    assert end_expired(credentials=account).rows == ()


@pytest.mark.slow
@pytest.mark.parametrize(("becomes", "seed"), [("ACTIVE", 8121), ("ERROR", 8122)])
def test_a_hibernation_that_was_accepted_and_came_to_nothing_is_asked_for_again(
    cloud: Cloud, clock: Clock, becomes: str, seed: int
) -> None:
    sandbox, account, id_ = one_due(cloud, seed, "hibernate")
    sandbox.fault("stuck", operation="hibernate_instance")
    assert about(account).did == ("hibernate instance",)
    assert about(account).why == "it is HIBERNATING"
    sandbox.set_instance_status(id_, becomes)
    clock(5)
    row = about(account)
    assert (row.outcome, row.did) == ("skipped", ())
    assert f"and is {becomes}; the request is repeated at " in row.why
    clock(6)
    row = about(account)
    assert row.outcome == "failed"
    if becomes == "ERROR":
        # What is in ERROR cannot hibernate here; a person sees to it, and it is asked for again.
        assert "ERROR" in row.why
        sandbox.set_instance_status(id_, "ACTIVE")
        clock(11)
        row = about(account)
    assert row.did == ("hibernate instance",)
    assert "and is ACTIVE; the request was repeated at " in row.why
    sandbox.advance(600)
    assert states(sandbox) == {"due": "HIBERNATED"}
    assert about(account).outcome == "done"
    assert end_expired(credentials=account).rows == ()
    [_] = events_about(f"barrack.instance.{id_}", "barrack.instance.expired")


@pytest.mark.slow
def test_one_brought_back_before_it_was_seen_at_rest_is_asked_again_and_after_it_is_left_alone(
    cloud: Cloud, clock: Clock
) -> None:
    sandbox, account, id_ = one_due(cloud, 8123, "hibernate")
    for minutes in (0, 11):
        clock(minutes)
        assert about(account).did == ("hibernate instance",)
        sandbox.advance(600)
        account.get_client().instances.restore(id_)
        sandbox.advance(600)
    clock(11)
    assert about(account).did == ("hibernate instance",)
    sandbox.advance(600)
    assert about(account).why == "it is HIBERNATED"
    account.get_client().instances.restore(id_)
    sandbox.advance(600)
    assert end_expired(credentials=account).rows == ()
    assert states(sandbox) == {"due": "ACTIVE"}


@pytest.mark.slow
def test_a_record_of_an_earlier_release_ends_and_one_that_cannot_be_read_deletes_nothing(
    cloud: Cloud,
) -> None:
    sandbox, account, id_ = one_due(cloud, 8124, "delete")
    other = sandbox.seed_instance("other", gpu_model="L40")
    at = int(AGO.timestamp())
    with Records(f"barrack_expiry_{account.account}_") as records:
        records.put(key_of_id(id_), [id_, "due", at, "delete"])
        records.put(key_of_id(other), [other, "other", at, "remove"])
    assert about(account).did == ("delete instance",)
    sandbox.advance(600)
    assert states(sandbox) == {"other": "ACTIVE"}
    assert about(account).outcome == "done"
    [_] = events_about(f"barrack.instance.{id_}", "barrack.instance.expired")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "more", "sentence"),
    [
        (8125, {"gpu_model": "H100-SXM5-80GB", "gpu_count": 8}, "8x H100-SXM5-80GB cannot hiber"),
        (8126, {"can_hibernate": False}, "If it cannot hibernate: take a snapshot of it"),
    ],
)
def test_what_cannot_hibernate_is_told_once_reminded_of_and_told_when_it_is_over(
    cloud: Cloud,
    clock: Clock,
    hook: tuple[Webhook, str],
    seed: int,
    more: dict[str, Any],
    sentence: str,
) -> None:
    kept, name = hook
    sandbox, account, id_ = one_due(cloud, seed, "hibernate", **more)
    how: dict[str, Any] = {"notify": [name], "credentials": account}

    def told() -> list[str]:
        return [m["subject"] for m in kept.received]

    with pytest.raises(WorkFailed, match=re.escape(sentence)):
        end_expired(**how)
    assert len(told()) == 1
    for _ in range(2):
        clock(6)
        [row] = end_expired(**how).rows
        assert row.outcome == "skipped"
        assert row.why.startswith("as before: ")
        assert sentence in row.why
    assert len(told()) == 1
    clock(24 * 60)
    with pytest.raises(WorkFailed, match=re.escape(sentence)):
        end_expired(**how)
    assert len(told()) == 2
    account.get_client().instances.delete(id_)
    for _ in range(2):
        sandbox.advance(600)
        assert end_expired(**how).ok
    [over] = told()[2:]
    assert over.startswith(
        "Barrack expiry: the alarm is over: due has ended (the alarm was raised on "
    )
    assert end_expired(**how).rows == ()


def test_what_another_flow_was_refused_is_told_by_the_next_run(
    cloud: Cloud, tmp_path: Path
) -> None:
    sandbox, account, _ = one_due(cloud, 8127, "delete")
    sandbox.fault("status", status=400, operation="delete_instance", count=1)
    watch_gpu_stock([{"gpu_model": "A40"}], history=tmp_path, credentials=account)
    row = about(account)
    assert row.outcome == "failed"
    assert "An injected fault" in row.why
    assert "the request is repeated at " in row.why


@pytest.mark.slow
def test_a_watch_holds_what_it_ends_only_while_it_asks(cloud: Cloud) -> None:
    _, account, id_ = one_due(cloud, 8128, "hibernate")
    span = timedelta(minutes=5)
    with (
        holding(account.account, "a", "a watch", "watch", span) as watch,
        holding(account.account, "b", "another", "other", span) as other,
    ):
        watch.claim({"mine": "mine"})
        assert other.claim({id_: "due"}) == {}
        log = logging.getLogger("test")
        [held] = end_due(account, watch, log).endings
        assert held.next == Wait("another is working on it")
        other.release()
        [ending] = end_due(account, watch, log).endings
        assert isinstance(ending.next, Step)
        assert other.claim({id_: "due", "mine": "mine"}) == {"mine": "a watch"}


def test_only_the_time_is_asked_of_the_account_while_nothing_is_due(cloud: Cloud) -> None:
    sandbox = cloud(fleet=1)
    account = account_of(sandbox)
    assert end_expired(credentials=account).rows == ()
    assert sandbox.requests() == []
    later = datetime.now(UTC) + timedelta(hours=1)
    add_expiries(account.account, [Expiry("BRK-LATER", "later", later, "hibernate")])
    assert about(account).why.startswith("it ends at ")
    assert len(sandbox.requests()) == 1


@pytest.mark.parametrize("expires", [0, "-1h", "0s", -5, "9999999999999 days", "99999 days"])
def test_an_end_that_is_none_is_refused(cloud: Cloud, expires: Any) -> None:
    account = account_of(cloud(fleet=0))
    for flow, what in ((restore_from_snapshot, "base"), (watch_gpu_stock, [{"gpu_model": "A40"}])):
        with pytest.raises(ParameterTypeError, match="expires"):
            flow(what, expires=expires, credentials=account)
