"""`python -m barrack_tasks.sandbox`: a local Barrack until it is interrupted."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from barrack_tasks.api.dialect import Dialect, DialectError, builtin, load_dialect
from barrack_tasks.api.dialect.reading import (
    UnreadableError,
    read_file,
    read_json,
    shown,
    text_of,
)
from barrack_tasks.api.models.rules import check_instance_name
from barrack_tasks.sandbox.cloud.clock import Clock
from barrack_tasks.sandbox.cloud.fleet import fleet_of
from barrack_tasks.sandbox.cloud.history import live_through, span_of_days
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.http.app import App
from barrack_tasks.sandbox.http.control import start_of
from barrack_tasks.sandbox.http.drift import drifted
from barrack_tasks.sandbox.http.server import HTTPServer, listen

_LONGEST_LATENCY = 3600


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount; write a number such as 100")
    return amount


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers between two."""

    def read(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number between {least} and {most}"
            )
        return int(text)

    return read


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST_LATENCY:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds between 0 and {_LONGEST_LATENCY}"
        )
    return seconds


def _moment(text: str) -> datetime:
    try:
        return start_of(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date or time; write it such as 2026-03-01 or 2026-03-01T08:00Z"
        ) from None


def _fleet(text: str) -> list[dict[str, Any]]:
    """A number of instances, or names with commas between them."""
    if re.fullmatch(r"\s*-?\d*\s*", text):
        return fleet_of(_whole(0, 100_000)(text))
    names = [name.strip() for name in text.split(",")]
    try:
        for name in names:
            check_instance_name(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} names an instance twice")
    return fleet_of(names)


def _history(text: str) -> timedelta:
    try:
        return span_of_days(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _dialect_of(file: Path) -> Dialect:
    if file.suffix == ".json":
        return Dialect.model_validate(read_json(text_of(read_file(file), shown(file)), shown(file)))
    return load_dialect(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m barrack_tasks.sandbox", description="A local Barrack cloud."
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=_whole(0, 65535), default=8080, help="port to listen on; 0 takes a free one")
    add("--speed", type=float, default=60, help="sandbox seconds per real second")
    add("--seed", type=int, default=0, help="seed of random values, such as ids and addresses")
    add("--balance", type=_money, default=Decimal(100), help="credits at the start")
    add("--currency", default="USD", choices=["USD", "EUR", "INR"])
    add(
        "--fleet",
        type=_fleet,
        default="3",
        help="the instances at the start: how many, or names such as train-1,train-2",
    )
    add(
        "--history",
        type=_history,
        default=timedelta(0),
        help="how long they were used and billed before the start, such as 90d",
    )
    add("--api-key", default="sandbox-key", help="the API key that requests must carry")
    add("--dialect", type=Path, help="a dialect file: YAML, TOML, or a complete one as JSON")
    add("--drift", action="store_true", help="differ a little from the built-in dialect")
    add("--latency", type=_seconds, default=0, help="real seconds by which each answer is delayed")
    add("--start", type=_moment, help="time at which the clock begins, ISO 8601")
    add("--listener", type=int, help=argparse.SUPPRESS)
    return parser


def main() -> int:
    """Serve until SIGINT or SIGTERM."""
    options = _parser().parse_args()
    dialect = builtin()
    try:
        if options.dialect is not None:
            dialect = _dialect_of(options.dialect)
        if options.drift:
            dialect = drifted()
        start = (options.start or datetime.now(UTC)) - options.history
        world = CloudState(
            Clock(start, options.speed), options.balance, options.currency, options.seed
        )
        owned = options.listener is not None
        listener = (
            socket.socket(fileno=options.listener) if owned else listen(options.port, options.host)
        )
    except (ValueError, OSError, DialectError, UnreadableError) as error:
        sys.stderr.write(f"the sandbox cannot start: {error}\n")
        return 2
    for instance in options.fleet:
        world.machines.seed(**instance)
    if options.history:
        live_through(world, options.history, options.seed)
    server = HTTPServer(
        App(world, dialect, options.api_key, options.seed, options.latency, options.drift)
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    if owned:
        threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    else:
        host, port = listener.getsockname()[:2]
        root = f"http://{host}:{port}"
        url = root + urlsplit(dialect.base_url).path.rstrip("/")
        sys.stdout.write(
            f"A Barrack sandbox is at {url} (speed {options.speed:g}, control at {root}/_sandbox/"
            f"state)\n\nexport BARRACK_API_KEY={options.api_key}\nexport BARRACK_BASE_URL={url}\n"
        )
        if options.dialect is not None and options.dialect.suffix != ".json":
            file = shlex.quote(str(options.dialect.resolve()))
            sys.stdout.write(f"export BARRACK_DIALECT={file}\n")
        sys.stdout.flush()
    server.run_on(listener)
    return 0


def _stop_with_parent(server: HTTPServer) -> None:
    """Read the pipe from the parent until it ends: the parent has gone, however it went."""
    while os.read(0, 4096):
        pass
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
