"""end_expired against a real Prefect server and a real local cloud."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from barrack_tasks.expiring import add_expiries, read_expiries
from barrack_tasks.plans.expiring import Expiry
from barrack_tasks.reporting import WorkFailed
from barrack_tasks.sandbox import Sandbox
from flows.end_expired import end_expired
from tests.flows.conftest import account_of, effects, events_about, states

Cloud = Callable[..., Sandbox]
AGO = datetime.now(UTC) - timedelta(hours=1)


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
    assert len(read_expiries(account.account)) == len(ends)
    assert effects(sandbox, "delete_instance") == []
    rows = {r.instance: r for r in end_expired(credentials=account).rows}
    assert rows["prod"].why == "its time is over, and it is protected"
    assert rows["later"].why.startswith("it ends at ")
    assert rows["gone"].why == "it is gone"
    sandbox.advance(600)
    # The one that was SHUTOFF is up now, and is hibernated by the next run.
    end_expired(credentials=account)
    sandbox.advance(600)
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


def test_what_could_not_be_ended_is_tried_again(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0)
    id_ = sandbox.seed_instance("goes", gpu_model="L40")
    account = account_of(sandbox)
    add_expiries(account.account, [Expiry(id_, "goes", AGO, "delete")])
    sandbox.fault("status", status=400, operation="delete_instance", count=1)
    with pytest.raises(WorkFailed, match="1 of 1 instances made for a time failed: goes"):
        end_expired(credentials=account)
    assert end_expired(credentials=account).ok
    sandbox.advance(600)
    assert states(sandbox) == {}
    assert end_expired(credentials=account).rows == ()
