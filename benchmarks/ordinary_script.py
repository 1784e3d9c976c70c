"""The script that one writes first: asyncio, one httpx client, one step for all after the other.

It takes a snapshot of each instance, waits until all are ready, then hibernates all of them and
waits until they are. It has no leases, no retries, no protection, and nothing that shows what it
does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from typing import Any

import httpx


async def pages(http: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
    """All items of a list, one page after the other."""
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        answer = await http.get(f"/{kind}", params={"page": page, "page_size": 100})
        answer.raise_for_status()
        body = answer.json()
        found += body[kind]
        if page >= body["pagination"]["pages"]:
            return found
        page += 1


async def main(in_flight: int) -> None:
    """Snapshot and hibernate everything that is ACTIVE."""
    gate = asyncio.Semaphore(in_flight)
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(
        base_url=os.environ["BARRACK_BASE_URL"],
        headers={"x-api-key": os.environ["BARRACK_API_KEY"]},
        limits=limits,
        timeout=30,
        trust_env=False,
    ) as http:

        async def post(path: str, body: dict[str, Any] | None = None) -> None:
            async with gate:
                (await http.post(path, json=body)).raise_for_status()

        targets = [i for i in await pages(http, "instances") if i["status"] == "ACTIVE"]
        ids = {i["id"] for i in targets}
        stamp = time.strftime("%Y%m%d%H%M%S")
        await asyncio.gather(
            *(
                post("/snapshots", {"instance_id": i["id"], "name": f"{i['name']}-{stamp}"})
                for i in targets
            )
        )
        while True:
            taken = await pages(http, "snapshots")
            if ids <= {s["instance_id"] for s in taken if s["status"] == "SUCCESS"}:
                break
            await asyncio.sleep(0.5)
        await asyncio.gather(*(post(f"/instances/{id_}/hibernate") for id_ in ids))
        while True:
            there = await pages(http, "instances")
            if all(i["status"] == "HIBERNATED" for i in there if i["id"] in ids):
                break
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=64)
    began, used = time.perf_counter(), time.process_time()
    asyncio.run(main(parser.parse_args().in_flight))
    print(json.dumps({"s": time.perf_counter() - began, "cpu": time.process_time() - used}))
