"""How many requests a second the sandbox answers, so that it is never what is measured.

The requests are those of the main job, and what sends them is a raw socket for each connection,
since an HTTP client would be what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from urllib.parse import urlsplit


async def ask(number: int, count: int) -> None:
    """Send requests one after the other over one connection."""
    address = urlsplit(os.environ["BARRACK_BASE_URL"])
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for each in range(count):
        body = json.dumps({"instance_id": "nobody", "name": f"s-{number}-{each}"})
        writer.write(
            f"POST {address.path}/snapshots HTTP/1.1\r\nhost: {address.netloc}\r\n"
            f"x-api-key: {os.environ['BARRACK_API_KEY']}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
        await reader.readexactly(int(fields[b"content-length"]))
    writer.close()


async def main(in_flight: int, count: int) -> None:
    """Send all of them."""
    await asyncio.gather(*(ask(number, count // in_flight) for number in range(in_flight)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--requests", type=int, default=6400)
    given = parser.parse_args()
    began = time.perf_counter()
    asyncio.run(main(given.in_flight, given.requests))
    took = time.perf_counter() - began
    print(json.dumps({"s": took, "rate": given.requests / took}))
