"""What a shell may complete, and the names that are kept for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from barrack_tasks import flows
from barrack_tasks.cli import app
from barrack_tasks.cli.completion import candidates
from barrack_tasks.cli.names import FRESH, recall, remember
from barrack_tasks.sandbox import Sandbox
from tests.cli.test_learn import run
from tests.thinning import some_slow

FLEET = ["alpha", "beta"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sta"], ["status"]),
        (["show", ""], FLEET),
        (["hibernate", "alpha", "b"], ["beta"]),
        (["ls", "sn"], ["snapshots"]),
        (["ls", "snapshots", "al"], ["alpha"]),
        (["ls", "--reg"], ["--region"]),
        (["notify", ""], ["add", "ls", "test"]),
        (["run", "hib"], ["hibernate"]),
        (["run", "hibernate", "--sel"], ["--select"]),
        (["run", "hibernate", "--select", "a"], ["alpha"]),
        (["run", "hibernate", "--timeout", ""], []),
        (["schedule", "preview", "--da"], ["--days"]),
        (["nosuch", ""], []),
    ],
)
def test_what_is_begun_is_completed(words: list[str], found: list[str]) -> None:
    assert candidates(app, words, FLEET) == found


def test_the_hidden_command_itself_is_not_offered() -> None:
    assert "complete" not in candidates(app, ["comp"], [])


@pytest.mark.parametrize("name", flows.__all__)
def test_flags_of_flows_are_those_of_their_signatures(name: str) -> None:
    offered = candidates(app, ["run", name, "--"], [])
    for parameter in getattr(flows, name).parameters.properties:
        assert f"--{parameter.replace('_', '-')}" in offered


def test_names_are_kept_for_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert recall("https://a") is None
    remember("https://a", FLEET)
    assert recall("https://a") == FLEET
    assert recall("https://b") is None
    [file] = (tmp_path / "prefect-barrack").iterdir()
    written = file.stat().st_mtime
    assert file.stat().st_mode & 0o077 == 0
    assert recall("https://a", clock=lambda: written + FRESH) is None
    assert recall("https://a", clock=lambda: written - 1) is None, "the clock was set back"
    file.write_text("[")
    assert recall("https://a") is None


def test_names_come_from_the_account_and_nothing_is_said_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert run("complete", "show", "") == 1
    assert capsys.readouterr() == ("", "")
    with Sandbox(fleet=2, speed=0) as sandbox:
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)
        assert run("complete", "show", "a") == 0
        assert capsys.readouterr().out == "alpha\n"
    assert run("complete", "show", "b") == 0, "the names were kept"
    assert capsys.readouterr().out == "beta\n"


ASKED = {
    "bash": 'COMP_WORDS=(barrack sta); COMP_CWORD=1; _barrack; echo "${COMPREPLY[@]}"',
    "zsh": "words=(barrack sta); CURRENT=2; _barrack",
    "fish": "complete -C 'barrack sta'",
}
BEFORE = {"zsh": "compdef() { :; }; compadd() { shift; print -l -- $@; }"}
"""Of zsh, what a terminal would have loaded, and what shows the words instead of a menu."""


@pytest.mark.parametrize("shell", some_slow(["bash"], ["zsh", "fish"]))
def test_each_shell_takes_its_script_and_completes_a_command(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = shutil.which(shell)
    if place is None:
        pytest.skip(f"{shell} is not installed here")
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    (tmp_path / "barrack").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from barrack_tasks.cli import main; main()" "$@"\n'
    )
    (tmp_path / "barrack").chmod(0o755)
    done = subprocess.run(
        [place, "-c", "\n".join([BEFORE.get(shell, ""), script, ASKED[shell]])],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
    )
    assert done.stdout.split() == ["status"], done.stderr
