"""The doctor: all green where the API is as expected, every difference named where it is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import Barrack
from barrack_tasks.api.dialect import builtin, load_dialect
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.cli import main
from barrack_tasks.controllers.doctor import CheckupFailed, readiness_of_server
from barrack_tasks.dialects.doctor import DoctorReport, Finding, checkup
from barrack_tasks.dialects.doctor.checkup import reads
from barrack_tasks.dialects.doctor.examine import examine
from barrack_tasks.plans.names import snapshot_description
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.events import emit
from flows.doctor import doctor
from tests.flows.conftest import events_about

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0nX9f2hH3l1b3m0n5o7p9q1r3s5t7u9v1w3x5y7z9a me"


def furnish(client: Barrack) -> None:
    """Give the account one thing of each kind, so that every operation can be tried."""
    instance = next(client.instances.list())
    client.volumes.create(name="data", size_gb=10, volume_type="Cloud-SSD", region=instance.region)
    client.firewalls.create(name="web", region=instance.region)
    client.scripts.create(name="setup", content="#!/bin/sh\n")
    client.ssh_keys.create(name="mine", public_key=KEY)
    client.snapshots.create(instance.id, "first")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(balance="500", fleet=3, speed=0) as running:
        yield running


@pytest.fixture(scope="module")
def report(sandbox: Sandbox) -> DoctorReport:
    with Barrack(sandbox.api_key, sandbox.url) as client:
        furnish(client)
        sandbox.advance(600)
        snapshot = next(client.snapshots.list())
        client.images.create(snapshot_id=snapshot.id, name="golden")
        before = len(sandbox.ledger())
        made = checkup(client)
        assert len(sandbox.ledger()) == before, "a check-up changes nothing"
    return made


def by_name(report: DoctorReport) -> dict[str, Finding]:
    return {finding.operation: finding for finding in report.findings}


def test_all_is_green_where_the_api_is_as_expected(report: DoctorReport) -> None:
    assert {f.operation for f in report.findings} == {o.name for o in reads()}
    assert {f.operation: f.verdict for f in report.findings if f.verdict != "works"} == {}
    assert report.all_green
    assert {r.topic: r.state for r in report.readiness} == {
        "key": "ready",
        "balance": "ready",
        "profile": "unknown",
        "stock": "ready",
    }


def test_every_difference_is_named_with_the_line_that_corrects_it(tmp_path: Path) -> None:
    with Sandbox(drift=True, fleet=2, speed=0) as drifted:
        with Barrack(drifted.api_key, drifted.url) as client:
            report = checkup(client)
        found = by_name(report)
        named = {
            (d.kind, f"{d.schema_name}.{d.field}", d.seen)
            for f in report.findings
            for d in f.differences
        }
        kinds = {"renamed": "unseen", "missing": "missing", "extra": "unknown", "word": "word"}
        for change in drifted.drift:
            if change.kind == "path":
                assert found[change.place].verdict == "path not found"
                assert f"operations: {{{change.place}: {{path:" in found[change.place].said
            elif change.kind == "type":
                assert [n for n in named if n[:2] == ("type", change.place)]
            else:
                seen = change.to if change.kind == "word" else ""
                assert (kinds[change.kind], change.place, seen) in named, change
        assert not report.ok
        assert "schemas: {UserVM: {hourly_price: price_per_hour}}" in report.lines

        file = tmp_path / "corrected.yaml"
        file.write_text(
            "operations: {get_gpu_stock: {path: /gpu-stock}}\n"
            "schemas:\n"
            "  UserVM: {hourly_price: price_per_hour}\n"
            "  VMInstance: {hourly_price: price_per_hour}\n"
        )
        with Barrack(drifted.api_key, drifted.url, dialect=load_dialect(file)) as client:
            again = by_name(checkup(client))
            assert next(client.instances.list()).hourly_price is not None
        assert again["get_gpu_stock"].verdict == "works"
        assert not [d for d in again["list_instances"].differences if d.kind == "unseen"]


def test_a_wrong_key_is_said_once_and_ends_the_round(sandbox: Sandbox) -> None:
    with Barrack("wrong", sandbox.url) as client:
        report = checkup(client)
    assert [f.verdict for f in report.findings] == ["refused"]
    assert [(r.topic, r.state) for r in report.readiness] == [("key", "not ready")]
    assert not report.ok


def test_an_empty_account_is_tried_as_far_as_it_goes() -> None:
    with (
        Sandbox(fleet=0, balance="0.50", speed=0) as empty,
        Barrack(empty.api_key, empty.url) as client,
    ):
        report = checkup(client)
    assert by_name(report)["get_snapshot"].said == "the account has no snapshot"
    assert {r.topic: r.state for r in report.readiness}["balance"] == "not ready"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "missing"),
        ({"regions": {}}, "a list was expected"),
        ({"regions": ["CANADA-1"]}, "an object was expected"),
        ({"regions": [{"name": 7}]}, "a word was expected"),
    ],
)
def test_answers_of_another_shape_are_examined_without_falling_over(body: Any, says: str) -> None:
    found = examine(builtin(), OPERATIONS["list_regions"], body)
    assert any(says in f"{d.kind} {d.seen}" for d in found)


def run_cli(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["barrack", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    return int(ended.value.code or 0)


def test_the_command_line_tells_and_ends_with_a_code(
    sandbox: Sandbox,
    report: DoctorReport,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_cli("doctor") == 2
    assert "set BARRACK_API_KEY" in capsys.readouterr().err
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    assert run_cli("doctor") == 0
    told = capsys.readouterr().out
    assert "works" in told
    assert "Ready for the flows?" in told
    assert sandbox.api_key not in told


def test_the_doctor_is_a_flow_too(sandbox: Sandbox, prefect_server: str) -> None:
    account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
    assert doctor(credentials=account).ok
    wrong = BarrackCredentials(api_key="wrong", base_url=sandbox.url)
    with pytest.raises(CheckupFailed, match="get_credit_balance"):
        doctor(credentials=wrong)


def test_the_doctor_warns_of_snapshots_that_another_prefect_server_knows_of(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other_clock = datetime.now(UTC) - timedelta(days=30)  # ages are told by the cloud's
    with (
        Sandbox(balance="500", fleet=1, speed=0, start=other_clock) as cloud,
        Barrack(cloud.api_key, cloud.url) as client,
    ):
        instance = next(client.instances.list())
        mark = snapshot_description(instance.id)
        for number in range(40):  # the same server has events about the first ids of others
            client.snapshots.create(instance.id, f"others-{number}")
            cloud.advance(900)
        taken = []
        for name in ("here-20261125T190000Z", "there-20261125T190000Z"):
            taken.append(client.snapshots.create(instance.id, name, description=mark))
            cloud.advance(900)
        client.snapshots.create(instance.id, "by-hand")
        emit("barrack.snapshot.created", taken[0].id, taken[0].name)
        assert events_about(f"barrack.snapshot.{taken[0].id}")
        row = readiness_of_server(client)
        assert row.state == "unknown"
        assert row.said.startswith("this library took there-20261125T190000Z, and this server has")
        for name, value in cloud.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COLUMNS", "600")
        assert run_cli("doctor") == 0
        assert "another Prefect server" in " ".join(capsys.readouterr().out.split())
        emit("barrack.snapshot.created", taken[1].id, taken[1].name)
        assert events_about(f"barrack.snapshot.{taken[1].id}")
        assert readiness_of_server(client).state == "ready"


@pytest.mark.parametrize(
    "word", ["a: b}}\nbase_url: http://x.example", "x\u202e", "#", "{", "\x00"]
)
def test_a_line_to_write_holds_no_more_than_the_word(word: str) -> None:
    machine = {"id": 1, "name": "a", "status": word, f"created_at{word}": 1, "gpu": 1}
    found = examine(builtin(), OPERATIONS["get_instance"], {"instance": machine})
    lines = [difference.line for difference in found if difference.kind == "word"]
    assert lines
    for difference in found:
        assert str(difference).isprintable()
        assert difference.line.isprintable()
    (line,) = lines
    assert yaml.safe_load(line) == {"words": {"VMStatus": {word: "<what it means>"}}}
