"""Recordings of a browser: what they teach, and that no secret of theirs is left anywhere."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.dialects.learn import LearnError, dialect_text, learn_har
from barrack_tasks.dialects.learn.shapes import is_secret_name, looks_secret
from barrack_tasks.sandbox import Sandbox
from tests.dialects.learn.helpers import JSON, KEY, dialect, everything, furnish, furnished, show

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
        said = everything(learned) + caplog.text
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


@given(JSON, st.sampled_from(["root", "log", "entry", "request", "response", "content", "text"]))
def test_recordings_of_anything(junk: Any, where: str) -> None:
    entry = _entry("GET", "https://api.example/v1/regions", {"regions": [{"name": "CANADA-1"}]})
    if where in ("request", "response"):
        entry[where] = junk
    elif where == "content":
        entry["response"]["content"] = junk
    elif where == "text":
        entry["response"]["content"]["text"] = json.dumps(junk)
    root: Any = {"log": {"entries": [junk if where == "entry" else entry]}}
    root = {"log": junk} if where == "log" else junk if where == "root" else root
    try:
        dialect_text(learn_har(json.dumps(root).encode(), yes=True))
    except LearnError:
        return
