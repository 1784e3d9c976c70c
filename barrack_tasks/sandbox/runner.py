"""`Sandbox`: a cloud of one's own for the length of a `with` block."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from barrack_tasks.api.dialect import Dialect, builtin
from barrack_tasks.api.models.times import Moment, read_moment, read_span
from barrack_tasks.sandbox.cloud.clock import Clock
from barrack_tasks.sandbox.cloud.fleet import fleet_of
from barrack_tasks.sandbox.cloud.history import span_of_days
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.http.app import App
from barrack_tasks.sandbox.http.drift import CHANGES, Drift, drifted
from barrack_tasks.sandbox.http.server import HTTPServer, listen

START_TIMEOUT = 30.0


class Sandbox:
    """A local Barrack cloud over real HTTP.

    Args:
        api_key: the key that the cloud wants to see.
        balance: credits at the start, in `currency`.
        currency: USD, EUR or INR.
        speed: sandbox seconds per real second; 0 stands still until `advance`.
        seed: of ids, addresses, jitter and chance.
        dialect: how the cloud speaks; the built-in dialect, if not given.
        fleet: how many instances there are, or a list of their names or of what `seed_instance`
            takes.
        history: how long people used them, and were billed, before `start`: a timedelta or text,
            such as `"90d"`. The states and the balance at the start are as if there were none.
        process: serve from a process of its own, not from a thread.
        port: port on 127.0.0.1; 0 takes a free one.
        latency: how much longer every answer of the API takes: seconds, a timedelta or text.
        start: the moment the cloud's clock begins at, zone-aware, or ISO 8601; now, if not given.
        settings: what `settings()` takes.
        drift: differ from the built-in dialect in the ways of `barrack_tasks.sandbox.http.drift`.

    Raises:
        ValueError: an argument that cannot be used.
        OSError: the port is taken.
        RuntimeError: a method that needs a running cloud outside of the `with` block.

    Example:
        >>> with Sandbox(fleet=3, speed=0) as sandbox:
        ...     client = Barrack(sandbox.api_key, sandbox.url)
        ...     client.instances.stop(next(client.instances.list()).id)
        ...     sandbox.advance(60)
    """

    def __init__(
        self,
        api_key: str = "sandbox-key",
        balance: str | Decimal | int = "100",
        currency: str = "USD",
        speed: float = 60,
        seed: int = 0,
        dialect: Dialect | None = None,
        fleet: int | Sequence[str | Mapping[str, Any]] = 3,
        process: bool = False,
        port: int = 0,
        latency: float | timedelta | str = 0,
        start: Moment | None = None,
        settings: Mapping[str, Any] | None = None,
        drift: bool = False,
        history: timedelta | str | None = None,
    ) -> None:
        self.api_key = api_key
        self.dialect = drifted() if drift else (dialect or builtin())
        self._drift = drift
        self._balance = Decimal(balance)
        self._currency = currency
        self._speed, self._seed = speed, seed
        self._latency = read_span(latency).total_seconds()
        self._history = span_of_days(history) if history else None
        self._start = None if start is None else read_moment(start)
        if self._history:
            self._start = (self._start or datetime.now(UTC)) - self._history
        self._fleet = fleet_of(fleet)
        self._settings = dict(settings or {})
        self._in_process = process
        self._port = port
        self._control: httpx.Client | None = None
        self._server: HTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    # Running

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start serving, and wait until it answers.

        Raises:
            RuntimeError: it runs already, or does not come up.
        """
        if self._control is not None:
            raise RuntimeError("this sandbox is running already")
        listener = listen(self._port)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            if self._in_process:
                self._start_process(listener.fileno())
                listener.close()
            else:
                self._start_thread(listener)
            # Plain HTTP needs no certificates, and reading them all takes long.
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._control = httpx.Client(base_url=address, timeout=30, trust_env=False, verify=tls)
            self._wait_until_up()
            if self._settings:
                self.settings(**self._settings)
            if self._fleet:
                self._ask("POST", "instances", self._fleet)
            if self._history:
                lived = {"seconds": self._history.total_seconds(), "seed": self._seed}
                self._ask("POST", "history", lived)
        except BaseException:
            self.stop()
            listener.close()
            raise
        return self

    def _start_thread(self, listener: Any) -> None:
        clock = Clock(self._start, self._speed)
        world = CloudState(clock, self._balance, self._currency, self._seed)
        app = App(world, self.dialect, self.api_key, self._seed, self._latency, self._drift)
        self._server = HTTPServer(app)
        self._thread = threading.Thread(
            target=self._server.run_on, args=(listener,), name="barrack-sandbox", daemon=True
        )
        self._thread.start()

    def _start_process(self, listener: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="barrack-sandbox-")
        dialect = Path(self._folder.name) / "dialect.json"
        dialect.write_text(self.dialect.model_dump_json())
        options: dict[str, object] = {
            "--api-key": self.api_key,
            "--balance": self._balance,
            "--currency": self._currency,
            "--speed": self._speed,
            "--seed": self._seed,
            "--latency": self._latency,
            "--dialect": dialect,
            "--fleet": 0,
            "--listener": listener,
        }
        if self._start is not None:
            options["--start"] = self._start.isoformat()
        arguments = [f"{name}={value}" for name, value in options.items()]
        if self._drift:
            arguments.append("--drift")
        # The child reads the pipe's end as the death of its parent, however that died.
        self._child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "barrack_tasks.sandbox", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[listener],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(x for x in sys.path if x)},
        )

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._child is not None and self._child.poll() is not None:
                said = self._child.stderr.read().decode() if self._child.stderr else ""
                raise RuntimeError(f"the sandbox's process ended at once: {said.strip()}")
            if self._thread is not None and not self._thread.is_alive():
                raise RuntimeError("the sandbox's thread ended at once")
            try:
                self._ask("GET", "settings")
            except httpx.TransportError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"the sandbox did not answer within {START_TIMEOUT:g} s")

    def stop(self) -> None:
        """Stop serving. Nothing is left: no thread, no process, no socket."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._server is not None:
            self._server.stop()
        if self._thread is not None:
            self._thread.join()
        if self._child is not None:
            self._child.terminate()
            try:
                self._child.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.communicate()
        if self._folder is not None:
            self._folder.cleanup()
        self._server = self._thread = self._child = self._folder = None

    def _running(self) -> httpx.Client:
        if self._control is None:
            raise RuntimeError("the sandbox is not running; use it in `with Sandbox() as sandbox:`")
        return self._control

    def _ask(self, method: str, what: str, sent: Any = None) -> Any:
        answer = self._running().request(method, f"/_sandbox/{what}", json=sent)
        if answer.is_error:
            raise ValueError(answer.json()["message"])
        return answer.json()

    # For the client

    @property
    def drift(self) -> tuple[Drift, ...]:
        """In which ways it differs from the built-in dialect on purpose."""
        return CHANGES if self._drift else ()

    @property
    def url(self) -> str:
        """Address for the client, with the dialect's prefix."""
        root = str(self._running().base_url).rstrip("/")
        return root + urlsplit(self.dialect.base_url).path.rstrip("/")

    @property
    def env(self) -> dict[str, str]:
        """Environment variables that lead a client here."""
        return {"BARRACK_API_KEY": self.api_key, "BARRACK_BASE_URL": self.url}

    # For tests. A ValueError says what was wrong with the arguments.

    def advance(self, seconds: float | timedelta | str) -> None:
        """Put the clock forward by sandbox seconds or any duration; all that is due happens."""
        self._ask("POST", "clock", {"advance": read_span(seconds).total_seconds()})

    def set_speed(self, speed: float) -> None:
        """Sandbox seconds per real second from now on."""
        self._ask("POST", "clock", {"speed": speed})

    def now(self) -> datetime:
        """The cloud's time."""
        return datetime.fromisoformat(self._ask("POST", "clock")["now"])

    def add_credit(self, amount: str | Decimal | int) -> Decimal:
        """Add credits, or take some with a negative amount; the balance after it."""
        return Decimal(self._ask("POST", "credit", {"amount": str(amount)})["balance"])

    def set_stock(self, region: str, gpu_model: str, count: int) -> None:
        """Set how many GPUs are free."""
        self._ask("POST", "stock", {"region": region, "gpu_model": gpu_model, "count": count})

    def fault(self, kind: str, operation: str = "*", **how: Any) -> None:
        """Let requests go wrong; see `barrack_tasks.sandbox.http.faults.Fault` for how.

        Once, unless `count` says otherwise (None: always).
        """
        self._ask("POST", "faults", dict(kind=kind, operation=operation, **how))

    def clear_faults(self) -> None:
        """Let nothing go wrong from now on."""
        self._ask("DELETE", "faults")

    def seed_instance(self, name: str, **about: Any) -> str:
        """Put an instance there at once; its id.

        `about`: gpu_model, gpu_count, region, status, can_hibernate, labels.
        """
        return str(self._ask("POST", "instances", dict(name=name, **about))["id"])

    def set_instance_status(self, id_: str, status: str) -> None:
        """Put an instance into a state at once, as a person in the console might have."""
        self._ask("POST", f"instances/{id_}/status", {"status": status})

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings; all of them after it. See `barrack_tasks.sandbox.cloud.settings`."""
        changed: dict[str, Any] = self._ask("POST", "settings", changes)
        return changed

    def ledger(self) -> list[dict[str, Any]]:
        """Everything that has happened, in order."""
        effects: list[dict[str, Any]] = self._ask("GET", "ledger")
        return effects

    def requests(self) -> list[dict[str, Any]]:
        """The requests that the API has had, in order."""
        asked: list[dict[str, Any]] = self._ask("GET", "requests")
        return asked

    def state(self) -> dict[str, Any]:
        """Everything that is."""
        found: dict[str, Any] = self._ask("GET", "state")
        return found
