"""The fastest script that we could write by hand for the main job, to be measured against.

asyncio and httpx over 16 small pools, since one large pool costs processor time for each of its
connections at each request; the pages of a list at once; each instance hibernated as soon as its
snapshot is seen ready. It has no leases, no retries, no protection, and nothing that shows what it
does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from itertools import cycle
from typing import Any

import httpx

POOLS = 16
PAUSE = 0.5


class Api:
    """The requests, spread over small pools; so many under way at once."""

    def __init__(self, in_flight: int) -> None:
        count = min(POOLS, in_flight)
        size = -(-in_flight // count)
        limits = httpx.Limits(max_connections=size, max_keepalive_connections=size)
        self._pools = [
            httpx.AsyncClient(
                base_url=os.environ["BARRACK_BASE_URL"],
                headers={"x-api-key": os.environ["BARRACK_API_KEY"]},
                limits=limits,
                timeout=30,
                trust_env=False,
            )
            for _ in range(count)
        ]
        self._gates = [asyncio.Semaphore(size) for _ in range(count)]
        self._next = cycle(range(count))

    async def ask(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        number = next(self._next)
        async with self._gates[number]:
            answer = await self._pools[number].request(method, path, **how)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    async def every(self, kind: str) -> list[dict[str, Any]]:
        """All items of a list: the first page, and then the others at once."""

        def page(number: int) -> Any:
            return self.ask("GET", f"/{kind}", params={"page": number, "page_size": 100})

        first = await page(1)
        last = first["pagination"]["pages"]
        rest = await asyncio.gather(*(page(number) for number in range(2, last + 1)))
        return [item for body in (first, *rest) for item in body[kind]]

    async def close(self) -> None:
        for pool in self._pools:
            await pool.aclose()


async def main(in_flight: int) -> None:
    """Snapshot and hibernate everything that is ACTIVE."""
    api = Api(in_flight)
    ids = {i["id"]: i["name"] for i in await api.every("instances") if i["status"] == "ACTIVE"}
    stamp = time.strftime("%Y%m%d%H%M%S")
    work = [
        asyncio.ensure_future(
            api.ask("POST", "/snapshots", json={"instance_id": id_, "name": f"{name}-{stamp}"})
        )
        for id_, name in ids.items()
    ]
    left = set(ids)
    while left:
        await asyncio.sleep(PAUSE)
        ready = {s["instance_id"] for s in await api.every("snapshots") if s["status"] == "SUCCESS"}
        work += [
            asyncio.ensure_future(api.ask("POST", f"/instances/{id_}/hibernate"))
            for id_ in left & ready
        ]
        left -= ready
    await asyncio.gather(*work)
    while True:
        there = await api.every("instances")
        if all(i["status"] == "HIBERNATED" for i in there if i["id"] in ids):
            break
        await asyncio.sleep(PAUSE)
    await api.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=64)
    began, used = time.perf_counter(), time.process_time()
    asyncio.run(main(parser.parse_args().in_flight))
    print(json.dumps({"s": time.perf_counter() - began, "cpu": time.process_time() - used}))
