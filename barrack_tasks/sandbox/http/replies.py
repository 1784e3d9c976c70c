"""Replies on the wire: bytes, headers, and the ways a connection can end."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass
class Reply:
    """What is sent back."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class HungUp(Exception):
    """The client has gone, or the server is going."""


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply of JSON."""
    body = json.dumps(value, separators=(",", ":"), default=_as_number).encode()
    return Reply(status, body, headers=dict(headers or {}))


def _as_number(value: Any) -> Any:
    """A number with a point as it was sent; one that JSON has no place for as a text."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{value!r} is no JSON value")
    number = float(value)
    return number if math.isfinite(number) else str(value)


async def read_all(receive: Receive) -> bytes:
    """The whole body of a request.

    Raises:
        HungUp: the client went before it had sent all.
    """
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a reply whole."""
    headers = {
        "content-type": reply.content_type,
        "content-length": str(len(reply.body)),
        **reply.headers,
    }
    raw = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    await send({"type": "http.response.body", "body": reply.body})


async def reset(scope: Scope, receive: Receive) -> None:
    """Reset the TCP connection: the client sees it break, not end.

    Raises:
        RuntimeError: the server that runs the app gives no access to its connections.
    """
    abort = scope.get("state", {}).get("abort")
    if abort is None:
        raise RuntimeError("this server cannot reset connections; run the app with Sandbox")
    abort()
    # The server calls an answer that is missing an error, unless it knows that nobody waits.
    while (await receive())["type"] != "http.disconnect":
        pass


async def hold(receive: Receive, seconds: float) -> None:
    """Do nothing for some real seconds.

    Raises:
        HungUp: the client has gone before that.
    """
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
    raise HungUp
