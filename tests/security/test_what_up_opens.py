"""`barrack up` lets nobody in but its owner: no page, no name, no other user of the machine."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.processes import born, has_ended
from barrack_tasks.server.services import answers
from tests.chromium import Chromium
from tests.cli.test_up import COMMAND, barrack
from tests.conftest import free_port

EVIL = "evil.example"
ATTEMPTS = """
(async () => {
  const [api, known] = %s;
  const json = {"Content-Type": "application/json"};
  const plain = {"Content-Type": "text/plain"};
  const read = JSON.stringify({include_secrets: true});
  const variable = JSON.stringify({name: "planted", value: "x"});
  const deployment = JSON.stringify({
    name: "planted", flow_id: known, job_variables: {command: "touch /tmp/planted"}});
  const told = {};
  const attempt = async (name, path, how) => {
    try {
      const answer = await fetch(api + path, how);
      told[name] = [answer.status, await answer.text()];
    } catch (error) {
      told[name] = [0, String(error)];
    }
  };
  const post = (headers, body, more) => ({method: "POST", headers, body, ...more});
  await attempt("read", "/block_documents/filter", post(json, read));
  await attempt("read as a form", "/block_documents/filter", post(plain, read));
  await attempt("read blindly", "/block_documents/filter", post(plain, read, {mode: "no-cors"}));
  await attempt("write", "/variables/", post(json, variable));
  await attempt("deploy", "/deployments/", post(json, deployment));
  await attempt("run", "/deployments/" + known + "/create_flow_run", post(json, "{}"));
  await attempt("run blindly", "/deployments/" + known + "/create_flow_run",
    post(plain, "{}", {mode: "no-cors"}));
  await attempt("write as a form", "/variables/", post(plain, variable));
  await attempt("write blindly", "/variables/", post(plain, variable, {mode: "no-cors"}));
  told.socket = await new Promise((done) => {
    const socket = new WebSocket(api.replace("http", "ws") + "/events/in");
    socket.onopen = () => { socket.send("{}"); };
    socket.onclose = (event) => done([event.code, event.reason]);
    setTimeout(() => done([0, "it stayed open"]), 8000);
  });
  return told;
})()
"""


@dataclass(frozen=True)
class Owner:
    """Who has called `barrack up`, and what came of it."""

    home: Path
    port: int
    key: str
    said: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        return self.home / "state" / "prefect-barrack"

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text().strip()

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "up.json").read_text())
        return found

    def asked(self, path: str, body: Any) -> Any:
        user, _, secret = self.password.partition(":")
        answer = httpx.post(f"{self.url}/api{path}", json=body, auth=(user, secret))
        return answer.raise_for_status().json()


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    home = tmp_path_factory.mktemp("owner")
    port = free_port()
    try:
        with Sandbox(fleet=2, speed=60, api_key="sentinel-of-the-owner") as sandbox:
            done = barrack(home, "up", "--port", str(port), **sandbox.env)
            assert done.returncode == 0, done.stdout + done.stderr
            yield Owner(home, port, sandbox.api_key, done.stdout)
    finally:
        barrack(home, "down")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """A web page on another origin; gives its port."""
    (tmp_path / "index.html").write_text("<title>another page</title>")
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield str(server.server_address[1])
        server.shutdown()


def variables(owner: Owner) -> list[str]:
    return [one["name"] for one in owner.asked("/variables/filter", {})]


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", ["/block_documents/filter", "/deployments/filter", "/flows/"])
def test_without_the_password_nothing_is_answered(owner: Owner, path: str) -> None:
    api = f"{owner.url}/api"
    for headers in ({}, {"Host": EVIL}, {"Authorization": "Basic YTpi"}):
        answer = httpx.post(api + path, json={"include_secrets": True}, headers=headers)
        assert answer.status_code == 401
        assert owner.key not in answer.text
    asks = {
        "Origin": f"https://{EVIL}",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    preflight = httpx.options(api + path, headers=asks)
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in preflight.headers


def knock(url: str, protocols: Any) -> None:
    """Open a socket with a wrong password, and listen."""
    with connect(url, subprotocols=protocols) as socket:
        socket.send(json.dumps({"type": "auth", "token": "wrong"}))
        while True:
            socket.recv(timeout=20)


@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/logs/out"])
@pytest.mark.parametrize("protocols", [None, ["prefect"]])
def test_no_socket_stays_open_without_the_password(owner: Owner, path: str, protocols: Any) -> None:
    with pytest.raises((InvalidStatus, ConnectionClosed)) as refused:
        knock(f"ws://127.0.0.1:{owner.port}/api{path}", protocols)
    if isinstance(refused.value, InvalidStatus):
        assert refused.value.response.status_code in (401, 403)


@pytest.mark.parametrize("page", ["another origin", "another name for it", "a name for the server"])
def test_no_page_in_a_browser_reads_or_changes_anything(
    owner: Owner, elsewhere: str, page: str, tmp_path: Path
) -> None:
    shown, api = {
        "another origin": (f"http://127.0.0.1:{elsewhere}/", f"{owner.url}/api"),
        "another name for it": (f"http://{EVIL}:{elsewhere}/", f"{owner.url}/api"),
        "a name for the server": (
            f"http://{EVIL}:{owner.port}/",
            f"http://{EVIL}:{owner.port}/api",
        ),
    }[page]
    before = variables(owner)
    deployments = owner.asked("/deployments/filter", {})
    runs = owner.asked("/flow_runs/count", {"deployments": {"name": {"any_": ["hibernate"]}}})
    known = next(one["id"] for one in deployments if one["name"] == "hibernate")
    with Chromium(tmp_path / "profile", names=(EVIL,)) as browser:
        browser.open(shown)
        told = browser.run(ATTEMPTS % json.dumps([api, known]))
    for name, (status, text) in told.items():
        assert owner.key not in str(text), name
        if name != "socket":
            assert status in (0, 401), (name, text)
    assert told["socket"][0] in (1002, 1006, 1008), told["socket"]
    assert variables(owner) == before
    after = owner.asked("/deployments/filter", {})
    assert {one["name"] for one in after} == {one["name"] for one in deployments}
    assert runs == owner.asked(
        "/flow_runs/count", {"deployments": {"name": {"any_": ["hibernate"]}}}
    )


def test_its_owner_signs_in_and_sees_the_deployments(owner: Owner, tmp_path: Path) -> None:
    assert f"cat {owner.folder / 'password'}" in owner.said, "it is said how to sign in"
    assert owner.password not in owner.said
    with Chromium(tmp_path / "profile") as browser:
        browser.open(f"{owner.url}/deployments")
        browser.wait_for("document.querySelector('input[type=password], input[type=text], input')")
        assert "follow-schedule" not in browser.text()
        browser.type_into("input", owner.password)
        browser.press_enter()
        browser.wait_for("document.body.innerText.includes('Dashboard')")
        browser.open(f"{owner.url}/deployments")
        browser.wait_for("document.body.innerText.includes('follow-schedule')")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_the_machine_gets_nothing(owner: Owner) -> None:
    server = owner.record()["server"]["pid"]
    files = [p for p in (owner.home / "prefect").rglob("*") if p.is_file()]
    files += list(owner.folder.iterdir())
    assert any(p.name == "prefect.db" for p in files)
    made_by_server = [p for p in files if p.suffix == ".log" or p.name.startswith("prefect.db")]
    kept = [*made_by_server, *(owner.folder / name for name in ("lock", "password", "env"))]
    assert {stat.S_IMODE(p.stat().st_mode) & 0o077 for p in kept} == {0}, kept
    script = f"""
