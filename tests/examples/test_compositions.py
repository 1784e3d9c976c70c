"""The compositions in `examples/` run against a sandbox, and the page shows them as they are."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks.api import BarrackNotFoundError
from barrack_tasks.flows import restore
from barrack_tasks.sandbox import Sandbox
from tests.conftest import free_port
from tests.flows.conftest import answer, cloud
from tests.thinning import some_slow

__all__ = ["cloud"]
ROOT = Path(__file__).resolve().parents[2]
OF_LEASES = "keep_awake_callbacks.py"  # docs/leases.md shows how it is used
FILES = sorted(p for p in (ROOT / "examples").glob("*.py") if p.name != OF_LEASES)
PAGE = ROOT / "docs" / "compositions.md"
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


@pytest.fixture
def sandbox(cloud: Callable[..., Sandbox], monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A cloud without machines, which the environment names."""
    running = cloud(fleet=0, dialect=None)
    for name, value in running.env.items():
        monkeypatch.setenv(name, value)
    return running


def example(name: str) -> Any:
    """The module that an example is."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def states(sandbox: Sandbox) -> dict[str, str]:
    return {i["name"]: i["status"] for i in sandbox.state()["instances"]}


def operations(sandbox: Sandbox) -> list[str]:
    return [entry["operation"] for entry in sandbox.ledger()]


def test_the_page_shows_each_file_as_it_is() -> None:
    shown = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert sorted(shown) == sorted(file.read_text() for file in FILES)
    assert len(FILES) == 5
    for file in FILES:
        assert f"examples/{file.name}" in PAGE.read_text()


@pytest.mark.parametrize("fails", some_slow([True], [False]))
def test_a_snapshot_is_taken_however_the_training_ends(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    module = example("train_with_snapshot")
    sandbox.seed_instance("train-1", gpu_model="L40", status="HIBERNATED")

    def broken(_address: str) -> str:
        raise ZeroDivisionError

    if fails:
        monkeypatch.setattr(module, "train", broken)
        with pytest.raises(ZeroDivisionError):
            module.train_with_snapshot("train-1")
    else:
        assert module.train_with_snapshot("train-1").startswith("trained on ")
    assert states(sandbox) == {"train-1": "HIBERNATED"}
    done = operations(sandbox)
    assert done.index("create_snapshot") < done.index("hibernate_instance")


@pytest.mark.slow
def test_the_idle_machines_are_hibernated_and_no_other(sandbox: Sandbox) -> None:
    for name in ("notebook-1", "notebook-2", "train-1"):
        sandbox.seed_instance(name, gpu_model="L40")
    hibernate_idle = example("map_over_machines").hibernate_idle
    assert len(hibernate_idle().rows) == 2
    assert set(states(sandbox).values()) == {"ACTIVE"}, "a dry run"
    assert hibernate_idle(dry_run=False).ok
    hibernated = {name for name, state in states(sandbox).items() if state == "HIBERNATED"}
    assert hibernated == {"notebook-1", "notebook-2"}
    assert hibernate_idle(dry_run=False) is None


@pytest.mark.parametrize("says_yes", some_slow([True], [False]))
def test_a_person_is_asked_before_the_night(sandbox: Sandbox, says_yes: bool) -> None:
    sandbox.seed_instance("train-1", gpu_model="H100-PCIe-80GB", gpu_count=2, status="HIBERNATED")
    asked: list[str] = []
    person = threading.Thread(target=answer, args=("nightly", says_yes, asked))
    person.start()
    nightly = example("nightly_with_approval").nightly
    if says_yes:
        assert nightly("train-1").startswith("trained on ")
    else:
        with pytest.raises(Exception, match="a person said no"):
            nightly("train-1")
    person.join()
    assert len(asked) == 1
    assert states(sandbox) == {"train-1": "HIBERNATED"}
    assert ("restore_instance" in operations(sandbox)) is says_yes


@contextmanager
def served(file: str, folder: Path) -> Iterator[None]:
    """An example runs as a program of its own."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "examples" / file],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def until(what: Callable[[], Any], patience: float = 90) -> Any:
    """What a function gives as soon as it gives something."""
    end = time.monotonic() + patience
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.3)
    assert found
    return found


@pytest.mark.slow
def test_an_event_starts_the_flow_that_was_served(sandbox: Sandbox, tmp_path: Path) -> None:
    id_ = sandbox.seed_instance("train-1", gpu_model="L40", status="HIBERNATED")
    name = "note-address/on-restored"
    with get_client(sync_client=True) as client, served("on_event.py", tmp_path):
        until(lambda: client.read_automations_by_name(f"{name.partition('/')[2]}__automation_1"))
        time.sleep(2)  # the server takes a moment to know a trigger
        [row] = restore(select=["train-1"]).rows
        until(lambda: (tmp_path / "ssh.d" / id_).exists())
    noted = (tmp_path / "ssh.d" / id_).read_text()
    assert noted == f"Host train-1\n  HostName {row.public_ip}\n"


def test_the_address_is_noted(sandbox: Sandbox, tmp_path: Path) -> None:
    id_ = sandbox.seed_instance("train-1", gpu_model="L40")
    file = example("on_event").note_address(id_, tmp_path)
    assert file.read_text().startswith("Host train-1\n  HostName ")


def put_first(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Put a program `ssh` before all others."""
    program = folder / "ssh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.slow
def test_a_claimed_machine_is_given_back_after_its_command(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command runs here, where the machine of a sandbox cannot be reached."""
    put_first(
        monkeypatch, tmp_path, 'while [ $# -gt 2 ]; do shift; done; echo "$1"; exec sh -c "$2"'
    )
    sandbox.set_stock("CANADA-1", "L40", 1)
    told = example("claim_and_run_over_ssh").claim_and_run("echo done", watch_for="1m")
    address, said = told.split()
    assert (address.startswith("root@"), said) == (True, "done")
    assert not any(state != "DELETED" for state in states(sandbox).values())
    done = operations(sandbox)
    assert done.index("create_snapshot") < done.index("delete_instance")


def test_without_stock_nothing_is_run(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_first(monkeypatch, tmp_path, "exit 1")
    for entry in sandbox.state()["stock"]:
        sandbox.set_stock(entry["region"], entry["gpu_model"], 0)
    with pytest.raises(BarrackNotFoundError, match="no instance is called 'job'"):
        example("claim_and_run_over_ssh").claim_and_run("echo done", watch_for="2s")


@contextmanager
def listening(folder: Path) -> Iterator[str]:
    """A real sshd on this machine; gives the words with which ssh reaches it as any address."""
    assert SSHD is not None
    for name in ("host", "mine"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True)
    (folder / "keys").write_text((folder / "mine.pub").read_text())
    port = free_port()
    (folder / "sshd").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/keys\nPidFile none\nUsePAM no\n"
    )
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 10)
        options = {
            "HostName": "127.0.0.1",
            "Port": port,
            "User": getuser(),
            "IdentityFile": folder / "mine",
            "UserKnownHostsFile": folder / "known",
        }
        yield " ".join(f"-o {shlex.quote(f'{k}={v}')}" for k, v in options.items())
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.slow
@pytest.mark.skipif(SSHD is None, reason="there is no sshd on this machine to run a command over")
def test_a_command_goes_over_a_real_ssh(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("ssh")
    with listening(tmp_path) as options:
        put_first(monkeypatch, tmp_path, f'exec {real} {options} "$@"')
        sandbox.set_stock("CANADA-1", "L40", 1)
        told = example("claim_and_run_over_ssh").claim_and_run("echo done", watch_for="1m")
    assert told == "done\n"
