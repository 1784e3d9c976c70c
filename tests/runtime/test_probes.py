"""Probes against a real Prometheus with a real exporter, and a real ssh server."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.forgotten.idleness import (
    Evidence,
    Idleness,
    PrometheusProbe,
    SshProbe,
    judge_numbers,
)
from barrack_tasks.runtime.probes import (
    ask_over_ssh,
    ask_prometheus,
    find_evidence,
    matcher_of,
)
from tests.conftest import free_port
from tests.plans.worlds import NOW, vm

PROMETHEUS = shutil.which("prometheus")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
WINDOW = timedelta(seconds=4)
HERE = vm("train", public_ip="127.0.0.1")


def wait_for(what: Callable[[], Any], patience: float = 60.0) -> Any:
    until = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < until, "it does not come about"
        time.sleep(0.1)
    return found


class Exporter:
    """What an exporter of GPU metrics tells, over real HTTP."""

    def __init__(self) -> None:
        self.gpus: dict[int, float] = {0: 0.0, 1: 0.0}
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lines = [
                    f'DCGM_FI_DEV_GPU_UTIL{{gpu="{gpu}"}} {value}\n'
                    for gpu, value in exporter.gpus.items()
                ]
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write("".join(lines).encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Exporter]]:
    """A Prometheus that looks at an exporter once a second."""
    if PROMETHEUS is None:
        pytest.skip("Prometheus is not installed (Debian: apt-get install prometheus)")
    exporter, place = Exporter(), tmp_path_factory.mktemp("prometheus")
    thread = threading.Thread(target=exporter.server.serve_forever)
    thread.start()
    (place / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: dcgm\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{exporter.port}']}}]\n"
    )
    port = free_port()
    words = [
        PROMETHEUS,
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--query.lookback-delta=2s",
        "--log.level=error",
    ]
    with subprocess.Popen(words, cwd=place) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: _is_ready(url))
            yield url, exporter
        finally:
            server.terminate()
            exporter.server.shutdown()
            thread.join()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_gpus_that_stayed_idle_for_the_window_are_idle_and_one_that_works_is_work(
    watched: tuple[str, Exporter],
) -> None:
    url, exporter = watched
    probe = PrometheusProbe(url=url, window=WINDOW)

    def told() -> Evidence:
        return ask_prometheus(probe, HERE)

    young = told()
    assert young.is_idle is None, "the series is younger than the window"
    idle = wait_for(lambda: (found := told()).is_idle and found)
    assert idle.why == "DCGM_FI_DEV_GPU_UTIL over 4s stayed below 5, at most 0"
    exporter.gpus[1] = 93.0
    works = wait_for(lambda: (found := told()).is_idle is False and found)
    assert works.why.endswith("is at 93, not below 5")
    exporter.gpus[1] = 0.0
    assert told().is_idle is False, "it worked within the window"
    wait_for(lambda: told().is_idle)
    exporter.gpus.clear()
    gone = wait_for(lambda: (found := told()).is_idle is None and found)
    assert gone.is_idle is None, "an exporter that died tells nothing, and is not idle"


def test_of_another_machine_nothing_is_known_whatever_it_is_called(
    watched: tuple[str, Exporter],
) -> None:
    url, _ = watched
    probe = PrometheusProbe(url=url, window=WINDOW)
    assert ask_prometheus(probe, vm("other", public_ip="203.0.113.7")).is_idle is None
    assert ask_prometheus(probe, vm("other")).is_idle is None
    by_name = PrometheusProbe(url=url, window=WINDOW, labels='host=~"{name}"')
    for name in ('x"} or vector(0) or up{job="', ".*", "a\\"):
        assert ask_prometheus(by_name, vm(name)).is_idle is None


def test_a_query_that_prometheus_refuses_is_no_evidence(watched: tuple[str, Exporter]) -> None:
    url, _ = watched
    wrong = Idleness(probes=[PrometheusProbe(url=url, labels="not a matcher")])  # type: ignore[arg-type]
    [told] = find_evidence(wrong, [HERE], NOW).values()
    assert told.is_idle is None
    assert "refused the query" in told.why


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., SshProbe]]:
    """An ssh server of the user who tests; makes probes that log in to it."""
    if SSHD is None:
        pytest.skip("sshd is not installed (Debian: apt-get install openssh-server)")
    place = tmp_path_factory.mktemp("sshd")
    for key in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / key)], check=True
        )
    port = free_port()
    config = place / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place / 'host'}\n"
        f"AuthorizedKeysFile {place / 'user.pub'}\nStrictModes no\nUsePAM no\n"
        f"PidFile {place / 'pid'}\nPasswordAuthentication no\n"
    )
    with subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL) as one:
        try:
            wait_for(lambda: one.poll() is not None or _answers(port))
            if one.poll() is not None:
                pytest.skip("sshd does not start here: it needs the user sshd and /run/sshd")
            options = ("-p", str(port), "-i", str(place / "user"), "-F", "none")
            known = (
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                f"UserKnownHostsFile={place / 'known'}",
            )

            def probe(command: str, below: float = 5, **more: Any) -> SshProbe:
                return SshProbe(
                    user=getpass.getuser(),
                    command=command,
                    below=below,
                    options=(*options, *known),
                    **more,
                )

            yield probe
        finally:
            one.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def test_what_a_command_on_the_machine_prints_is_evidence(
    ssh: Callable[..., SshProbe], tmp_path: Path
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\nprintf '0\\n3\\n'\n")
    smi.chmod(0o755)
    assert ask_over_ssh(ssh(str(smi)), HERE).is_idle is True
    smi.write_text("#!/bin/sh\nprintf '0\\n97\\n'\n")
    assert ask_over_ssh(ssh(str(smi)), HERE).is_idle is False
    # A job that hangs still runs, and a person sees it.
    with subprocess.Popen(
        [sys.executable, "-c", "input()", str(tmp_path)], stdin=subprocess.PIPE
    ) as hung:
        jobs = ssh(f"pgrep -c -f '[i]nput.*{tmp_path.name}'", below=1)
        assert ask_over_ssh(jobs, HERE).is_idle is False
        hung.kill()


def test_what_cannot_be_asked_over_ssh_is_no_evidence(ssh: Callable[..., SshProbe]) -> None:
    for command in ("nvidia-smi-is-not-here", "echo '[N/A]'", "true", "exit 255"):
        assert ask_over_ssh(ssh(command), HERE).is_idle is None, command
    slow = ssh("sleep 60", timeout=timedelta(seconds=1))
    assert ask_over_ssh(slow, HERE).is_idle is None
    assert ask_over_ssh(ssh("echo 0"), vm("off", "SHUTOFF", public_ip="127.0.0.1")).is_idle is None
    assert ask_over_ssh(ssh("echo 0"), vm("odd", public_ip="-oProxyCommand=x")).is_idle is None


def test_a_command_that_prints_without_an_end_is_cut_off_and_is_no_evidence(
    ssh: Callable[..., SshProbe],
) -> None:
    for command in ("yes 0", "yes 0 >&2", "head -c 70000 /dev/zero"):
        told = ask_over_ssh(ssh(command, timeout=timedelta(seconds=60)), HERE)
        assert told == Evidence(None, "the command over ssh printed more than 65536 bytes"), command


def test_a_probe_of_your_own_counts_and_one_that_fails_is_no_evidence() -> None:
    down = Idleness(probes=[PrometheusProbe(url="http://127.0.0.1:1")], combine="any")  # type: ignore[arg-type]
    [told] = find_evidence(down, [HERE], NOW).values()
    assert told.is_idle is None

    def own(*_: Any) -> Evidence:
        return Evidence(True, "nobody waits for it")

    [told] = find_evidence(down, [HERE], NOW, [own]).values()
    assert told == Evidence(True, "nobody waits for it")


LABELS = [
    'host=~"{name}"',
    "host=~'{name}'",
    "host=~`{name}`",
    'host="{name}"',
    "host!='{name}', job=\"x\"",
    "host = '{name}'",
]
NAMES = st.text("ab\\\"'`{}(),.*$\n ä-|", max_size=8)


@given(st.sampled_from(LABELS), NAMES)
def test_a_name_stays_within_its_quotes_whatever_it_is(labels: str, name: str) -> None:
    try:
        filled = matcher_of(labels, vm(name, id_="BRK-a"), None)
    except ValueError:
        assert "`" in name
        assert "`" in labels
        return
    [(operator, text)] = [one for one in _read(filled) if one[1] != "x"]
    means = re.compile(text).fullmatch if "~" in operator else text.__eq__
    assert means(name)
    assert not means(f"{name}x")


def _read(matchers: str) -> list[tuple[str, str]]:
    """The comparisons of a matcher as Prometheus reads them: operator and text."""
    found = []
    rest = matchers
    while rest:
        head = re.match(r"[\s,]*\w+\s*(=~|!~|!=|=)\s*([\"'`])", rest)
        assert head, rest
        rest, text, quote = rest[head.end() :], "", head[2]
        while not rest.startswith(quote):
            assert rest
            assert quote == "`" or rest[0] != "\n"
            if rest[0] == "\\" and quote != "`":
                assert rest[1] in ("\\", quote, "n"), rest
                text, rest = text + ("\n" if rest[1] == "n" else rest[1]), rest[2:]
            else:
                text, rest = text + rest[0], rest[1:]
        rest = rest[1:]
        found.append((head[1], text))
    return found


@pytest.mark.parametrize("address", ["fe80::1%$(reboot)", "127.0.0.1 -oProxyCommand=x", ""])
def test_what_is_more_than_an_address_is_not_asked(address: str) -> None:
    odd = vm("odd", public_ip=address)
    assert "cannot be asked over ssh" in ask_over_ssh(SshProbe(), odd).why
    assert "no address" in ask_prometheus(PrometheusProbe(url="http://127.0.0.1:1"), odd).why


class Liar:
    """A server that answers as Prometheus does, or nearly so; over real HTTP."""

    def __init__(self, counted: str = "20", send: bytes = b"", times: int = 1) -> None:
        liar = self
        self.sent = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = unquote_plus(self.rfile.read(int(self.headers["Content-Length"])).decode())
                value = counted if "count_over_time" in query else "0"
                found = {"metric": {"gpu": "0"}, "value": [0, value]}
                body = json.dumps({"status": "success", "data": {"result": [found]}}).encode()
                self.send_response(200)
                self.end_headers()
                with suppress(OSError):  # whoever asked may have had enough
                    for _ in range(times if send else 0):
                        self.wfile.write(send)
                        liar.sent += len(send)
                        time.sleep(0.02 if len(send) == 1 else 0)
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def told(self) -> Evidence:
        """What a probe takes from it."""
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        try:
            probe = PrometheusProbe(url=self.url, window=timedelta(minutes=30))
            [found] = find_evidence(Idleness(probes=[probe]), [HERE], NOW).values()
            return found
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


def test_a_series_that_was_away_within_the_window_is_no_evidence() -> None:
    assert Liar("20").told().is_idle is True
    assert Liar("19").told().is_idle is True, "one look may have failed"
    assert Liar("12").told().is_idle is None


def test_a_server_that_answers_slowly_without_an_end_is_no_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barrack_tasks.runtime.probes._PATIENCE", 0.3)
    assert Liar(send=b" ", times=100).told().is_idle is None


def test_a_server_that_answers_far_too_much_is_not_read_to_the_end() -> None:
    liar = Liar(send=b" " * 1_000_000, times=100)
    assert liar.told().is_idle is None
    assert liar.sent < 50_000_000


def test_a_probe_that_gives_no_evidence_at_all_is_none() -> None:
    def own(*_: Any) -> Any:
        return None

    asked = Idleness(probes=[PrometheusProbe(url="http://127.0.0.1:1")], combine="any")  # type: ignore[arg-type]
    [told] = find_evidence(asked, [HERE], NOW, [own]).values()
    assert told.is_idle is None
    assert judge_numbers([float("-inf")], 5, "it").is_idle is None
