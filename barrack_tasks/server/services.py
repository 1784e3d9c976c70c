"""A Prefect server and a worker of one's own, started in the background and ended again."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.transport.addresses import is_loopback
from barrack_tasks.server.processes import born, has_ended

_PATIENCE = 120.0
_KEPT_IN_A_BLOCK = ("BARRACK_API_KEY", "BARRACK_BASE_URL")
_SERVE = """
import socket, sys, uvicorn
from prefect.server.api.server import create_app
listener = socket.socket(fileno=int(sys.argv[1]))
config = uvicorn.Config(create_app(final=True), timeout_keep_alive=5)
uvicorn.Server(config).run(sockets=[listener])
"""
"""What `prefect server start` does, on a socket that listens already."""
_children: dict[int, subprocess.Popen[bytes]] = {}
"""What this process itself has started, and so is told of when it ends."""
_QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

_RETRIES = "PREFECT_CLIENT_MAX_RETRIES"
"""SQLite takes one write at a time, and the server answers 503 while another one is under way.

Prefect's client asks again after 1, 2, 4 and more seconds, 5 times as a rule. That is half a
minute, and a run that has asked in vain crashes. To ask 8 times takes four minutes."""


class Services:
    """What `barrack up` has started on this machine, remembered in a folder.

    The server takes no request without a password, for whoever reaches its API can read the
    accounts' keys and run commands as the worker. The folder is for its owner alone.

    Args:
        folder: for the record, the password and the logs; the user's state folder, if not given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        self.folder = folder or Path(base) / "prefect-barrack"
        self._file = self.folder / "up.json"
        self.password_file = self.folder / "password"
        self.environment_file = self.folder / "env"
        self._held: socket.socket | None = None
        """Keeps others from the port of the server that was started here."""

    @property
    def url(self) -> str | None:
        """Address of the API of the server that was started here and runs; None if none does."""
        server = self._read().get("server")
        return str(server["url"]) if server and _is_alive(server) else None

    @property
    def is_open(self) -> bool:
        """Whether the server that runs asks for no password, as those of earlier releases did."""
        return self.url is not None and not self._read()["server"].get("asks_for_password")

    def is_running(self, what: str) -> bool:
        """Whether the `server` or the `worker` that was started here runs."""
        told = self._read().get(what)
        return _is_alive(told)

    def environment(self, url: str) -> dict[str, str]:
        """What a process needs to speak with the server at an address.

        Args:
            url: of its API; only the server that was started here is sent the password.
        """
        found = {"PREFECT_API_URL": url, _RETRIES: os.environ.get(_RETRIES, "8")}
        if url == self.url and not self.is_open:
            found["PREFECT_API_AUTH_STRING"] = self._password()
        return found | (_past_proxies() if is_loopback(url) else {})

    def start_server(self, port: int) -> str:
        """Start a Prefect server, if none was; the address of its API.

        It is given a socket that listens already, so that nobody else can take the port before it
        does, and a password of its own, so that what was told to an earlier one opens nothing.

        Raises:
            BarrackConfigurationError: the port is taken, or it does not come up.
        """
        if self.url:
            return self.url
        # A worker without its server does nothing but hold the port.
        self.stop("worker")
        listener, self._held = _listen(port)
        url = f"http://127.0.0.1:{port}/api"
        password = f"barrack:{secrets.token_urlsafe(24)}"
        self._make_folder()
        _write_privately(self.password_file, f"{password}\n")
        _close_database()
        env = {**_others_environment(), **server_settings(port, password)}
        words = ["-c", _SERVE, str(listener.fileno())]
        with listener:  # only the server has it, so that clients are refused when it has ended
            server = self._start("server", words, env, listener, url=url, asks_for_password=True)
        until = time.monotonic() + _PATIENCE
        while not answers(url):
            if time.monotonic() > until or server.poll() is not None:
                self.stop("server")
                self._held.close()
                raise BarrackConfigurationError(
                    f"the Prefect server did not start; see {self.folder / 'server.log'}"
                )
            time.sleep(0.25)
        exports = "".join(f"export {k}='{v}'\n" for k, v in self.environment(url).items())
        _write_privately(self.environment_file, exports)
        return url

    def check_port(self, port: int) -> None:
        """Refuse a port that something else has, where a server would have to be started.

        Raises:
            BarrackConfigurationError: it is taken.
        """
        if self.url is None and not self.is_running("worker"):
            for taken in _listen(port):
                taken.close()

    @property
    def has_lost_its_worker(self) -> bool:
        """Whether a server runs that was started here, and no worker does."""
        return self.url is not None and not self.is_running("worker")

    def start_worker(self, url: str, pool: str) -> None:
        """Start a worker, if none was. Like the server it has no key: runs load it from a block."""
        if not self.is_running("worker"):
            words = ["-m", "barrack_tasks.server.worker", pool]
            given = {k: v for k, v in os.environ.items() if k not in _KEPT_IN_A_BLOCK}
            env = {**given, **_QUIET, **self.environment(url)}
            # The worker keeps the port: when its server dies nobody takes its place, and so nobody
            # is sent the password or gives the worker commands.
            self._start("worker", words, env, self._held, url=url)

    def stop(self, what: str) -> bool:
        """End what was started here; False if it does not run any more."""
        known = self._read()
        told = known.pop(what, None)
        was_alive = _is_alive(told)
        if told and was_alive:
            _end(told)
        self._write(known)
        return was_alive

    @contextmanager
    def alone(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Let one process at a time start and stop things here.

        Args:
            on_wait: is called once where another process is at it.

        Raises:
            BarrackConfigurationError: the other one takes too long.
        """
        self._make_folder()
        with open(self.folder / "lock", "a", opener=_private) as lock:
            until = time.monotonic() + _PATIENCE
            has_told = False
            while not _is_locked(lock.fileno()):
                if not has_told:
                    on_wait()
                    has_told = True
                if time.monotonic() > until:
                    raise BarrackConfigurationError(
                        "another `barrack up` or `barrack down` is still running on this "
                        "machine; wait until it ends, or stop it, and try again"
                    )
                time.sleep(0.2)
            yield

    def _password(self) -> str:
        """As Prefect takes it, in one piece: a user and a secret."""
        return self.password_file.read_text(encoding="utf-8").strip()

    def _start(
        self,
        what: str,
        words: list[str],
        env: Mapping[str, str],
        passed: socket.socket | None,
        **about: Any,
    ) -> subprocess.Popen[bytes]:
        self._make_folder()
        log_file = self.folder / f"{what}.log"
        with open(log_file, "ab", opener=_private) as log:
            child = subprocess.Popen(  # noqa: S603 - our own words
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=env,
                umask=0o077,
                pass_fds=[passed.fileno()] if passed else (),
            )
        started = {"pid": child.pid, "born": born(child.pid), **about}
        self._write({**self._read(), what: started})
        _children[child.pid] = child
        return child

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.geteuid():
            raise BarrackConfigurationError(
                f"{self.folder} belongs to another user, who could read the password in it; "
                "remove it, or set XDG_STATE_HOME to a folder that you own"
            )
        self.folder.chmod(0o700)

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
        self._make_folder()
        _write_privately(self._file, json.dumps(content))


def server_settings(port: int, password: str) -> dict[str, str]:
    """Settings of a Prefect server on this machine that lets nobody in but its owner.

    Pages of other origins, and whoever reaches it under another name, cannot read from it or
    change anything, since every request needs the password; only its own pages may ask.

    Args:
        port: where it listens, at 127.0.0.1.
        password: what requests and the UI need, as `user:secret`.
    """
    url = f"http://127.0.0.1:{port}/api"
    return {
        **_QUIET,
        **_past_proxies(),
        "PREFECT_API_URL": url,
        "PREFECT_UI_API_URL": url,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_API_AUTH_STRING": password,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": (f"http://127.0.0.1:{port},http://localhost:{port}"),
    }


def _listen(port: int) -> tuple[socket.socket, socket.socket]:
    """A socket that listens, and one that does not and keeps others from the port for as long.

    Raises:
        BarrackConfigurationError: the port is taken.
    """
    listener, held = socket.socket(), socket.socket()
    try:
        # Where both may reuse the address and none listens yet, Linux gives it to both.
        for one in (listener, held):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        if sys.platform == "linux":
            held.bind(("127.0.0.1", port))
        else:  # clients wait in vain when the server has died, and the port is as safe
            held.close()
            held = listener.dup()
        listener.listen(2048)
        if sys.platform == "linux":
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # nobody else is given it
    except OSError:
        listener.close()
        held.close()
        raise BarrackConfigurationError(
            f"port {port} is in use by a process that `barrack up` did not start; if it is a "
            f"Prefect server, set PREFECT_API_URL=http://127.0.0.1:{port}/api, otherwise choose "
            f"another port with --port"
        ) from None
    return listener, held


def _past_proxies() -> dict[str, str]:
    """Keeps what goes to this machine from a proxy, which would read the password and the key."""
    told = (os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy"))
    names = dict.fromkeys([n for text in told for n in text.split(",") if n])
    text = ",".join([*names, *({"127.0.0.1", "localhost"} - names.keys())])
    return {"NO_PROXY": text, "no_proxy": text}


def _others_environment() -> dict[str, str]:
    """The environment without the account, which a server has no need of."""
    return {k: v for k, v in os.environ.items() if not k.startswith("BARRACK_")}


def _close_database() -> None:
    """Keep others from reading a database that is there already; what is new is made closed.

    It holds the key that its secrets are encrypted with.
    """
    file = database_file()
    if file is None:
        return
    for name in (file, f"{file}-wal", f"{file}-shm"):
        with suppress(OSError):
            Path(name).chmod(0o600)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _write_privately(file: Path, text: str) -> None:
    """Replace a file whole by one that only its owner can read."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    with open(fresh, "x", encoding="utf-8", opener=_private) as out:
        out.write(text)
    fresh.replace(file)


def database_file() -> Path | None:
    """The file of the database that a server started here has; None if it is no SQLite file."""
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    place, _, path = str(PREFECT_API_DATABASE_CONNECTION_URL.value()).partition(":///")
    return Path(path.partition("?")[0]) if place.startswith("sqlite") else None


def answers(url: str) -> bool:
    """Whether a Prefect API answers there."""
    try:
        health = f"{url.rstrip('/')}/health"
        return httpx.get(health, timeout=5, trust_env=not is_loopback(url)).is_success
    except httpx.HTTPError:
        return False


def _is_alive(told: Mapping[str, Any] | None) -> bool:
    if told is not None and told["pid"] in _children:
        return _children[told["pid"]].poll() is None
    return told is not None and not has_ended(told["pid"], told["born"])


def _end(told: Mapping[str, Any]) -> None:
    # A worker ends its runs first, and is given longer for it than it gives them.
    ways = ((os.kill, signal.SIGTERM, 60.0), (os.killpg, signal.SIGKILL, 5.0))
    for send, how, patience in ways:
        try:
            send(told["pid"], how)
        except ProcessLookupError:
            return
        until = time.monotonic() + patience
        while _is_alive(told) and time.monotonic() < until:
            time.sleep(0.1)
        if not _is_alive(told):
            return
