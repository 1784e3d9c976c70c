"""A server that stands between a client and another server, and changes what passes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

_HOP = ("content-length", "content-encoding", "transfer-encoding", "connection", "host")

Before = Callable[[str, bytes], int | None]
"""Gets the method and the body of a request; a status answers it without passing it on."""
Changed = Callable[[str, Any], Any]
"""Gets the path of a request and its JSON answer; gives the answer that the client receives."""


class Passed:
    """What passed: the method of each request, and the status it was answered with."""

    def __init__(self) -> None:
        self.answered: list[tuple[str, int]] = []

    def count(self, method: str, status: int | None = None) -> int:
        """How many requests of a method there were, all or those that were answered so."""
        return sum(m == method and status in (None, s) for m, s in self.answered)


@contextmanager
def relay(
    target: str, before: Before | None = None, changed: Changed | None = None
) -> Iterator[tuple[Passed, str]]:
    """Pass everything on to another server, except what `before` answers and `changed` changes."""
    passed = Passed()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = before(self.command, body) if before else None
            if status is not None:
                self.reply(status, {}, b"")
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            got = httpx.request(self.command, target + self.path, content=body, headers=headers)
            content = got.content
            if changed and got.is_success:
                content = json.dumps(changed(self.path.partition("?")[0], got.json())).encode()
            kept = {k: v for k, v in got.headers.items() if k.lower() not in _HOP}
            self.reply(got.status_code, kept, content)

        def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
            passed.answered.append((self.command, status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield passed, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
