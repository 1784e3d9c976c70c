"""Leases of machines, by a real Prefect server and a real local cloud."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from barrack_tasks import BarrackError, extend_lease, lease_instance, release_lease, set_owner
from barrack_tasks.controllers.leases import change_leases, read_leases
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.sandbox import Sandbox
from flows.end_expired import end_expired
from flows.report_costs import report_costs
from tests.flows.conftest import account_of, events_about, states
from tests.flows.receivers import Webhook

Cloud = Callable[..., Sandbox]


def soon(**more: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**more)


def test_a_lease_is_warned_of_and_then_ends_unless_somebody_extends_it(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    sandbox = cloud(fleet=0, seed=8311, speed=0)
    ids = {n: sandbox.seed_instance(n, gpu_model="L40") for n in ("forgotten", "kept", "unleased")}
    account = account_of(sandbox)
    for name in ("forgotten", "kept"):
        lease_instance(account, name, for_="10m", owner="ann")
    receiver, block = hook

    def run() -> None:
        end_expired(notify=[block], credentials=account)

    run()
    told = "\n".join(str(message) for message in receiver.received)
    assert "barrack lease forgotten --extend 8h" in told
    assert "unleased" not in told
    extend_lease(account, "kept", for_="8h")
    sandbox.advance(12 * 60)
    run()
    assert states(sandbox)["forgotten"] == "ACTIVE", "it was warned of less than 15 minutes ago"
    sandbox.advance(4 * 60)
    run()
    sandbox.advance(600)
    run()
    assert states(sandbox) == {"forgotten": "HIBERNATED", "kept": "ACTIVE", "unleased": "ACTIVE"}
    assert [one.instance_id for one in read_leases(account.account)] == [ids["kept"]]
    release_lease(account, "kept", owner="ann")
    run()
    release_lease(account, "kept", owner="ann")  # once more, while it is on its way
    sandbox.advance(600)
    assert states(sandbox)["kept"] == "HIBERNATED"
    run()
    for name in ("forgotten", "kept"):
        [_] = events_about(f"barrack.instance.{ids[name]}", "barrack.instance.expired")


def test_twenty_who_lease_and_extend_at_once_lose_nothing(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, seed=8312)
    sandbox.seed_instance("shared", gpu_model="L40")
    account = account_of(sandbox)
    lease_instance(account, "shared", for_="1h", owner="ann")

    def ask(number: int) -> None:
        if number % 2:
            lease_instance(account, "shared", for_="2h", owner=f"owner-{number}")
        else:
            extend_lease(account, "shared", for_=f"{number + 1}h", owner="ann")

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(ask, range(20)))
    found = {one.owner: one for one in read_leases(account.account)}
    assert found.keys() == {"ann", *(f"owner-{n}" for n in range(1, 20, 2))}
    assert found["ann"].until > soon(hours=18)


def test_what_cannot_be_meant_is_refused(cloud: Cloud) -> None:
    sandbox = cloud(fleet=1, seed=8313)
    account = account_of(sandbox)
    with pytest.raises(BarrackError, match="no instance is called 'trian'"):
        lease_instance(account, "trian", owner="ann")
    with pytest.raises(ValueError, match="longer than zero"):
        lease_instance(account, "alpha", for_="0h", owner="ann")
    with pytest.raises(ValueError, match="say who needs the machine"):
        lease_instance(account, "alpha", owner=" ")
    assert read_leases(account.account) == []


def test_a_lease_that_lasts_keeps_what_was_made_with_an_end(cloud: Cloud) -> None:
    from barrack_tasks.controllers.expiry import add_expiries, read_expiries
    from barrack_tasks.plans.power.expiry import Expiry

    sandbox = cloud(fleet=0, seed=8314)
    id_ = sandbox.seed_instance("due", gpu_model="L40")
    account = account_of(sandbox)
    add_expiries(account.account, [Expiry(id_, "due", soon(hours=-1), "delete")])
    extend_lease(account, "due", for_="8h", owner="ann")
    end_expired(credentials=account)
    sandbox.advance(600)
    assert states(sandbox) == {"due": "ACTIVE"}
    lapsed = Lease(id_, "due", "ann", soon(hours=-1), warned=soon(hours=-2))
    change_leases(account.account, lambda _: [lapsed])
    end_expired(credentials=account)
    sandbox.advance(600)
    assert states(sandbox) == {}
    assert [one.how for one in read_expiries(account.account)] == ["delete"], "until it is seen"


def test_the_owner_is_told_in_their_own_channel(cloud: Cloud, hook: tuple[Webhook, str]) -> None:
    sandbox = cloud(fleet=0, seed=8315)
    for name in ("train-1", "other"):
        sandbox.seed_instance(name, gpu_model="L40")
    account, (receiver, block) = account_of(sandbox), hook
    set_owner(account, "train-*", owner="ann", team="vision", tell=block)
    for name in ("train-1", "other"):
        lease_instance(account, name, for_="5m", owner="ann")
    for _ in range(2):
        end_expired(credentials=account)
    [told] = [str(message) for message in receiver.received]
    assert "the lease of ann on train-1 ends at" in told
    report = report_costs(days=1, credentials=account)
    assert set(report.by("team")) <= {"vision", "nobody"}
    assert sum(report.by("team").values()) == report.bill.total
