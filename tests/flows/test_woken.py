"""An attempt that lost its lease, and goes on after another has asked for the same."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.models import Snapshot
from barrack_tasks.api.transport.exchange import Exchange
from barrack_tasks.controllers.drills import close, notes_of_drills, open_record
from barrack_tasks.controllers.expiry import Ends, read_expiries
from barrack_tasks.controllers.proofs import note_tries, read_open
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.controllers.stock.claimed import SharedLedger
from barrack_tasks.controllers.stock.run import watch
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.making import Making
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.snapshots.restore import Restoring
from barrack_tasks.plans.stock.pace import Pace
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import Hold, holding
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.variables import Records
from flows.restore_from_snapshot import restore_from_snapshot
from flows.verify_snapshots import verify_snapshots
from flows.watch_gpu_stock import watch_gpu_stock
from tests.flows.conftest import account_of, effects
from tests.flows.killing import Point, ended, start_in_process

Cloud = Callable[..., Sandbox]
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
KEY = lease_keys.claim("train")
LOG = logging.getLogger(__name__)
WANTS = [{"gpu_model": "L40", "gpu_count": 1, "claim": {"name": "train", "image_id": "1"}}]
FOR_A_TIME: dict[str, Any] = {"expires": "8h", "on_expiry": "delete"}


def lose_leases(account: str) -> None:
    """Delete all records of leases, as a person may do."""
    with Records(f"barrack_hold_{account}_") as records:
        for name in records.all():
            records.drop(name)


def at_the_first(
    monkeypatch: pytest.MonkeyPatch, operation: str, phase: str, act: Callable[[], None]
) -> None:
    """Do something just before the first request of an operation is sent, or after it was."""
    original, seen = Exchange._send, []

    def sending(self: Exchange, call: Any, timeout: float) -> Any:
        is_first = call.operation.name == operation and not seen
        if is_first:
            seen.append(1)
        if is_first and phase == "before":
            act()
        try:
            return original(self, call, timeout)
        finally:
            if is_first and phase == "after":
                act()

    monkeypatch.setattr(Exchange, "_send", sending)


def with_snapshot(cloud: Cloud, **how: Any) -> tuple[Sandbox, BarrackCredentials]:
    sandbox = cloud(fleet=0, **how)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    account = account_of(sandbox)
    account.get_client().snapshots.create(id_, "base")
    sandbox.advance(600)
    return sandbox, account


@pytest.fixture
def two(prefect_server: str) -> Iterator[Callable[[], Hold]]:
    """Makes attempts at one account, of which each is thought dead when the next one claims."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(holding("woken", "run", "run woken"))
    for prefix in ("barrack_expiry_woken_", "barrack_drilling_woken_", "barrack_claimed_woken_"):
        with Records(prefix) as records:
            for name in records.all():
                records.drop(name)


def end_of(hold: Hold) -> Ends:
    return Ends("woken", timedelta(hours=8), "delete", lambda: NOW, hold)


def test_only_the_attempt_that_noted_an_end_withdraws_it_and_only_while_it_holds_the_name(
    two: Callable[[], Hold],
) -> None:
    first, second = two(), two()
    woken, later = end_of(first), end_of(second)
    first.claim({KEY: "train"})
    woken.note([Making("train", NOW)])
    lose_leases("woken")
    woken.not_made("train", KEY)
    assert len(read_expiries("woken")) == 1, "what is not held is not withdrawn"
    second.claim({KEY: "train"})
    later.note([Making("train", NOW + timedelta(minutes=5))])
    lose_leases("woken")
    assert first.claim({KEY: "train"}) == {}
    woken.not_made("train", KEY)
    [end] = read_expiries("woken")
    assert end.writer == second.attempt
    assert end.by == Making("train", NOW), "what the first asked for may show as well"


def test_a_refusal_withdraws_its_own_end_and_no_earlier_one(two: Callable[[], Hold]) -> None:
    hold = two()
    hold.claim({KEY: "train"})
    ends = end_of(hold)
    ends.note([Making("train", NOW)])
    # The first request may have taken effect; the second surely has not.
    ends.note([Making("train", NOW + timedelta(minutes=5))])
    ends.not_made("train", KEY)
    assert [end.by for end in read_expiries("woken")] == [Making("train", NOW)]
    lone = end_of(hold)
    lone.note([Making("other", NOW)])
    lone.not_made("other", KEY)
    assert [end.name for end in read_expiries("woken")] == ["train"]


