"""At its end a command sends what is left for a Prefect server, unless that has gone away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prefect._internal.concurrency.services import QueueService

from barrack_tasks.cli import leaving
from barrack_tasks.cli.leaving import _is_all_sent
from barrack_tasks.cli.servers import spoken_with, spoken_with_last
from tests.conftest import free_port


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
