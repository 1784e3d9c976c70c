"""The client itself: how it is made, shared and closed, and what it reads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from barrack_tasks import api
from barrack_tasks.api import Barrack, BarrackConfigurationError, Dialect
from barrack_tasks.api import models as m
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import KEY, client_of, everything_about, http, wired

# Made wrongly

BAD_KEYS: list[Any] = [
    "",
    "   ",
    "\n",
    "two words",
    "line\nbreak",
    "tab\there",
    "schlüssel",
    "a\x00",
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(BarrackConfigurationError) as caught:
        Barrack(key)
    assert str(caught.value).count(". ") == 0
    assert "API key" in str(caught.value)
    if key.strip():
        assert key not in str(caught.value)


@pytest.mark.parametrize("key", [None, 7, b"key"])
def test_keys_that_are_no_text(key: Any) -> None:
    with pytest.raises(BarrackConfigurationError, match="must be text"):
        Barrack(key)


def test_a_key_that_was_copied_with_its_line_break() -> None:
    with wired(http({"data": {"balance": {"amount": "1", "currency": "USD"}}})) as (wire, _):
        with Barrack(f" {KEY}\n", wire.url) as client:
            client.balance.get()
        assert f"x-api-key: {KEY}\r\n".encode() in wire.requests[0]


BAD_URLS: list[Any] = [
    "api.barrack.ai/v1",
    "ftp://api.barrack.ai",
    "nonsense",
    "//api.barrack.ai",
    "http://",
    "https:///v1",
    "http://host:99999",
    "http://host:port",
    "http://[::1",
    "https://exa mple.com",
    "https://api.barrack.ai/v1\n",
    " https://api.barrack.ai/v1",
    "https://api.barrack.ai/v1?key=1",
    "https://api.barrack.ai/v1#top",
    "https://me:hunter2@api.barrack.ai",
    "https://me:hunter2@api.barrack.ai:port",
    7,
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_addresses_that_are_none(url: Any) -> None:
    def make(key: str) -> None:
        Barrack(key, url)

    with pytest.raises(BarrackConfigurationError, match="must look like https://api") as caught:
        make(KEY)
    assert str(caught.value).startswith("base_url ")
    assert "hunter2" not in str(caught.value)


def test_the_key_is_no_local_of_the_client_where_it_fails() -> None:
    for wrong in ({"base_url": "nonsense"}, {"max_concurrency": 0}, {"api_key": f"{KEY} {KEY}"}):
        with pytest.raises(BarrackConfigurationError) as caught:
            Barrack(**{"api_key": KEY, **wrong})  # type: ignore[arg-type]
        wrong.clear()
        assert KEY not in everything_about(caught.value)


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_a_slash_at_the_end_is_nothing(slashes: str) -> None:
    with (
        Sandbox(speed=0, fleet=0) as sandbox,
        Barrack(sandbox.api_key, sandbox.url + slashes) as client,
    ):
        assert client.balance.get().amount == 100
        assert client.base_url == sandbox.url


OTHER_MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"requests_per_second": 0}, "requests_per_second"),
    ({"requests_per_second": -1}, "requests_per_second"),
    ({"requests_per_second": float("nan")}, "requests_per_second"),
    ({"max_concurrency": 0}, "max_concurrency"),
    ({"header_name": "x api key"}, "header"),
    ({"header_name": "x-api-key\r\nx-evil: 1"}, "header"),
    ({"dialect": Dialect(auth={"header": "", "scheme": ""})}, "header"),
    ({"dialect": Dialect(auth={"header": "a", "scheme": "Bearer\r\n"})}, "scheme"),
]


@pytest.mark.parametrize(("how", "says"), OTHER_MISTAKES)
def test_other_settings_that_cannot_be(how: dict[str, Any], says: str) -> None:
    with pytest.raises(BarrackConfigurationError, match=says):
        Barrack(KEY, "http://127.0.0.1:9", **how)


def test_operations_that_are_none() -> None:
    client = Barrack(KEY, "http://127.0.0.1:9")
    with pytest.raises(BarrackConfigurationError, match="no operation named 'fly'"):
        client.perform("fly")
    client = Barrack(KEY, "http://127.0.0.1:9", dialect=Dialect())
    with pytest.raises(BarrackConfigurationError, match=r"add operations.get_credit_balance"):
        client.balance.get()


def test_a_path_of_a_dialect_that_fits_no_operation() -> None:
    wrong = {"operations": {"get_instance": {"method": "GET", "path": "/vms/{vm_id}"}}}
    client = Barrack(KEY, "http://127.0.0.1:9", dialect=Dialect.model_validate(wrong))
    with pytest.raises(BarrackConfigurationError, match=r"/vms/\{vm_id\}"):
        client.instances.get("BRK-A1B2C3D")


@pytest.mark.parametrize("id_", ["", " ", ".", ".."])
def test_ids_that_would_lead_elsewhere(id_: str) -> None:
    with wired(http("{}")) as (wire, client):
        with pytest.raises(api.BarrackValidationError) as caught:
            client.instances.delete(id_)
        assert caught.value.operation == "delete_instance"
        assert "instance_id" in caught.value.fields
        assert not wire.requests


def test_ids_are_one_step_of_a_path_whatever_they_hold() -> None:
    with wired(http({"instance": {"id": 1, "status": "DELETING"}})) as (wire, client):
        client.instances.delete("a/../b?c#d %2F")
        assert wire.lines == ["DELETE /v1/instances/a%2F..%2Fb%3Fc%23d%20%252F HTTP/1.1"]


# Opened and closed


def test_a_block_closes_and_what_is_closed_says_so() -> None:
    with Sandbox(speed=0, fleet=1) as sandbox:
        with client_of(sandbox) as client:
            id_ = next(client.instances.list()).id
        for act in (
            client.balance.get,
            lambda: list(client.instances.list()),
            lambda: client.instances.hibernate(id_),
            lambda: client.snapshots.create(id_, "a"),
            lambda: client.perform("get_instance", instance_id=id_),
        ):
            with pytest.raises(BarrackConfigurationError, match=r"is closed.*make a new one"):
                act()
        client.close()
        assert len(sandbox.ledger()) == 1


def test_closing_while_others_try_again() -> None:
    with Sandbox(speed=0, fleet=1) as sandbox:
        sandbox.fault("status", status=503, count=None)
        client = client_of(sandbox, policy={"attempts": 1000, "deadline": 20})
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(client.balance.get) for _ in range(4)]
            time.sleep(0.1)
            client.close()
            for call in calls:
                with pytest.raises(api.BarrackError):
                    call.result(10)


# Shared


def test_64_threads_share_one_client() -> None:
    with Sandbox(speed=0, fleet=64, balance=1000) as sandbox, client_of(sandbox) as client:
        sandbox.fault("reset_before", probability=0.05, count=None)
        sandbox.fault("error_after", "create_snapshot", probability=0.2, count=None)
        ids = [instance.id for instance in client.instances.list()]

        def work(id_: str) -> str:
            assert client.instances.get(id_).id == id_
            made = client.snapshots.create(id_, f"of {id_}")
            assert made.name == f"of {id_}"
            assert client.snapshots.get(made.id).instance_id == id_
            return made.id

        with ThreadPoolExecutor(64) as pool:
            made = list(pool.map(work, ids))
        assert len(set(made)) == 64
        assert len(sandbox.state()["snapshots"]) == 64


def test_the_cap_on_concurrency_holds() -> None:
    lock = threading.Lock()
    under_way, seen = 0, []

    def slow(connection: Any) -> None:
        nonlocal under_way
        with lock:
            under_way += 1
            seen.append(under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        connection.sendall(http({"data": {"balance": {"amount": "1", "currency": "USD"}}}))

    with wired(slow, max_concurrency=5) as (wire, client):
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda _: client.balance.get(), range(48)))
        assert max(seen) == 5
        assert len(wire.requests) == 48


def test_the_rate_holds_by_the_clouds_own_count() -> None:
    with Sandbox(speed=0, fleet=0) as sandbox:
        with client_of(sandbox, requests_per_second=40) as client, ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: client.balance.get(), range(120)))
        counted = sandbox.state()["requests"]
        assert counted["total"] == 120
        # They may bunch up on a busy machine, and yet all of them cannot come in one second.
        assert counted["peak_per_second"] <= 80


# Read


def test_unknown_fields_and_words_are_kept() -> None:
    odd = {
        "id": 17,
        "name": "a",
        "status": "PAUSED",
        "region": "MARS-1",
        "gpu_count": 3,
        "mood": {"x": [1]},
        "flavor": {"name": "f", "colour": "red"},
    }
    with wired(http({"status": True, "instance": odd, "more": 1})) as (_, client):
        found = client.instances.get("17")
    assert (found.id, found.status, found.region, found.gpu_count) == ("17", "PAUSED", "MARS-1", 3)
    assert isinstance(found.status, m.VMStatus)
    assert not found.status.known
    assert found.unknown == {"mood": {"x": [1]}}
    assert found.flavor is not None
    assert found.flavor.unknown == {"colour": "red"}


AMOUNTS = ["0.1", "123.45", "0.30000000000000004", "12345678901234567890.12345678901234567890"]


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("written", ['"{}"', "{}"])
def test_amounts_come_exactly(amount: str, written: str) -> None:
    balance_ = f'{{"amount": {written.format(amount)}, "currency": "EUR"}}'
    with wired(http(f'{{"data": {{"balance": {balance_}}}}}')) as (_, client):
        balance = client.balance.get()
    assert balance.amount == Decimal(amount)
    assert isinstance(balance.amount, Decimal)
