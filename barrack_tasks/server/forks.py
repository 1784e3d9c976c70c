"""A process that has Prefect and all flows loaded, and forks itself for each run of a worker.

To load them takes seconds of CPU time, and a look of a guard takes a tenth of one. A fork has them
at once, and still is a process of its own: it is stopped, fails and crashes alone.

A run is refused where a fork would not be what a process that starts now would be: its environment
is another, or a file that was loaded has changed. Then it starts in the usual way.
"""

from __future__ import annotations

import ctypes
import gc
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

FORKS = "BARRACK_FORKS"
"""The variable with the path of the socket where runs ask for a fork."""
_OF_ONE_RUN = b"PREFECT__"
_HEAD = 8
_PATIENCE = 10.0
_PASSED_ON = (signal.SIGTERM, signal.SIGINT)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@dataclass(frozen=True)
class RunRequest:
    """What a run needs of the process that is forked for it."""

    folder: bytes
    environment: dict[bytes, bytes]
    outputs: tuple[int, ...]
    """Where it writes what it prints, and its errors."""

    @classmethod
    def receive(cls, asking: socket.socket) -> RunRequest:
        """Read it from a connection.

        Raises:
            OSError: it does not come whole.
        """
        head, outputs, _, _ = socket.recv_fds(asking, _HEAD, 2)
        try:
            if len(head) < _HEAD or len(outputs) < 2:
                raise ConnectionError("this is no request for a run")
            left = int.from_bytes(head, "big")
            text = b""
            while len(text) < left:
                part = asking.recv(left - len(text))
                if not part:
                    raise ConnectionError("who asked for a run has gone")
                text += part
        except OSError:
            for output in outputs:
                os.close(output)
            raise
        folder, *pairs = text.split(b"\0")
        named = (pair.partition(b"=") for pair in pairs)
        return cls(folder, {name: value for name, _, value in named}, tuple(outputs))

    def become(self) -> None:
        """Be the process of this run, in a fork: its session, folder, environment and outputs."""
        os.setsid()
        for place, output in enumerate(self.outputs, 1):
            os.dup2(output, place)
            os.close(output)
        os.chdir(self.folder)
        os.environ.clear()
        os.environb.update(self.environment)
        # What came since the fork strikes now, as it strikes a process that has just started.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)


def is_alike(of_run: Mapping[bytes, bytes], own: Mapping[bytes, bytes]) -> bool:
    """Whether what was loaded in one environment is as if it were loaded in the other.

    Example:
        >>> is_alike({b"A": b"1", b"PREFECT__FLOW_RUN_ID": b"2"}, {b"A": b"1"})
        True
    """
    one, other = (
        {name: value for name, value in told.items() if not name.startswith(_OF_ONE_RUN)}
        for told in (of_run, own)
    )
    return one == other


