"""Real receivers of notifications: a web server and a mail server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.conftest import free_port


class Webhook:
    """What a web server was sent; it refuses while `status` is not 200."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        self.url = ""


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A web server that keeps what it is sent."""
    kept = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if kept.status == 200:
                kept.received.append(json.loads(body))
            self.send_response(kept.status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Mailbox:
    """What a mail server was sent, as subject and text."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Take a mail; the name is the one that the server calls."""
        mail = message_from_bytes(envelope.content)
        parts = [p for p in mail.walk() if p.get_content_type() == "text/plain"] or [mail]
        text = parts[0].get_payload(decode=True)
        assert isinstance(text, bytes)
        self.received.append((str(make_header(decode_header(mail["Subject"]))), text.decode()))
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mail server that keeps what it is sent, and its port."""
    kept = Mailbox()
    controller = Controller(kept, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield kept, controller.port
    finally:
        controller.stop()


def subjects(hook: Webhook) -> list[str]:
    """The subjects of what a webhook was sent."""
    return [message["subject"] for message in hook.received]


def sentences(hook: Webhook) -> list[str]:
    """All sentences that a webhook was sent, whichever message they were in."""
    return [
        line
        for message in hook.received
        for line in (message["subject"].partition(": ")[2], *message["body"].splitlines())
        if line and not line.startswith(("Account: ", "Run: "))
    ]
