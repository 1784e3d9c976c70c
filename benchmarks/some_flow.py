"""Any flow, several times, as a process of its own that tells what each run cost."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import httpx

import barrack_tasks.flows
from barrack_tasks import BarrackCredentials

asked: list[str] = []
"""The requests to the Prefect server since the run began."""


def count(client: Any) -> None:
    """Count what a kind of HTTP client sends to the Prefect server."""
    send: Callable[..., Any] = client.send

    def counted(self: Any, request: httpx.Request, **how: Any) -> Any:
        if str(request.url).startswith(os.environ["PREFECT_API_URL"]):
            asked.append(f"{request.method} {request.url.path}")
        return send(self, request, **how)

    client.send = counted


def main() -> None:
    """Run it, and print a JSON list with an object for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("flow")
    parser.add_argument("--parameters", type=json.loads, default={})
    parser.add_argument("--caps", type=json.loads)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--times", type=int, default=1)
    given = parser.parse_args()
    for client in (httpx.Client, httpx.AsyncClient):
        count(client)
    account = BarrackCredentials(
        api_key=os.environ["BARRACK_API_KEY"],
        base_url=os.environ["BARRACK_BASE_URL"],
        max_concurrency=given.in_flight,
        caps=given.caps,
    )
    flow = getattr(barrack_tasks.flows, given.flow)
    told = []
    for _ in range(given.times):
        asked.clear()
        began, used = time.perf_counter(), time.process_time()
        report = flow(**given.parameters, credentials=account)
        took = {"s": time.perf_counter() - began, "cpu": time.process_time() - used}
        done = sum(row.outcome == "done" for row in report.rows)
        told.append({**took, "prefect": len(asked), "done": done})
    print(json.dumps(told))


if __name__ == "__main__":
    main()
