"""The Prefect server that a command speaks with, and what is said of one that refuses."""

from __future__ import annotations

import http.server
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.cli.servers import is_same_server, spoken_with
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.services import Services
from tests.cli.test_up import barrack
from tests.conftest import free_port, give_tables


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which a server of `barrack up` runs, with a password."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(path / "prefect"))
        for name in [name for name in os.environ if name.startswith("PREFECT_API_")]:
            patch.delenv(name)
        patch.setenv(
            "PREFECT_API_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{path}/prefect.db"
        )
        give_tables(path)
        services = Services(path / "state" / "prefect-barrack")
        services.start_server(free_port())
        yield path
        services.stop("server")


@pytest.mark.slow
@pytest.mark.parametrize("spelling", ["http://localhost:{}/api", "HTTP://127.0.0.1:{}/api/"])
def test_the_own_server_is_known_however_its_address_is_spelt(home: Path, spelling: str) -> None:
    url = Services(home / "state" / "prefect-barrack").url
    assert url
    spelt = spelling.format(url.rpartition(":")[2].partition("/")[0])
    with Sandbox(fleet=1) as sandbox:
        told = barrack(home, "status", PREFECT_API_URL=spelt, **sandbox.env)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Deployments at http://127.0.0.1:" in told.stdout


@pytest.mark.slow
def test_a_server_that_wants_a_password_is_told_in_one_sentence(home: Path) -> None:
    url = Services(home / "state" / "prefect-barrack").url
    assert url
    with Sandbox(fleet=1) as sandbox:
        env = {**sandbox.env, "PREFECT_API_URL": url, "XDG_STATE_HOME": str(home / "other")}
        told = barrack(home, "status", **env)
    assert told.returncode == 2, told.stdout + told.stderr
    [sentence] = told.stderr.splitlines()
    assert "PREFECT_API_AUTH_STRING" in sentence
    assert "`barrack up`" in sentence


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that is well, and answers everything else with one status, or not at all."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            is_health = self.path.endswith("/health")
            if is_health or status:
                self.send_response(200 if is_health else status)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"true")

        do_POST = do_GET  # noqa: N815 - the base class names it so

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (401, "PREFECT_API_AUTH_STRING", 2),
        (403, "PREFECT_API_AUTH_STRING", 2),
        (405, "HTTP 405", 1),
        (500, "HTTP 500", 1),
        (0, "check that it runs", 1),
    ],
)
def test_what_a_server_refuses_is_one_sentence(
    tmp_path: Path, status: int, said: str, code: int
) -> None:
    with answering(status) as url:
        env = {"PREFECT_API_URL": url, "PREFECT_CLIENT_MAX_RETRIES": "0"}
        told = barrack(tmp_path, "arm", "barrack-end-expired/end-expired", "--yes", **env)
    assert told.returncode == code, told.stdout + told.stderr
    [sentence] = told.stderr.splitlines()
    assert said in sentence
    assert "PREFECT_API_URL" in sentence or status in (401, 403)


@pytest.mark.parametrize(
    "spelt",
    ["http://127.0.0.1:4200/api/", "HTTP://127.0.0.1:4200/api", "http://LocalHost:4200/api"],
)
def test_one_server_has_many_spellings(spelt: str) -> None:
    assert is_same_server(spelt, "http://127.0.0.1:4200/api")


@pytest.mark.parametrize(
    "other",
    [
        "http://127.0.0.1:4201/api",
        "https://127.0.0.1:4200/api",
        "http://127.0.0.1:4200",
        "http://localhost.example.com:4200/api",
        "http://localhost@example.com:4200/api",
        "http://[::1]:4200/api",
        "http://[nonsense/api",
        "",
    ],
)
def test_another_server_is_another(other: str) -> None:
    assert not is_same_server(other, "http://127.0.0.1:4200/api")
    assert not is_same_server("http://127.0.0.1:4200/api", None)


