"""Telling a process that surely has ended from one of which that is not known.

Linux tells by `/proc`. Elsewhere, which means macOS, the commands `ps` and `sysctl` tell.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


def machine() -> str | None:
    """What processes with comparable process ids share: one boot of a kernel, one namespace.

    None where that cannot be told (a `/proc` that hides it, or Windows). Two containers have the
    same host name and the same process ids now and then, so nothing less will do.
    """
    if sys.platform == "darwin":
        return _boot_of_macos()
    try:
        return f"{_BOOT.read_text().strip()}/{_NAMESPACE.stat().st_ino}"
    except OSError:
        return None


@cache
def _boot_of_macos() -> str | None:
    """What names this boot of macOS, which has no namespaces of process ids."""
    return _told("sysctl", "-n", "kern.bootsessionuuid")


def born(pid: int) -> str | None:
    """When a process began, as its kernel counts; empty if it has ended, None if it is hidden."""
    if not (_PROC / "self" / "stat").exists():
        return _born_by_ps(pid)
    try:
        state, *rest = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return "" if state in "ZX" else rest[18]


def _born_by_ps(pid: int) -> str | None:
    told = _told("ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid))
    if told is None:
        return None
    state, _, since = told.partition(" ")
    return "" if state[:1] in "ZX" else " ".join(since.split())


def _told(*words: str) -> str | None:
    """What a command of the system says, in one language and one time zone; None if nothing."""
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def has_ended(pid: int, since: str | None) -> bool:
    """Whether a process of this machine surely has ended; what is not known counts as running.

    Args:
        pid: its number.
        since: when it began, see `born`; another process may have been given its number.
    """
    known = born(pid)
    if known is not None and since is not None:
        return known != since
    if os.name != "posix":
        return False  # on Windows `os.kill` would not ask the process but end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it is somebody else's, and so it is there
    return known == ""
