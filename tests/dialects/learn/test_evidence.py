"""Learning from answers: samples, recordings with secrets in them, and probes of real servers."""

from __future__ import annotations

import gzip
import logging
import socket
import sys
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api import Barrack
from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.dialects.learn import (
    Learned,
    LearnError,
    RecordedCall,
    dialect_text,
    learn_samples,
    probe,
)
from barrack_tasks.dialects.learn.candidates import is_safe, plain_id
from barrack_tasks.sandbox import Sandbox
from tests.dialects.learn.helpers import (
    JSON,
    KEY,
    NAMES,
    client,
    dialect,
    everything,
    furnish,
    furnished,
    known,
    show,
)
from tests.thinning import thinned

SEEN = (
    "list_instances", "get_credit_balance", "list_snapshots", "list_regions", "list_volumes",
    "get_gpu_stock", "get_pricing", "list_images",
)  # fmt: skip


@pytest.mark.parametrize(("name", "root"), thinned(NAMES, [False, True]))
def test_probe(name: str, root: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with furnished(dialect(name)) as sandbox:
        furnish(sandbox)
        before = len(sandbox.requests())
        url = "http://" + sandbox.url.split("/")[2] if root else sandbox.url
        learned = probe(url, sandbox.api_key)
        asked = sandbox.requests()[before:]
        print(f"\nprobe {name}: {len(asked)} requests, {Counter(x['status'] for x in asked)}")  # noqa: T201
        show(name, learned)
        assert len(asked) <= 60
        assert {x["method"] for x in asked} == {"GET"}
        assert not [x for x in asked if any(w in x["path"] for w in ("stop", "hibern", "restore"))]
        true, mine = sandbox.dialect, merged(learned.dialect(), "probed.yaml")
        assert mine.auth == true.auth
        if true.paging.style != "none":
            assert mine.paging == true.paging
        with client(sandbox, true) as one, Barrack(sandbox.api_key, dialect=mine) as other:
            for operation in SEEN:
                assert known(other.perform(operation)) == known(one.perform(operation)), operation
        _nothing_wrong(learned, sandbox)
        assert KEY not in everything(learned)
        assert KEY not in caplog.text


def _nothing_wrong(learned: Learned, sandbox: Sandbox) -> None:
    """Every operation that was matched is the one that the cloud has there."""
    base = sandbox.url.split("/", 3)[3]
    for what, match in learned.matches.items():
        if not what.startswith("operations.") or what.count(".") > 1:
            continue
        true = sandbox.dialect.operations[what.split(".")[1]]
        address = str(learned.matches["base_url"].wire).split("/", 3)[3] + match.wire["path"]
        assert address == base + true.path, what
        assert match.wire["method"] == true.method


def test_probe_with_a_key_that_is_refused_stops_at_once() -> None:
    with furnished(dialect("builtin")) as sandbox:
        learned = probe(sandbox.url, "brk-wrong-key-1234567890")
        asked = [one["operation"] for one in sandbox.requests()]
        assert asked == ["list_regions"] * 5, "one for each way of sending a key, and no more"
        assert any("refused the key (401)" in note for note in learned.notes)
        assert "brk-wrong" not in repr(learned)


def test_probe_stops_at_too_many_requests() -> None:
    with furnished(dialect("builtin")) as sandbox:
        sandbox.fault("status", "get_credit_balance", status=429)
        learned = probe(sandbox.url, sandbox.api_key)
        assert sandbox.requests()[-1]["operation"] == "get_credit_balance"
        assert any("429" in note for note in learned.notes)


def test_probe_asks_no_other_host_and_does_nothing() -> None:
    asked: list[httpx.Request] = []

    def send(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path.endswith("/regions"):
            body = {"regions": [{"name": "CANADA-1"}], "next": "https://evil.example/x"}
            return httpx.Response(200, json=body)
        if request.url.path.endswith("/instances"):
            ids = ["../../x", "a/stop", "stop", "hibernate-all", "1?x=1", "ok-1"]
            rows = [{"id": i, "name": i, "status": "ACTIVE"} for i in ids]
            return httpx.Response(200, json={"instances": rows})
        return httpx.Response(302, headers={"location": "https://evil.example/stop"})

    learned = probe("https://api.example", KEY, send=send)
    assert {r.url.host for r in asked} == {"api.example"}
    assert {r.method for r in asked} == {"GET"}
    assert len(asked) <= 60
    assert all(is_safe(r.url.path) for r in asked)
    assert KEY not in everything(learned)
    assert any("not followed" in note for note in learned.notes)


def test_probe_of_what_does_not_answer() -> None:
    def send(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError(f"no {KEY}", request=request)

    with pytest.raises(LearnError, match="does not answer") as caught:
        probe("https://api.example", KEY, send=send)
    assert KEY not in str(caught.value)
    for url in ("ftp://x", "https://", "https://u:p@x", "nothing", "https://x?y=1"):
        with pytest.raises(LearnError, match="address"):
            probe(url, KEY, send=send)
    with pytest.raises(LearnError, match="key"):
        probe("https://api.example", " ", send=send)


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """Answers each connection with what `answer` sends; gives the address, and what was asked."""
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            asked.append(connection.recv(65536))
            answer(connection)

    def listen() -> None:
        with suppress(OSError):
            while True:
                Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        listener.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def endless(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n")
    for _ in range(4_000):  # a gigabyte, if somebody takes it
        connection.sendall(b" " * 262_144)


def packed(connection: socket.socket) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # in pieces: this memory is counted too
    body = b"".join(packer.compress(b" " * 1_000_000) for _ in range(200)) + packer.flush()
    length = b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    connection.sendall(HEAD + length + body)


def drip(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"\r\n[")
    for _ in range(600):
        connection.sendall(b" ")
        time.sleep(0.1)


def drip_of_head(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    for _ in range(600):
        connection.sendall(b"x-a: b\r\n")
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("answer", "seconds", "said"),
    [
        (endless, 10.0, "has more than 5,000,000 bytes"),
        (packed, 10.0, "unpacks to more than 5,000,000 bytes"),
        (drip, 0.5, "ReadTimeout"),
        (drip_of_head, 0.5, "ReadTimeout"),
    ],
)
def test_a_probe_of_what_does_not_end_ends(
    answer: Callable[[socket.socket], None],
    seconds: float,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules[probe.__module__], "_SECONDS", seconds)
    with serving(answer) as (url, asked):
        tracemalloc.start()
        try:
            with pytest.raises(LearnError, match=said) as caught:
                probe(url, KEY)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert KEY not in str(caught.value)
    assert len(asked) == 3
    assert peak < 100_000_000


def test_a_probe_takes_what_is_packed_as_it_asked() -> None:
    body = gzip.compress(b'{"regions": [{"id": 1, "name": "CANADA-1"}]}')
    length = b"content-encoding: gzip\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(
        body
    )
    with serving(lambda connection: connection.sendall(HEAD + length + body)) as (url, asked):
        learned = probe(url, KEY, limit=3)
    assert "operations.list_regions" in learned.matches
    assert b"accept-encoding: gzip, deflate\r\n" in asked[0].lower()


def test_a_probe_of_this_machine_asks_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    refuse = b"HTTP/1.1 502 Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    with serving(lambda c: c.sendall(refuse)) as (proxy, seen), Sandbox(fleet=1) as sandbox:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        assert probe(sandbox.url, sandbox.api_key).matches
    assert seen == []


def test_what_is_safe_to_ask() -> None:
    assert is_safe("/core/virtual-machines")
    assert not any(map(is_safe, ("/x/hibernated", "/vm/1/stop", "/RestartAll", "/x/deleteMe")))
    assert plain_id(7) == "7"
    assert not any(map(plain_id, ("../x", "stop", "a b", "", None, True, "x" * 99)))


# Anything

_PATHS = st.sampled_from(
    ["/v1/instances", "/instances/BRK-1", "/", "", "/x/{y}/{}", "/regions", "/v1", "//", "/a%zz/1",
     "/volumes/7/resize", "/\u2028", "/instances/1/2/3/4"]
)  # fmt: skip


@given(st.lists(st.tuples(_PATHS, st.sampled_from(["GET", "POST", "DELETE"]), JSON), max_size=4))
def test_samples_of_anything(given_: list[tuple[str, str, Any]]) -> None:
    samples: list[Any] = [
        (m, f"https://api.example{p}?a={{}}&page=0", 200, [], b) for p, m, b in given_
    ]
    samples.append(("GET", "http://[", 200, [], {"id": 1}))
    try:
        learned = learn_samples(samples, yes=True)
    except LearnError:
        return
    assert yaml.safe_load(dialect_text(learned)) == learned.dialect()


# Samples


def test_samples() -> None:
    machine = {"id": "BRK-1A2B3CD", "name": "a", "vmStatus": "running", "createdAt": None}
    stopped = {**machine, "id": "BRK-2A2B3CD", "vmStatus": "suspended"}
    url = "https://api.example/v1/machines"
    learned = learn_samples(
        [
            ("GET", url, 200, ["X-Api-Key"], {"data": {"instances": [machine, stopped]}}),
            ("GET", f"{url}/BRK-1A2B3CD", 200, ["X-Api-Key"], {"data": {"instance": machine}}),
            ("POST", f"{url}/BRK-1A2B3CD/stop", 200, [], {"data": {"instance": machine}}),
            ("GET", f"{url}/BRK-9", 404, [], {"message": "none", "code": "not_found"}),
        ]
    )
    content = learned.dialect()
    assert content["base_url"] == "https://api.example/v1"
    assert content["schemas"]["UserVM"]["status"] == "vmStatus"
    assert content["operations"]["stop_instance"]["path"] == "/machines/{instance_id}/stop"
    assert content["words"]["VMStatus"] == {"running": "ACTIVE"}
    assert "words.VMStatus.suspended" in learned.open
    assert "operations.hibernate_instance" in learned.open
    assert not [m for m in learned.matches.values() if m.what.startswith("op") and m.wire is None]
    merged(content, "x.yaml")


def test_samples_that_are_none() -> None:
    with pytest.raises(LearnError, match="no successful"):
        learn_samples([])
    with pytest.raises(LearnError, match="a sample is"):
        learn_samples([("GET", "https://x")])
    with pytest.raises(LearnError, match="no successful"):
        learn_samples([RecordedCall("GET", "https://x/y", 404, (), {"message": "no"})])
    assert "hidden" not in repr(
        RecordedCall("GET", "https://x/?t=hidden", 200, (), {"a": "hidden"})
    )
