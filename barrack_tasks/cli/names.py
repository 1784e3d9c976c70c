"""Names of instances for the completion of a shell: asked for once in a while, and kept shortly."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

FRESH = 60.0
"""Seconds for which names are good enough for a completion."""
_MOST = 2_000


def _file(address: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    key = os.environ.get("BARRACK_API_KEY", "").strip()
    whose = hashlib.blake2s(f"{address}\n{key}".encode(), digest_size=8).hexdigest()
    return Path(base) / "prefect-barrack" / f"names-{whose}.json"


def remember(address: str, names: Sequence[str]) -> None:
    """Keep the names of an account's instances. What cannot be kept is not: it is asked for again.

    Args:
        address: of the API.
        names: of all instances.
    """
    file = _file(address)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(list(names)[:_MOST]), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(file)


def recall(address: str, clock: Callable[[], float] = time.time) -> list[str] | None:
    """The names that were kept within the last minute; None if there are none.

    Args:
        address: of the API.
        clock: seconds since the epoch.
    """
    file = _file(address)
    try:
        if not 0 <= clock() - file.stat().st_mtime < FRESH:
            return None
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return [str(name) for name in found] if isinstance(found, list) else None
