"""`barrack up`, `status` and `down` where nothing runs."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import get_client

from barrack_tasks.api.models import VMStatus
from barrack_tasks.cli.servers import spoken_with
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.services import Services
from tests.cli.test_answers import check
from tests.cli.test_learn import run
from tests.conftest import free_port, give_tables
from tests.deployments.playing import start, wait_for
from tests.forks import ROOT, run_in_fork

COMMAND = [sys.executable, "-c", "from barrack_tasks.cli import main; main()"]


def barrack(home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BARRACK_"))}
    give_tables(home / "prefect")
    return run_in_fork(
        *words,
        env={
            **given,
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "PREFECT_HOME": str(home / "prefect"),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "160",
            **env,
        },
    )


@pytest.mark.slow
def test_from_nothing_to_guards_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    try:
        with Sandbox(fleet=2, speed=0) as sandbox:
            first = barrack(tmp_path, "up", "--port", str(port), **sandbox.env)
            assert first.returncode == 0, first.stdout + first.stderr
            assert f"http://127.0.0.1:{port}" in first.stdout
            assert "armed: barrack-end-expired/end-expired." in first.stdout, (
                "it acts on what has an end alone"
            )
            record = (tmp_path / "state" / "prefect-barrack" / "up.json").read_text()
            again = barrack(tmp_path, "up", "--port", str(port), "--json", **sandbox.env)
            assert again.returncode == 0, again.stdout + again.stderr
            answer = json.loads(again.stdout)
            check("up", answer)
            armed = [one["name"] for one in answer["deployments"] if one["armed"]]
            assert armed == ["barrack-end-expired/end-expired"]
            after = (tmp_path / "state" / "prefect-barrack" / "up.json").read_text()
            assert after == record, "server and worker are the same ones"
            told = barrack(tmp_path, "status")
            assert told.returncode == 0, told.stdout + told.stderr
            assert "Instances: 2 ACTIVE" in told.stdout, "the account is the saved block's"
            check("status", json.loads(barrack(tmp_path, "status", "--json").stdout))
            services = Services(tmp_path / "state" / "prefect-barrack")
            monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: 80)
            with spoken_with(services.environment(str(services.url))):
                for words in (["status"], ["ls", "deployments"]):
                    run(*words)
                    lines = capsys.readouterr().out.splitlines()
                    assert len(lines) > len(answer["deployments"])
                    assert not [line for line in lines if len(line) > 80 and "  " in line], lines
                with get_client(sync_client=True) as client:
                    flow = "barrack-snapshot-before-stop/snapshot-before-stop"
                    deployment = str(client.read_deployment_by_name(flow).id)
                # Time stands still in the cloud, so this run waits for its snapshot.
                assert wait_for(start(deployment, select=["*"]), "Running") == "Running"
            for seen in (first, again, told):
                assert sandbox.api_key not in seen.stdout + seen.stderr
            ended = barrack(tmp_path, "down")
    finally:
        barrack(tmp_path, "down")
    with closing(sqlite3.connect(tmp_path / "prefect" / "prefect.db")) as kept:
        states = [state for (state,) in kept.execute("select state_type from flow_run")]
    assert "CRASHED" in states
    assert not {"PENDING", "RUNNING", "CANCELLING"} & {*states}, "nobody would ever end these"
    assert ended.stdout.strip() == "Stopped: worker, server."
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/api/health")
    assert "Nothing that `barrack up` started is running" in barrack(tmp_path, "down").stdout


def test_without_a_key_nothing_is_started(tmp_path: Path) -> None:
    refused = barrack(tmp_path, "up", "--port", str(free_port()))
    assert refused.returncode == 2
    assert "set BARRACK_API_KEY" in refused.stderr
    assert not (tmp_path / "state").exists()


def test_no_state_makes_a_line_of_its_own(tmp_path: Path) -> None:
    with Sandbox(fleet=0) as sandbox:
        odd = sandbox.seed_instance("odd", gpu_model="L40")
        assert sandbox._server is not None
        machine = sandbox._server.config.app.world.machines.ever(odd)
        machine.status = VMStatus("ACTIVE\nFORGED Runway: 900 days")
        told = barrack(tmp_path, "status", **sandbox.env)
    assert "Instances: 1 ACTIVE FORGED Runway: 900 days" in told.stdout.splitlines()


@pytest.mark.slow
def test_what_cannot_go_on_leaves_no_server_behind(tmp_path: Path) -> None:
    port = free_port()
    with Sandbox(fleet=0) as sandbox:
        wrong = {**sandbox.env, "BARRACK_API_KEY": "wrong"}
        refused = barrack(tmp_path, "up", "--port", str(port), **wrong)
    assert refused.returncode == 2
    assert "refused the key, so nothing was saved or started" in refused.stderr
    assert "Nothing that `barrack up` started is running" in barrack(tmp_path, "down").stdout
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/api/health")


def test_down_ends_nothing_else(tmp_path: Path) -> None:
    """A process that was given the number of one that died is left alone."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        told = {"pid": stranger.pid, "born": "1", "url": "http://127.0.0.1:1/api"}
        (tmp_path / "up.json").write_text(json.dumps({"server": told, "worker": told}))
        services = Services(tmp_path)
        assert services.url is None
        assert [services.stop("server"), services.stop("worker")] == [False, False]
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("up --port 99999", "between 1 and 65535"),
        ("up --port -1", "between 1 and 65535"),
        ("panic --yes --minutes -1", "between 0.01 and 10000"),
        ("panic --yes --minutes nan", "between 0.01 and 10000"),
        ("schedule preview --rules none.yaml --days 0", "between 1 and 3660"),
    ],
)
def test_a_number_that_cannot_be_meant_ends_a_command_before_it_begins(
    tmp_path: Path, words: str, said: str
) -> None:
    done = barrack(tmp_path, *words.split())
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    *_, option, _ = words.split()
    assert f"{option} must be" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_what_is_in_the_way_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = barrack(tmp_path, "up", "--port", port, BARRACK_API_KEY="k")
        assert done.returncode == 2
        assert f"port {port} is in use" in done.stderr
        assert "--port" in done.stderr
    url = f"http://127.0.0.1:{free_port()}/api"
    done = barrack(tmp_path, "up", PREFECT_API_URL=url, BARRACK_API_KEY="k")
    assert done.returncode == 2
    assert "nothing answers there" in done.stderr
    assert not (tmp_path / "state").exists()


def test_windows_is_told_in_one_sentence() -> None:
    code = "import sys; from barrack_tasks.cli import main; sys.platform = 'win32'; main()"
    words = [sys.executable, "-c", code, "up"]
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert done.returncode == 2
    [sentence] = done.stderr.splitlines()
    assert "Windows is not supported" in sentence
