"""The command of a run: ask the process that has everything loaded to fork itself for the run.

Prefect's worker starts it in the place of `python -m prefect.engine`, and watches and stops it as
it would the engine. It passes signals on and ends as the run ends. Where nobody can fork for this
run, it becomes the engine itself. It imports little, since it starts anew for each run.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress

_PASSED_ON = (signal.SIGTERM, signal.SIGINT)
_PATIENCE = 120.0
"""Seconds for an answer: to load everything anew takes a busy machine half a minute."""


def main() -> int:
    """Have the run done in a fork; its exit code."""
    if os.getpgrp() != os.getpid():  # else it leads a group already, as Prefect can start it
        os.setsid()  # what stops the worker lets it decide about its runs
    # What comes earlier is passed on when there is somebody to pass it on to.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    forks = _asked(os.environ.pop("BARRACK_FORKS", ""))
    if forks is None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        os.execv(sys.executable, [sys.executable, "-m", "prefect.engine"])  # noqa: S606 - our own
    for which in _PASSED_ON:
        signal.signal(which, lambda number, _: _send(forks, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    told = b""
    with suppress(ConnectionResetError):  # it has ended without having read a last signal
        while part := forks.recv(64):
            told += part
    if not told:
        return 1  # whoever forks was killed, and has ended the run with it
    code = int(told)
    if code < 0:  # Prefect tells by this signal why the run ended
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    return code


def _asked(path: str) -> socket.socket | None:
    """A connection to who has forked for this run; None if nobody has."""
    if not path:
        return None
    forks = socket.socket(socket.AF_UNIX)
    forks.settimeout(_PATIENCE)  # who forks may hang
    with suppress(OSError):
        forks.connect(path)
        # pathlib takes as long to import as all the rest.
        parts = (os.getcwdb(), *(k + b"=" + v for k, v in os.environb.items()))  # noqa: PTH109
        request = b"\0".join(parts)
        socket.send_fds(forks, [len(request).to_bytes(8, "big")], [1, 2])
        forks.sendall(request)
        if forks.recv(1) == b"y":
            forks.settimeout(None)
            return forks
    forks.close()
    return None


def _send(forks: socket.socket, number: int) -> None:
    with suppress(OSError):
        forks.send(bytes([number]))


if __name__ == "__main__":
    raise SystemExit(main())