def test_a_refusal_of_what_has_no_end_lets_the_earlier_end_stand(two: Callable[[], Hold]) -> None:
    hold = two()
    hold.claim({KEY: "train"})
    end_of(hold).note([Making("train", NOW)])
    before = read_expiries("woken")
    for_good = Ends("woken", None, "hibernate", lambda: NOW, hold)
    for_good.note([Making("train", NOW + timedelta(minutes=5)), Making("other", NOW)])
    assert read_expiries("woken") == []
    for_good.not_made("train", KEY)
    assert read_expiries("woken") == before
    for_good.note([Making("train", NOW + timedelta(minutes=9))])
    for_good.made("train", "BRK-1")
    for_good.not_made("train", KEY)
    with Records("barrack_expiry_woken_") as records:
        assert records.all() == {}


def test_only_the_watcher_that_noted_a_claim_withdraws_it(two: Callable[[], Hold]) -> None:
    first, second = two(), two()
    woken, later = (SharedLedger("woken", end_of(h), h, LOG) for h in (first, second))
    for ledger in (woken, later):
        ledger.hold.claim({KEY: "train"})
        ledger.asking([Making("train", NOW)], {}, NOW)
        lose_leases("woken")
    first.claim({KEY: "train"})
    woken.refused("train")
    assert [one.name for one in later.waiting()] == ["train"]
    assert [end.writer for end in read_expiries("woken")] == [second.attempt]


def test_only_the_drill_that_recorded_a_machine_forgets_it(two: Callable[[], Hold]) -> None:
    first, second = two(), two()
    one = Restoring(Snapshot(id="1", name="base", status="SUCCESS"), "drill-base")
    notes = [notes_of_drills("woken", hold) for hold in (first, second)]
    for number, hold in enumerate((first, second)):
        hold.claim({lease_keys.DRILL: "drill"})
        open_record("woken", notes[number], one.name, NOW)
        lose_leases("woken")
    first.claim({lease_keys.DRILL: "drill"})
    close("woken", notes[0], [one], Memory(sent={one.key: NOW}), World())
    assert [record.writer for record in read_open("woken").values()] == [second.attempt]
    first.let_go([lease_keys.DRILL])
    second.claim({lease_keys.DRILL: "drill"})
    close("woken", notes[1], [one], Memory(sent={one.key: NOW}), World())
    assert list(read_open("woken").values()) != [], "what the first asked for may show"


