"""The port of a server that `barrack up` has started is its own, and its worker's when it died."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from barrack_tasks.server.services import Services
from tests.conftest import free_port

SERVES = """
import socket, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Well(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
server = HTTPServer(("127.0.0.1", 0), Well)
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.serve_forever()
"""


@pytest.mark.parametrize("reuse", [0, 1])
def test_clients_of_a_server_that_died_are_refused_and_nobody_takes_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reuse: int
) -> None:
    monkeypatch.setattr("barrack_tasks.server.services._SERVE", SERVES)
    services = Services(tmp_path / "state")
    port = free_port()
    services.start_server(port)
    server = services._read()["server"]["pid"]
    lives = ["-c", "import time; time.sleep(600)"]
    services._start("worker", lives, os.environ, services._held)
    assert services._held is not None
    services._held.close()  # as when `barrack up` has ended
    try:
        os.kill(server, signal.SIGKILL)
        os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=60)
        with socket.socket() as impostor:
            impostor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            with pytest.raises(OSError, match="in use"):
                impostor.bind(("127.0.0.1", port))
        services.stop("worker")
        services.start_server(port)
    finally:
        services.stop("worker")
        services.stop("server")
