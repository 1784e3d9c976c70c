"""Where the key goes is said by a person: no document, recording or dialect file decides it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks.api import Barrack, BarrackConfigurationError
from barrack_tasks.api.dialect import Dialect, DialectError, builtin, load_dialect
from barrack_tasks.api.dialect.address import is_builtin_host
from barrack_tasks.api.transport.addresses import host_of, is_in_clear
from barrack_tasks.cli import main
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.sandbox.http.openapi import document
from barrack_tasks.server.credentials import BarrackCredentials


def run(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["barrack", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def openapi(folder: Path, address: str) -> str:
    root: dict[str, Any] = {**document(builtin()), "servers": [{"url": address}]}
    file = folder / "openapi.json"
    file.write_text(json.dumps(root))
    return str(file)


def recording(folder: Path, address: str) -> str:
    body = {"regions": [{"id": "1", "name": "CANADA-1", "country": "Canada"}]}
    request = {"method": "GET", "url": f"{address}/regions", "headers": []}
    content = {"mimeType": "application/json", "text": json.dumps(body)}
    entry = {"request": request, "response": {"status": 200, "content": content, "headers": []}}
    file = folder / "dashboard.har"
    file.write_text(json.dumps({"log": {"entries": [entry]}}))
    return str(file)


@pytest.mark.parametrize(
    ("address", "agreed", "said"),
    [
        ("https://evil.example/v1", [], "--yes-to-host evil.example"),
        ("https://evil.example/v1", ["--yes-to-host", "other.example"], "evil.example"),
        ("https://api.barrack.ai.evil.example/v1", [], "evil.example"),
        ("https://api.barrack.ai:8443/v1", [], "--yes-to-host api.barrack.ai:8443"),
        ("https://api.b\u0430rrack.ai/v1", [], "xn--"),
        ("http://127.0.0.1:9/v1", [], "--yes-to-host 127.0.0.1:9"),
        ("http://evil.example/v1", ["--yes-to-host", "evil.example"], "plain http"),
        ("http://api.barrack.ai/v1", [], "plain http"),
    ],
)
def test_nothing_is_written_for_a_host_that_nobody_agreed_to(
    address: str,
    agreed: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "learned.yaml"
    words = ("learn", "--openapi", openapi(tmp_path, address), "--out", str(out), "--yes", *agreed)
    assert run(*words) == 2
    told = capsys.readouterr()
    assert f"address: {address}" in told.out
    assert said in told.err
    assert "BARRACK_DIALECT" not in told.out
    assert not out.exists()


@pytest.mark.parametrize(
    ("address", "agreed"),
    [
        ("https://cloud.example/v1", ["--yes-to-host", "cloud.example"]),
        ("https://cloud.example:8443/v1", ["--yes-to-host", "CLOUD.example:8443"]),
        ("http://127.0.0.1:9/v1", ["--yes-to-host", "127.0.0.1:9"]),
        ("http://cloud.example/v1", ["--yes-to-host", "cloud.example", "--plain-http"]),
    ],
)
def test_the_next_step_shows_the_host_that_was_agreed_to(
    address: str, agreed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "learned.yaml"
    words = ("learn", "--openapi", openapi(tmp_path, address), "--out", str(out), *agreed)
    assert run(*words) == 0
    told = capsys.readouterr().out
    assert f"your key goes to {host_of(address)}" in told
    assert f"export BARRACK_BASE_URL={address}" in told
    load_dialect(out)


def test_the_built_in_host_needs_no_agreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "learned.yaml"
    file = openapi(tmp_path, "https://api.barrack.ai/v2")
    assert run("learn", "--openapi", file, "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "address: https://api.barrack.ai/v2" in told
    assert "your key goes to api.barrack.ai" in told
    assert "BASE_URL" not in told
    assert Barrack("key", dialect=load_dialect(out)).base_url == "https://api.barrack.ai/v2"


def test_a_recording_of_another_host_is_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "learned.yaml"
    file = recording(tmp_path, "https://app.evil.example/api")
    assert run("learn", "--from-har", file, "--out", str(out), "--yes") == 2
    assert "--yes-to-host app.evil.example" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://evil.example", "--yes-to-host evil.example"),
        ("http://evil.example", "plain http"),
    ],
)
def test_a_probe_sends_no_key_to_a_host_that_nobody_agreed_to(
    address: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BARRACK_API_KEY", "key-4711-abc")
    out = tmp_path / "probed.yaml"
    assert run("learn", "--probe", address, "--out", str(out), "--yes") == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_dialect_file_that_changes_its_host_gets_no_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    with Sandbox(fleet=1, speed=0) as good, Sandbox(fleet=1, speed=0) as other:
        file.write_text(f"base_url: {good.url}\n")
        account = BarrackCredentials(
            api_key=good.api_key, base_url=good.url, dialect=str(file), max_concurrency=3
        )
        assert len(list(account.get_client().instances.list())) == 1
        file.write_text(f"base_url: {other.url}\n")
        for again in (account, account.model_copy(update={"max_concurrency": 4})):
            assert again.get_client().base_url == good.url
            assert len(list(again.get_client().instances.list())) == 1
        bare = BarrackCredentials(api_key=good.api_key, dialect=str(file))
        with pytest.raises(BarrackConfigurationError, match=f"BARRACK_BASE_URL={other.url}"):
            bare.get_client()
        with pytest.raises(BarrackConfigurationError, match="a file alone must not decide"):
            Barrack(good.api_key, dialect=load_dialect(file))
        assert other.requests() == []


def test_a_program_may_say_an_address_in_a_dialect() -> None:
    said = Dialect(base_url="https://cloud.example/v1")
    assert Barrack("key", dialect=said).base_url == "https://cloud.example/v1"
    assert said.as_from_file() == said


def test_a_dialect_file_names_no_address_of_plain_http(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("envelope: data\nbase_url: http://cloud.example/v1\n")
    with pytest.raises(DialectError, match=r"mine.yaml, line 2: base_url: a key .* write https"):
        load_dialect(file)


@pytest.mark.parametrize(
    ("address", "is_ours", "clear"),
    [
        ("https://api.barrack.ai/v9", True, False),
        ("https://API.barrack.ai:443", True, False),
        ("https://api.barrack.ai@evil.example/v1", False, False),
        ("https://api.barrack.ai.", False, False),
        ("http://api.barrack.ai", False, True),
        ("http://localhost:1", False, False),
        ("http://[::1]:1", False, False),
        ("http://127.0.0.1.evil.example", False, True),
        ("http://169.254.169.254", False, True),
        ("", False, False),
        ("https://[", False, False),
    ],
)
def test_hosts_are_told_apart(address: str, is_ours: bool, clear: bool) -> None:
    assert (is_builtin_host(address), is_in_clear(address)) == (is_ours, clear)
