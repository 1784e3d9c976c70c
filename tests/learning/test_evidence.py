"""Learning from answers: samples, recordings with secrets in them, and probes of real servers."""

from __future__ import annotations

import base64
import json
import logging
from collections import Counter
from typing import Any

import httpx
import pytest
import yaml

from barrack_tasks.api import Barrack
from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.api.learning import (
    Learned,
    LearnError,
    Sample,
    dialect_text,
    learn_har,
    learn_samples,
    probe,
)
from barrack_tasks.api.learning.asking import is_safe, plain_id
from barrack_tasks.api.learning.shapes import is_secret_name, looks_secret
from barrack_tasks.sandbox import Sandbox
from tests.learning.helpers import KEY, NAMES, client, dialect, furnish, furnished, known, show

SEEN = (
    "list_instances", "get_credit_balance", "list_snapshots", "list_regions", "list_volumes",
    "get_gpu_stock", "get_pricing", "list_images",
)  # fmt: skip


def _everything(learned: Learned) -> str:
    return "\n".join(
        (dialect_text(learned), str(learned.report()), repr(learned), str(vars(learned)))
    )


@pytest.mark.parametrize("root", [False, True])
@pytest.mark.parametrize("name", NAMES)
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
        assert KEY not in _everything(learned)
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
        with pytest.raises(LearnError, match="refused") as caught:
            probe(sandbox.url, "brk-wrong-key-1234567890")
        assert len(sandbox.requests()) == 4
        assert "brk-wrong" not in str(caught.value) + repr(caught.value)
        assert caught.value.__context__ is None or "brk-wrong" not in repr(caught.value.__context__)


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
    assert KEY not in _everything(learned)
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


def test_what_is_safe_to_ask() -> None:
    assert is_safe("/core/virtual-machines")
    assert not any(map(is_safe, ("/x/hibernated", "/vm/1/stop", "/RestartAll", "/x/deleteMe")))
    assert plain_id(7) == "7"
    assert not any(map(plain_id, ("../x", "stop", "a b", "", None, True, "x" * 99)))


# Recordings

SECRETS = {
    "bearer": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl",
    "cookie": "s%3Aabcdef0123456789abcdef",
    "apikey": "brk_live_9f8e7d6c5b4a39281706",
    "query": "q-token-5566778899aabbccdd",
    "body": "body-secret-0011223344556677",
    "value": "A9x8B7c6D5e4F3g2H1i0J9k8L7m6",
    "path": "p4th5ecret6token7in8the9path0abc",
    "user": "hunter2-password",
}


def _entry(
    method: str, url: str, body: Any, status: int = 200, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    text = json.dumps(body)
    return {
        "request": {
            "method": method,
            "url": url,
            "headers": [{"name": k, "value": v} for k, v in (headers or {}).items()],
            "cookies": [{"name": "sid", "value": SECRETS["cookie"]}],
            "queryString": [],
        },
        "response": {
            "status": status,
            "headers": [{"name": "Set-Cookie", "value": f"sid={SECRETS['cookie']}; Path=/"}],
            "content": {"mimeType": "application/json", "text": text},
        },
    }


def _recording(sandbox: Sandbox) -> bytes:
    """What a browser would have recorded on the dashboard."""
    entries: list[dict[str, Any]] = []
    true = sandbox.dialect
    auth = {true.auth.header: f"{true.auth.scheme} {sandbox.api_key}".strip()}
    shown = {
        "Authorization": f"Bearer {SECRETS['bearer']}",
        "Cookie": f"sid={SECRETS['cookie']}; other={SECRETS['user']}",
        "x-csrf-token": SECRETS["query"],
    }
    with httpx.Client(base_url=sandbox.url, headers=auth, trust_env=False) as http:
        for name, wire in true.operations.items():
            if wire.method != "GET" or "{" in wire.path or name.startswith("restore"):
                continue
            answer_ = http.get(wire.path)
            body = answer_.json()
            if isinstance(body, dict):
                body["apiKey"] = SECRETS["apikey"]
                body["session"] = {"status": SECRETS["body"], "deep": [SECRETS["body"]]}
                body["status_note"] = SECRETS["value"]
                body[SECRETS["value"]] = {"status": SECRETS["value"]}
            url = (
                f"https://{SECRETS['user']}:{SECRETS['user']}@api.barrack.example/api/v2{wire.path}"
            )
            url += f"?access_token={SECRETS['query']}&limit=20&offset=0"
            entries.append(_entry("GET", url, body, answer_.status_code, shown))
    host = "https://api.barrack.example/api/v2"
    entries.append(_entry("GET", f"{host}/share/{SECRETS['path']}", {"id": 1}, 200, shown))
    entries.append(_entry("GET", "https://t.tracker.example/x", {"token": SECRETS["body"]}))
    entries[0]["response"]["content"]["text"] = base64.b64encode(
        entries[0]["response"]["content"]["text"].encode()
    ).decode()
    entries[0]["response"]["content"]["encoding"] = "base64"
    entries += [{"request": None}, {}, {"request": {"url": "http://[", "method": "GET"}}]
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()


def test_a_recording_teaches_and_its_secrets_are_left_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with furnished(dialect("camel")) as sandbox:
        furnish(sandbox)
        data = _recording(sandbox)
        learned = learn_har(data, yes=True)
        show("recording", learned)
        content = learned.dialect()
        assert content["base_url"] == "https://api.barrack.example/api/v2"
        assert content["auth"] == {"header": "Authorization", "scheme": "Bearer"}
        assert content["envelope"].startswith("result")
        assert content["schemas"]["UserVM"]["status"] == "vmStatus"
        assert content["operations"]["list_instances"]["path"] == "/machines"
        assert content["paging"] == {"style": "offset", "page_size": "limit"}
        said = _everything(learned) + caplog.text
        for kind, secret in SECRETS.items():
            assert secret not in said, kind
        assert KEY not in said
        assert "tracker" not in said
        assert yaml.safe_load(dialect_text(learned)) == content
        named = learn_har(data, host="API.barrack.example")
        assert named.dialect()["base_url"] == content["base_url"]
        with pytest.raises(LearnError, match="no JSON answers of elsewhere"):
            learn_har(data, host="elsewhere")


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b'{"log": {"entries": []}}', b'{"log": {"entries": [1, {}]}}',
     b'{"log": {"entries": [{"request": {"url": 7}, "response": []}]}}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_recording(data: bytes) -> None:
    with pytest.raises(LearnError):
        learn_har(data)


def test_what_looks_like_a_secret() -> None:
    for name in ("api_key", "X-API-Key", "authorization", "sessionToken", "password", "Set-Cookie"):
        assert is_secret_name(name), name
    for name in ("prompt_tokens", "ssh_key", "public_key", "key_id", "currency", "private_ip"):
        assert not is_secret_name(name), name
    assert all(map(looks_secret, (v for k, v in SECRETS.items() if k != "user")))
    assert not any(map(looks_secret, ("H100-PCIe-NVLink-80GB", "in-use", "CANADA-1", "HIBERNATED")))


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
        learn_samples([Sample("GET", "https://x/y", 404, (), {"message": "no"})])
    assert "hidden" not in repr(Sample("GET", "https://x/?t=hidden", 200, (), {"a": "hidden"}))
