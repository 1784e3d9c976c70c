"""Telling a process from another that was given its number."""

from __future__ import annotations

import os
import platform
import uuid
from pathlib import Path


def machine() -> str:
    """What processes with comparable process ids share: a boot of a machine, a namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{platform.node()}/{uuid.getnode()}"


def born(pid: int) -> str | None:
    """When a process began, as its kernel counts; None if it does not run or cannot be known."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else rest[18]


def runs(pid: int, since: str | None) -> bool:
    """Whether the process runs, and is the one that was born then."""
    if since is not None:
        return born(pid) == since
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
