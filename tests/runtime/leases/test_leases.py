"""Leases one by one: what is written, what is read, what ages, and what is asked before a send."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api import Barrack, BarrackNotPermittedError, BarrackTimeoutError
from barrack_tasks.api.transport.caller import RetryPolicy
from barrack_tasks.plans.making import CLOCKS_DIFFER
from barrack_tasks.plans.memory import Memory
from barrack_tasks.runtime.leases import (
    LEASE,
    Hold,
    Inherited,
    Process,
    Record,
    _in_parts,
    lease_length,
)
from barrack_tasks.runtime.loop import note_in_hand
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server import processes
from barrack_tasks.server.variables import MOST_CHARACTERS, Stamped

ROOM = 3800
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Store:
    """Records in memory, written at the server's time `now`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kept: dict[str, Stamped] = {}
        self.between: list[dict[str, Any]] = []
        """What stood there after each single writing."""

    def stamped(self) -> dict[str, Stamped]:
        return {f"b_{name}": one for name, one in self.kept.items()}

    def some(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: self.kept[name].value for name in names if name in self.kept}

    def put(self, name: str, value: Any) -> None:
        self.kept[name.removeprefix("b_")] = Stamped(value, BEGIN + timedelta(seconds=self.now))
        self.between.append({name: one.value for name, one in self.kept.items()})

    def create(self, name: str, value: Any) -> bool:
        if name.removeprefix("b_") in self.kept:
            return False
        self.put(name, value)
        return True

    def change(self, name: str, value: Any) -> bool:
        if name.removeprefix("b_") in self.kept:
            self.put(name, value)
            return True
        return False

    def drop(self, name: str) -> None:
        self.kept.pop(name.removeprefix("b_"), None)

    def hold(self, intent: str | None = "same", **how: Any) -> Hold:
        return Hold(
            self,
            how.pop("run", "run"),
            how.pop("by", "run somebody"),
            intent,
            BEGIN,
            clock=lambda: self.now,
            sleep=self.sleep,
            process=how.pop("process", Process(None, 1, "1")),
            **how,
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def keys_in(records: dict[str, Any]) -> set[str]:
    return {key for value in records.values() if "held" in value for key in value["held"]}


def test_no_key_is_ever_out_of_the_record_while_its_parts_are_rewritten() -> None:
    store = Store()
    hold = store.hold()
    wanted = {f"restore:machine-number-{n:03}": f"machine-number-{n:03}" for n in range(120)}
    assert hold.claim(wanted) == {}
    assert len(store.kept) > 1, "the record has several parts"
    store.between.clear()
    hold.note_asked(dict.fromkeys(wanted, BEGIN))
    assert all(keys_in(records) >= wanted.keys() for records in store.between)
    store.between.clear()
    given_back = list(wanted)[:50]
    hold.let_go(given_back)
    left = wanted.keys() - set(given_back)
    assert all(keys_in(records) >= left for records in store.between)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=60),
)
def test_a_part_never_gains_and_loses_keys_at_once(
    before: list[tuple[int, bool]], after: list[tuple[int, bool]]
) -> None:
    def layout(keys: list[tuple[int, bool]], homes: dict[str, int]) -> Any:
        held = {f"restore:{'x' * 90}{n:03}": "y" * 90 for n, _ in keys}
        noted = Inherited("y", (BEGIN, BEGIN + timedelta(hours=1)), BEGIN)
        notes = {f"restore:{'x' * 90}{n:03}": noted for n, is_noted in keys if is_noted}
        return _in_parts(held, notes, homes, ROOM)

    first = layout(before, {})
    homes = {key: number for number, (held, _) in first.items() for key in held}
    second = layout(after, homes)
    kept = {key for held, _ in second.values() for key in held}
    assert all(len(str(part)) < MOST_CHARACTERS for part in second.values())
    there = {number: set(held) for number, (held, _) in first.items()}
    for number, (held, _) in second.items():
        there[number] = set(held)
        assert set().union(*there.values()) >= kept & homes.keys()


