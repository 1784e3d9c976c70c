"""One line that changes while a run is under way, where a person looks on: a notebook, a terminal.

Elsewhere, such as in a worker or a pipe, the log has its usual lines.
"""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any, Protocol, cast

from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import PrefectConsoleHandler

from barrack_tasks.api.models.text import one_line
from barrack_tasks.api.transport.pacing import elapsed

_EVERY = 1.0
"""Seconds between two writings of the line."""
_NAMED = 4
"""So many names of instances stand in the line."""
_LONGEST = 160
_ENDS = ("Beginning flow run", "Beginning subflow run", "Finished in state")
_LINK = "View at "
_lock = threading.RLock()
_shown: list[Line] = []
"""The line that is shown, if one is."""
_hidden = 0


class Outlet(Protocol):
    """Where a line can be shown."""

    def write(self, text: str) -> None:
        """Show this in place of what was shown before."""

    def clear(self) -> None:
        """Make room for what others print."""

    def close(self, text: str) -> None:
        """Show the last line."""


class Notebook:
    """A line below a cell; what others print stands below it."""

    def __init__(self) -> None:
        self._handle: Any = None

    def write(self, text: str) -> None:
        from IPython.display import display  # there is a kernel, so there is this

        shown = {"text/plain": text}
        if self._handle is None:
            self._handle = cast("Any", display)(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def clear(self) -> None:
        pass

    def close(self, text: str) -> None:
        if self._handle is not None:
            self.write(text)


class Terminal:
    """The last line of a terminal, which is gone when the run has ended."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    def write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[2K{text[:width]}")
        self._stream.flush()

    def clear(self) -> None:
        self.write("")

    def close(self, text: str) -> None:
        self.clear()


def _place() -> Outlet | None:
    """Where a person looks on, if anywhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return Notebook()
    return Terminal() if sys.stderr is not None and sys.stderr.isatty() else None


class Line(logging.Handler):
    """What the runs of this process are doing, from the records that tell it.

    Args:
        place: where it is shown.
        clock: seconds that pass.
    """

    def __init__(self, place: Outlet, clock: Callable[[], float] = elapsed) -> None:
        super().__init__(logging.INFO)
        self._place = place
        self._clock = clock
        self._began = clock()
        self._doing: dict[str, tuple[str, float]] = {}
        self._ended: set[str] = set()
        self._said = ""
        self._run = ""
        self._is_over = threading.Event()

    @property
    def text(self) -> str:
        """The line as it is now; empty while there is nothing to say."""
        if not self._doing:
            return f"{self._run}: {self._said}" if self._said else ""
        alike: dict[str, list[str]] = {}
        since: dict[str, float] = {}
        for name, (doing, at) in self._doing.items():
            if name not in self._ended:
                alike.setdefault(doing, []).append(name)
                since[doing] = min(at, since.get(doing, at))
        done = f"{self._run}: {len(self._ended)} of {len(self._doing)} finished"
        parts = [
            f"{_some(names)}: {doing} ({self._clock() - since[doing]:.0f} s)"
            for doing, names in alike.items()
        ]
        text = "; ".join([done, *parts])
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."

    def emit(self, record: logging.LogRecord) -> None:
        """Take in what a record tells, and show it."""
        names = getattr(record, "barrack_names", ())
        message = one_line(record.getMessage())
        if not names and (record.levelno > logging.INFO or message.startswith((*_ENDS, _LINK))):
            return
        self._run = one_line(str(getattr(record, "flow_run_name", "")))
        doing = one_line(getattr(record, "barrack_doing", ""))
        with _lock:
            self._doing |= dict.fromkeys(names, (doing, self._clock()))
            if getattr(record, "barrack_ended", False):
                self._ended |= set(names)
            if not names:
                self._said = message
            self.show()

    def show(self) -> None:
        """Write the line, if there is one."""
        # The run goes on, whatever becomes of the line.
        with _lock, suppress(Exception):
            if self.text and not self._is_over.is_set():
                self._place.write(self.text)

    def make_room(self) -> None:
        """Let others print on a line of their own."""
        with _lock, suppress(Exception):
            self._place.clear()

    def keep_showing(self) -> None:
        """Show how time passes, until it is closed."""
        while not self._is_over.wait(_EVERY):
            self.show()

    def close(self) -> None:
        """Show the last line."""
        with _lock, suppress(Exception):
            self._is_over.set()
            self._place.close(f"{self.text} after {self._clock() - self._began:.0f} s")
        super().close()


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _is_printed(record: logging.LogRecord) -> bool:
    """Whether the console prints a record while a line is shown."""
    is_said = record.levelno > logging.INFO or record.getMessage().startswith(_LINK)
    if not is_said and getattr(record, "flow_name", "").startswith("barrack-"):
        return False
    for line in _shown[:1]:
        line.make_room()
    return True


@contextmanager
def hidden() -> Iterator[None]:
    """Show no line in the block, for it has a display of its own."""
    global _hidden
    _hidden += 1
    try:
        yield
    finally:
        _hidden -= 1


@contextmanager
def live() -> Iterator[None]:
    """Show a line in place of the log's, where a person looks on. A block inside another shares it.

    Example:
        >>> with live():
        ...     hibernate(select=["train-*"])
    """
    with _lock:
        place = None if _shown or _hidden else _place()
        line = None if place is None else Line(place)
        _shown.extend([line] if line else [])
    if line is None:
        yield
        return
    setup_logging()  # a run would do it, and add handlers that are not here yet
    logger = logging.getLogger("prefect.flow_runs")
    loggers = [logging.root, *map(logging.getLogger, [*logging.root.manager.loggerDict])]
    consoles = [h for one in loggers for h in one.handlers if isinstance(h, PrefectConsoleHandler)]
    for console in consoles:
        console.addFilter(_is_printed)
    logger.addHandler(line)
    passing = threading.Thread(target=copy_context().run, args=(line.keep_showing,), daemon=True)
    passing.start()
    try:
        yield
    finally:
        logger.removeHandler(line)
        for console in consoles:
            console.removeFilter(_is_printed)
        with _lock:
            _shown.remove(line)
        line.close()
