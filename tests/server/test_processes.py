"""Processes on machines that have no `/proc`, as macOS has none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from barrack_tasks.server import processes
from barrack_tasks.server.services import Services
from tests.conftest import free_port


@pytest.fixture(autouse=True)
def _without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path / "missing")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield running
    running.kill()
    running.wait()


def test_ps_tells_when_a_process_began(child: subprocess.Popen[bytes]) -> None:
    since = processes.born(child.pid)
    assert since
    assert processes.born(child.pid) == since, "it is the same in every language and time zone"
    assert not processes.has_ended(child.pid, since)
    assert processes.has_ended(child.pid, "Thu Jan 1 00:00:00 1970"), "another had its number"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.born(child.pid) == "", "a zombie does no work"
    assert processes.has_ended(child.pid, since)
    child.wait()
    assert processes.born(child.pid) is None
    assert processes.has_ended(child.pid, since)


def test_the_time_zone_of_who_asks_changes_nothing(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    since = processes.born(child.pid)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert processes.born(child.pid) == since


def test_without_ps_a_process_counts_as_running_while_its_number_is_taken(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert processes.born(child.pid) is None
    assert not processes.has_ended(child.pid, "1")
    child.kill()
    child.wait()
    assert processes.has_ended(child.pid, "1")


def test_on_windows_no_process_is_sent_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setenv("PATH", "")
    with monkeypatch.context() as patch:
        patch.setattr(processes.os, "name", "nt")
        patch.setattr(processes.os, "kill", lambda *_: sent.append(1))
        assert not processes.has_ended(os.getpid(), "1")
    assert sent == []


def test_macos_names_its_boot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = tmp_path / "sysctl"
    command.write_text('#!/bin/sh\n[ "$2" = kern.bootsessionuuid ] && echo 9D5F-11\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(sys, "platform", "darwin")
    processes._boot_of_macos.cache_clear()
    assert processes.machine() == "9D5F-11"
    processes._boot_of_macos.cache_clear()


@pytest.mark.slow
def test_a_server_starts_is_found_again_and_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    database = f"sqlite+aiosqlite:///{tmp_path}/prefect.db"
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", database)
    url = Services(tmp_path / "state").start_server(free_port())
    code = (
        "import pathlib, sys; from barrack_tasks.server import processes, services; "
        "processes._PROC = pathlib.Path('/missing'); "
        "there = services.Services(pathlib.Path(sys.argv[1])); "
        "print(there.url, there.stop('server'), there.url)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "state")]
    another = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert another.stdout.strip() == f"{url} True None", another.stderr
    assert Services(tmp_path / "state").url is None


def test_a_server_that_ends_at_once_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("barrack_tasks.server.services._SERVE", "raise SystemExit(1)")
    with pytest.raises(Exception, match="server did not start; see"):
        Services(tmp_path / "state").start_server(free_port())
