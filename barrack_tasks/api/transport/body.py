"""The bytes of an answer: unpacked and parsed within bounds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from barrack_tasks.api.transport.bounds import Bounds

ACCEPTED = "gzip, deflate"
"""The encodings that are asked for, since these can be unpacked within bounds."""


class Damaged(Exception):
    """The bytes are not what they should be; when they are sent again they may be."""


class TooMuch(Exception):
    """The answer goes beyond a bound, or is written in a way that was not asked for."""

    status_code: int | None = None


def joined(pieces: Iterable[bytes], bounds: Bounds) -> bytes:
    """The pieces as one.

    Raises:
        TooMuch: there are too many bytes; no more than one piece beyond the bound was read.
    """
    kept: list[bytes] = []
    length = 0
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        if length > bounds.answer_bytes:
            raise TooMuch(f"the answer has more than {bounds.answer_bytes:,} bytes")
    return b"".join(kept)


def unpacked(content: bytes, encoding: str, bounds: Bounds) -> bytes:
    """The content without its `Content-Encoding`.

    Raises:
        TooMuch: it unpacks to too many bytes, or the encoding was not asked for.
        Damaged: it cannot be unpacked.
    """
    named = [name.strip().lower() for name in encoding.split(",")]
    encodings = [name for name in named if name not in ("", "identity")]
    if not encodings or not content:
        return content
    if len(encodings) > 1 or encodings[0] not in ("gzip", "x-gzip", "deflate"):
        raise TooMuch(f"the answer is encoded as {encoding!r}, but {ACCEPTED!r} was requested")
    packed = encodings[0]
    unpacker = zlib.decompressobj(_form(packed, content))
    try:
        plain = unpacker.decompress(content, bounds.answer_bytes + 1)
    except zlib.error as error:
        raise Damaged(f"its {packed} cannot be unpacked: {error}") from None
    if len(plain) > bounds.answer_bytes:
        raise TooMuch(f"the answer unpacks to more than {bounds.answer_bytes:,} bytes")
    if not unpacker.eof:
        raise Damaged(f"its {packed} ends too early")
    return plain


def _form(packed: str, content: bytes) -> int:
    """How zlib is told of the header: gzip's, its own, or none, as some servers deflate."""
    if packed != "deflate":
        return zlib.MAX_WBITS | 16
    has_header = content[0] & 0x0F == 8 and int.from_bytes(content[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def parsed(content: bytes, bounds: Bounds) -> Any:
    """The JSON in an answer; an empty object where there is none. Fractions come as `Decimal`.

    Raises:
        ValueError: it is not JSON.
        TooMuch: it goes beyond a bound.
    """
    if not content.strip():
        return {}
    text = content.decode(json.detect_encoding(content), "surrogatepass")
    if text.count(",") + text.count("[") + text.count("{") > bounds.values:
        raise TooMuch(f"the answer holds more than {bounds.values:,} values")
    try:
        body = json.loads(
            text,
            parse_int=lambda number: _whole(number, bounds),
            parse_float=lambda number: _fraction(number, bounds),
        )
        is_deep = _depth(body) > bounds.depth
    except RecursionError:
        is_deep = True
    if is_deep:
        raise TooMuch(f"the answer is nested more than {bounds.depth} levels deep")
    return body


def _whole(number: str, bounds: Bounds) -> int:
    if len(number) > bounds.digits:
        raise TooMuch(f"the answer holds a number of more than {bounds.digits} digits")
    return int(number)


def _fraction(number: str, bounds: Bounds) -> Decimal:
    value = Decimal(number) if len(number) <= bounds.digits else None
    if value is None or abs(value.adjusted()) > bounds.digits:
        raise TooMuch(f"the answer holds a number of more than {bounds.digits} digits")
    return value


def _depth(body: Any) -> int:
    """How many levels of objects and lists are inside each other."""
    depth, level = 0, [body]
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [
            inner for one in level for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth
