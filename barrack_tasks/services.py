"""A Prefect server and a worker of one's own, started in the background and ended again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.processes import born, has_ended

_PATIENCE = 120.0
_QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


class Services:
    """What `barrack up` has started on this machine, remembered in a folder.

    Args:
        folder: for the record and the logs; the user's state folder, if not given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self.folder = folder or Path(base) / "prefect-barrack"
        self._file = self.folder / "up.json"

    @property
    def url(self) -> str | None:
        """Address of the API of the server that was started here and runs; None if none does."""
        server = self._read().get("server")
        return str(server["url"]) if server and _is_alive(server) else None

    def is_running(self, what: str) -> bool:
        """Whether the `server` or the `worker` that was started here runs."""
        told = self._read().get(what)
        return _is_alive(told)

    def start_server(self, port: int) -> str:
        """Start a Prefect server, if none was; the address of its API.

        Raises:
            BarrackConfigurationError: the port is taken, or it does not come up.
        """
        if self.url:
            return self.url
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise BarrackConfigurationError(
                    f"port {port} is taken by something that `barrack up` did not start; if it is "
                    f"a Prefect server, set PREFECT_API_URL=http://127.0.0.1:{port}/api, else "
                    "choose another with --port"
                )
        url = f"http://127.0.0.1:{port}/api"
        env = {**_QUIET, "PREFECT_API_URL": url, "PREFECT_UI_API_URL": url}
        words = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
        pid = self._start("server", words, env, url=url)
        until = time.monotonic() + _PATIENCE
        while not answers(url):
            if time.monotonic() > until or born(pid) is None:
                self.stop("server")
                raise BarrackConfigurationError(
                    f"the Prefect server does not come up; see {self.folder / 'server.log'}"
                )
            time.sleep(0.25)
        return url

    def start_worker(self, url: str, pool: str) -> None:
        """Start a worker, if none was."""
        if not self.is_running("worker"):
            words = ["worker", "start", "--pool", pool]
            self._start("worker", words, {**_QUIET, "PREFECT_API_URL": url}, url=url)

    def stop(self, what: str) -> bool:
        """End what was started here; False if it does not run any more."""
        known = self._read()
        told = known.pop(what, None)
        was_alive = _is_alive(told)
        if told and was_alive:
            _end(told)
        self._write(known)
        return was_alive

    def _start(self, what: str, words: list[str], env: Mapping[str, str], url: str) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{what}.log").open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - our own words
                [sys.executable, "-m", "prefect", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **env},
            )
        self._write({**self._read(), what: {"pid": child.pid, "born": born(child.pid), "url": url}})
        return child.pid

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, content: Mapping[str, Any]) -> None:
        if not content:
            self._file.unlink(missing_ok=True)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(content), encoding="utf-8")
        fresh.replace(self._file)


def answers(url: str) -> bool:
    """Whether a Prefect API answers there."""
    try:
        return httpx.get(f"{url.rstrip('/')}/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


def _is_alive(told: Mapping[str, Any] | None) -> bool:
    return told is not None and not has_ended(told["pid"], told["born"])


def _end(told: Mapping[str, Any]) -> None:
    for how, patience in ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(told["pid"], how)
        except ProcessLookupError:
            return
        until = time.monotonic() + patience
        while _is_alive(told) and time.monotonic() < until:
            time.sleep(0.1)
        if not _is_alive(told):
            return
