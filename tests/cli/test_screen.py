"""What commands show of names, states and messages from outside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.screen import Display, Screen, printable

CLI = Path(__file__).resolve().parents[2] / "barrack_tasks" / "cli"


@pytest.mark.parametrize("text", ["[/red]", "[bold]x", ":smile:", "[link=file:///etc]a[/link]"])
def test_a_text_shows_as_it_is_in_a_line_and_in_a_table(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen()
    screen.print(text, soft_wrap=True)
    screen.print_rows(text, [text], [[text]])
    assert capsys.readouterr().out.count(text) == 4


FORGED = ["ACTIVE\nFORGED", "\nFORGED", "x\r\n\u2028FORGED", "\x85FORGED", f"x{' ' * 90}FORGED"]


@pytest.mark.parametrize("text", FORGED)
def test_no_value_makes_a_line_of_its_own(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: 80)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    screen = Screen()
    screen.print(f"\n  state: {text}")
    with Display(screen) as show:
        show(f"name: {text}")
    screen.print_rows("Rows", ("what", "why"), [("x" * 90, text)])
    screen.agrees(f"Arm {text}?")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["", f"  state: {one_line(text)}"], "its own break and indent stay"
    assert not [line for line in lines if line.lstrip().startswith("FORGED")]
    assert sum("FORGED" in line for line in lines) == 4


@given(st.text(st.characters()))
def test_no_text_holds_what_a_terminal_obeys_or_an_encoding_lacks(text: str) -> None:
    shown = printable(text)
    assert all(sign.isprintable() or sign == "\n" for sign in shown)
    shown.encode("utf-8")
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("width", [30, 80, 120])
def test_no_name_in_a_row_is_broken_however_narrow_the_screen(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: width)
    name = "barrack-snapshot-before-stop/snapshot-before-stop-team-b"
    Screen().print_rows("Deployments", ("name", "armed", "next run"), [(name, "no", "in 22 min")])
    shown = capsys.readouterr().out
    assert name in shown
    lines = shown.splitlines()
    assert lines[0] == "Deployments"
    assert len(lines) == (3 if width >= 80 else 5), "what has no room stands below its row"
    assert "22" in shown


def test_a_pipe_has_room_for_all_and_nothing_is_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    Screen().print_rows(
        "", ("name", "cost", "why"), [("a", "12.00 USD", "x " * 900), ("b", "?", "")]
    )
    head, one, two = capsys.readouterr().out.splitlines()
    assert head == "name       cost  why"
    assert one.startswith("a     12.00 USD  x x x")
    assert two.rstrip() == "b             ?"


def test_a_narrow_screen_does_without_what_is_spare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: 12)
    Screen().print_rows("", ("name", "id", "why"), [("alpha", "BRK-1", "x")], spare=["id"])
    assert capsys.readouterr().out == "name   why\nalpha  x\n"


def test_no_command_makes_a_console_of_its_own() -> None:
    for path in set(CLI.glob("*.py")) - {CLI / "screen.py"}:
        calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        assert not {ast.unparse(n.func) for n in calls} & {"Console", "Text.from_markup"}, path
