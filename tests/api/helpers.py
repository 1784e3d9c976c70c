"""What the client's tests share: a quick client, virtual time, and a server of raw bytes."""

from __future__ import annotations

import json
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from barrack_tasks.api import Barrack, RetryPolicy
from barrack_tasks.sandbox import Sandbox

KEY = "key-4f1d/9a+Z"
"""With signs that JSON, HTML or an address may write in another way."""
QUICK = RetryPolicy(
    attempts=8,
    first_wait=0.001,
    longest_wait=0.005,
    timeout=5,
    deadline=30,
    visibility_lag=0.04,
)
LOST_AFTER = ("reset_after", "error_after", "timeout_after", "truncated", "malformed")
"""Faults by which the effect is there and its answer is not."""
LOST_BEFORE = ("reset_before", "status", "html")
"""Faults by which neither is, which the client cannot know."""


def client_of(sandbox: Sandbox, **how: Any) -> Barrack:
    """A client that loses no time."""
    policy = how.pop("policy", {})
    return Barrack(sandbox.api_key, sandbox.url, retry=replace(QUICK, **policy), **how)


def arm(sandbox: Sandbox, kind: str, operation: str, **how: Any) -> None:
    """One fault of a kind, with what that kind needs."""
    needed: dict[str, Any] = {"status": {"status": 503}, "timeout_after": {"seconds": 3}}
    sandbox.fault(kind, operation, **{**needed.get(kind, {}), **how})


class VirtualTime:
    """A clock of its own. Time passes when all who take part sleep, up to the first to wake."""

    def __init__(self, parties: int = 1) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []
        self._parties = parties
        self._wake: list[float] = []
        self._moved = threading.Condition()

    def clock(self) -> float:
        """The time, in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Sleep by this clock."""
        with self._moved:
            self.sleeps.append(seconds)
            until = self.now + seconds
            self._wake.append(until)
            self._move()
            while self.now < until:
                self._moved.wait(5)
            self._wake.remove(until)

    def leave(self) -> None:
        """One who took part does not any more."""
        with self._moved:
            self._parties -= 1
            self._move()

    def _move(self) -> None:
        asleep = [until for until in self._wake if until > self.now]
        if asleep and len(asleep) >= self._parties:
            self.now = min(asleep)
            self._moved.notify_all()


def http(
    body: str | bytes | dict[str, Any] = b"",
    status: int = 200,
    content_type: str = "application/json",
    **headers: str,
) -> bytes:
    """An answer as bytes."""
    if isinstance(body, dict):
        body = json.dumps(body)
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Some Phrase", f"content-type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(raw)}", "connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + raw


class Wire:
    """A server that answers with given bytes, one answer a connection, the last one for ever.

    An answer may also be a function that is given the socket.
    """

    def __init__(self, *answers: bytes | Callable[[socket.socket], None]) -> None:
        self._answers: Sequence[bytes | Callable[[socket.socket], None]] = answers
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._lock = threading.Lock()
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with self._lock:
            listener, self._listener = self._listener, socket.socket()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        self._listener.close()

    @property
    def lines(self) -> list[str]:
        """First lines of the requests, in order."""
        return [request.split(b"\r\n", 1)[0].decode() for request in self.requests]

    def _accept(self) -> None:
        listener = self._listener
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = _read(connection)
                with self._lock:
                    answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
                    self.requests.append(request)
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)
            except OSError:
                return


def _read(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise OSError("the client went")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    while lengths and len(body) < lengths[0]:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def wired(
    *answers: bytes | Callable[[socket.socket], None], **how: Any
) -> Iterator[tuple[Wire, Barrack]]:
    """A server of raw bytes and a client of it."""
    wire = Wire(*answers)
    policy = how.pop("policy", {})
    try:
        with Barrack(KEY, wire.url, retry=replace(QUICK, **policy), **how) as client:
            yield wire, client
    finally:
        wire.close()


def everything_about(error: BaseException) -> str:
    """All text that can be had from an exception: its own, of those behind it, of its frames."""
    texts: list[str] = []
    found: list[BaseException] = [error]
    for one in found:
        texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
        texts += traceback.format_exception(one)
        told = traceback.TracebackException.from_exception(one, capture_locals=True)
        texts += told.format()
        for attribute in ("request", "response"):
            thing = getattr(one, f"_{attribute}", None)
            texts += [repr(thing), repr(getattr(thing, "headers", None))]
        found += [x for x in (one.__cause__, one.__context__) if x is not None and x not in found]
    return "\n".join(texts)
