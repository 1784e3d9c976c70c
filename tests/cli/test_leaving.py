"""At its end a command sends what is left for a Prefect server, unless that has gone away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prefect._internal.concurrency.services import QueueService

from barrack_tasks.cli import leaving
from barrack_tasks.cli.leaving import _is_all_sent
from barrack_tasks.cli.servers import spoken_with, spoken_with_last
from tests.conftest import free_port

RUNS = """
import signal, sys, time
from barrack_tasks.cli import leaving
from barrack_tasks.cli.screen import Screen
BEFORE
with leaving.aware_of_its_server(Screen(stderr=True), lambda: ("train-1",)):
    print("begun", flush=True)
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""
"""A flow that would wait for its server for ever, also at Ctrl-C."""


class Sender(QueueService[str]):
    """Sends nothing until it may."""

    may = threading.Event()
    sent: list[str] = []

    async def _handle(self, item: str) -> None:
        while not self.may.is_set():
            await asyncio.sleep(0.01)
        self.sent.append(item)


class Well(BaseHTTPRequestHandler):
    """Answers that all is well, and lets the sender send when it was asked twice."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.asked == 2:
            Sender.may.set()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(leaving, "_FEW_SECONDS", 0.05)
    Sender.may.clear()
    Sender.sent.clear()
    made = Sender.instance()
    made.send("a line")
    yield
    Sender.may.set()
    made.drain()


def speak_with(port: int) -> None:
    with spoken_with({"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}):
        pass


def test_nobody_waits_for_a_server_that_has_gone() -> None:
    speak_with(free_port())
    assert not _is_all_sent()
    assert Sender.sent == []


def test_what_a_slow_server_takes_is_sent() -> None:
    with HTTPServer(("127.0.0.1", 0), Well) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        speak_with(server.server_port)
        assert _is_all_sent()
        server.shutdown()
    assert Sender.sent == ["a line"]
    assert Well.asked >= 2


def test_the_server_that_was_spoken_with_last_is_the_one_that_is_asked() -> None:
    with spoken_with({"PREFECT_API_URL": "http://127.0.0.1:1/api"}), spoken_with({}):
        pass
    with spoken_with_last() as url:
        assert url == "http://127.0.0.1:1/api"


def runs_without_a_server(before: str, tmp_path: Path) -> subprocess.Popen[str]:
    given = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    url = f"http://127.0.0.1:{free_port()}/api"
    env = {**given, "PREFECT_HOME": str(tmp_path), "PREFECT_API_URL": url, "COLUMNS": "400"}
    return subprocess.Popen(
        [sys.executable, "-c", RUNS.replace("BEFORE", before)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_run_ends_that_waits_for_its_server_in_vain(tmp_path: Path) -> None:
    before = "leaving._LOOKS_EVERY = leaving._PATIENCE = 0"
    with runs_without_a_server(before, tmp_path) as run:
        _, said = run.communicate(timeout=240)
    assert run.returncode == 1
    first, second = said.splitlines()
    assert "does not answer any more; the run waits for it" in first
    assert "barrack: the Prefect server at http://127.0.0.1:" in second
    assert "the same command takes it up again" in second


def test_ctrl_c_ends_a_run_whose_server_has_gone(tmp_path: Path) -> None:
    with runs_without_a_server("", tmp_path) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "begun\n"
        run.send_signal(signal.SIGINT)
        out, said = run.communicate(timeout=240)
    assert (run.returncode, out) == (130, "interrupted\n")
    assert "barrack: interrupted; still in progress: train-1." in said


@pytest.mark.slow
def test_who_ignores_ctrl_c_goes_on_to_ignore_it(tmp_path: Path) -> None:
    before = "signal.signal(signal.SIGINT, signal.SIG_IGN); leaving._PATIENCE = 0"
    with runs_without_a_server(before, tmp_path) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "begun\n"
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=240)
    assert (run.returncode, out) == (1, "")
