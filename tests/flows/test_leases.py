"""Leases of machines, by a real Prefect server and a real local cloud."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from barrack_tasks import (
    BarrackCredentials,
    BarrackError,
    extend_lease,
    lease_instance,
    release_lease,
    set_owner,
)
from barrack_tasks.controllers.expiry import add_expiries, read_expiries
from barrack_tasks.controllers.leases import LeasesUnreadError, change_leases, read_leases
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.power.expiry import Expiry
from barrack_tasks.runtime.alerts import NobodyTold
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.tables import change_all
from barrack_tasks.server.variables import Records
from flows.end_expired import end_expired
from flows.follow_schedule import follow_schedule
from flows.reap_forgotten import reap_forgotten as reap_forgotten_flow
from flows.report_costs import report_costs
from tests.flows.conftest import account_of, effects, events_about, saved_hook, states
from tests.flows.receivers import Webhook
from tests.thinning import some_slow

reap_forgotten = partial(reap_forgotten_flow, dry_run=False)

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_lease_that_lasts_keeps_what_was_made_with_an_end(cloud: Cloud) -> None:
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


@pytest.mark.parametrize("ahead", some_slow([timedelta(hours=-2)], [timedelta(hours=2)]))
def test_a_lease_ends_by_the_clouds_clock_whatever_that_of_the_worker_says(
    cloud: Cloud, ahead: timedelta
) -> None:
    sandbox = cloud(fleet=0, seed=8316, speed=0, start=datetime.now(UTC) + ahead)
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    lease = lease_instance(account, "train", for_="1h", owner="ann")
    assert abs(lease.until - sandbox.now() - timedelta(hours=1)) < timedelta(seconds=2)
    [row] = end_expired(credentials=account).rows
    assert row.why.startswith("it ends at ")
    for minutes in (50, 20):
        sandbox.advance(60 * minutes)
        end_expired(credentials=account)
    sandbox.advance(60)
    assert states(sandbox) == {"train": "HIBERNATED"}


@pytest.mark.slow
def test_an_end_that_was_set_is_warned_of_before(cloud: Cloud, hook: tuple[Webhook, str]) -> None:
    sandbox = cloud(fleet=0, seed=8317, speed=0)
    id_ = sandbox.seed_instance("due", gpu_model="L40")
    account, (receiver, block) = account_of(sandbox), hook
    add_expiries(account.account, [Expiry(id_, "due", soon(hours=1), "delete")])
    for minutes in (0, 50, 0, 11):
        sandbox.advance(60 * minutes)
        end_expired(notify=[block], credentials=account)
    [told] = [str(message) for message in receiver.received]
    assert "is deleted; to keep it, run: barrack lease due --extend 8h" in told
    sandbox.advance(60)
    assert states(sandbox) == {}


def test_a_lease_that_cannot_be_read_keeps_its_machine(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, seed=8318, speed=0)
    id_ = sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    lapsed = Lease(id_, "train", "bob", soon(hours=-1), warned=soon(hours=-2))
    change_leases(account.account, lambda _: [lapsed])
    odd = {f"{id_} ann": ["written", "by", "another", "release"]}
    change_all(f"barrack_leases_{account.account}_", lambda stands: {**stands, **odd})
    end_expired(credentials=account)
    rule = {"select": ["*"], "timetable": "never"}
    [row] = follow_schedule(rules=[rule], credentials=account).rows
    assert "a lease that cannot be read (ann) keeps it until an unknown time" in row.why
    assert effects(sandbox, "hibernate_instance") == []
    release_lease(account, "train", owner="ann")
    end_expired(credentials=account)
    assert len(effects(sandbox, "hibernate_instance")) == 1


@pytest.mark.slow
def test_while_no_lease_can_be_read_nothing_is_put_to_rest(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, seed=8321, speed=0)
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    lease_instance(account, "train", for_="8h", owner="ann")
    prefix = f"barrack_leases_{account.account}_"
    with Records(prefix) as records:
        [name] = records.all()
        records.put(name.removeprefix(prefix), "garbage")
    idle = {"select": ["*"], "longer_than": "1h", "then": "delete"}
    for run in (end_expired, lambda **how: reap_forgotten(rules=[idle], **how)):
        with pytest.raises(LeasesUnreadError, match="who has leased what"):
            run(credentials=account)
    [row] = follow_schedule(
        rules=[{"select": ["*"], "timetable": "never"}], credentials=account
    ).rows
    assert "it is not known who has leased what" in row.why
    assert states(sandbox) == {"train": "ACTIVE"}
    lease_instance(account, "train", for_="8h", owner="ann")
    assert end_expired(credentials=account).rows[0].why.startswith("it ends at ")


def told_of(account: BarrackCredentials, **how: Any) -> str:
    """Why a run could tell nobody; empty if somebody was told."""
    try:
        end_expired(credentials=account, **how)
    except NobodyTold as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_what_the_owner_has_heard_was_told_and_so_was_what_the_others_have_heard(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    sandbox, (general, block) = cloud(fleet=0, seed=8319, speed=0), hook
    account = account_of(sandbox)
    for name in ("ann-1", "bob-1"):
        sandbox.seed_instance(name, gpu_model="L40")
        lease_instance(account, name, for_="5m", owner=name[:3])
    with saved_hook() as (own, channel):
        set_owner(account, "ann-*", owner="ann", tell=channel)
        general.status = 500
        assert "bob-1" in told_of(account, notify=[block]), "bob has no channel of his own"
        assert "ann-1" in str(own.received)
        assert "bob-1" not in str(own.received)
        sandbox.advance(16 * 60)
        told_of(account, notify=[block])
        assert states(sandbox) == {"ann-1": "HIBERNATING", "bob-1": "ACTIVE"}
        own.status, general.status = 500, 200
        lease_instance(account, "bob-1", for_="5m", owner="bob")
        set_owner(account, "bob-*", owner="bob", tell=channel)
        report = end_expired(notify=[block], credentials=account)
    assert any(f"{channel} could not send" in note for note in report.notes)
    sandbox.advance(16 * 60)
    end_expired(notify=[block], credentials=account)
    assert states(sandbox)["bob-1"] == "HIBERNATING"


@pytest.mark.slow
@pytest.mark.parametrize("if_untold", ["stay", "act"])
def test_what_nobody_can_be_told_of_for_days_is_said_loudly(
    cloud: Cloud, hook: tuple[Webhook, str], if_untold: str
) -> None:
    sandbox, (own, channel) = cloud(fleet=0, seed=8320, speed=0), hook
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    set_owner(account, "*", owner="ann", tell=channel)
    lease_instance(account, "train", for_="5m", owner="ann")
    own.status = 500
    how: dict[str, Any] = {"if_untold": if_untold, "untold_for": "2d"}
    assert "no notification could be sent" in told_of(account, **how)
    sandbox.advance(24 * 3600)
    assert "no notification could be sent" in told_of(account, **how)
    sandbox.advance(25 * 3600)
    assert told_of(account, **how).startswith("For 48 h nobody could be told of this: ")
    sandbox.advance(16 * 60)
    assert bool(told_of(account, **how)) == (if_untold == "stay")
    sandbox.advance(600)
    assert states(sandbox) == {"train": "HIBERNATED" if if_untold == "act" else "ACTIVE"}
