"""PostgreSQL and Redis, several Prefect servers on them, and several workers: real processes."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
INTEGRATION = ROOT / ".cache" / "scale"
"""Where `make test-scale` puts prefect-redis."""
ENGINES = {
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
    "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
}
"""What the recipes in deployments/ set, so that servers share everything."""
ADDRESSES = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_DOCKET_URL",
    "PREFECT_REDIS_MESSAGING_URL",
    "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL",
)
"""What says where the engines are; each part of Prefect that has none asks this machine instead."""
_PLACES = os.pathsep.join(
    (*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ["PATH"], "/usr/sbin")
)


def program(name: str) -> str:
    """A program of Debian's packages; empty if it is not installed."""
    return shutil.which(name, path=_PLACES) or ""


def absent() -> str:
    """What is not installed here, as one sentence; empty if all is there."""
    needed = {"postgres": "PostgreSQL", "redis-server": "Redis", "haproxy": "haproxy"}
    missing = [called for name, called in needed.items() if not program(name)]
    if not (INTEGRATION / "prefect_redis").is_dir():
        missing.append("prefect-redis in .cache/scale")
    return f"This test needs {', '.join(missing)}." if missing else ""


@dataclass
class Several:
    """Servers and workers that were started, and what a client needs to reach them.

    Args:
        folder: of the logs.
        env: the environment of a client.
    """

    folder: Path
    env: dict[str, str]
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, words: list[str], env: Mapping[str, str] = {}, **how: str) -> None:
        """Start a part in a group of its own, with a log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.parts[name] = subprocess.Popen(
                words,
                cwd=ROOT / "docs",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self.env, **env, "BARRACK_TEST_PART": self._mark(name)},
                **how,  # type: ignore[call-overload]
            )

    def prefect(self, name: str, *words: str, **env: str) -> None:
        """Start a part that is a command of Prefect."""
        self.start(name, [sys.executable, "-m", "prefect", *words], env)

    def run(self, *words: str, **env: str) -> str:
        """Run a command to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT / "docs",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, **self.env, **env},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _mark(self, name: str) -> str:
        """What the processes of a part carry; another test at the same time has others."""
        return f"{self.folder.name}/{name}"

    def _processes(self, name: str) -> Iterator[tuple[int, dict[str, str]]]:
        """Every process that a part has started: its number, and its environment."""
        mark = self._mark(name)
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                words = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                env = dict(word.split("=", 1) for word in words if "=" in word)
                if env.get("BARRACK_TEST_PART") == mark:
                    yield int(entry.name), env

    def runs_of(self, name: str) -> set[str]:
        """Ids of the runs whose processes a worker has started, and that are there."""
        found = {env.get("PREFECT__FLOW_RUN_ID", "") for _, env in self._processes(name)}
        return found - {""}

    def lose(self, name: str) -> None:
        """Kill a part and all that it has started, at once and without a word."""
        part = self.parts.pop(name)
        part.kill()
        part.wait()
        for number, _ in self._processes(name):
            with suppress(OSError):
                os.kill(number, signal.SIGKILL)

    def stop(self) -> None:
        """End all parts, the last first."""
        for name in reversed(list(self.parts)):
            self.lose(name)


def until_ready(url: str) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/ready", timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing answers at {url}")


@contextmanager
def several(settings: Mapping[str, str] = {}) -> Iterator[Several]:
    """PostgreSQL, Redis, two API servers behind haproxy, and the services.

    Args:
        settings: of all Prefect processes.
    """
    database, redis, one, two, proxy = (free_port() for _ in range(5))
    password = f"tests:{secrets.token_urlsafe(12)}"
    kept = f"redis://127.0.0.1:{redis}"
    database_url = f"postgresql+asyncpg://prefect@127.0.0.1:{database}/postgres"
    places = (database_url, f"{kept}/1", f"{kept}/0", f"{kept}/0")
    with tempfile.TemporaryDirectory(prefix="barrack-scale-") as place, ExitStack() as stack:
        folder = Path(place)
        env = {
            **ENGINES,
            **settings,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{INTEGRATION}",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{proxy}/api",
            "PREFECT_API_AUTH_STRING": password,
            "PREFECT_SERVER_API_AUTH_STRING": password,
            **dict(zip(ADDRESSES, places, strict=True)),
        }
        parts = Several(folder, env)
        stack.callback(parts.stop)
        _start_postgres(parts, database)
        words = ["--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", place]
        parts.start("redis", [program("redis-server"), *words])
        parts.run("-m", "prefect", "server", "database", "upgrade", "-y")
        for name, port in (("one", one), ("two", two)):
            parts.prefect(name, "server", "start", "--port", str(port), "--no-services", "--no-ui")
            until_ready(f"http://127.0.0.1:{port}/api")
        parts.prefect("services", "server", "services", "start")
        names = {
            "BIND": f"127.0.0.1:{proxy}",
            "SERVER_ONE": f"127.0.0.1:{one}",
            "SERVER_TWO": f"127.0.0.1:{two}",
        }
        file = str(ROOT / "deployments" / "haproxy.cfg")
        _until_triggers_are_evaluated(redis)
        parts.start("proxy", [program("haproxy"), "-db", "-f", file], names)
        until_ready(env["PREFECT_API_URL"])
        yield parts


def _until_triggers_are_evaluated(redis: int) -> None:
    """Wait until the services follow events; a part of them that could not start says nothing."""
    asked = [program("redis-cli"), "-p", str(redis), "XINFO", "GROUPS", "events"]
    for _ in range(900):
        told = subprocess.run(asked, capture_output=True, text=True).stdout
        if "reactive-triggers" in told.split():
            return
        time.sleep(0.2)
    raise AssertionError(f"no service evaluates automations: {told}")


def _start_postgres(parts: Several, port: int) -> None:
    """An empty PostgreSQL, which does not run as root."""
    home = parts.folder / "postgres"
    home.mkdir()
    parts.folder.chmod(0o755)
    how: dict[str, str] = {}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(home, owner.pw_uid, owner.pw_gid)
        how = {"user": "postgres", "group": "postgres"}
    data = str(home / "data")
    made = [program("initdb"), "-D", data, "-U", "prefect", "--auth=trust", "--no-sync"]
    subprocess.run(made, cwd=home, check=True, capture_output=True, **how)  # type: ignore[call-overload]
    settings = ("listen_addresses=127.0.0.1", "fsync=off", "max_connections=300")
    words = ["-D", data, "-p", str(port), "-k", str(home)]
    words += [word for one in settings for word in ("-c", one)]
    parts.start("postgres", [program("postgres"), *words], **how)
    for _ in range(300):
        asked = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        if subprocess.run(asked).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError((parts.folder / "postgres.log").read_text())