@given(
    st.dictionaries(st.text(max_size=40), st.text(max_size=40), max_size=80),
    st.sets(st.integers(0, 79)),
)
def test_a_part_is_as_long_as_the_room_that_it_is_given(held: dict[str, str], of: set[int]) -> None:
    noted = Inherited("y", (BEGIN, BEGIN + timedelta(hours=1)), BEGIN)
    notes = {key: noted for number, key in enumerate(held) if number in of}
    parts = _in_parts(held, notes, {}, ROOM)
    assert all(len(json.dumps(part)) < ROOM + 10 for part in parts.values())
    assert {key: name for own, _ in parts.values() for key, name in own.items()} == held
    assert {key for _, own in parts.values() for key in own} == notes.keys()


@pytest.mark.parametrize("letter", ["a", "é", "\N{ROCKET}"])
def test_a_record_fits_into_its_variable_whatever_its_run_is_called(letter: str) -> None:
    store = Store()
    process = Process("0" * 60, 4_194_304, "0" * 12)
    hold = store.hold(run="0" * 32, by=letter * 5000, process=process)
    assert hold.claim({f"BRK-{n:07}": f"machine-{n:04}" for n in range(1000)}) == {}
    assert all(len(json.dumps(one.value)) <= MOST_CHARACTERS for one in store.kept.values())


def test_a_thousand_instances_are_claimed_with_few_writings() -> None:
    store = Store()
    wanted = {f"BRK-{n:07}": f"machine-{n:04}" for n in range(1000)}
    assert store.hold().claim(wanted) == {}
    assert keys_in({name: one.value for name, one in store.kept.items()}) >= wanted.keys()
    assert all(len(json.dumps(one.value)) < MOST_CHARACTERS for one in store.kept.values())
    assert len(store.between) <= 18, "each part is made and written once more"


def test_what_was_asked_for_never_ages_and_what_was_only_reserved_does() -> None:
    store = Store()
    first = store.hold()
    first.claim({"restore:asked": "asked", "BRK-1": "alpha"})
    first.note_asked({"restore:asked": BEGIN})
    other = store.hold("other")
    other.claim({"BRK-2": "beta"})
    store.now += timedelta(days=30).total_seconds()
    later, another = store.hold(), store.hold("other")
    later.sweep()
    later.take_up()
    another.take_up()
    assert later.inherited["restore:asked"].asked == BEGIN
    assert another.inherited == {}


def test_finished_records_are_swept_after_minutes() -> None:
    store = Store()
    for _ in range(30):
        hold = store.hold(None)
        hold.sweep()
        hold.claim({"watch": "watch"})
        hold.release()
        store.now += 60.0
    assert len(store.kept) <= 6


def test_a_run_that_claimed_nothing_leaves_nothing_to_take_up() -> None:
    store = Store()
    hold = store.hold()
    hold.take_up()
    hold.abandon()
    later = store.hold()
    later.take_up()
    assert (later.inherited, later.rival) == ({}, None)


def test_an_empty_record_does_not_hide_what_an_older_one_holds() -> None:
    store = Store()
    first = store.hold()
    first.claim({"restore:new": "new"})
    first.note_asked({"restore:new": BEGIN})
    store.now += LEASE.total_seconds()
    second = store.hold()
    second.take_up()
    assert "restore:new" in second.inherited
    store.now += LEASE.total_seconds()  # it was cut off before it claimed anything
    third = store.hold()
    third.take_up()
    assert third.inherited["restore:new"].asked == BEGIN


