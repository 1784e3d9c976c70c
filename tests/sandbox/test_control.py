"""The control surface, the ways to run a sandbox, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from barrack_tasks.sandbox import Sandbox
from barrack_tasks.sandbox.__main__ import _parser, main
from barrack_tasks.sandbox.cloud.clock import Clock
from tests.sandbox.conftest import KEY, Api


@pytest.mark.parametrize("process", [False, True], ids=["thread", "process"])
def test_life_of_a_sandbox(process: bool) -> None:
    start = datetime(2026, 11, 25, tzinfo=UTC)
    with Sandbox(
        api_key=KEY,
        balance="42.50",
        currency="EUR",
        speed=0,
        start=start,
        process=process,
        fleet=[{"name": "one"}, {"name": "two", "status": "HIBERNATED"}],
        settings={"durations": {"stop": 7}, "jitter": 0},
    ) as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")
        assert sandbox.url.endswith("/v1")
        assert sandbox.env == {"BARRACK_API_KEY": KEY, "BARRACK_BASE_URL": sandbox.url}
        assert sandbox.now() == start
        api = Api(sandbox)
        one, two = api.ok("GET", "/instances")["instances"]
        assert (one["name"], two["status"]) == ("one", "HIBERNATED")
        api.ok("POST", f"/instances/{one['id']}/stop")
        sandbox.advance(7)
        assert api.status(one["id"]) == "SHUTOFF"
        state = sandbox.state()
        assert (state["balance"], state["currency"]) == ("42.500000", "EUR")
        assert state["requests"]["total"] == 3
        assert state["requests"]["by_operation"] == {
            "list_instances": 1,
            "stop_instance": 1,
            "get_instance": 1,
        }
        assert state["requests"]["peak_per_second"] >= 1
        details = [(x["operation"], x["detail"]) for x in sandbox.ledger()]
        assert ("stop_instance", "ACTIVE -> STOPPING: stop") in details
        assert ("clock", "STOPPING -> SHUTOFF: stop finished") in details
        asked = sandbox.requests()[1]
        assert (asked["method"], asked["operation"]) == ("POST", "stop_instance")
        assert asked["parameters"] == {"instance_id": one["id"]}
        assert asked["status"] == 200
        (effect,) = [x for x in sandbox.ledger() if x["operation"] == "stop_instance"]
        assert effect["request_id"] == asked["request_id"]
        address = urlsplit(sandbox.url)
        pid = sandbox._child.pid if sandbox._child else None
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((address.hostname or "", address.port or 0), timeout=5).close()
    assert "barrack-sandbox" not in [t.name for t in threading.enumerate()]
    if pid is not None:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_sandbox_that_does_not_run_says_so() -> None:
    sandbox = Sandbox()
    for use in (lambda: sandbox.url, sandbox.state, lambda: sandbox.advance(1)):
        with pytest.raises(RuntimeError, match="not running"):
            use()
    sandbox.stop()
    with sandbox, pytest.raises(RuntimeError, match="running already"):
        sandbox.start()
    with sandbox:
        assert len(sandbox.state()["instances"]) == 3


def test_a_taken_port_and_bad_arguments() -> None:
    with Sandbox(fleet=0) as one:
        port = urlsplit(one.url).port or 0
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port).start()
    with Sandbox(fleet=0, port=port) as two:
        assert urlsplit(two.url).port == port
    for bad in (
        Sandbox(currency="XAU"),
        Sandbox(fleet=[{"name": "x"}]),
        Sandbox(speed=-1),
        Sandbox(settings={"durations": {"fly": 1}}),
    ):
        with pytest.raises(ValueError, match=r"."):
            bad.start()
    assert "barrack-sandbox" not in [t.name for t in threading.enumerate()]


def test_bad_input_is_told_in_a_sentence(sandbox: Sandbox) -> None:
    root = sandbox.url.removesuffix("/v1") + "/_sandbox/"
    for path, body in [
        ("clock", {"advance": -1}),
        ("clock", {"advance": "soon"}),
        ("clock", {"speed": -3}),
        ("clock", []),
        ("credit", {}),
        ("credit", {"amount": "NaN"}),
        ("stock", {"region": "MARS", "gpu_model": "L40", "count": 1}),
        ("instances", {"name": "alpha", "gpu_model": "ABACUS"}),
        ("instances", {"name": "alpha", "status": "FLYING"}),
        ("instances/BRK-NONONOD/status", {"status": "ACTIVE"}),
        ("settings", {"durations": {"stop": -1}}),
        ("settings", {"colour": "blue"}),
        ("settings", []),
        ("nothing", {}),
    ]:
        answer = httpx.post(root + path, json=body)
        assert 400 <= answer.status_code < 500, (path, body)
        assert len(answer.json()["message"]) > 10
    assert httpx.post(root + "clock", content=b"{").status_code == 400


def test_the_clock_runs() -> None:
    real = [0.0]
    clock = Clock(datetime(2026, 1, 1, tzinfo=UTC), speed=60, monotonic=lambda: real[0])
    real[0] += 2
    assert clock.now() == datetime(2026, 1, 1, 0, 2, tzinfo=UTC)
    clock.set_speed(0)
    real[0] += 1000
    clock.advance(30)
    assert clock.now() == datetime(2026, 1, 1, 0, 2, 30, tzinfo=UTC)
    clock.set_speed(1)
    real[0] += 1
    assert clock.now() == datetime(2026, 1, 1, 0, 2, 31, tzinfo=UTC)
    with pytest.raises(ValueError, match="zone-aware"):
        Clock(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_line(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "barrack_tasks.sandbox", "--port", "0",
               "--fleet", "train-1,b2", "--history", "7d",
               "--api-key", KEY, "--speed", "0", "--latency", "0.001"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(4)]
        assert said[2] == f"export BARRACK_API_KEY={KEY}\n"
        url = said[3].removeprefix("export BARRACK_BASE_URL=").strip()
        assert url in said[0]
        answer = httpx.get(f"{url}/instances", headers={"x-api-key": KEY})
        assert [x["name"] for x in answer.json()["instances"]] == ["train-1", "b2"]
        child.send_signal(number)
        assert child.wait(timeout=10) == 0


def test_command_line_says_which_dialect_it_speaks() -> None:
    file = Path(__file__).parents[2] / "docs" / "dialects" / "camel.yaml"
    command = [sys.executable, "-m", "barrack_tasks.sandbox", "--port", "0", "--dialect", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(5)]
        child.terminate()
    assert said[4] == f"export BARRACK_DIALECT={file}\n"


def test_a_process_does_not_outlive_its_parent() -> None:
    parent = (
        "import os; from barrack_tasks.sandbox import Sandbox; "
        "sandbox = Sandbox(process=True, fleet=0).start(); "
        "print(sandbox.url, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    address = urlsplit(done.stdout.strip())
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address.hostname or "", address.port or 0), 5).close()
        except OSError:
            return
        time.sleep(0.02)
    pytest.fail("the sandbox's process is still there")


def test_command_line_that_cannot_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Sandbox(fleet=0) as taken:
        for *arguments, said in (
            ["--port", str(urlsplit(taken.url).port), "in use"],
            ["--dialect", "no-such-file.json", "No such file"],
            ["--balance", "lots", "--balance: 'lots' is not an amount; write a number such as 100"],
            ["--balance", "nan", "'nan' is not an amount"],
            ["--fleet", "-1", "--fleet: '-1' is not a whole number between 0 and 100000"],
            ["--port", "99999", "--port: '99999' is not a whole number between 0 and 65535"],
            ["--latency", "nan", "'nan' is not a number of seconds between 0 and 3600"],
            [
                "--start",
                "yesterday",
                "--start: 'yesterday' is not a date or time; write it such as 2026",
            ],
        ):
            monkeypatch.setattr(sys, "argv", ["sandbox", *arguments])
            try:
                code: object = main()
            except SystemExit as end:
                code = end.code
            assert code == 2
            assert said in capsys.readouterr().err


@pytest.mark.parametrize("process", [False, True], ids=["thread", "process"])
def test_a_history_is_billed_and_leaves_balance_and_states_alone(process: bool) -> None:
    start = datetime(2026, 11, 25, tzinfo=UTC)
    with Sandbox(
        api_key=KEY,
        balance="42.50",
        speed=0,
        start=start,
        process=process,
        fleet=["by-day", "by-week", "always"],
        history="28d",
    ) as sandbox:
        assert sandbox.now() == start
        assert sandbox.state()["balance"] == "42.500000"
        machines = {x["name"]: x for x in sandbox.state()["instances"]}
        assert {x["status"] for x in machines.values()} == {"ACTIVE"}
        api = Api(sandbox)
        bills = {
            name: api.ok("GET", f"/instances/{x['id']}/billing")["records"]
            for name, x in machines.items()
        }
        assert len(bills["always"]) == 1
        assert len(bills["always"]) < len(bills["by-week"]) < len(bills["by-day"])
        sandbox.advance(3600)
        burn = Decimal(sandbox.state()["burn_rate"])
        assert Decimal(sandbox.state()["balance"]) == Decimal("42.5") - burn


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--fleet", "train-1,train-1", "names an instance twice"),
        ("--fleet", "train-1,a/b", "letters"),
        ("--history", "90", "'90' is not a history; write a number of days between 1 and 366"),
    ],
)
def test_a_fleet_or_history_that_cannot_be_read(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args([option, value])
    assert said in capsys.readouterr().err


def test_a_duration_may_be_a_part_of_a_second() -> None:
    with Sandbox(fleet=0, speed=0) as sandbox:
        assert sandbox.settings(durations={"create": 0.25})["durations"]["create"] == 0.25


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{own}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_pages_of_other_origins_and_foreign_names_control_nothing(
    headers: dict[str, str], status: int
) -> None:
    with Sandbox(fleet=0, speed=0) as sandbox:
        own = {
            name: value.format(own=sandbox.url.rpartition("/")[0])
            for name, value in headers.items()
        }
        root = own.get("Origin") if own.get("Origin", "").startswith("http://127") else None
        root = root or sandbox.url.rpartition("/")[0]
        answer = httpx.post(
            f"{root}/_sandbox/credit", json={"amount": "5"}, headers=own, trust_env=False
        )
        assert answer.status_code == status
