"""Names from outside, wherever they are shown: one line each, and no control character."""

from __future__ import annotations

import base64
import csv
import io
import logging
import time
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from barrack_tasks.api import BarrackConflictError
from barrack_tasks.api.models.shown import Chart, Page
from barrack_tasks.api.models.text import csv_cell, one_line, printable
from barrack_tasks.cli.screen import Screen
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.report import COLUMNS, Report, Row, escape
from barrack_tasks.runtime import notify as notifying
from barrack_tasks.runtime.charts import lines_by_hour, stacked_bars
from barrack_tasks.server.events import get_logger

HOSTILE = [
    "a\nERROR forged",
    "a\r\x1b[2Jb",
    "\x00\x07\x7f\x85\x9b31m",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200e\u200f\u061c",
    "a\u2028b\u2029c",
    "\ud800",
    "\u200b\ufeff\ufffe\U000e0041",
    "=cmd|' /C calc'!A0",
]
NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=40))


@given(NAMES, st.none() | st.integers(1, 30))
def test_one_line_is_one_line(text: str, most: int | None) -> None:
    shown = one_line(text, most)
    assert shown.isprintable()
    assert most is None or len(shown) <= most
    assert one_line(shown, most) == shown
    if text.isprintable() and most is None:
        assert shown == text


@given(NAMES)
def test_an_error_is_one_line(name: str) -> None:
    error = BarrackConflictError(f"the name {name} is taken", fields={name: name})
    assert str(error).isprintable()
    assert all(f"{k}{v}".isprintable() for k, v in error.fields.items())


def report_of(name: str) -> Report:
    row = Row(instance_id=name, instance=name, was=name, now=name, outcome="failed", why=name)
    return Report(flow="hibernate", rows=(row, row), notes=(name,))


@given(NAMES)
def test_a_row_of_a_report_stays_one_row(name: str) -> None:
    report = report_of(name.encode(errors="replace").decode())
    lines = report.markdown().splitlines()
    assert all(line.isprintable() for line in lines)
    assert [line.count("|") for line in lines[5:8]] == [lines[4].count("|")] * 3
    assert lines[4].count("|") <= len(COLUMNS) + 1
    assert sum(line.startswith("|") for line in lines) == 4
    assert all(cell.isprintable() for row in report.cells() for cell in row)
    assert str(WorkFailed(report)).isprintable()
    assert report.rows[0].instance == name.encode(errors="replace").decode(), "for the API"


@given(NAMES)
def test_a_row_of_a_table_stays_one_row(name: str) -> None:
    columns = ("instance", "state")
    plain = list(Screen().lines_of("", columns, [("a", "b")]))
    shown = list(Screen().lines_of("", columns, [(name, name)]))
    assert all(line.plain.isprintable() for line in shown)
    assert len(shown) == len(plain) or any(len(line) > 30 for line in shown)


@given(NAMES)
@example("-1+1")
@example("\t=1+1")
@example(" @SUM(A1)")
def test_a_cell_of_a_file_is_one_line_and_no_formula(name: str) -> None:
    cell = csv_cell(name)
    assert cell.isprintable()
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([cell, "1"])
    assert list(csv.reader(io.StringIO(out.getvalue()))) == [[cell, "1"]]


@settings(max_examples=15)
@given(NAMES)
def test_a_chart_of_any_name_can_be_drawn(name: str) -> None:
    charts = [
        stacked_bars(name, {"2026-01-01": {name: Decimal(1)}}, name),
        lines_by_hour(name, {name: [0.5] * 24}, name),
    ]
    for svg in charts:
        fromstring(svg)  # noqa: S314 - our own
        assert all(line.isprintable() for line in svg.split("\n"))
    image = Page("x", parts=(Chart(charts[0], name),)).artifact().splitlines()[-1]
    assert image.isprintable()
    assert image.count("](") == 1
    assert base64.b64decode(image.rpartition(",")[2].rstrip(")"))


def test_a_long_name_does_not_hang_a_chart() -> None:
    began = time.monotonic()
    long = "word " * 40_000
    stacked_bars(long, {long: {long: Decimal(1)}}, long)
    lines_by_hour(long, {long: [0.5] * 24}, long)
    assert time.monotonic() - began < 20


@given(NAMES)
def test_a_message_in_a_log_is_one_line(name: str) -> None:
    records: list[logging.LogRecord] = []
    logger = logging.getLogger("tests.plain_text")
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        log = get_logger("tests.plain_text")
        log.warning("%s: %s", name, "gone")
        log.warning(name)
        log.error("100% of " + name)
    finally:
        logger.removeHandler(handler)
    assert len(records) == 3
    assert all(record.getMessage().isprintable() for record in records)
    assert records[0].funcName == "test_a_message_in_a_log_is_one_line"


def test_what_people_are_told_is_plain() -> None:
    told: list[tuple[str, str]] = []

    class Told:
        def raise_on_failure(self) -> Any:
            return pytest.MonkeyPatch.context()

        def notify(self, body: str, subject: str, _sync: bool) -> None:
            told.append((subject, body))

    blocks: Any = {"me": Told()}
    assert notifying.tell(blocks, ["me"], "a\nb\x1b", "one\ntwo\u202e\x00") == {}
    assert told == [("a b\\x1b", "one\ntwo\\u202e\\x00")]


def test_escaped_text_is_plain() -> None:
    assert escape("a|\u202eb\nc") == r"a&#124;\\u202eb c"
    assert printable("a\nb\r") == "a\nb\\r"