@contextmanager
def guarded(url: str) -> Iterator[str]:
    """A proxy before a Prefect server, which demands a header of every request, also of looks."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("X-Team") != "ml":
                status, content = 403, b"{}"
            else:
                path = self.path.removeprefix("/api")
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                got = httpx.request(self.command, url + path, content=body, headers=headers)
                status, content = got.status_code, got.content
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the base class names it so

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.mark.slow
def test_what_prefects_own_client_is_set_to_send_is_sent(home: Path) -> None:
    services = Services(home / "state" / "prefect-barrack")
    assert services.url
    with guarded(services.url) as url, Sandbox(fleet=1) as sandbox:
        env = {
            **sandbox.env,
            "PREFECT_API_URL": url,
            "PREFECT_API_AUTH_STRING": services.password_file.read_text().strip(),
        }
        headers = {"PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-Team": "ml"}'}
        told = barrack(home, "status", **env, **headers)
        assert told.returncode == 0, told.stdout + told.stderr
        assert f"Deployments at {url.removesuffix('/api')}" in told.stdout
        for words in (["status"], ["arm", "barrack-end-expired/end-expired", "--yes"], ["up"]):
            refused = barrack(home, *words, **env)
            assert refused.returncode
            said = refused.stdout + refused.stderr
            assert "does not let you in (HTTP 403)" in " ".join(said.split())
            assert "PREFECT_CLIENT_CUSTOM_HEADERS" in said
            assert "nothing answers" not in said


PATH_OF_A_CLOUD = f"/api/accounts/{uuid.uuid4()}/workspaces/{uuid.uuid4()}"
KEY = "pnu_0123456789abcdef"


@contextmanager
def cloud_before(url: str, password: str) -> Iterator[str]:
    """A server in the shape of Prefect Cloud: paths of a workspace, and a key that it requires."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("authorization") != f"Bearer {KEY}":
                self._answer(401, b"{}", "application/json")
                return
            inside = self.path.removeprefix(PATH_OF_A_CLOUD)
            if inside == self.path:
                self._answer(404, b"{}", "application/json")
                return
            user, _, secret = password.partition(":")
            sent = {"content-type": self.headers.get("content-type") or "application/json"}
            answer = httpx.request(
                self.command, f"{url}{inside}", content=body, headers=sent, auth=(user, secret),
                timeout=60,
            )  # fmt: skip
            kind = answer.headers.get("content-type", "application/json")
            self._answer(answer.status_code, answer.content, kind)

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["password", "cloud"])
def test_a_file_is_applied_to_a_server_with_a_password_and_to_one_like_prefect_cloud(
    kind: str, home: Path, tmp_path: Path
) -> None:
    services = Services(home / "state" / "prefect-barrack")
    url, password = str(services.url), services.password_file.read_text().strip()
    block = f"{kind}-a"
    file = tmp_path / "barrack.yaml"
    file.write_text(
        f"name: {block}\naccounts: [{block}]\n"
        "timetables: {rules: [{select: ['*'], timetable: never}], strict: true}\n"
    )
    # The home is another one, in which no server of `barrack up` is known.
    with Sandbox(fleet=1) as sandbox, cloud_before(url, password) as cloud:
        env = {**sandbox.env, "XDG_STATE_HOME": str(tmp_path / "state")}
        if kind == "password":
            env |= {"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": password}
        else:
            env |= {
                "PREFECT_API_URL": f"{cloud}{PATH_OF_A_CLOUD}",
                "PREFECT_API_KEY": KEY,
                "PREFECT_CLOUD_API_URL": f"{cloud}/api",
            }
        with spoken_with({"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": password}):
            BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url).save(
                block,
                _sync=True,  # type: ignore[call-arg]
            )
        for words, code in (
            (["plan", str(file), "--detailed-exitcode"], 2),
            (["apply", str(file), "--yes"], 0),
            (["plan", str(file), "--detailed-exitcode"], 0),
        ):
            told = barrack(home, *words, **env)
            assert told.returncode == code, (words, told.stdout, told.stderr)
            assert "Traceback" not in told.stderr
        assert "if it ran now:" in told.stdout
        nothing = {"PREFECT_API_KEY": "", "PREFECT_API_AUTH_STRING": ""}
        refused = barrack(home, "plan", str(file), **{**env, **nothing})
        assert refused.returncode == 1
        [sentence] = refused.stderr.splitlines()
        assert "does not let you in" in sentence
