"""Pacing: the rate and the cap hold for all threads together, and a pause stops them all."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.transport.pacing import Pacer, RetryBudget, TooLate
from tests.api.helpers import VirtualTime


def starts_of(
    threads: int, each: int, rate: float | None, pauses: dict[int, float] | None = None
) -> list[float]:
    """When turns came, by virtual time. `pauses`: after so many turns, ask for such a pause."""
    virtual = VirtualTime(threads)
    # What changes something leaves a slot to reads.
    pacer = Pacer(rate, threads + 1, virtual.clock, virtual.sleep)
    starts: list[float] = []
    lock = threading.Lock()

    def work() -> None:
        for _ in range(each):
            with pacer.turn(), lock:
                starts.append(virtual.now)
                if pauses and len(starts) in pauses:
                    pacer.pause(pauses[len(starts)])
        virtual.leave()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(starts) == threads * each
    return [start - 1000.0 for start in starts]


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_no_number_of_threads_exceeds_the_rate(threads: int) -> None:
    starts = sorted(starts_of(threads, 48 // threads, rate=10))
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert min(gaps) == pytest.approx(0.1)
    assert starts[-1] == pytest.approx(4.7), "and none of it is wasted"


def test_without_a_rate_nothing_waits() -> None:
    assert set(starts_of(8, 4, rate=None)) == {0.0}


@pytest.mark.parametrize("threads", [1, 8])
def test_a_pause_stops_all_threads_also_those_that_wait_already(threads: int) -> None:
    starts = starts_of(threads, 24 // threads, rate=10, pauses={5: 60.0})
    paused_at = starts[4]
    assert not [start for start in starts if paused_at < start < paused_at + 60]
    after = sorted(start for start in starts if start > paused_at)
    assert after[0] == pytest.approx(paused_at + 60, abs=0.11)
    gaps = [b - a for a, b in itertools.pairwise(after)]
    assert min(gaps) == pytest.approx(0.1), "after it they do not all go at once"


def test_many_refusals_at_once_are_one_pause() -> None:
    virtual = VirtualTime()
    pacer = Pacer(10, 8, virtual.clock, virtual.sleep)
    for seconds in (5, 5, 3, 5, 0):
        pacer.pause(seconds)
    with pacer.turn():
        assert virtual.now == pytest.approx(1005)


def test_a_pause_without_a_rate_holds_too() -> None:
    virtual = VirtualTime()
    pacer = Pacer(None, 8, virtual.clock, virtual.sleep)
    virtual.now += 500
    pacer.pause(7)
    for _ in range(3):
        with pacer.turn():
            assert virtual.now == pytest.approx(1507)


def test_a_turn_after_the_deadline_is_not_waited_for() -> None:
    virtual = VirtualTime()
    pacer = Pacer(None, 1, virtual.clock, virtual.sleep)
    pacer.pause(100)
    with pytest.raises(TooLate), pacer.turn(deadline=1050):
        pytest.fail("it has no turn")
    assert virtual.now == 1000, "it is told at once"
    with pacer.turn(deadline=1200):
        assert virtual.now == 1100, "and holds no slot"


def test_a_slot_after_the_deadline_is_not_waited_for() -> None:
    pacer = Pacer(None, 1)
    with pacer.turn():
        began = time.monotonic()
        with pytest.raises(TooLate), pacer.turn(deadline=began + 0.05):
            pytest.fail("there is one slot")
        assert 0.04 < time.monotonic() - began < 2


def test_a_read_goes_before_all_changes_that_wait_and_the_cap_holds_over_both() -> None:
    pacer = Pacer(None, 4)
    order: list[str] = []
    under_way: list[str] = []
    most = 0
    lock = threading.Lock()
    go_on = threading.Semaphore(0)

    def work(what: str) -> None:
        nonlocal most
        with pacer.turn(is_read=what == "read"):
            with lock:
                order.append(what)
                under_way.append(what)
                most = max(most, len(under_way))
            assert go_on.acquire(timeout=10)
            with lock:
                under_way.remove(what)

    changes = [threading.Thread(target=work, args=("change",)) for _ in range(9)]
    for worker in changes:
        worker.start()
    until(lambda: len(order) == 3)
    reads = [threading.Thread(target=work, args=("read",)) for _ in range(3)]
    for worker in reads:
        worker.start()
    until(lambda: len(order) == 4)
    assert order == ["change"] * 3 + ["read"], "a slot is free for it, though changes wait"
    until(lambda: len(pacer._slots._reads) == 2)
    go_on.release()  # one slot becomes free
    until(lambda: len(order) == 5)
    go_on.release()
    until(lambda: len(order) == 6)
    assert order[4:] == ["read"] * 2, "the reads that waited went before the changes"
    go_on.release(10)
    for worker in [*changes, *reads]:
        worker.join(10)
    assert most == 4
    assert len(order) == 12


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_under_a_rate_every_other_turn_is_a_read() -> None:
    virtual = VirtualTime(9)
    pacer = Pacer(10, 10, virtual.clock, virtual.sleep)
    starts: list[tuple[float, bool]] = []
    lock = threading.Lock()

    def work(is_read: bool) -> None:
        with pacer.turn(is_read=is_read), lock:
            starts.append((round(virtual.now - 1000, 3), is_read))
        virtual.leave()

    with pacer.turn():
        pass
    workers = [threading.Thread(target=work, args=(False,)) for _ in range(6)]
    for number, worker in enumerate(workers, 1):
        worker.start()
        until(lambda number=number: len(pacer._waiting) == number)  # type: ignore[misc]
    reads = [threading.Thread(target=work, args=(True,)) for _ in range(3)]
    for number, worker in enumerate(reads, 7):
        worker.start()
        until(lambda number=number: len(pacer._waiting) == number or starts)  # type: ignore[misc]
    for worker in [*workers, *reads]:
        worker.join(30)
    assert [moment for moment, _ in sorted(starts)] == pytest.approx(
        [n / 10 for n in range(1, 10)]
    ), "the rate holds over both"
    assert [is_read for _, is_read in sorted(starts)] == [True, False] * 3 + [False] * 3


def test_a_slot_is_given_back_when_the_request_fails() -> None:
    pacer = Pacer(None, 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), pacer.turn(time.monotonic() + 1):
            raise ZeroDivisionError


@given(st.lists(st.booleans()), st.integers(1, 20))
def test_the_budget_never_gives_more_than_it_has(successes: list[bool], capacity: int) -> None:
    budget = RetryBudget(capacity, refund=0.5)
    taken, refunded = 0, 0.0
    for success in successes:
        if success:
            budget.give_back()
            refunded += 0.5
        else:
            taken += budget.take()
    assert taken <= capacity + refunded


def test_the_budget_ends_and_fills_again() -> None:
    budget = RetryBudget(3, refund=0.5)
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]
    budget.give_back()
    assert not budget.take()
    budget.give_back()
    assert budget.take()
    for _ in range(100):
        budget.give_back()
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
