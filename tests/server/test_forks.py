"""A run in a fork is what a run in a process of its own is: it ends, fails and is stopped alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.server import run_in_fork
from barrack_tasks.server.forks import FORKS, RunRequest, is_alike
from barrack_tasks.server.processes import born

ROOT = Path(__file__).parents[2]
FORKING = """
    import os, signal, socket, sys, time
    import prefect.settings
    import loaded
    from barrack_tasks.server.forks import Forks
    listener, lifeline = map(int, sys.argv[1:])
    again = [sys.executable, __file__]
    BEFORE
    request = Forks(socket.socket(fileno=listener), lifeline, again).serve()
    if request is not None:
        request.become()
        leads = os.getsid(0) == os.getpid()
        print(f"here {os.getcwd()} {os.environ['PREFECT__RUN']} {leads} {loaded.value}", flush=True)
        exec(os.environ["PREFECT__CODE"])
"""
ENDS = "sys.exit(7)"
SLEEPS = "time.sleep(300)"
DIES = "os.kill(os.getpid(), signal.SIGKILL)"
STOPS_FIRST = """
    fork, stopped = os.fork, "stopped"
    def stop_the_first():
        pid = fork()
        if pid == 0 and not os.path.exists(stopped):
            open("new", "w").write(str(os.getpid()))
            os.rename("new", stopped)
            os.kill(os.getpid(), signal.SIGSTOP)
        return pid
    os.fork = stop_the_first
"""
HEARS = (
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print('ready', flush=True); " + SLEEPS
)


class Forking:
    """A process that forks, and how runs ask it."""

    def __init__(self, folder: Path, before: str = "") -> None:
        (folder / "loaded.py").write_text("value = 1\n")
        script = folder / "forking.py"
        code = textwrap.dedent(FORKING).replace("BEFORE\n", textwrap.dedent(before) + "\n")
        script.write_text(code)
        self.folder = folder
        kept = ("PATH", "HOME", "LANG")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{folder}"
        place = folder / "asked"
        lifeline, self.held = os.pipe()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen(8)
            kept_open = (listener.fileno(), lifeline)
            self.process = subprocess.Popen(
                [sys.executable, str(script), *map(str, kept_open)],
                cwd=folder,
                env=self.environment,
                pass_fds=kept_open,
            )
        os.close(lifeline)
        self.place = str(place)

    def start(
        self, code: str, run: str = "1", leads: bool = False, **more: str
    ) -> subprocess.Popen[str]:
        env = {**self.environment, FORKS: self.place, "PREFECT__RUN": run, "PREFECT__CODE": code}
        return subprocess.Popen(
            [sys.executable, "-I", "-S", run_in_fork.__file__],
            cwd=self.folder,
            env={**env, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=leads,
        )

    def ask(self, code: str) -> socket.socket:
        """Ask as the small command does, and be told as it is."""
        asking = socket.socket(socket.AF_UNIX)
        asking.settimeout(60)
        asking.connect(self.place)
        told = {**self.environment, "PREFECT__RUN": "1", "PREFECT__CODE": code}
        parts = [str(self.folder), *(f"{name}={value}" for name, value in told.items())]
        request = "\0".join(parts).encode()
        with Path(os.devnull).open("wb") as nothing:
            head = len(request).to_bytes(8, "big")
            socket.send_fds(asking, [head], [nothing.fileno(), nothing.fileno()])
        asking.sendall(request)
        assert asking.recv(1) == b"y"
        return asking

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep it at a request that does not come whole, so that it sees the rest at once."""
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(self.place)
            head = (4_000_000).to_bytes(8, "big")
            socket.send_fds(slow, [head], [slow.fileno(), slow.fileno()])
            slow.sendall(b"x" * 2_000_000)  # more than waits in a socket, so it is being read
            yield

    def close(self) -> None:
        os.close(self.held)
        assert self.process.wait(timeout=60) == 0, "it ends when the worker has, and its runs"


@pytest.fixture(scope="module")
def forking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forking]:
    made = Forking(tmp_path_factory.mktemp("f"))
    yield made
    made.close()


