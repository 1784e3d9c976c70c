"""`barrack check` and `barrack schema`: without a server, without an account, without a network."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from barrack_tasks.cli import main
from tests.cli.config.mistakes import KEY
from tests.cli.test_hostile_files import FILES, ran

Barrack = Callable[..., tuple[int, str, str]]


@pytest.fixture
def barrack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Barrack:
    """Runs a command; gives its exit code, what it said, and what it said of errors."""

    def refuse(*_: object) -> None:
        raise AssertionError("it asks the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["barrack", *words])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return int(str(end.value.code)), told.out, told.err

    return run


def test_a_file_without_a_mistake_says_what_it_holds(barrack: Barrack, tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text("accounts: [a]\nbalance: {armed: true}\nwatch: {}\n")
    said = "1 file: no mistake; sections: balance, watch; armed: balance.\n"
    assert barrack("check", str(file)) == (0, said, "")


def test_the_file_of_this_folder_is_meant_if_none_is_named(
    barrack: Barrack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert barrack("check")[0] == 2
    (tmp_path / "barrack.yaml").write_text("watch: {}\n")
    assert barrack("check")[0] == 0


def test_each_mistake_is_shown_with_its_line_and_a_caret(barrack: Barrack, tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text("balance:\n  armd: true\ncosts: {days: 0}\n")
    code, out, err = barrack("check", str(file))
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"{file}:2:3: no such key 'armd'; did you mean 'armed'?",
        "  2 |   armd: true",
        "    |   ^^^^",
        f"{file}:3:15: days must be 1 or more, and is 0",
        "  3 | costs: {days: 0}",
        "    |               ^",
    ]


def test_a_key_in_a_file_is_refused_and_not_shown(
    barrack: Barrack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARRACK_API_KEY", KEY)
    file = tmp_path / "barrack.yaml"
    for text in (f"protect: [{KEY}]\n", f"accounts: [{KEY.upper()}]\n", f"{KEY}: 1\n{KEY}: 2\n"):
        file.write_text(text)
        code, out, err = barrack("check", str(file))
        assert code == 2
        assert KEY not in out + err
        assert KEY.upper() not in out + err


def test_the_schema_is_printed(barrack: Barrack) -> None:
    code, out, _ = barrack("schema")
    assert code == 0
    assert json.loads(out)["title"] == "barrack.yaml"


def test_whatever_a_file_holds_it_is_refused_in_few_lines(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    names = [*FILES, "folder", "pipe", "loop", "missing", "/dev/zero"]
    for words, code, said, _ in ran(tmp_path, [["check", name] for name in names]):
        assert code == 2, (words, code, said[-300:])
        assert "Traceback" not in said
        assert 20 < len(said) < 20_000, words
        assert max(map(len, said.splitlines())) < 600, words
