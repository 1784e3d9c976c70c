"""The guard's tasks and the flows that it guards, for real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from prefect import flow

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.api.resources.instances import Instances
from barrack_tasks.controllers.admission import Admission, asked_of
from barrack_tasks.controllers.guard import (
    ApprovalNeeded,
    GuardRefused,
    guarded_create_instance,
    guarded_restore,
    with_approval,
)
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.money.caps import Caps, Proposed
from barrack_tasks.plans.snapshots.restore import Restoring
from barrack_tasks.plans.steps import Finished, Next, Step
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.turns import Turn
from barrack_tasks.sandbox import Sandbox
from flows.follow_schedule import follow_schedule
from flows.restore import restore
from tests.flows.conftest import account_of, answer, fleet, states
from tests.thinning import some_slow

Cloud = Callable[..., Sandbox]
L40 = {"region": "CANADA-1", "gpu_model": "L40", "image_id": "1"}


def changes(sandbox: Sandbox) -> list[str]:
    return [r["operation"] for r in sandbox.requests() if r["method"] not in ("GET", "POST")] + [
        r["operation"]
        for r in sandbox.requests()
        if r["operation"] in ("create_instance", "restore_instance")
    ]


@pytest.mark.slow
def test_what_the_caps_allow_is_deployed_and_what_they_forbid_is_never_sent(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha")
    account = account_of(sandbox)
    guarded_create_instance(account, {"hourly_price": 2, "burn": 2.5}, "beta", **L40)
    with pytest.raises(GuardRefused, match=r"would burn 3.57 USD an hour, the cap is 2.50 USD"):
        guarded_create_instance(account, {"burn": 2.5}, "gamma", **L40)
    assert set(states(sandbox)) == {"alpha", "beta"}
    assert changes(sandbox) == ["create_instance"]


def test_the_accounts_own_caps_count_besides_those_given(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000")
    sandbox.seed_instance("asleep", gpu_model="L40", status="HIBERNATED")
    account = account_of(sandbox, caps={"regions": ["NORWAY-1"]})
    with pytest.raises(GuardRefused, match="region CANADA-1 is not allowed"):
        guarded_create_instance(account, None, "beta", **L40)
    [id_] = [i["id"] for i in sandbox.state()["instances"]]
    with pytest.raises(GuardRefused, match=r"not allowed.*the cap is 1.00 USD"):
        guarded_restore(account, {"hourly_price": 1}, id_)
    assert changes(sandbox) == []


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("operation", ["get_credit_balance", "quote_price", "list_volumes"])
def test_what_it_cannot_see_it_refuses(cloud: Cloud, operation: str) -> None:
    sandbox = fleet(cloud, "5000", "alpha")
    sandbox.fault("malformed", operation=operation, count=None)
    with pytest.raises(GuardRefused, match="it cannot be judged"):
        guarded_create_instance(account_of(sandbox), {"burn": 900}, "beta", **L40)
    assert changes(sandbox) == []


def test_a_daily_budget_is_read_from_the_bills(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha")
    account = account_of(sandbox)
    with pytest.raises(GuardRefused, match=r"today would come to"):
        guarded_create_instance(account, {"daily_budget": "0.0001"}, "beta", **L40)
    sandbox.fault("status", operation="get_instance_billing", status=403, count=None)
    with pytest.raises(GuardRefused, match="what was spent today cannot be read"):
        guarded_create_instance(account, {"daily_budget": 9000}, "beta", **L40)


@pytest.mark.slow
@pytest.mark.parametrize("says_yes", [True, False])
def test_a_person_is_asked_in_prefect_and_the_answer_counts(cloud: Cloud, says_yes: bool) -> None:
    sandbox = fleet(cloud, "5000")
    account = account_of(sandbox)
    with pytest.raises(ApprovalNeeded, match=r"costs 1.19 USD an hour, above 1.00 USD"):
        guarded_create_instance(account, {"approve_over": 1}, "beta", **L40)
    asked: list[str] = []

    @flow
    def deploy() -> Any:
        return with_approval(
            guarded_create_instance, account, {"approve_over": 1}, "beta", **L40, timeout=60
        )

    person = threading.Thread(target=answer, args=("deploy", says_yes, asked))
    person.start()
    if says_yes:
        assert deploy().id
    else:
        with pytest.raises(GuardRefused, match="a person said no"):
            deploy()
    person.join()
    assert len(asked) == 1
    assert set(states(sandbox)) == ({"beta"} if says_yes else set())


@pytest.mark.slow
def test_of_several_that_begin_at_once_no_more_than_the_caps_allow(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", speed=60)
    sandbox.settings(list_lag=60)
    account = account_of(sandbox)
    caps = {"instances": 1, "burn": 1.5}

    @flow
    def several() -> list[Any]:
        asked = [guarded_create_instance.submit(account, caps, f"n-{n}", **L40) for n in range(4)]
        return [one.result(raise_on_failure=False) for one in asked]

    made = several()
    assert len(states(sandbox)) == 1
    assert sum(isinstance(one, GuardRefused) for one in made) == 3


def test_restore_holds_back_what_the_accounts_caps_forbid(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, balance="5000", speed=120)
    for name in ("alpha", "beta", "gamma"):
        sandbox.seed_instance(name, gpu_model="L40", status="HIBERNATED")
    account = account_of(sandbox, caps={"burn": "2.5"})
    with pytest.raises(WorkFailed, match="refused by the caps: the account would burn") as failed:
        restore(select=["*"], credentials=account)
    assert sorted(r.now for r in failed.value.report.rows) == ["ACTIVE", "ACTIVE", "HIBERNATED"]


@pytest.mark.usefixtures("impatient")
def test_a_timetable_restores_within_the_caps_and_hibernates_without_them(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, balance="5000", speed=120)
    sandbox.seed_instance("up", gpu_model="L40", status="HIBERNATED")
    sandbox.seed_instance("down", gpu_model="L40")
    account = account_of(sandbox, caps={"burn": "0.5"})
    rules = [
        {"select": ["up"], "timetable": "always"},
        {"select": ["down"], "timetable": "never"},
    ]
    with pytest.raises(WorkFailed, match="refused by the caps"):
        follow_schedule(rules=rules, strict=True, credentials=account)
    assert states(sandbox) == {"up": "HIBERNATED", "down": "HIBERNATED"}
    sandbox.fault("malformed", operation="list_volumes", count=None)
    report = follow_schedule(rules=rules, strict=True, credentials=account)
    assert "cannot be read" in {r.instance: r.why for r in report.rows}["up"]


def test_a_restore_that_was_refused_stays_refused_in_its_run(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha")
    account = account_of(sandbox)
    one = Restoring(
        Snapshot(id="1", name="base", status="SUCCESS", region="CANADA-1"),
        "back",
        hardware=("L40", 1),
    )
    step = Step("restore_snapshot", one.key, one.name, {})
    memory = Memory()
    targets = (Target(one.key, one.name, datetime.now(UTC)),)

    def wish(world: World, now: datetime) -> dict[str, Next]:
        return decide_each(targets, lambda _: step, memory, world, [], timedelta(hours=1), now)

    admission = Admission(account, Caps(burn=Decimal(2)))
    decide = admission.within(wish, memory, {one.key: asked_of(one)})
    [first] = decide(World(), datetime.now(UTC)).values()
    assert isinstance(first, Finished)
    [id_] = [i["id"] for i in sandbox.state()["instances"]]
    account.get_client().instances.delete(id_)
    sandbox.advance(600)
    assert decide(World(), datetime.now(UTC)) == {one.key: first}, "it was told already"
    with Turn(account.account) as other:
        assert other.take(), "the turn was given back"


def lacking(monkeypatch: pytest.MonkeyPatch, name: str, nth: int) -> None:
    """One list, the nth from now on, lacks an instance that is there."""
    whole = Instances.list
    numbers = count(1)

    def listed(self: Instances, *arguments: Any, **more: Any) -> Iterator[UserVM]:
        number = next(numbers)
        found = whole(self, *arguments, **more)
        return (i for i in found if number != nth or i.name != name)

    monkeypatch.setattr(Instances, "list", listed)


@pytest.mark.parametrize("caps", [{"gpus": 1}, {"instances": 2, "burn": "1.5"}])
@pytest.mark.parametrize("nth", some_slow([2], [1, 3]))
def test_what_one_list_lacks_counts_all_the_same(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, nth: int, caps: dict[str, Any]
) -> None:
    sandbox = fleet(cloud, "5000", "up")
    sandbox.seed_instance("asleep", gpu_model="L40", status="HIBERNATED")
    lacking(monkeypatch, "up", nth)
    with pytest.raises(WorkFailed, match="refused by the caps"):
        restore(select=["asleep"], credentials=account_of(sandbox, caps=caps), timeout=30)
    assert states(sandbox)["asleep"] == "HIBERNATED"


def test_what_is_gone_counts_no_longer(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "up")
    account = account_of(sandbox)
    admission = Admission(account, {"gpus": 1})
    ask = {"new": Proposed("new", "L40", 1, "CANADA-1")}
    first = admission.admit(ask)
    assert first is not None
    assert first["new"].refused
    [id_] = [i["id"] for i in sandbox.state()["instances"]]
    account.get_client().instances.delete(id_)
    sandbox.advance(600)
    then = admission.admit(ask)
    assert then is not None
    assert not then["new"].refused


@pytest.mark.parametrize("minutes", some_slow([-11, 11], [-30, 30]))
def test_what_another_worker_let_begin_counts_whatever_its_clock_says(
    cloud: Cloud, minutes: int
) -> None:
    account = account_of(fleet(cloud, "5000"))
    skew = timedelta(minutes=minutes)
    other = Admission(account, {"gpus": 1}, now=lambda: datetime.now(UTC) + skew)
    for admission, name in ((other, "x"), (Admission(account, {"gpus": 1}), "y")):
        found = admission.admit({name: Proposed(name, "L40", 1, "CANADA-1")}, timedelta(seconds=5))
        assert found is not None
        assert bool(found[name].refused) == (name == "y")
