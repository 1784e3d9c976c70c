"""What commands show: names, states and messages from outside are text, and never markup."""

from __future__ import annotations

import io
import json
import logging
import os
import queue
import re
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from pydantic import BaseModel, TypeAdapter
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.prompt import Confirm
from rich.text import Text

from barrack_tasks.api.models.text import one_line, printable

__all__ = ["Display", "Screen", "printable", "width_of"]

_PATIENCE = 5.0
_ANY_WIDTH = 10_000
_GAP = "  "
_LEAST_ROOM = 30
"""Cells of the last column, where sentences may be folded in it."""
_UNBROKEN: Any = {"break_long_words": False, "break_on_hyphens": False}
_FIGURE = re.compile(r"[-+]?[\d,]+(\.\d+)?( [A-Za-z0-9]{1,8})?|\?|-|")
_COLOURS = {
    "ACTIVE": "green",
    "ARMED": "bold red",
    "BLIND": "red",
    "COMPLETED": "green",
    "CRASHED": "red",
    "ERROR": "red",
    "FAILED": "red",
    "HIBERNATED": "cyan",
    "SHUTOFF": "yellow",
    "available": "green",
    "done": "green",
    "dry": "dim",
    "failed": "red",
    "SUCCESS": "green",
    "Completed": "green",
    "Crashed": "red",
    "Failed": "red",
    "TimedOut": "red",
    "not ready": "red",
    "protected": "dim",
    "ready": "green",
    "unknown": "yellow",
}
"""The one place where words have a colour: a cell that is one of these, or begins with it."""

_log = logging.getLogger(__name__)


def width_of(stream: Any) -> int | None:
    """The cells of a line; None if the terminal tells it.

    A file or a pipe has no width, whatever a shell exports as COLUMNS: what is read by a program is
    neither folded nor cut.

    Args:
        stream: that is written to.
    """
    return None if stream.isatty() else _ANY_WIDTH


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
        width = width_of(stream)
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)

    def print(self, *things: Any, **how: Any) -> None:
        """Show strings, each as one line, and what makes its own picture, such as a table."""
        if any(isinstance(thing, str | Text) for thing in things):
            how.setdefault("soft_wrap", True)
        super().print(*(_line(t) if isinstance(t, str) else t for t in things), **how)

    def render_str(self, text: str, **how: Any) -> Text:
        """Every string on its way to the output passes here, those in tables too."""
        return super().render_str(printable(text), **how)

    def print_rows(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        spare: Sequence[str] = (),
    ) -> None:
        """Show rows as a table; see `lines_of`."""
        for line in self.lines_of(title, columns, rows, spare):
            self.print(line)

    def lines_of(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        spare: Sequence[str] = (),
    ) -> Iterator[Text]:
        """Rows as a table of one line a row, in which no name is broken and nothing is cut.

        Figures stand at the right of their column. The last columns that have no room stand below
        their row, each with its name; a file or a pipe has room for all.

        Args:
            title: stands above; none, if it is empty.
            columns: their names. The first ones are those that a reader needs first.
            rows: a text for each column.
            spare: columns that a narrow screen does without, the last one first: `--json` and a
                pipe have them.
        """
        if title:
            yield Text(one_line(title), "bold")
        columns, cells = list(columns), [[one_line(cell) for cell in row] for row in rows]
        wide = [
            max(cell_len(name), *(cell_len(row[n]) for row in cells), 0)
            for n, name in enumerate(columns)
        ]

        def is_too_wide(count: int) -> bool:
            return sum(wide[:count]) + len(_GAP) * (count - 1) > self.width

        for name in reversed(spare):
            if is_too_wide(len(columns)):
                place = columns.index(name)
                columns.pop(place)
                wide.pop(place)
                for row in cells:
                    row.pop(place)
        fit = len(columns)
        while fit > 1 and is_too_wide(fit):
            fit -= 1
        room = self.width - sum(wide[:fit]) - len(_GAP) * fit
        if fit == len(columns) - 1 and room >= _LEAST_ROOM:
            # The last column has room for sentences, which are folded in it.
            fit, wide[-1] = len(columns), room
        right = [
            all(_FIGURE.fullmatch(row[n]) for row in cells)
            and any(row[n].strip("-?") for row in cells)
            for n in range(fit)
        ]
        yield _line_of(columns[:fit], wide, right, head=True)
        for row in cells:
            first, *more = textwrap.wrap(row[fit - 1], max(wide[fit - 1], 1), **_UNBROKEN) or [""]
            yield _line_of([*row[: fit - 1], first], wide, right)
            for line in more:
                yield _line_of([*("" for _ in range(fit - 1)), line], wide, right)
            rest = [f"{name}: {cell}" for name, cell in zip(columns, row, strict=True) if cell]
            rest = rest[sum(bool(cell) for cell in row[:fit]) :]
            # What a line goes on with has a mark, so that no value makes a line of its own.
            folded = textwrap.wrap(
                ", ".join(rest),
                max(self.width, 30),
                initial_indent="    ",
                subsequent_indent="    | ",
                **_UNBROKEN,
            )
            for line in folded:
                yield Text(printable(line), "dim")

    def print_json(self, value: Any, kind: Any = None, /) -> None:  # type: ignore[override]
        """Show a value as JSON, whatever the output: money as text, times as ISO 8601.

        Args:
            value: a model, or a list of models.
            kind: its type, as it is published in `docs/cli.schema.json`; that of the value, if it
                is not given.
        """
        made = TypeAdapter(kind or type(value)).dump_python(value, mode="json")
        text = json.dumps(made, indent=2)  # ASCII: it can be written in every encoding
        (sys.stderr if self.stderr else sys.stdout).write(f"{text}\n")

    def print_json_line(self, value: BaseModel) -> None:
        """Show a model as one line of JSON, at once: of what goes on, each line is an answer."""
        stream = sys.stderr if self.stderr else sys.stdout
        stream.write(f"{json.dumps(value.model_dump(mode='json'))}\n")
        stream.flush()

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


def _colour(cell: str) -> str:
    return _COLOURS.get(cell) or _COLOURS.get(cell.partition(":")[0].partition(" ")[0], "")


def _line(text: str) -> str:
    rest = text.lstrip("\n ")
    return text[: len(text) - len(rest)] + one_line(rest)


def _line_of(
    cells: Sequence[str], wide: Sequence[int], right: Sequence[bool], head: bool = False
) -> Text:
    line = Text()
    for n, cell in enumerate(cells):
        space = " " * (wide[n] - cell_len(cell))
        is_last = n == len(cells) - 1
        line.append(space if right[n] else "")
        line.append(printable(cell), "bold" if head else _colour(cell))
        line.append("" if right[n] or is_last else space)
        line.append("" if is_last else _GAP)
    line.rstrip()
    return line


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
