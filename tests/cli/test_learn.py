"""`barrack learn`: from a document to a flow that runs, and nothing half done on the way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from barrack_tasks.api import Barrack
from barrack_tasks.cli import main
from barrack_tasks.sandbox import Sandbox
from flows.follow_schedule import follow_schedule
from flows.snapshot_before_stop import snapshot_before_stop
from flows.watch_balance import watch_balance
from flows.watch_gpu_stock import watch_gpu_stock
from tests.flows.conftest import account_of, cloud, spoken  # noqa: F401 - a fixture

Cloud = Callable[..., Sandbox]


def run(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["barrack", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def document_of(sandbox: Sandbox, folder: Path) -> str:
    file = folder / "openapi.json"
    file.write_bytes(httpx.get(f"{sandbox.url}/openapi.json").content)
    return str(file)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["built-in", "camel", "upstream"])
def test_from_a_document_alone_the_flow_runs(
    cloud: Cloud,  # noqa: F811
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sandbox = cloud(dialect=spoken(name))
    out = tmp_path / "learned.yaml"
    assert run("learn", "--openapi", document_of(sandbox, tmp_path), "--out", str(out)) == 0
    told = capsys.readouterr().out
    for flow in ("snapshot_before_stop", "follow_schedule", "watch_balance", "watch_gpu_stock"):
        assert f"{flow}: can run" in told
    account = account_of(sandbox, dialect=str(out))
    report = snapshot_before_stop(select=["*"], credentials=account)
    assert [row.now for row in report.rows] == ["HIBERNATED"] * 3
    rules = [{"select": ["alpha"], "timetable": "always"}]
    report = follow_schedule(rules=rules, strict=True, credentials=account)
    assert [(row.instance, row.now) for row in report.rows] == [("alpha", "ACTIVE")]
    line = {"amount": 90000, "actions": ["alert", "hibernate_all"]}
    told_of = watch_balance(thresholds=[line], select=["*"], credentials=account)
    assert [(row.instance, row.now) for row in told_of.rows] == [("alpha", "HIBERNATED")]
    assert told_of.burn_hourly is not None
    want = {"gpu_model": "A40", "claim": {"name": "claimed", "image_id": "1"}}
    seen = watch_gpu_stock([want], watch_for="30s", history=tmp_path, credentials=account)
    assert [(row.instance, row.now) for row in seen.rows] == [("claimed", "ACTIVE")]
    before = out.read_text()
    assert run("learn", "--openapi", document_of(sandbox, tmp_path), "--out", str(out)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_text() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>Sign in</html>", "OpenAPI"),
        (b"", "empty"),
        (b'{"swagger": "2.0"}', "OpenAPI"),
        (b'{"openapi": "3.1.0", "paths": 7}', ""),
    ],
)
def test_what_is_no_document_is_said_and_nothing_is_written(
    content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "given"
    file.write_bytes(content)
    out = tmp_path / "learned.yaml"
    assert run("learn", "--openapi", str(file), "--out", str(out)) in (1, 2)
    told = capsys.readouterr()
    assert says in told.err + told.out
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == [file]


def test_at_least_one_source_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("learn", "--out", str(tmp_path / "x.yaml")) == 2
    assert "at least one of" in capsys.readouterr().err
    assert run("learn", "--openapi", "/nowhere/x.json", "--out", str(tmp_path / "x.yaml")) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_probing_reads_only_and_shows_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "probed.yaml"
    assert run("learn", "--probe", "http://127.0.0.1:9", "--out", str(out)) == 2
    assert "BARRACK_API_KEY" in capsys.readouterr().err
    with Sandbox(dialect=spoken("camel"), api_key="key-4711-abc", speed=0) as sandbox:
        monkeypatch.setenv("BARRACK_API_KEY", "key-4711-abc")
        root = sandbox.url.removesuffix("/api/v2")
        run("learn", "--probe", root, "--out", str(out))
        asked = sandbox.requests()
    told = capsys.readouterr()
    assert {r["method"] for r in asked} == {"GET"}
    assert len(asked) <= 60
    assert "key-4711-abc" not in told.out + told.err + (out.read_text() if out.exists() else "")


def test_a_change_is_tried_only_when_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Sandbox(speed=0, balance="50") as sandbox:
        for key, value in sandbox.env.items():
            monkeypatch.setenv(key, value)
        assert run("doctor", "--try", "create_ssh_key", "--try", "create_script") == 0
        told = capsys.readouterr().out
        assert told.count("removed barrack-doctor-") == 2
        with Barrack(sandbox.api_key, sandbox.url) as client:
            assert list(client.ssh_keys.list()) == list(client.scripts.list()) == []
        assert run("doctor", "--try", "delete_instance") == 2
        assert "cannot be tried on a temporary resource" in capsys.readouterr().err


def test_dialects_are_shown_with_where_each_entry_comes_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("operations: {get_gpu_stock: {path: /stock}}\n")
    assert run("dialect", "diff", str(file)) == 1
    assert "operations.get_gpu_stock.path: '/gpu-stocks' -> '/stock'" in capsys.readouterr().out
    monkeypatch.setenv("BARRACK_DIALECT", str(file))
    assert run("dialect", "show") == 0
    # A long path is broken over several lines of the table.
    told = "".join(capsys.readouterr().out.replace("│", " ").split())
    assert "mine.yaml" in told
    assert "built-in" in told
    file.write_text("operations:\n  get_gpu_stok: {path: /stock}\n")
    assert run("dialect", "show") == 2
    assert (
        "mine.yaml, line 2: operations.get_gpu_stok: there is no such operation; did you mean "
        "get_gpu_stock" in capsys.readouterr().err
    )
