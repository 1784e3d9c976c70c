"""Records on a real Prefect server, with a server in between that is busy for a moment."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from barrack_tasks.records import Records

HOP = ("content-length", "content-encoding", "transfer-encoding", "connection", "host")


class Busy:
    """How often each method is still answered 503, and how often it was asked."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.asked: list[str] = []
        self.meanwhile: dict[bytes, Callable[[], None]] = {}
        """What happens before a request is passed on whose body has these bytes, once."""


@contextmanager
def busy_server(target: str) -> Iterator[tuple[Busy, str]]:
    """A server that passes everything on to another, except while it is busy."""
    busy = Busy()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            busy.asked.append(self.command)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if busy.left.get(self.command, 0) > 0:
                busy.left[self.command] -= 1
                self.send_response(503)
                self.end_headers()
                return
            for part in [part for part in busy.meanwhile if part in body]:
                busy.meanwhile.pop(part)()
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
            got = httpx.request(self.command, target + self.path, content=body, headers=headers)
            self.send_response(got.status_code)
            for name, value in got.headers.items():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(got.content)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield busy, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_is_busy_for_a_moment_is_asked_again_at_once(prefect_server: str) -> None:
    waits: list[float] = []
    target = os.environ["PREFECT_API_URL"].removesuffix("/api")
    with (
        busy_server(target) as (busy, url),
        temporary_settings({PREFECT_API_URL: f"{url}/api"}),
        Records("busy_", sleep=waits.append) as records,
    ):
        records.put("one", {"a": 1})
        for method, work in (
            ("PATCH", lambda: records.put("one", {"a": 2})),
            ("POST", records.all),
            ("DELETE", lambda: records.drop("one")),
        ):
            waits.clear()
            busy.left[method] = 2
            before = busy.asked.count(method)
            work()
            assert len(waits) == 2, method
            assert max(waits) <= 0.2, "it passes in milliseconds"
            assert busy.asked.count(method) == before + 3
        assert records.all() == {}


def test_no_record_is_missed_while_another_is_deleted(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barrack_tasks.records._PAGE", 2)
    target = os.environ["PREFECT_API_URL"].removesuffix("/api")
    with (
        busy_server(target) as (busy, url),
        Records("page_") as other,
        temporary_settings({PREFECT_API_URL: f"{url}/api"}),
        Records("page_") as records,
    ):
        for name in "abcd":
            records.put(name, 1)
        busy.meanwhile[b'"offset":2'] = lambda: other.drop("a")
        assert set(records.all()) == {"page_b", "page_c", "page_d"}
        assert busy.meanwhile == {}
        for name in "bcd":
            records.drop(name)