@pytest.mark.slow
def test_a_restore_that_wakes_goes_on_with_what_another_asked_for_meanwhile(
    cloud: Cloud, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, account = with_snapshot(cloud)
    environment = {**sandbox.env, "PREFECT_API_URL": prefect_server}

    def overtake() -> None:
        lose_leases(account.account)
        point = Point("restore_snapshot", 1, "after")
        arguments = {"snapshot": "base", **FOR_A_TIME}
        child = start_in_process("restore_from_snapshot", environment, arguments, point)
        assert ended(*child)[0] == -9

    at_the_first(monkeypatch, "restore_snapshot", "before", overtake)
    report = restore_from_snapshot("base", credentials=account, **FOR_A_TIME)
    assert [(row.instance, row.outcome) for row in report.rows] == [("base-restored", "done")]
    assert len(effects(sandbox, "restore_snapshot")) == 1
    machine = next(i for i in sandbox.state()["instances"] if i["name"] == "base-restored")
    assert [end.id for end in read_expiries(account.account)] == [machine["id"]]


@pytest.mark.slow
def test_what_may_have_been_claimed_keeps_its_end_when_the_lease_is_lost_before_the_repeat(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox = cloud(fleet=0, speed=60)
    account = account_of(sandbox)
    sandbox.settings(list_lag=600)
    sandbox.fault("reset_after", operation="create_instance", count=1)
    at_the_first(monkeypatch, "create_instance", "after", lambda: lose_leases(account.account))
    with pytest.raises(WorkFailed) as failed:
        watch_gpu_stock(WANTS, credentials=account, history=tmp_path, **FOR_A_TIME)
    assert len(effects(sandbox, "create_instance")) == 1
    assert [end.name for end in read_expiries(account.account)] == ["train"]
    [row] = failed.value.report.rows
    assert "not known whether the request took effect" in row.why


@pytest.mark.slow
def test_a_claim_that_was_not_sent_says_so(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox = cloud(fleet=0, speed=60)
    account = account_of(sandbox)

    def away() -> None:
        lose_leases(account.account)
        time.sleep(1.1)  # for so long a look at the lease is relied on

    at_the_first(monkeypatch, "create_instance", "before", away)
    with pytest.raises(WorkFailed) as failed:
        watch_gpu_stock(WANTS, credentials=account, history=tmp_path, **FOR_A_TIME)
    [row] = failed.value.report.rows
    assert "not sent" in row.why
    assert effects(sandbox, "create_instance") == []


def shared(account: str) -> list[str]:
    """What is shared by attempts at work."""
    with Records(f"barrack_hold_{account}_") as records:
        open_ = [record for record in records.all().values() if not record.get("finished", True)]
    return [key for record in open_ for key in record["held"] if key.startswith("shared:")]


@pytest.mark.slow
def test_a_watcher_that_lost_its_lease_shares_its_snapshot_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox, account = with_snapshot(cloud)
    for region in ("CANADA-1", "NORWAY-1", "US-1"):
        sandbox.set_stock(region, "L40", 0)
    [snapshot] = account.get_client().snapshots.list()
    claim = {"how": "snapshot", "name": "again", "snapshot_id": snapshot.id}
    wants = [{"gpu_model": "L40", "gpu_count": 1, "claim": claim}]
    seen: list[list[str]] = []

    def sleep(_: float) -> None:
        seen.append(shared(account.account))
        lose_leases(account.account)
        time.sleep(0.4)  # so soon after a look at the lease it is not looked at again

    def watched(*args: Any) -> Any:
        return watch(*args, sleep=sleep)

    monkeypatch.setattr("barrack_tasks.controllers.stock.run.watch", watched)
    monkeypatch.setattr(Pace, "next_wait", lambda *_: 1.0)
    watch_gpu_stock(wants, watch_for="6s", credentials=account, history=tmp_path)
    assert len(seen) >= 2
    assert {key for one in seen for key in one} == {f"shared:snapshot:{snapshot.id}"}
    assert all(seen), seen


@pytest.mark.slow
def test_a_drill_that_lost_its_turn_asks_for_nothing_until_it_has_it_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, account = with_snapshot(cloud)

    def overtaken(*args: Any) -> None:
        original(*args)
        lose_leases(account.account)
        assert other.claim({lease_keys.DRILL: "drill"}) == {}

    original = note_tries
    monkeypatch.setattr("barrack_tasks.controllers.drills.note_tries", overtaken)
    for module in ("barrack_tasks.controllers.drills", "barrack_tasks.plans.snapshots.drill"):
        monkeypatch.setattr(f"{module}.TO_DELETE", timedelta(0))
    with (
        holding(account.account, "other", "run other") as other,
        pytest.raises(WorkFailed, match="run other is working on it"),
    ):
        verify_snapshots(["alpha"], timeout="1s", credentials=account)
    assert effects(sandbox, "restore_snapshot") == []


def test_a_look_at_the_stock_without_the_prefect_server_is_repeated() -> None:
    looks: list[int] = []

    class Watcher:
        def look(self) -> None:
            looks.append(1)
            raise httpx.ConnectError("refused")

        def prepare(self) -> None:
            raise httpx.ConnectError("refused")

        def is_done(self) -> bool:
            return len(looks) == 3

        def is_stuck(self) -> bool:
            return False

    pace = Pace(timedelta(seconds=1), lambda: 0.5, 10)
    until = NOW + timedelta(hours=1)
    watcher: Any = Watcher()
    last, number = watch(watcher, pace, until, print, LOG, lambda: NOW, lambda _: None)
    assert (last, number) == (None, 3)
