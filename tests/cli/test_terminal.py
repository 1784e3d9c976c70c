"""Live views on a real terminal of 80 columns, and how Ctrl-C ends them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.forks import started

CTRL_C = b"\x03"
SIGNS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")
WAIT = 120.0
"""Seconds after which a test gives up; nothing is asserted of how long anything takes."""


class Terminal:
    """A command on a terminal of 80 by 24."""

    def __init__(self, words: list[str], env: dict[str, str]) -> None:
        self._own, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        given = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.child = started(
            *words,
            env={**given, "TERM": "xterm", **env},
            streams=(its, its, its),
            is_at_terminal=True,
        )
        os.close(its)
        self.shown = ""
        self.raw = ""

    def read_until(self, text: str) -> None:
        """Read until a text was shown.

        Raises:
            AssertionError: it ended, or showed nothing for long.
        """
        until = time.monotonic() + WAIT
        while text not in self.shown:
            goes_on = self._read() and time.monotonic() < until
            assert goes_on, f"{text!r} was not shown: {self.shown[-4000:]}"

    def _read(self) -> bool:
        ready, _, _ = select.select([self._own], [], [], WAIT)
        try:
            data = os.read(self._own, 65536) if ready else b""
        except OSError:  # the other end is closed
            return False
        self.raw += data.decode(errors="replace")
        self.shown += SIGNS.sub("", data.decode(errors="replace"))
        return bool(data)

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; the code that it ends with, and all that it has shown."""
        os.write(self._own, CTRL_C)
        return self.end()

    def end(self) -> tuple[int, str]:
        """Wait for its end; the code that it ends with, and all that it has shown."""
        while self._read():
            pass
        self.child.join(WAIT)
        assert self.child.exitcode is not None, "it goes on"
        return self.child.exitcode, self.shown

    def close(self) -> None:
        if self.child.exitcode is None:
            self.child.kill()
            self.child.join()
        os.close(self._own)


@contextmanager
def terminal(sandbox: Sandbox, *words: str, **env: str) -> Iterator[Terminal]:
    made = Terminal([*words], {**sandbox.env, **env})
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(fleet=3, speed=1) as made:
        yield made


def test_a_watch_goes_on_until_ctrl_c_and_fits_the_screen(sandbox: Sandbox) -> None:
    with terminal(sandbox, "watch", "--every", "1") as live:
        live.read_until("Ctrl-C ends this")
        code, shown = live.interrupt()
    assert code == 130
    assert "Runway:" in shown
    assert "alpha" in shown
    assert "Traceback" not in shown
    rows = [line.removesuffix("^C").rstrip() for line in shown.splitlines()]
    assert not [line for line in rows if len(line) > 80]


def test_a_watch_says_how_it_ends_where_not_all_has_room(prefect_server: str) -> None:
    with (
        Sandbox(fleet=40, speed=1) as many,
        terminal(many, "watch", "--every", "1", PREFECT_API_URL=prefect_server) as live,
    ):
        live.read_until("Ctrl-C ends this")
        assert live.interrupt()[0] == 130


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}])
def test_no_color_takes_the_colours_away(sandbox: Sandbox, env: dict[str, str]) -> None:
    with terminal(sandbox, "ls", **env) as live:
        code, shown = live.end()
    assert (code, "ACTIVE" in shown) == (0, True), shown
    has_colours = re.search(r"\x1b\[(\d+;)*(3|4|9|10)[0-7]", live.raw) is not None
    assert has_colours is not bool(env), live.raw


def test_a_followed_watch_of_json_is_a_line_a_look(sandbox: Sandbox) -> None:
    with terminal(sandbox, "watch", "--every", "1", "--json") as live:
        live.read_until('"runway_seconds"')
        code, shown = live.interrupt()
    assert code == 130
    assert "Traceback" not in shown


def test_ctrl_c_ends_followed_events(sandbox: Sandbox, prefect_server: str) -> None:
    with terminal(sandbox, "events", "--follow", PREFECT_API_URL=prefect_server) as live:
        live.read_until("Ctrl-C ends this")
        code, shown = live.interrupt()
    assert code == 130
    assert "Traceback" not in shown


def test_ctrl_c_ends_a_run_and_says_what_was_left_at_work(
    sandbox: Sandbox, prefect_server: str
) -> None:
    with terminal(
        sandbox, "run", "hibernate", "alpha", "--watch", PREFECT_API_URL=prefect_server
    ) as live:
        live.read_until("alpha: ")
        code, shown = live.interrupt()
    assert code == 130, shown
    assert "interrupted; still in progress: alpha" in shown
    assert "Traceback" not in shown
