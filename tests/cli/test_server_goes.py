"""A Prefect server goes away under commands that speak with it: they say so in plain words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.services import answers, server_settings
from tests.cli.test_up import COMMAND
from tests.conftest import end_with_this_process, free_port, give_tables
from tests.deployments.playing import until

ROOT = Path(__file__).resolve().parents[2]
ITS_OWN = ("Traceback", "EventsWorker", "Error logging to API", "websocket", "Event(")
"""What Prefect's own senders say, which is of no use to a person."""


@pytest.mark.slow
def test_commands_say_that_the_server_is_away_and_end(tmp_path: Path) -> None:
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BARRACK_"))}
    port = free_port()
    give_tables(tmp_path / "prefect")
    env = {
        **given,
        **server_settings(port, "me:secret"),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "160",
    }

    def start(name: str, words: list[str], **more: str) -> subprocess.Popen[bytes]:
        with (tmp_path / name).open("wb") as out:
            return subprocess.Popen(
                words,
                env={**env, **more},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=end_with_this_process,
            )

    def said(name: str) -> str:
        return (tmp_path / name).read_text(encoding="utf-8")

    serving = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    server = start("server", serving)
    running: list[subprocess.Popen[bytes]] = [server]
    try:
        until(lambda: answers(env["PREFECT_API_URL"]), "the server starts")
        with Sandbox(fleet=1, speed=0, seed=2310) as sandbox:
            told = sandbox.env
            watch = start("watch", [*COMMAND, "watch", "--follow", "--every", "1"], **told)
            running.append(watch)
            words = ["run", "snapshot_before_stop", "*", "--watch"]
            run = start("run", [*COMMAND, *words], **told)
            running.append(run)
            until(lambda: said("watch").count("Runway:") > 1, "the watch goes on")
            until(lambda: "waiting, its snapshot" in said("run"), "the run waits for a snapshot")
            server.send_signal(signal.SIGKILL)
            server.wait(60)
            assert watch.wait(240) == 1
            assert "barrack: the Prefect server could not be reached" in said("watch")
            until(lambda: "does not answer any more" in said("run"), "the run says so")
            assert run.poll() is None, "the server may come back"
            run.send_signal(signal.SIGINT)
            assert run.wait(240) == 130
            assert said("run").count("does not answer any more") == 1
            assert "barrack: interrupted; still in progress: " in said("run")
            for name in ("watch", "run"):
                assert [one for one in ITS_OWN if one in said(name)] == [], said(name)
    finally:
        for one in running:
            one.kill()
            one.wait()


NOISY = """
import logging, sys
from barrack_tasks.cli.main import main
sys.argv = ["barrack", "--version"]
try:
    main()
except SystemExit:
    pass
import prefect
from prefect.logging.configuration import setup_logging
setup_logging()
for name in ("prefect._internal.concurrency", "prefect.events.clients", "EventsWorker"):
    logging.getLogger(name).error("the noise of %s", name)
logging.getLogger("prefect.clients").error("a line of another")
"""


def test_what_the_senders_of_prefect_say_is_kept_from_people_when_prefect_is_loaded_later(
    tmp_path: Path,
) -> None:
    env = {**os.environ, "PREFECT_HOME": str(tmp_path), "PREFECT_LOGGING_TO_API_ENABLED": "false"}
    done = subprocess.run(
        [sys.executable, "-c", NOISY],
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "a line of another" in done.stdout + done.stderr
    assert "the noise of" not in done.stdout + done.stderr
