"""Where the key may go: to nobody in clear, by no proxy to this machine, after no redirect."""

from __future__ import annotations

from typing import Any

import pytest

from barrack_tasks import api
from barrack_tasks.api import Barrack, BarrackConfigurationError, BarrackValidationError
from barrack_tasks.api.dialect import builtin
from barrack_tasks.api.transport.addresses import is_loopback
from tests.api.helpers import KEY, QUICK, Wire, http, wired

BALANCE = {"data": {"balance": {"amount": "1", "currency": "USD"}}}
IN_CLEAR = [
    "http://api.barrack.ai/v1",
    "http://192.168.0.7:8080",
    "http://0.0.0.0:8080",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://127.0.0.1@example.com.",
    "http://[fe80::1]/v1",
    "HTTP://example.com",
]
HERE = ["http://127.0.0.1:1", "http://127.8.9.1", "http://[::1]:9/v1", "http://LOCALHOST:3"]


@pytest.mark.parametrize("url", IN_CLEAR)
def test_no_key_goes_out_in_clear(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BARRACK_ALLOW_HTTP", raising=False)
    assert not is_loopback(url)
    with pytest.raises(BarrackConfigurationError, match="base_url"):
        Barrack(KEY, url)
    dialect = builtin().model_copy(update={"base_url": url})
    with pytest.raises(BarrackConfigurationError, match="base_url"):
        Barrack(KEY, dialect=dialect)


def test_in_clear_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BarrackConfigurationError, match="BARRACK_ALLOW_HTTP=1"):
        Barrack(KEY, "http://sandbox:8080")
    Barrack(KEY, "http://sandbox:8080", allow_http=True).close()
    monkeypatch.setenv("BARRACK_ALLOW_HTTP", "1")
    Barrack(KEY, "http://sandbox:8080").close()
    with pytest.raises(BarrackConfigurationError, match="in clear"):
        Barrack(KEY, "http://sandbox:8080", allow_http=False)
    monkeypatch.setenv("BARRACK_ALLOW_HTTP", "0")
    with pytest.raises(BarrackConfigurationError, match="in clear"):
        Barrack(KEY, "http://sandbox:8080")


@pytest.mark.parametrize("url", HERE)
def test_this_machine_needs_no_encryption(url: str) -> None:
    assert is_loopback(url)
    Barrack(KEY, url).close()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_is_asked_for_this_machine(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Wire(http(BALANCE))
    monkeypatch.setenv(variable, proxy.url.removesuffix("/v1"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with wired(http(BALANCE)) as (wire, client):
        assert client.balance.get().amount == 1
        assert len(wire.requests) == 1
    assert not proxy.requests
    # With leave to go in clear, the proxy is asked: the test would see it.
    with Barrack(KEY, "http://nowhere.invalid", retry=QUICK, allow_http=True) as client:
        assert client.balance.get().amount == 1
    assert len(proxy.requests) == 1
    proxy.close()


@pytest.mark.parametrize(
    "proxy", ["nonsense://u:hunter2@x", "http://u:hunter2@x:port", "socks9://x"]
)
def test_a_proxy_that_is_none_is_one_sentence(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(BarrackConfigurationError, match="the proxy that the environment") as caught:
        Barrack(KEY)
    assert "hunter2" not in f"{caught.value!r} {caught.value.__context__!r}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_carries_no_key_anywhere(status: int) -> None:
    other = Wire(http(BALANCE))
    with (
        wired(http("", status, location=other.url + "/balance")) as (_, client),
        pytest.raises(api.BarrackError, match=str(status)),
    ):
        client.balance.get()
    assert not other.requests
    other.close()


def test_cookies_are_not_kept() -> None:
    with wired(http(BALANCE, set_cookie="a=b; Path=/")) as (wire, client):
        client.balance.get()
        client.balance.get()
        assert b"cookie" not in wire.requests[1].lower()


BAD_IDS: list[Any] = [
    "a\ud800",
    {},
    {"id": "BRK-1"},
    ["BRK-1"],
    None,
    True,
    1.5,
    b"BRK-1",
    "x" * 2000,
]


@pytest.mark.parametrize("id_", BAD_IDS, ids=range(len(BAD_IDS)))
def test_what_is_no_id_is_not_sent(id_: Any) -> None:
    with wired(http("{}")) as (wire, client):
        for act in (client.instances.delete, client.instances.get, client.snapshots.get):
            with pytest.raises(BarrackValidationError, match="_id ") as caught:
                act(id_)
            assert str(caught.value).isprintable()
            assert "\ud800" not in str(caught.value)
        assert not wire.requests


@pytest.mark.parametrize("status", [{}, {"a": 1}, ["ACTIVE"], "a\ud800", object(), "x" * 2000])
def test_what_is_no_filter_is_not_sent(status: Any) -> None:
    with wired(http("{}")) as (wire, client):
        with pytest.raises(BarrackValidationError, match="status "):
            list(client.instances.list(status))
        assert not wire.requests


def test_a_parameter_that_there_is_not_is_not_passed_over() -> None:
    with wired(http("{}")) as (wire, client):
        with pytest.raises(BarrackValidationError, match="stauts is not a parameter"):
            client.perform("list_instances", stauts="ACTIVE")
        assert not wire.requests


def test_half_a_character_in_a_name_is_not_sent() -> None:
    with wired(http({"ssh_keys": []})) as (wire, client):
        with pytest.raises(api.BarrackError) as caught:
            client.perform("create_ssh_key", name="a\ud800", public_key="ssh-ed25519 AAAA x")
        assert str(caught.value).isprintable()
        assert not any(line.startswith("POST") for line in wire.lines)
