"""What the benchmarks run on: a Prefect server of their own, clouds, processes that are timed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.services import server_settings

ROOT = Path(__file__).resolve().parent.parent
LATENCY = 0.1
"""Seconds that every answer of the cloud takes longer."""
SPEED = 60
"""Sandbox seconds per second: a snapshot takes 1.5 s, a hibernation 0.7 s."""
CONTENDERS = {
    "flow": "the_flow",
    "best script": "best_script",
    "ordinary script": "ordinary_script",
}
OTHERS = {
    "task each": "task_each",
}


@contextmanager
def prefect_server() -> Iterator[None]:
    """A Prefect server in the environment of this process and its children, from empty."""
    home = Path(tempfile.mkdtemp(prefix="bench-", dir=_cache()))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(server_settings(port, f"bench:{secrets.token_urlsafe(9)}"))
    os.environ["PREFECT_HOME"] = str(home)
    os.environ["PREFECT_PROFILES_PATH"] = str(home / "profiles.toml")
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/health")
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


def _cache() -> Path:
    folder = ROOT / ".cache"
    folder.mkdir(exist_ok=True)
    return folder


def _wait_for(url: str) -> None:
    for _ in range(240):
        try:
            if httpx.get(url, timeout=2, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.25)
    raise RuntimeError(f"nothing answers at {url}")


def fleet_of(size: int) -> list[dict[str, Any]]:
    """Small machines of one kind, all running."""
    return [
        {"name": f"m-{n:05d}", "gpu_model": "RTX-A6000", "gpu_count": 1, "region": "CANADA-1"}
        for n in range(size)
    ]


def cloud(size: int, latency: float = LATENCY, **how: Any) -> Sandbox:
    """A cloud in a process of its own."""
    return Sandbox(
        **{"process": True, "latency": latency, "speed": SPEED, "balance": 10**9, **how},
        fleet=fleet_of(size),
        api_key=f"key-{secrets.token_hex(4)}",
    )


def environment(sandbox: Sandbox) -> dict[str, str]:
    """Of a process that works on a cloud."""
    return {**os.environ, **sandbox.env}


def run(module: str, sandbox: Sandbox, *arguments: str) -> dict[str, Any]:
    """Run one of our modules against a cloud; what it tells at its end."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=ROOT,
        env=environment(sandbox),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def race(contender: str, size: int, in_flight: int) -> dict[str, Any]:
    """One contender does the main job once, on a fresh cloud."""
    with cloud(size) as sandbox:
        told = run({**CONTENDERS, **OTHERS}[contender], sandbox, "--in-flight", str(in_flight))
        asked = Counter(str(r["operation"]) for r in sandbox.requests())
        states = Counter(str(i["status"]) for i in sandbox.state()["instances"])
    if states != {"HIBERNATED": size}:
        raise RuntimeError(f"{contender} left {dict(states)}")
    return {**told, "requests": asked.total(), "by operation": dict(asked)}


def rounds(
    contenders: Sequence[str], size: int, in_flight: int, count: int
) -> dict[str, list[Any]]:
    """Each in turn, so many times: the machine may be busier at one time than at another."""
    found: dict[str, list[Any]] = {name: [] for name in contenders}
    for _ in range(count):
        for name in contenders:
            found[name].append(race(name, size, in_flight))
    return found


def middle(told: Sequence[dict[str, Any]], what: str) -> float:
    """The median of a figure."""
    return statistics.median(float(one[what]) for one in told)


def spread(told: Sequence[dict[str, Any]]) -> str:
    """The least and the most seconds."""
    seconds = [float(one["s"]) for one in told]
    return f"{min(seconds):.1f}, {max(seconds):.1f}"


def sandbox_rate() -> dict[str, str]:
    """How many requests a second the sandbox answers at most, without latency and with it."""
    found = {}
    for latency in (0.0, LATENCY):
        with cloud(100, latency=latency) as sandbox:
            rate = run("sandbox_rate", sandbox)["rate"]
        most = f" (64 in flight allow {64 / latency:.0f})" if latency else ""
        found[f"requests a second at {latency * 1000:g} ms latency{most}"] = f"{rate:.0f}"
    return found
