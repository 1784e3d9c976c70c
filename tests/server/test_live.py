"""The line that is shown while a run is under way, where a person looks on."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest
from prefect.logging.handlers import PrefectConsoleHandler

from barrack_tasks import BarrackCredentials
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server import live as module
from barrack_tasks.server.live import Line, Terminal, hidden, live
from flows.hibernate import hibernate


class Kept:
    """A place that keeps what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.last: str | None = None
        self.made_room = 0

    def write(self, text: str) -> None:
        self.shown.append(text)

    def clear(self) -> None:
        self.made_room += 1

    def close(self, text: str) -> None:
        self.last = text


def record(message: str = "", level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("prefect.flow_runs", level, __file__, 1, message, (), None)
    made.__dict__ |= {"flow_run_name": "hibernate *", "flow_name": "barrack-hibernate", **extra}
    return made


def doing(names: str, what: str, ended: bool = False) -> logging.LogRecord:
    return record(barrack_names=tuple(names.split()), barrack_doing=what, barrack_ended=ended)


def test_it_says_who_is_at_work_on_what_and_for_how_long() -> None:
    place, now = Kept(), [0.0]
    line = Line(place, lambda: now[0])
    line.show()
    line.emit(record("Beginning flow run 'hibernate *'"))
    assert place.shown == [], "there is nothing to say yet"
    line.emit(record("waiting for 1x L40"))
    line.emit(doing("a b", "waiting, its snapshot is CREATING"))
    now[0] = 35
    line.show()
    line.emit(doing("a", "done", ended=True))
    now[0] = 40
    line.emit(doing("b", "failed, it is in\nERROR", ended=True))
    line.close()
    assert place.shown == [
        "hibernate *: waiting for 1x L40",
        "hibernate *: 0 of 2 finished; a, b: waiting, its snapshot is CREATING (0 s)",
        "hibernate *: 0 of 2 finished; a, b: waiting, its snapshot is CREATING (35 s)",
        "hibernate *: 1 of 2 finished; b: waiting, its snapshot is CREATING (35 s)",
        "hibernate *: 2 of 2 finished",
    ]
    assert place.last == "hibernate *: 2 of 2 finished after 40 s"
    line.show()
    assert len(place.shown) == 5, "nothing is shown after the last line"


def test_it_is_one_line_however_many_there_are() -> None:
    place = Kept()
    line = Line(place, lambda: 0.0)
    line.emit(doing(" ".join(f"machine-{n}" for n in range(9)), "stop instance"))
    assert "machine-3 and 5 more: stop instance (0 s)" in place.shown[-1]
    for n in range(40):
        line.emit(doing(f"machine-{n}", f"waiting, it is {n}"))
    assert all("\n" not in text and len(text) <= 160 for text in place.shown)


def test_a_terminal_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "21")
    place = Terminal()
    place.write("x" * 50)
    place.close("over")
    assert stream.getvalue() == "\r\x1b[2K" + "x" * 20 + "\r\x1b[2K"


def test_a_place_that_breaks_stops_nothing() -> None:
    class Broken(Kept):
        def write(self, text: str) -> None:
            raise OSError("it is gone")

        def close(self, text: str) -> None:
            raise OSError("it is gone")

    line = Line(Broken(), lambda: 0.0)
    line.emit(doing("a", "stop instance"))
    line.make_room()
    line.close()


def test_a_flow_shows_its_line_in_place_of_its_log(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Kept()
    monkeypatch.setattr(module, "_place", lambda: place)
    printed: list[str] = []
    monkeypatch.setattr(
        PrefectConsoleHandler, "emit", lambda _, record: printed.append(record.getMessage())
    )
    with Sandbox(speed=600, fleet=1) as sandbox:
        account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
        hibernate(select=["alpha"], credentials=account, dry_run=True)
        assert place.shown == [], "nothing was under way"
        hibernate(select=["alpha"], credentials=account)
        assert place.shown[0].startswith("hibernate alpha: 0 of 1 finished; alpha: hibernate")
        assert place.last is not None
        assert place.last.startswith("hibernate alpha: 1 of 1 finished after")
        assert not [text for text in printed if "alpha: " in text or "Finished in" in text]
        count = len(place.shown)
        with hidden():
            hibernate(select=["alpha"], credentials=account)
        assert len(place.shown) == count
        assert any("Finished in state" in text for text in printed), "the log is as usual again"


def test_a_block_inside_another_shares_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Kept] = []

    def place() -> Kept:
        made.append(Kept())
        return made[-1]

    monkeypatch.setattr(module, "_place", place)
    logger = logging.getLogger("prefect.flow_runs")
    before = list(logger.handlers)
    with live(), live():
        assert len(made) == 1
    with live():
        assert len(made) == 2
    assert logger.handlers == before
