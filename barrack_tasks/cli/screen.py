"""What commands show: names, states and messages from outside are text, and never markup."""

from __future__ import annotations

import io
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.prompt import Confirm
from rich.table import Table
from rich.text import Text

from barrack_tasks.api.models.text import one_line, printable

__all__ = ["Display", "Screen", "printable", "table"]

_PATIENCE = 5.0
_ANY_WIDTH = 10_000

_log = logging.getLogger(__name__)


class Screen(Console):
    """A console on which every string shows as it is, whatever stands in it.

    A string is one line: a line break in it shows as a space, and a narrow screen does not break
    it, so no name can forge a line. Line breaks and spaces that it begins with stay.

    Nothing in a string is markup or an emoji, no control character reaches the terminal, and
    what the output's encoding lacks is shown by its number. Colours are given as a style.

    Args:
        stderr: write to the error output instead of the output.

    Example:
        >>> Screen().print("[bold]x")
        [bold]x
    """

    def __init__(self, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)

    def print(self, *things: Any, **how: Any) -> None:
        """Show strings, each as one line, and what makes its own picture, such as a table."""
        if any(isinstance(thing, str | Text) for thing in things):
            how.setdefault("soft_wrap", True)
        super().print(*(_line(t) if isinstance(t, str) else t for t in things), **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Every string on its way to the output passes here, those in tables too."""
        return super().render_str(printable(text), **how)

    def print_rows(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show rows as a table; where it is too wide, as lines in which no name is broken."""
        found = table(*columns, title=title)
        for row in rows:
            found.add_row(*row)
        unlimited = self.options.update(max_width=_ANY_WIDTH)
        if self.measure(found, options=unlimited).maximum <= self.width:
            self.print(found)
            return
        self.print(title)
        for name, *rest in rows:
            self.print(name)
            said = (f"{what}: {cell}" for what, cell in zip(columns[1:], rest, strict=True))
            self.print(f"  {', '.join(said)}")

    def on_broken_pipe(self) -> None:
        """Go on without showing anything: nobody reads it, and the work is not done yet."""
        self.quiet = True
        stream = sys.stderr if self.stderr else sys.stdout
        with suppress(Exception):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def can_ask(self) -> bool:
        """Whether somebody can be asked; says so if nobody can."""
        if sys.stdin and sys.stdin.isatty():
            return True
        self.print("There is no terminal to ask on; pass --yes to continue without asking.")
        return False

    def agrees(self, question: str) -> bool:
        """Ask on the terminal; no answer is a no, and so is no terminal."""
        shown = Text(one_line(question))
        return self.can_ask() and Confirm.ask(shown, console=self, default=False)


def _line(text: str) -> str:
    rest = text.lstrip("\n ")
    return text[: len(text) - len(rest)] + one_line(rest)


class _Rows(Table):
    """A table in which no cell of text can forge a row."""

    def add_row(self, *renderables: RenderableType | None, **how: Any) -> None:
        super().add_row(*(one_line(r) if isinstance(r, str) else r for r in renderables), **how)


def table(*columns: str, title: str | None = None) -> Table:
    """A table whose columns break long words rather than cut them off, and of one line a cell."""
    made = _Rows(title=title and one_line(title), title_justify="left")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


class Display:
    """Shows in the background: a display that fails or hangs stops nothing and holds up nothing.

    What is left to show when the block ends has a few seconds; after that `hangs` is True.

    Example:
        >>> with Display(Screen()) as show:
        ...     show("one line")
        ...     show(lambda: a_table_that_may_fail())
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._things: queue.SimpleQueue[
            str | Callable[[], RenderableType] | threading.Event | None
        ] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="barrack-display", daemon=True)

    @property
    def hangs(self) -> bool:
        """Whether something could not be shown in time, since the output takes no more."""
        return self._thread.is_alive()

    def is_done(self) -> bool:
        """Wait a few seconds until all so far was shown; False if the output takes no more."""
        shown = threading.Event()
        self._things.put(shown)
        return shown.wait(_PATIENCE)

    def __enter__(self) -> Display:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._things.put(None)
        self._thread.join(_PATIENCE)

    def __call__(self, thing: str | Callable[[], RenderableType]) -> None:
        """Show a line, or what a function makes."""
        self._things.put(thing)

    def _run(self) -> None:
        while (thing := self._things.get()) is not None:
            try:
                if isinstance(thing, threading.Event):
                    thing.set()
                elif isinstance(thing, str):
                    self._screen.print(thing)
                else:
                    self._screen.print(thing())
            except OSError:
                self._screen.on_broken_pipe()
            except Exception as error:  # noqa: BLE001 - the next thing may show all the same
                _log.debug("something could not be shown: %s", error)
