"""The main job on a local stand-in for Barrack: snapshot a fleet, then hibernate it."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / ".demo"
SPEED = 30
FLEET = [
    {"name": "train-a", "gpu_model": "H100-PCIe-80GB", "gpu_count": 8, "region": "CANADA-1"},
    {"name": "train-b", "gpu_model": "A100-SXM4-80GB-NVLink", "gpu_count": 4, "region": "NORWAY-1"},
    {"name": "notebook", "gpu_model": "RTX-A6000", "gpu_count": 1, "region": "CANADA-1"},
    {"name": "serving", "gpu_model": "L40", "gpu_count": 2, "region": "US-1"},
]


def main() -> None:
    """Run the demo; with `--keep 1`, leave everything running until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=int, default=0)
    parser.add_argument("--flow", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.flow:
        run_flow()
        return
    # A polite kill ends the children too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(HOME, ignore_errors=True)
    os.umask(0o077)
    HOME.mkdir()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, HOME, ignore_errors=True)
        play(stack, keep=bool(given.keep))


def play(stack: ExitStack, keep: bool) -> None:
    """Start the two servers, run the flow, show what there is to see."""
    from barrack_tasks.sandbox import Sandbox

    port = free_port()
    password = f"demo:{secrets.token_urlsafe(12)}"
    os.environ.update(prefect_environment(port, password))
    print("1. A local Barrack and a Prefect server start ...", flush=True)
    stack.enter_context(prefect_server(port))
    sandbox = stack.enter_context(Sandbox(speed=SPEED, balance="500", fleet=FLEET, process=True))
    os.environ.update(sandbox.env)
    wait_for(port)
    print(
        f"2. Four machines run; the clock runs {SPEED} times faster. The flow begins:", flush=True
    )
    # In a process of its own, so that Prefect can hand in its last events before the server ends.
    flow = subprocess.run([sys.executable, __file__, "--flow"])
    if keep:
        print(f"\nBarrack sandbox: {sandbox.url}")
        print(f"Prefect UI:      http://127.0.0.1:{port}")
        print(f"Sign in with:    {password}\n")
        for name, value in sandbox.env.items():
            print(f"export {name}={shlex.quote(value)}")
        for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
            print(f"export {name}={shlex.quote(os.environ[name])}")
        print("\nCtrl-C ends both.", flush=True)
        wait_for_interrupt()
    if flow.returncode:
        sys.exit(flow.returncode)


def run_flow() -> None:
    """The flow, and its report as a table."""
    from barrack_tasks.flows import snapshot_before_stop

    print('\n   snapshot_before_stop(select=["*"], then="hibernate", protect=["serving"])\n')
    print(snapshot_before_stop(select=["*"], then="hibernate", protect=["serving"]))


@contextmanager
def prefect_server(port: int) -> Iterator[None]:
    """A Prefect server of the demo's own, and nothing of it left afterwards."""
    with (HOME / "prefect-server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            end(server)


def end(server: subprocess.Popen[bytes]) -> None:
    """End a process and all it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
            server.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def prefect_environment(port: int, password: str) -> dict[str, str]:
    """Settings that keep Prefect inside the clone, and others out of its server."""
    from barrack_tasks.server.services import server_settings

    return {
        **server_settings(port, password),
        "PREFECT_HOME": str(HOME / "prefect"),
        "PREFECT_PROFILES_PATH": str(HOME / "prefect" / "profiles.toml"),
        # What a person wants to follow is said by the flow, not by each look it takes.
        "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
    }


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until the Prefect server answers."""
    import httpx

    for _ in range(240):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.25)
    sys.exit(f"the Prefect server did not start; see {HOME / 'prefect-server.log'}")


def wait_for_interrupt() -> None:
    """Wait for Ctrl-C."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
