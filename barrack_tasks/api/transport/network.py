"""A limit on the time of a whole exchange.

The timeouts of httpx are for each read and write, so that a server that sends a byte now and then,
or one "Early Hints" after another, would never come to an end.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

_own = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread reads and writes in the block has this many seconds, all together."""
    before = getattr(_own, "until", None)
    _own.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _own.until = before


def _left(timeout: float | None, too_late: type[Exception]) -> float | None:
    """The seconds that a single read or write may take."""
    until: float | None = getattr(_own, "until", None)
    if until is None:
        return timeout
    left = until - time.monotonic()
    if left <= 0:
        raise too_late("the time for the whole answer has run out")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options))


def limit(client: httpx.Client) -> None:
    """Let `within` hold for all connections of a client that has not connected yet."""
    # httpx offers no way to give a pool its backend; the tests show whether this one holds.
    for transport in (client._transport, *client._mounts.values()):
        pool: Any = getattr(transport, "_pool", None)
        if hasattr(pool, "_network_backend"):
            pool._network_backend = _Backend()
