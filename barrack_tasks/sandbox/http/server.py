"""Uvicorn with three things it does not have: resets, a fast stop, and signals left alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing throws the rest away and sends RST in place of FIN."""


class _Protocol(H11Protocol):
    """A connection whose requests can reset it: `scope["state"]["abort"]()`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "abort": self._abort}

    def _abort(self) -> None:
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class HTTPServer(uvicorn.Server):
    """Serves an app on a socket that listens already, until `stop` is called.

    Args:
        app: the ASGI app.

    Example:
        >>> server = Server(app)
        >>> thread = Thread(target=server.run_on, args=(listen(0),))
    """

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,  # its own would close the handlers of the whole process
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_level="critical",
                access_log=False,
                server_header=False,
                # The app dates its answers by the sandbox's clock.
                date_header=False,
                timeout_keep_alive=120,
            )
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    def run_on(self, listener: socket.socket) -> None:
        """Serve until stopped; closes the socket."""
        try:
            asyncio.run(self.serve(sockets=[listener]))
        finally:
            listener.close()

    def stop(self) -> None:
        """Stop serving. From any thread; does nothing to a server that has stopped."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopped.set)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the business of who runs the server."""
        yield

    async def main_loop(self) -> None:
        """Wait to be stopped."""
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut all connections: a sandbox that stops owes nobody an answer."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        await asyncio.sleep(0)


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A socket that listens on a port, or on a free one when it is 0.

    Raises:
        OSError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delays off only for sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener
