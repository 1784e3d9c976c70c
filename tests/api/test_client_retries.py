"""Repetition: what is sent again, after how long, and when it ends. By virtual time."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barrack_tasks import api
from barrack_tasks.api import Barrack, RetryPolicy
from barrack_tasks.api.transport.answers import retry_after
from barrack_tasks.api.transport.pacing import RetryBudget
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import VirtualTime, client_of, http, wired

BALANCE = http({"data": {"balance": {"amount": "7", "currency": "USD"}}})
NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(speed=0, fleet=1, start=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    yield running
    running.clear_faults()


class Timed:
    """A client by virtual time, with the default policy, and how often it asked."""

    def __init__(self, sandbox: Sandbox, **policy: Any) -> None:
        self.time = VirtualTime()
        self._sandbox = sandbox
        self._before = len(sandbox.requests())
        self.client = Barrack(
            sandbox.api_key,
            sandbox.url,
            retry=replace(RetryPolicy(), **policy),
            clock=self.time.clock,
            sleep=self.time.sleep,
        )

    @property
    def requests(self) -> int:
        """Requests so far."""
        return len(self._sandbox.requests()) - self._before

    @property
    def passed(self) -> float:
        """Seconds so far."""
        return self.time.now - 1000


# How long


def test_jitter_is_full_and_doubles_up_to_its_bound(sandbox: Sandbox) -> None:
    sandbox.fault("status", status=500, count=None)
    rounds = []
    for _ in range(40):
        timed = Timed(sandbox, first_wait=0.5, longest_wait=4, attempts=7)
        with pytest.raises(api.BarrackServerError):
            timed.client.balance.get()
        assert timed.requests == 7
        rounds.append(timed.time.sleeps)
    for number, most in enumerate([0.5, 1, 2, 4, 4, 4]):
        waits = [sleeps[number] for sleeps in rounds]
        assert 0 <= min(waits) < most / 4
        assert most * 3 / 4 < max(waits) <= most


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(sandbox: Sandbox, status: int, as_date: bool) -> None:
    timed = Timed(sandbox)
    sandbox.fault("status", status=status, retry_after=17, retry_after_date=as_date, count=2)
    assert timed.client.balance.get().amount > 0
    assert timed.requests == 3
    assert 34 <= timed.passed < 36


def test_a_date_is_read_by_the_servers_clock_not_by_ours() -> None:
    from email.utils import format_datetime

    for skew in (timedelta(0), timedelta(days=-400), timedelta(days=400)):
        there = NOW + skew
        later = format_datetime(there + timedelta(seconds=30), usegmt=True)
        assert retry_after(later, there) == 30


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("0.5", 0.5),
        ("-3", None),
        ("inf", None),
        ("nan", None),
        ("1e9", None),
        ("soon", None),
        ("Wed, 25 Nov 2026 08:00:10 GMT", 10),
        ("Wed, 25 Nov 2026 07:00:00 GMT", 0),
        ("Wed, 99 Nov 2026 08:00:10 GMT", None),
    ],
)
def test_headers_of_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_refusals_for_speed_do_not_count_as_attempts(sandbox: Sandbox) -> None:
    timed = Timed(sandbox, attempts=2, longest_wait=3)
    sandbox.fault("status", status=429, retry_after=2, count=20)
    sandbox.fault("status", status=503)
    assert timed.client.balance.get()
    assert timed.requests == 22


def test_a_pause_longer_than_the_deadline_is_told_at_once(sandbox: Sandbox) -> None:
    timed = Timed(sandbox)
    sandbox.fault("status", status=429, retry_after=1000)
    with pytest.raises(api.BarrackRateLimitedError) as caught:
        timed.client.balance.get()
    assert caught.value.retry_after == 1000
    assert timed.passed == 0
    with pytest.raises(api.BarrackTimeoutError, match="the request was not sent within") as second:
        timed.client.instances.stop("BRK-A1B2C3D")
    assert second.value.took_effect is False
    assert second.value.operation == "stop_instance"
    assert timed.requests == 1
    timed.time.now += 121
    assert timed.client.balance.get(), "the client is not paused for longer than any call waits"


def test_one_refusal_pauses_all_threads(sandbox: Sandbox) -> None:
    threads = 8
    virtual = VirtualTime(threads)
    moments: list[float] = []
    with client_of(
        sandbox, clock=virtual.clock, sleep=virtual.sleep, policy={"deadline": 100}
    ) as client:
        send = client._call._exchange.send

        def noted(*arguments: Any) -> Any:
            moments.append(virtual.now - 1000)
            return send(*arguments)

        client._call._exchange.send = noted  # type: ignore[assignment,method-assign]
        first = threading.Event()

        def work(number: int) -> None:
            if number:
                first.wait(10)
            client.balance.get()
            virtual.leave()

        def refused(*arguments: Any) -> Any:
            client._call._exchange.send = noted  # type: ignore[assignment,method-assign]
            try:
                return noted(*arguments)
            finally:
                threading.Timer(0.2, first.set).start()

        client._call._exchange.send = refused  # type: ignore[assignment,method-assign]
        sandbox.fault("status", status=429, retry_after=30)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))
    assert moments[0] == 0
    assert len(moments) == threads + 1
    assert all(moment >= 30 for moment in moments[1:])


# How often


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 501])
def test_what_will_not_pass_is_not_repeated(sandbox: Sandbox, status: int) -> None:
    timed = Timed(sandbox)
    sandbox.fault("status", status=status, count=None)
    with pytest.raises(api.BarrackError):
        timed.client.balance.get()
    assert timed.requests == 1
    assert timed.passed == 0


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_what_may_pass_is_repeated(sandbox: Sandbox, status: int) -> None:
    timed = Timed(sandbox)
    sandbox.fault("status", status=status, count=4)
    assert timed.client.balance.get()
    assert timed.requests == 5


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncated", "malformed", "html"])
def test_reads_are_repeated_whatever_became_of_them(sandbox: Sandbox, kind: str) -> None:
    timed = Timed(sandbox)
    sandbox.fault(kind, count=3)
    assert list(timed.client.instances.list())
    assert timed.requests == 4


def test_a_quote_is_a_read_that_posts(sandbox: Sandbox) -> None:
    timed = Timed(sandbox)
    sandbox.fault("reset_after", count=3)
    assert timed.client.pricing.quote("L40", 1)
    assert timed.requests == 4


def test_the_budget_ends_and_fills_again(sandbox: Sandbox) -> None:
    timed = Timed(sandbox, first_wait=0.001)
    timed.client._call._repeat._budget = timed.client._call._budget = RetryBudget(10, refund=0.5)
    sandbox.fault("status", status=503, count=None)
    for _ in range(5):
        with pytest.raises(api.BarrackServerError):
            timed.client.balance.get()
    assert timed.requests == 5 + 10, "each call once, and ten repetitions among all"
    sandbox.clear_faults()
    for _ in range(4):
        timed.client.balance.get()
    sandbox.fault("status", status=503, count=None)
    before = timed.requests
    with pytest.raises(api.BarrackServerError):
        timed.client.balance.get()
    assert timed.requests - before == 1 + 2


# Until when


def test_the_deadline_holds_over_all_attempts(sandbox: Sandbox) -> None:
    timed = Timed(sandbox, attempts=10_000, deadline=60)
    sandbox.fault("status", status=503, count=None)
    with pytest.raises(api.BarrackServerError):
        timed.client.balance.get()
    assert 30 < timed.passed <= 60


def test_the_deadline_holds_for_a_change_and_its_looks(sandbox: Sandbox) -> None:
    timed = Timed(sandbox, attempts=10_000, deadline=60)
    id_ = next(timed.client.instances.list()).id
    list(timed.client.snapshots.list())
    sandbox.fault("status", "create_snapshot", status=503, count=None)
    sandbox.fault("status", "list_snapshots", status=503, count=None)
    began = timed.time.now
    with pytest.raises(api.BarrackServerError, match="looking for its effect failed") as caught:
        timed.client.snapshots.create(id_, "never")
    assert timed.time.now - began <= 60
    assert caught.value.took_effect is None
    assert caught.value.operation == "create_snapshot"


def test_the_deadline_holds_in_real_time() -> None:
    def silent(connection: socket.socket) -> None:
        time.sleep(1.5)

    for policy in ({"timeout": 30, "deadline": 0.3}, {"timeout": 0.1, "deadline": 0.4}):
        began = time.monotonic()
        with wired(silent, policy=policy) as (_, client):
            with pytest.raises(api.BarrackTimeoutError):
                client.balance.get()
            assert time.monotonic() - began < 1.3


def test_attempts_that_are_one_are_one(sandbox: Sandbox) -> None:
    timed = Timed(sandbox, attempts=1)
    id_ = next(timed.client.instances.list()).id
    sandbox.fault("status", "reboot_instance", status=503)
    with pytest.raises(api.BarrackServerError) as caught:
        timed.client.instances.reboot(id_)
    assert caught.value.took_effect is None
    assert timed.requests == 2


def test_a_connection_that_the_server_closed_meanwhile_costs_one_attempt() -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with wired(reset, b"", http("<p>", 502), BALANCE) as (wire, client):
        assert client.balance.get().amount == 7
        assert len(wire.requests) == 4
