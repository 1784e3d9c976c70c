"""Telling a process that surely has ended from one of which that is not known."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


def machine() -> str | None:
    """What processes with comparable process ids share: one boot of a kernel, one namespace.

    None where that cannot be told (no /proc, or one that hides it). Two containers have the same
    host name and the same process ids now and then, so nothing less will do.
    """
    try:
        return f"{_BOOT.read_text().strip()}/{_NAMESPACE.stat().st_ino}"
    except OSError:
        return None


def born(pid: int) -> str | None:
    """When a process began, as its kernel counts; empty if it has ended, None if it is hidden."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return "" if state in "ZX" else rest[18]


def has_ended(pid: int, since: str | None) -> bool:
    """Whether a process of this machine surely has ended; what is not known counts as running.

    Args:
        pid: its number.
        since: when it began, see `born`; another process may have been given its number.
    """
    known = born(pid)
    if known is not None and since is not None:
        return known != since
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it is somebody else's, and so it is there
    return known == ""
