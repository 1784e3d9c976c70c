"""What all tests share: Prefect kept inside a folder of the test run, and real servers."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
from hypothesis import HealthCheck, settings

from barrack_tasks.server.services import server_settings
from tests.forks import end_with_this_process

_CACHE = Path(__file__).resolve().parent.parent / ".cache"
_CACHE.mkdir(exist_ok=True)
_HOME = Path(tempfile.mkdtemp(prefix="tests-", dir=_CACHE))


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Each of the many clients that Prefect makes in a run reads all certificates again, which takes
# longer than what it then asks for. All servers of the tests are on this machine and speak plain
# HTTP, so that one authority is as good as all.
_AUTHORITY = _HOME / "authority.pem"
_AUTHORITY.write_text(
    "-----BEGIN" + Path(certifi.where()).read_text(encoding="utf-8").split("-----BEGIN")[1]
)

# Before Prefect is imported anywhere: nothing outside the test run, no call home.
PREFECT_PORT = free_port()
PREFECT_AUTH = ("tests", secrets.token_urlsafe(12))
os.environ.update(
    {
        "PREFECT_HOME": str(_HOME),
        "PREFECT_PROFILES_PATH": str(_HOME / "profiles.toml"),
        **server_settings(PREFECT_PORT, ":".join(PREFECT_AUTH)),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "SSL_CERT_FILE": str(_AUTHORITY),
        "PREFECT_API_SSL_CERT_FILE": str(_AUTHORITY),
        # The server asks for no such token, and each client would ask for one first.
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        # Events can be read soon after they happened.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.2",
        # A worker asks every 10 seconds for runs, if it is not told otherwise, and tests wait.
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
)
for name in (
    "BARRACK_API_KEY",
    "BARRACK_BASE_URL",
    "BARRACK_PROTECT",
    "BARRACK_DIALECT",
    "BARRACK_ALLOW_HTTP",
):
    os.environ.pop(name, None)

# Who starts the tests in the background may have had SIGINT ignored, for all that they start, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tests")


def asked(method: str, url: str, *, body: Any = None) -> httpx.Response:
    """What a Prefect server answers. A busy one answers 503, and its own client then asks again."""
    for _ in range(20):
        answer = httpx.request(method, url, json=body, auth=PREFECT_AUTH, timeout=30)
        if answer.status_code != 503:
            break
        time.sleep(0.5)
    return answer


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def prefect_home() -> Path:
    """Where Prefect keeps its database in this test run."""
    return _HOME


_TABLES = _CACHE / f"prefect-{version('prefect')}"


def give_tables(home: Path) -> None:
    """Spare a server that will be started in another home the making of its tables.

    Nothing is given where some are there already, or before any server of the tests has made them.
    """
    if _TABLES.exists() and not (home / "prefect.db").exists():
        shutil.copytree(_TABLES, home, dirs_exist_ok=True)


@contextmanager
def _with_empty_tables(home: Path) -> Iterator[None]:
    """Give a server that is started in the block the tables of one that was never used.

    To make them takes a server longer than all the rest of its start, so the first one makes them
    while others wait, and what it has made before anybody uses it is kept for all the others.
    """
    with (_CACHE / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _TABLES.exists():
            fcntl.flock(lock, fcntl.LOCK_UN)
            give_tables(home)
            yield
            return
        yield
        fresh = Path(tempfile.mkdtemp(prefix="tables-", dir=_CACHE))
        with (
            closing(sqlite3.connect(home / "prefect.db")) as made,
            closing(sqlite3.connect(fresh / "prefect.db")) as copy,
        ):
            made.backup(copy)
        shutil.copy(home / "memo_store.toml", fresh)  # which block types are registered
        fresh.rename(_TABLES)


@pytest.fixture(scope="session")
def prefect_server(prefect_home: Path) -> Iterator[str]:
    """A real Prefect server; gives its API's address."""
    import subprocess
    import time

    import httpx
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    log_file = prefect_home / "server.log"
    url = f"http://127.0.0.1:{PREFECT_PORT}/api"
    server: subprocess.Popen[bytes] | None = None
    try:
        with _with_empty_tables(prefect_home):
            with log_file.open("wb") as log:
                server = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "prefect",
                        "server",
                        "start",
                        "--port",
                        str(PREFECT_PORT),
                    ],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=end_with_this_process,
                )
            for _ in range(480):
                try:
                    if httpx.get(f"{url}/health", timeout=2).is_success:
                        break
                except httpx.HTTPError:
                    time.sleep(0.25)
            else:
                pytest.fail(f"the Prefect server did not start:\n{log_file.read_text()[-2000:]}")
        # Nobody looks for crashed runs here, and each run waits for its heart's last second.
        with (
            temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
            pytest.MonkeyPatch.context() as patch,
        ):
            # No test gives the server a storage of its own for results, and each run asks it three
            # times which one that is.
            patch.setattr(
                "prefect.results._read_server_default_result_storage_block_id", lambda: None
            )
            yield url
        # What waits to be sent would be tried for minutes, at the end of this process, once the
        # server is gone.
        for service in (EventsWorker, APILogWorker):
            service.drain_all(timeout=10)
    finally:
        if server is not None:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
