"""What runs of flows cost: ticks that find nothing to do, GPUs that come, restores under caps."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from barrack_tasks.sandbox import Sandbox
from benchmarks.stage import ROOT, cloud, environment, run

ALWAYS = "Mon-Sun 00:00-24:00 UTC"
TICKS: dict[str, dict[str, Any]] = {
    "follow_schedule": {"rules": [{"select": ["*"], "timetable": ALWAYS}]},
    "watch_balance": {"thresholds": [{"runway": "1h"}]},
    "enforce_budget": {"budgets": [{"per": "day", "hard": 10**9}]},
}
HERE = ("CANADA-1", "L40")
_ROUNDS = 5


def ticks(sizes: Sequence[int]) -> dict[str, str]:
    """A tick of a guard that finds all as it should be, after a first one that learns the fleet."""
    found = {}
    for size in sizes:
        for flow, parameters in TICKS.items():
            with cloud(size, speed=1) as sandbox:
                *_, last = _run(sandbox, flow, parameters, "--times", "3")
                before = len(sandbox.requests())
                *_, last = _run(sandbox, flow, parameters)
                asked = Counter(str(r["operation"]) for r in sandbox.requests()[before:])
            found[f"{flow}, {size:,} instances"] = (
                f"{last['s']:.1f} s, {last['cpu']:.1f} CPU s, {asked.total()} requests to the "
                f"cloud, {last['prefect']} to the Prefect server"
            )
    return found


def reaction() -> dict[str, str]:
    """How long from a GPU that comes until the request that claims it."""
    took = []
    for _ in range(_ROUNDS):
        with cloud(0, speed=1) as sandbox:
            sandbox.settings(durations={"create": 0.1})
            sandbox.set_stock(*HERE, 0)
            claim = {"image_id": "1", "name": "train"}
            want = {"gpu_model": HERE[1], "regions": [HERE[0]], "claim": claim}
            parameters = {"wants": [want], "interval": 1, "watch_for": "2 min"}
            watcher = _started(sandbox, "watch_gpu_stock", parameters)
            while not any(r["operation"] == "get_gpu_stock" for r in sandbox.requests()):
                if watcher.poll() is not None:
                    raise RuntimeError("the watch ended before it looked")
                time.sleep(0.1)
            time.sleep(2)
            came = sandbox.now()
            sandbox.set_stock(*HERE, 1)
            watcher.wait(150)
            claimed = next(r for r in sandbox.requests() if r["operation"] == "create_instance")
            took.append((datetime.fromisoformat(claimed["time"]) - came).total_seconds())
    return {
        "from stock to the request, a look each second": f"median {statistics.median(took):.2f} s, "
        f"{min(took):.2f} to {max(took):.2f} s, {len(took)} times"
    }


def restores(count: int = 200) -> dict[str, str]:
    """A fleet that comes back, with the caps of the guard and without any."""
    found = {}
    for name, caps in {"without caps": None, "under caps": {"burn": 10**6, "gpus": 10**4}}.items():
        with cloud(count) as sandbox:
            sandbox.set_stock("CANADA-1", "RTX-A6000", count)
            _run(sandbox, "hibernate", {"select": ["*"]})
            how = [] if caps is None else ["--caps", json.dumps(caps)]
            (told,) = _run(sandbox, "restore", {"select": ["*"], "at_once": 64}, *how)
        if told["done"] != count:
            raise RuntimeError(f"{told['done']} of {count} came back")
        found[f"restore of {count}, {name}"] = f"{told['s']:.1f} s, {told['cpu']:.1f} CPU s"
    return found


def _run(sandbox: Sandbox, flow: str, parameters: Any, *how: str) -> list[dict[str, Any]]:
    told: Any = run("some_flow", sandbox, flow, "--parameters", json.dumps(parameters), *how)
    return list(told)


def _started(sandbox: Sandbox, flow: str, parameters: Any) -> subprocess.Popen[bytes]:
    module = [sys.executable, "-m", "benchmarks.some_flow", flow]
    return subprocess.Popen(
        [*module, "--parameters", json.dumps(parameters)],
        cwd=ROOT,
        env=environment(sandbox),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