class Forks:
    """Forks for each request that comes.

    Args:
        listener: where requests come.
        lifeline: can be read once the worker has ended; then no more runs are begun.
        again: the command that starts such a process anew; the two descriptors follow in it.
    """

    def __init__(self, listener: socket.socket, lifeline: int, again: Sequence[str]) -> None:
        self._again = tuple(again)
        self._listener = listener
        self._lifeline = lifeline
        self._environment = dict(os.environb)
        self._files = loaded_files()
        self._ready = selectors.DefaultSelector()
        self._runs: dict[int, socket.socket] = {}
        """Who asked for each run that is at work, by its process."""
        self._ended, self._woken = socket.socketpair()

    def serve(self) -> RunRequest | None:
        """Fork until the worker and all runs have ended; in a fork, what it is to do."""
        for one in (self._ended, self._woken, self._listener):
            one.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for which in _PASSED_ON:  # what stops the worker lets it decide
            signal.signal(which, signal.SIG_IGN)
        for watched in (self._listener, self._lifeline, self._ended):
            self._ready.register(watched, selectors.EVENT_READ)
        gc.collect()
        gc.freeze()  # what is never collected is never written to, and so stays shared
        is_wanted = True
        while is_wanted or self._runs:
            for key, _ in self._ready.select():
                if key.fileobj is self._listener:
                    request = self._answer()
                    if request is not None:
                        return request
                elif key.fileobj is self._ended:
                    self._reap()
                elif key.fileobj == self._lifeline:
                    self._ready.unregister(self._lifeline)
                    self._ready.unregister(self._listener)
                    self._listener.close()
                    is_wanted = False
                else:
                    self._pass_on(key.data)
        return None

    def _answer(self) -> RunRequest | None:
        """Fork for the next request, or refuse it; in the fork, the request."""
        try:
            asking, _ = self._listener.accept()
        except OSError:
            return None
        asking.settimeout(_PATIENCE)
        try:
            request = RunRequest.receive(asking)
        except OSError:
            asking.close()
            return None
        is_stale = loaded_files() != self._files
        if is_stale or not is_alike(request.environment, self._environment):
            asking.close()
        elif self._fork_for(asking):
            return request
        for output in request.outputs:
            os.close(output)
        if is_stale and not self._runs:
            self._begin_anew()
        return None

    def _fork_for(self, asking: socket.socket) -> bool:
        """Fork for a run; whether this is the fork."""
        own = os.getpid()
        # A signal for the run may come before the fork has done anything, and is kept for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
        try:
            pid = os.fork()
        except OSError:  # no memory, or too many processes
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
            asking.close()
            return False
        if pid == 0:
            # Nobody would learn how the run ends without the process that forked it.
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            if os.getppid() != own:  # it has gone already
                os._exit(1)
            self._let_go(asking)
            return True
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        self._runs[pid] = asking
        self._ready.register(asking, selectors.EVENT_READ, pid)
        with suppress(OSError):
            asking.send(b"y")
        return False

    def _let_go(self, asking: socket.socket) -> None:
        """Leave to the process that forked what is its own."""
        signal.set_wakeup_fd(-1)
        for which in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(which, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._ready.close()
        for one in (asking, *self._runs.values(), self._listener, self._ended, self._woken):
            one.close()
        os.close(self._lifeline)

    def _pass_on(self, pid: int) -> None:
        """Send a run the signals that who asked for it was sent; end it if that was killed."""
        if pid not in self._runs:
            return  # it has ended since this was seen
        try:
            numbers = self._runs[pid].recv(16)
        except OSError:
            numbers = b""
        for number in numbers or bytes([signal.SIGKILL]):
            os.kill(pid, number)  # it is not waited for yet, so nobody else has its number
        if not numbers:
            self._ready.unregister(self._runs[pid])

    def _reap(self) -> None:
        """Tell who asked how their runs have ended."""
        with suppress(BlockingIOError):
            while self._ended.recv(256):
                pass
        for pid, asking in list(self._runs.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._runs[pid]
                with suppress(KeyError):
                    self._ready.unregister(asking)
                with suppress(OSError):
                    asking.sendall(str(os.waitstatus_to_exitcode(status)).encode())
                asking.close()

    def _begin_anew(self) -> None:
        """Load everything as it is now; requests wait for as long."""
        kept = (self._listener.fileno(), self._lifeline)
        for fd in kept:
            os.set_inheritable(fd, True)
        os.execv(self._again[0], [*self._again, *map(str, kept)])  # noqa: S606 - our own


def loaded_files() -> dict[str, tuple[int, int] | None]:
    """What is loaded, and Prefect's profiles: when each file was changed, and its size."""
    names = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    profiles = sys.modules["prefect.settings"].get_current_settings().profiles_path
    return {str(name): _state_of(name) for name in (*names, profiles) if name}


def _state_of(file: str | Path) -> tuple[int, int] | None:
    try:
        told = Path(file).stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size


def words_for(module: str) -> list[str]:
    """The command that starts such a process for a module; see `main`."""
    # Without -P a file in the folder at hand could stand in for a module.
    return [sys.executable, "-P", "-m", "barrack_tasks.server.forks", module]


def main() -> None:
    """Load a module with all that it gives, fork for each request, and be the engine in a fork."""
    module, listener, lifeline = sys.argv[1:]
    for loaded_late in ("prefect.flow_engine", "anyio._backends._asyncio"):
        import_module(loaded_late)
    loaded = import_module(module)
    for name in loaded.__all__:
        getattr(loaded, name)
    if threading.active_count() > 1:
        raise SystemExit("a process with several threads cannot be forked")
    forks = Forks(socket.socket(fileno=int(listener)), int(lifeline), words_for(module))
    request = forks.serve()
    if request is not None:
        request.become()
        sys.argv = ["prefect.engine"]
        warnings.filterwarnings("ignore", "'prefect.engine' found in sys.modules")
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