def ends(pid: int) -> bool:
    """Whether a process ends soon; its files are closed a moment before it is told as ended."""
    until = time.monotonic() + 60
    while born(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not born(pid)


def first_line(run: subprocess.Popen[str]) -> str:
    assert run.stdout is not None
    return run.stdout.readline()


def test_a_run_has_its_own_folder_environment_session_output_and_exit_code(
    forking: Forking,
) -> None:
    run = forking.start(ENDS, run="a")
    out, _ = run.communicate(timeout=60)
    assert out == f"here {forking.folder} a True 1\n"
    assert run.returncode == 7


def test_prefect_may_have_made_a_session_for_it(forking: Forking) -> None:
    assert forking.start(ENDS, leads=True).wait(timeout=60) == 7


def test_a_run_that_dies_stops_no_other(forking: Forking) -> None:
    other = forking.start(HEARS)
    assert first_line(other)
    assert first_line(other) == "ready\n"
    dies = forking.start(DIES)
    dies.communicate(timeout=60)
    assert dies.returncode == -signal.SIGKILL, "Prefect tells by this signal why it ended"
    other.send_signal(signal.SIGTERM)
    other.communicate(timeout=60)
    assert other.returncode == 5, "a signal is passed on, and the run decides how it ends"


def test_a_run_ends_with_who_asked_for_it(forking: Forking) -> None:
    run = forking.start("print(os.getpid(), flush=True); " + SLEEPS)
    assert first_line(run)
    pid = int(first_line(run))
    run.kill()
    run.communicate(timeout=60)  # the output is open for as long as the run holds it
    assert ends(pid)


def test_a_signal_that_comes_as_a_run_ends_stops_no_other(forking: Forking) -> None:
    other = forking.start(HEARS)
    assert first_line(other)
    said = forking.folder / "pid"
    with forking.ask(f"open({str(said)!r}, 'w').write(str(os.getpid())); {SLEEPS}") as asking:
        until = time.monotonic() + 60
        while not (said.exists() and said.read_text()) and time.monotonic() < until:
            time.sleep(0.01)
        pid = int(said.read_text())
        with forking.busy():
            os.kill(pid, signal.SIGKILL)
            assert ends(pid)
            asking.send(bytes([signal.SIGTERM]))
        assert asking.recv(8) == b"-9"
    other.send_signal(signal.SIGTERM)
    other.communicate(timeout=60)
    assert other.returncode == 5, "it goes on until it is stopped itself"


def test_a_signal_that_nobody_reads_any_more_changes_no_exit_code(tmp_path: Path) -> None:
    place = str(tmp_path / "asked")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(1)
        words = [sys.executable, "-I", "-S", run_in_fork.__file__]
        run = subprocess.Popen(words, env={FORKS: place}, stderr=subprocess.PIPE, text=True)
        with listener.accept()[0] as asking:
            for output in RunRequest.receive(asking).outputs:
                os.close(output)
            asking.send(b"y")
            run.send_signal(signal.SIGTERM)
            asking.recv(1, socket.MSG_PEEK)
            asking.send(b"7")
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (7, "")


@pytest.mark.slow
def test_a_signal_is_kept_for_a_run_that_has_only_just_been_forked(tmp_path: Path) -> None:
    """A fork stops itself here before it does anything, as if the machine were very busy."""
    forking = Forking(tmp_path, before=STOPS_FIRST)
    run = forking.start(SLEEPS)
    while not (tmp_path / "stopped").exists():
        time.sleep(0.01)
    pid = int((tmp_path / "stopped").read_text())
    run.send_signal(signal.SIGTERM)
    assert forking.start(ENDS).wait(timeout=60) == 7, "by then the signal has been passed on"
    os.kill(pid, signal.SIGCONT)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGTERM
    forking.close()


def test_who_goes_while_asking_leaves_nothing_open(forking: Forking) -> None:
    held = Path(f"/proc/{forking.process.pid}/fd")
    assert forking.start(ENDS).wait(timeout=60) == 7
    before = len(list(held.iterdir()))
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as gone, Path(os.devnull).open("wb") as nothing:
            gone.connect(forking.place)
            fds = [nothing.fileno(), nothing.fileno()]
            socket.send_fds(gone, [(100).to_bytes(8, "big")], fds)
    assert forking.start(ENDS).wait(timeout=60) == 7
    assert len(list(held.iterdir())) <= before


def test_what_stops_the_worker_does_not_stop_the_forks(forking: Forking) -> None:
    assert forking.start(ENDS).wait(timeout=60) == 7
    forking.process.send_signal(signal.SIGTERM)
    forking.process.send_signal(signal.SIGINT)
    assert forking.start(ENDS).wait(timeout=60) == 7


def test_a_run_ends_with_the_process_that_forked_it(tmp_path: Path) -> None:
    forking = Forking(tmp_path)
    run = forking.start("print(os.getpid(), flush=True); " + SLEEPS)
    assert first_line(run)
    pid = int(first_line(run))
    forking.process.kill()
    forking.process.wait(timeout=60)
    run.communicate(timeout=60)
    assert run.returncode == 1
    assert ends(pid)
    os.close(forking.held)


# What would not be the same in a fork starts as the engine, which has no run here and ends in 1.


def starts_as_the_engine(run: subprocess.Popen[str]) -> bool:
    out, err = run.communicate(timeout=120)
    return run.returncode == 1 and "Invalid flow run id" in err + out


@pytest.mark.slow
def test_another_environment_is_no_fork(forking: Forking) -> None:
    assert starts_as_the_engine(forking.start(ENDS, TZ="Asia/Tokyo"))


def test_who_forks_and_hangs_is_not_waited_for_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_in_fork, "_PATIENCE", 0.05)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / "forks"))
        hanging.listen()
        assert run_in_fork._asked(str(tmp_path / "forks")) is None


def test_without_anybody_who_forks_it_is_the_engine(forking: Forking) -> None:
    run = forking.start(ENDS, **{FORKS: str(forking.folder / "nobody")})
    assert starts_as_the_engine(run)


@pytest.mark.slow
def test_what_has_changed_is_loaded_anew(tmp_path: Path) -> None:
    forking = Forking(tmp_path)
    first = forking.start(ENDS)
    assert first.communicate(timeout=60)[0].endswith(" 1\n")
    (tmp_path / "loaded.py").write_text("value = 'another'\n")
    assert starts_as_the_engine(forking.start(ENDS))
    later = forking.start(ENDS)
    assert later.communicate(timeout=60)[0].endswith(" another\n")
    forking.close()


names = st.sampled_from([b"A", b"PREFECT__FLOW_RUN_ID", b"PREFECT__X", b"PREFECT_API_URL"])
environments = st.dictionaries(names, st.binary(max_size=2))


@given(environments, environments)
def test_only_what_names_a_run_may_differ(
    one: dict[bytes, bytes], other: dict[bytes, bytes]
) -> None:
    kept = [
        {name: told for name, told in each.items() if not name.startswith(b"PREFECT__")}
        for each in (one, other)
    ]
    assert is_alike(one, other) == (kept[0] == kept[1])