@pytest.mark.parametrize("swapped", [False, True], ids=["older first", "newer first"])
def test_all_that_was_left_is_taken_up_whichever_record_it_stands_in(swapped: bool) -> None:
    store = Store()
    left: list[dict[str, Stamped]] = []
    for name in ("one", "two"):
        hold = store.hold()
        hold.claim({f"restore:{name}": name})
        hold.note_asked({f"restore:{name}": BEGIN})
        left.append(store.kept)
        store.kept = {}
    for records in reversed(left) if swapped else left:
        store.kept |= records
    store.now += LEASE.total_seconds()
    heir = store.hold()
    heir.take_up()
    assert heir.inherited.keys() == {"restore:one", "restore:two"}
    assert sum("taken_by" in one.value for one in store.kept.values()) == 2
    store.now += LEASE.total_seconds()  # it is cut off before it claimed any of it
    next_heir = store.hold()
    next_heir.take_up()
    asked = {key: one.asked for key, one in next_heir.inherited.items()}
    assert asked == {"restore:one": BEGIN, "restore:two": BEGIN}


@pytest.mark.parametrize(("minutes", "is_fresh"), [(9, True), (11, False)])
def test_what_was_in_nobodys_hand_for_more_than_ten_minutes_is_not_fresh(
    minutes: int, is_fresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    monkeypatch.setattr("barrack_tasks.runtime.loop.elapsed", lambda: store.now)
    first, memory = store.hold(), Memory()
    first.claim({"BRK-1": "alpha"})
    note_in_hand(first, memory, BEGIN)
    gone = store.now + timedelta(minutes=minutes).total_seconds()
    store.now = gone
    heir, its_memory = store.hold(), Memory()
    heir.take_up()
    note_in_hand(heir, its_memory, BEGIN)
    assert heir.inherited["BRK-1"].is_fresh is is_fresh
    assert its_memory.before == ({"BRK-1": (BEGIN,)} if is_fresh else {})
    heir.release()
    store.now = gone
    assert first.claim({"BRK-1": "alpha"}) == {}
    note_in_hand(first, memory, BEGIN)
    assert "BRK-1" in memory.claimed_again
    assert ("BRK-1" in memory.lost_sight) is not is_fresh


def test_a_run_says_that_it_waits_for_one_that_may_have_been_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()
    first = store.hold()
    first.claim({"BRK-1": "alpha"})
    began = store.now
    heir = store.hold()
    heir.take_up()
    assert heir.inherited.keys() == {"BRK-1"}
    assert store.now - began == pytest.approx(LEASE.total_seconds(), abs=5)
    [said] = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert said.startswith(
        "run somebody does the same, or was cut off a moment ago; this run waits"
    )
    assert said.endswith("120 seconds at most")


def test_what_another_has_taken_up_is_not_left_a_second_time() -> None:
    store = Store()
    first = store.hold()
    first.claim({"restore:new": "new"})
    first.note_asked({"restore:new": BEGIN})
    store.now += LEASE.total_seconds()
    second = store.hold()
    second.take_up()
    second.claim({"restore:new": "new"})
    second.let_go(["restore:new"])  # it is done
    second.release()
    assert first.claim({"BRK-9": "later"}) == {}
    assert first.inherited == {}
    store.now += LEASE.total_seconds()  # it is killed
    third = store.hold()
    third.take_up()
    assert third.inherited.keys() == {"BRK-9"}


def test_what_an_attempt_knows_outlives_the_loss_of_its_lease() -> None:
    store = Store()
    first = store.hold()
    first.claim({"restore:new": "new"})
    first.note_asked({"restore:new": BEGIN})
    store.now += LEASE.total_seconds()
    first.renew()  # it is awake again, holds nothing, and is killed
    assert not first.is_valid or not first.still_holds("restore:new")
    store.now += LEASE.total_seconds()
    second = store.hold()
    second.take_up()
    assert second.inherited["restore:new"].asked == BEGIN


def test_nothing_is_sent_in_the_last_seconds_of_a_lease() -> None:
    store = Store()
    hold = store.hold()
    hold.claim({"BRK-1": "alpha"})
    store.now += LEASE.total_seconds() * 0.8
    assert hold.check("BRK-1") == pytest.approx(LEASE.total_seconds() * 0.2, abs=1.1)
    store.now += LEASE.total_seconds() * 0.1
    with pytest.raises(BarrackNotPermittedError, match="expired"):
        hold.check("BRK-1")


def test_two_attempts_of_one_run_hold_nothing_together() -> None:
    store = Store()
    first, second = store.hold(), store.hold()
    assert first.claim({"BRK-1": "alpha"}) == {}
    assert second.claim({"BRK-1": "alpha"}) == {"BRK-1": "run somebody"}
    second.release()
    assert first.still_holds("BRK-1")


def test_a_record_that_was_deleted_holds_nothing() -> None:
    store = Store()
    hold = store.hold()
    hold.claim({"guard": "guard"})
    assert hold.still_holds("guard")
    store.kept.clear()
    assert not hold.still_holds("guard")
    with pytest.raises(BarrackNotPermittedError):
        hold.check("guard")
    assert hold.claim({"guard": "guard"}) == {}
    assert hold.check("guard") > 0


def test_records_of_the_first_releases_are_read() -> None:
    store = Store()
    left = {
        **{"run": "abc", "by": "run old", "intent": "same", "pid": 1, "born": "1"},
        **{"moment": BEGIN.isoformat(), "until": BEGIN.isoformat(), "machine": "elsewhere"},
        **{"finished": False, "held": {"restore:new": "new", "shared:snapshot:5": ""}},
    }
    store.put("abc_0", left)
    early = store.hold()
    store.now += 60.0
    assert early.claim({"restore:new": "new"}) == {"restore:new": "run old"}
    store.now += LEASE.total_seconds()
    late = store.hold()
    late.take_up()
    assert late.inherited["restore:new"].moments == (BEGIN,)
    assert late.inherited["restore:new"].asked == BEGIN - CLOCKS_DIFFER
    assert "snapshot:5" not in str(late.inherited)


def test_what_a_run_has_made_is_known_to_who_repeats_it_and_to_nobody_else() -> None:
    store = Store()
    asked = BEGIN + timedelta(minutes=1)
    first = store.hold(run="once")
    first.take_up()
    first.claim({"restore:made": "made", "restore:refused": "refused", "restore:held": "held"})
    first.note_asked({"restore:made": asked, "restore:refused": asked})
    first.let_go(["restore:refused"])
    first.release()
    for run, done in (("once", {"restore:made": asked}), ("other", {}), ("once", None)):
        again = store.hold(run=run)
        again.take_up()
        assert again.inherited == {}
        assert again.done == ({"restore:made": asked} if done is None else done)
        assert again.claim({"restore:made": "made"}) == {}, "it is not held any more"
        again.release()
        store.now += 3600.0
        again.sweep()
    store.now += timedelta(days=2).total_seconds()
    again.sweep()
    assert "restore:made" not in str(store.kept)


# Who is alive


def record_of(process: subprocess.Popen[bytes], born: str | None) -> Record:
    return Record(
        run="a",
        by="a",
        intent="a",
        moment=BEGIN,
        until=BEGIN,
        machine=processes.machine(),
        pid=process.pid,
        born=born,
        held={},
    )


@pytest.fixture
def child() -> Any:
    running = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield running
    running.kill()
    running.wait()


def test_a_process_is_known_to_have_ended_once_it_has(child: Any) -> None:
    record = record_of(child, processes.born(child.pid))
    assert Process().knows_running(record)
    child.kill()
    while processes.born(child.pid):
        time.sleep(0.01)
    assert Process().knows_ended(record), "a zombie does no work"
    child.wait()
    assert Process().knows_ended(record)


def test_a_process_that_is_hidden_counts_as_running(
    child: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(child, processes.born(child.pid))
    monkeypatch.setattr(processes, "born", lambda _: None)  # as under hidepid=2
    assert not Process().knows_ended(record)
    monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(PermissionError()))
    assert not Process().knows_ended(record)


def test_without_a_boot_id_nothing_is_known_of_any_process(
    child: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = record_of(child, processes.born(child.pid))
    child.kill()
    child.wait()
    monkeypatch.setattr(processes, "_BOOT", tmp_path / "missing")
    assert processes.machine() is None
    assert not Process().knows_ended(record)
    assert not Process().knows_ended(record.model_copy(update={"machine": None}))


# What is asked before a request goes out


def test_a_pause_that_the_server_asks_for_outlasts_no_lease() -> None:
    asked: list[float] = []

    def permit() -> float:
        asked.append(time.monotonic())
        if len(asked) > 2:
            raise BarrackNotPermittedError("not sent: the lease is over")
        return 60.0

    with Sandbox(fleet=1) as sandbox, Barrack(sandbox.api_key, sandbox.url) as client:
        [instance] = client.instances.list()
        sandbox.fault("status", operation="stop_instance", status=429, retry_after=0.2, count=1)
        with pytest.raises(BarrackNotPermittedError):
            client.guarded(permit).instances.stop(instance.id)
        sent = [r for r in sandbox.requests() if r["operation"] == "stop_instance"]
        assert [r["status"] for r in sent] == [429], "only the first request went out"
        assert len(asked) == 3, "before its turn, at the first byte, and before the repetition"
        assert client.instances.list(), "reads ask nobody"


def test_the_last_moment_to_refuse_is_when_the_connection_is_there() -> None:
    answers = iter([60.0])

    def permit() -> float:
        try:
            return next(answers)
        except StopIteration:
            raise BarrackNotPermittedError("not sent: the lease is over") from None

    with Sandbox(fleet=1) as sandbox, Barrack(sandbox.api_key, sandbox.url) as client:
        [instance] = client.instances.list()
        with pytest.raises(BarrackNotPermittedError) as caught:
            client.guarded(permit).instances.stop(instance.id)
        assert caught.value.took_effect is False
        assert not [r for r in sandbox.requests() if r["operation"] == "stop_instance"]
        client.instances.stop(instance.id)  # the connection pool is still usable


def test_what_was_decided_before_the_lease_was_lost_is_not_sent_after_it_is_held_again() -> None:
    store = Store()
    hold = store.hold()
    assert hold.claim({"BRK-1": "alpha", "BRK-2": "beta"}) == {}
    decided = hold.claims
    assert hold.check("BRK-1", since=decided) > 0
    store.now += LEASE.total_seconds() + 1
    assert hold.claim({"BRK-1": "alpha"}) == {}
    assert hold.check("BRK-1") > 0
    with pytest.raises(BarrackNotPermittedError, match="lost and claimed again since"):
        hold.check("BRK-1", since=decided)
    assert hold.check("BRK-1", since=hold.claims) > 0
    assert hold.claim({"BRK-2": "beta"}) == {}
    assert hold.check("BRK-1", since=hold.claims) > 0, "what is claimed later changes nothing"


def test_no_answer_is_waited_for_that_could_come_after_the_lease_is_over() -> None:
    once = RetryPolicy(attempts=1)
    with Sandbox(fleet=1) as sandbox, Barrack(sandbox.api_key, sandbox.url, retry=once) as client:
        [instance] = client.instances.list()
        sandbox.fault("latency", operation="stop_instance", seconds=2)
        began = time.monotonic()
        with pytest.raises(BarrackTimeoutError):
            client.guarded(lambda: 0.3).instances.stop(instance.id)
        assert 0.3 <= time.monotonic() - began < 1.5


def test_the_environment_says_how_long_a_lock_holds_by_its_new_name_or_by_the_earlier_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lease_length() == LEASE
    monkeypatch.setenv("BARRACK_LEASE_SECONDS", "30")
    assert lease_length() == timedelta(seconds=30)
    monkeypatch.setenv("BARRACK_LOCK_SECONDS", "60")
    assert lease_length() == timedelta(seconds=60)
    monkeypatch.setenv("BARRACK_LOCK_SECONDS", "soon")
    with pytest.raises(ValueError, match="BARRACK_LOCK_SECONDS must be between 3 and 3600"):
        lease_length()