import json, pathlib, urllib.request, urllib.error
read = []
for name in {[str(p) for p in files]!r} + ["/proc/{server}/environ"]:
    try:
        pathlib.Path(name).read_bytes()
        read.append(name)
    except OSError:
        pass
try:
    sent = urllib.request.Request(
        "{owner.url}/api/block_documents/filter", b'{{"include_secrets": true}}',
        {{"Content-Type": "application/json"}})
    status = urllib.request.urlopen(sent).status
except urllib.error.HTTPError as error:
    status = error.code
print(json.dumps([read, status]))
"""
    # The folders above a test's are closed to others already, and are not what is tried here.
    above = [
        p for p in [owner.home, *owner.home.parents] if p.stat().st_uid == 0 and p != Path("/")
    ]
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in above}
    try:
        for folder in above:
            folder.chmod(modes[folder] | 0o755)
        done = subprocess.run(
            ["/usr/bin/env", "python3", "-c", script],
            user=65534,
            group=65534,
            extra_groups=[],
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            text=True,
        )
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], 401]


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def test_no_process_has_the_key_and_the_runs_of_the_worker_do_their_work(owner: Owner) -> None:
    record = owner.record()
    for process in ("server", "worker"):
        environment = environment_of(record[process]["pid"])
        assert not {"BARRACK_API_KEY", "BARRACK_BASE_URL"} & environment.keys(), process
        assert owner.key not in str(environment), process
    deployments = owner.asked("/deployments/filter", {})
    assert {one["parameters"]["credentials"] for one in deployments} == {"barrack"}
    done = {"name": {"any_": ["Completed"]}}
    for _ in range(240):
        if owner.asked("/flow_runs/filter", {"flow_runs": {"state": done}}):
            return
        threading.Event().wait(0.5)
    raise AssertionError("no run has completed")


def test_two_at_once_wait_for_each_other(owner: Owner) -> None:
    before = owner.record()
    env = {**os.environ, "HOME": str(owner.home), "XDG_STATE_HOME": str(owner.home / "state")}
    env = {k: v for k, v in env.items() if not k.startswith(("PREFECT_", "BARRACK_"))}
    env |= {"PREFECT_HOME": str(owner.home / "prefect"), "COLUMNS": "200"}
    both = [
        subprocess.Popen(
            [*COMMAND, "up", "--port", str(owner.port)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    said = [one.communicate(timeout=240)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert sum("waiting for it" in text for text in said) == 1
    assert owner.record() == before


def test_the_printed_line_is_all_that_prefect_needs(owner: Owner) -> None:
    script = f". {owner.folder / 'env'} && {sys.executable} -m prefect deployment ls"
    env = {"PATH": os.environ["PATH"], "HOME": str(owner.home), "COLUMNS": "200"}
    done = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True)
    assert "follow-schedule" in done.stdout, done.stdout + done.stderr


def test_a_server_of_an_earlier_release_is_started_anew(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "state" / "prefect-barrack"
    url = f"http://127.0.0.1:{port}/api"
    folder.mkdir(parents=True)
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BARRACK_"))}
    home = {"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect")}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_API_URL": url}
    words = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    old = subprocess.Popen(
        [sys.executable, "-m", "prefect", *words],
        env={**given, **home, **quiet},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Nobody else collects it, and what is not collected still has its number.
    threading.Thread(target=old.wait, daemon=True).start()
    try:
        for _ in range(480):
            if answers(url):
                break
            threading.Event().wait(0.25)
        told = {"pid": old.pid, "born": born(old.pid), "url": url}
        (folder / "up.json").write_text(json.dumps({"server": told}))
        assert httpx.post(f"{url}/variables/filter", json={}).status_code == 200
        with Sandbox(fleet=0) as sandbox:
            done = barrack(tmp_path, "up", "--port", str(port), **sandbox.env)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "asks for no password" in done.stdout
        assert httpx.post(f"{url}/variables/filter", json={}).status_code == 401
        database = tmp_path / "prefect" / "prefect.db"
        assert stat.S_IMODE(database.stat().st_mode) == 0o600
    finally:
        barrack(tmp_path, "down")
        if old.poll() is None:
            os.killpg(old.pid, signal.SIGKILL)


def test_basic_authentication_is_what_requests_need(owner: Owner) -> None:
    token = base64.b64encode(owner.password.encode()).decode()
    headers = {"Authorization": f"Basic {token}"}
    found = httpx.post(f"{owner.url}/api/deployments/filter", json={}, headers=headers)
    assert found.status_code == 200
    assert len(found.json()) >= 15


def test_a_taken_port_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = barrack(tmp_path, "up", "--port", str(taken.getsockname()[1]), BARRACK_API_KEY="k")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def listen_at(port: int, reuse: int) -> None:
    """Be a process that wants to be taken for the server."""
    with socket.socket() as impostor:
        impostor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        impostor.bind(("127.0.0.1", port))
        impostor.listen()


def test_nobody_takes_the_place_of_a_server_that_died(tmp_path: Path) -> None:
    port = free_port()
    folder = tmp_path / "state" / "prefect-barrack"
    try:
        with Sandbox(fleet=0) as sandbox:
            first = barrack(tmp_path, "up", "--port", str(port), **sandbox.env)
            assert first.returncode == 0, first.stdout + first.stderr
            password = (folder / "password").read_text()
            record = json.loads((folder / "up.json").read_text())
            os.kill(record["server"]["pid"], signal.SIGKILL)
            for _ in range(2400):
                if has_ended(record["server"]["pid"], record["server"]["born"]):
                    break
                threading.Event().wait(0.1)
            with pytest.raises(ConnectionRefusedError):  # and no client waits in vain
                socket.create_connection(("127.0.0.1", port), timeout=60)
            for reuse in (0, 1):
                with pytest.raises(OSError, match="in use"):
                    listen_at(port, reuse)
            again = barrack(tmp_path, "up", "--port", str(port), **sandbox.env)
            assert again.returncode == 0, again.stdout + again.stderr
        after = json.loads((folder / "up.json").read_text())
        assert after["server"]["pid"] != record["server"]["pid"]
        assert after["worker"]["pid"] != record["worker"]["pid"]
        assert (folder / "password").read_text() != password, "an old one opens nothing"
    finally:
        barrack(tmp_path, "down")


def test_a_port_that_is_bound_and_not_listened_at_is_taken(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        done = barrack(tmp_path, "up", "--port", str(bound.getsockname()[1]), BARRACK_API_KEY="k")
    assert done.returncode == 2
    assert "is in use by a process" in done.stderr


def test_a_file_of_the_folder_does_not_decide_to_which_server_the_key_goes(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PREFECT_API_URL=http://127.0.0.1:1/api\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BARRACK_"))}
    env |= {"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect")}
    env |= {"BARRACK_API_KEY": "k", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [*COMMAND, "up"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "a file in a folder must not decide on which server the key is saved" in " ".join(
        done.stderr.split()
    )
