"""How long from stock appearing until the deploy request arrives: ours, and a loop by hand.

Both look equally often at the same local cloud. Nothing is asserted about time; the table is for
the docs.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles

import pytest

from barrack_tasks import BarrackCredentials, create_when_available
from barrack_tasks.api import Barrack, BarrackOutOfStockError
from barrack_tasks.sandbox import Sandbox

HERE = ("CANADA-1", "L40")
EVERY = 1
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gpu-stock.md"


def by_hand(sandbox: Sandbox, name: str) -> None:
    """What somebody writes in an afternoon."""
    with Barrack(sandbox.api_key, sandbox.url) as client:
        while True:
            for item in client.gpu_stocks.list():
                if (item.region, item.gpu_model) == HERE and item.count.at_least > 0:
                    try:
                        client.instances.create(name, *HERE, image_id="1")
                        return
                    except BarrackOutOfStockError:
                        pass
            time.sleep(EVERY)


def ours(sandbox: Sandbox, name: str) -> None:
    """The same with this library, which checks caps, too."""
    account = BarrackCredentials(
        api_key=sandbox.api_key, base_url=sandbox.url, caps={"burn": 1000, "lasts": "1h"}
    )
    want = {"gpu_model": "L40", "regions": ["CANADA-1"], "claim": {"name": name, "image_id": "1"}}
    create_when_available(account, want, interval=EVERY, timeout=60, say=lambda _: None)


def measure(
    watch: Callable[[Sandbox, str], None], rounds: int, seed: int
) -> tuple[list[float], float]:
    """Seconds from stock to request, and requests a second while there was none."""
    dice = random.Random(seed)
    found: list[float] = []
    rates: list[float] = []
    for number in range(rounds):
        with Sandbox(fleet=0, speed=1, balance="5000") as sandbox:
            sandbox.settings(durations={"create": 0.1})
            for region in ("CANADA-1", "NORWAY-1", "US-1"):
                sandbox.set_stock(region, "L40", 0)
            watcher = threading.Thread(target=watch, args=(sandbox, f"vm-{number}"))
            watcher.start()
            time.sleep(2.5 + dice.random() * EVERY)
            sandbox.set_stock(*HERE, 1)
            came = next(e for e in reversed(sandbox.ledger()) if e["kind"] == "stock")
            watcher.join(30)
            requests = sandbox.requests()
        appeared = datetime.fromisoformat(came["time"])
        [sent] = [r for r in requests if r["operation"] == "create_instance"]
        found.append((datetime.fromisoformat(sent["time"]) - appeared).total_seconds())
        looks = [
            datetime.fromisoformat(r["time"]) for r in requests if r["operation"] == "get_gpu_stock"
        ]
        quiet = [t for t in looks if t < appeared]
        rates.append((len(quiet) - 1) / (quiet[-1] - quiet[0]).total_seconds())
    return found, median(rates)


def row(name: str, seconds: list[float], rate: float) -> str:
    tenth = quantiles(seconds, n=10)
    return (
        f"| {name} | {tenth[0]:.2f} s | {median(seconds):.2f} s | {tenth[8]:.2f} s | "
        f"{max(seconds):.2f} s | {rate:.1f} |"
    )


@pytest.mark.campaign
def test_stock_to_request(prefect_server: str) -> None:
    hand = measure(by_hand, 40, seed=1)
    own = measure(ours, 40, seed=1)
    table = "\n".join(
        [
            "| watcher | fastest tenth | median | slowest tenth | slowest | looks a second |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            row("a loop by hand", *hand),
            row("`create_when_available`", *own),
        ]
    )
    print(table)  # noqa: T201
    assert len(hand[0]) == len(own[0]) == 40, "each stock was claimed, once"
    if os.environ.get("BARRACK_WRITE_DOCS"):
        text = DOCUMENT.read_text()
        head, rest = text.split("<!-- latency -->\n", 1)
        _, tail = rest.split("<!-- /latency -->", 1)
        DOCUMENT.write_text(f"{head}<!-- latency -->\n{table}\n<!-- /latency -->{tail}")
