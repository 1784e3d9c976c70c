"""A key goes through everything that people do with it, and is looked for everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from barrack_tasks.sandbox import Sandbox
from tests.conftest import asked
from tests.security.places import (
    ROOT,
    files_with,
    holds,
    settled,
    states_of,
    told_by_server,
)

TABLE = ROOT / "docs" / "key_paths.md"
NO, YES = "no", "yes"
EXPECTED = {
    "what a run prints, with all loggers at DEBUG, `httpx` and `httpcore` among them": NO,
    "texts and attributes of each error": NO,
    "tracebacks with all variables of all frames, and of the errors behind them": NO,
    "`repr`, `str`, `vars`, `model_dump`, rich and notebook displays of an account": NO,
    "pickles of a saved account and of each error": NO,
    "Prefect's API: flow runs and their parameters": NO,
    "Prefect's API: task runs": NO,
    "Prefect's API: states of runs": NO,
    "Prefect's API: logs": NO,
    "Prefect's API: events": NO,
    "Prefect's API: artifacts": NO,
    "Prefect's API: variables": NO,
    "Prefect's API: blocks, as they are shown": NO,
    "Prefect's API: blocks, for who asks with `include_secrets`": YES,
    "the bytes of Prefect's database and its journals": NO,
    "files of the server's `PREFECT_HOME`": NO,
    "files of the run's `PREFECT_HOME`, persisted results and deferred calls among them": NO,
    "arguments of all processes": NO,
    "environment of a run whose account is a saved block": NO,
    "environment of a run whose account is `BARRACK_API_KEY`": YES,
    "environment of Prefect's server": NO,
}
"""Where a key is looked for, in any spelling, and whether it may be found there."""


def table(found: Mapping[str, str]) -> str:
    """The table for the documentation."""
    rows = [f"| {place} | {answer} |" for place, answer in found.items()]
    head = [
        "# Where the key is looked for",
        "",
        "`tests/security/test_where_the_key_is.py` takes a key through runs that work, an error of "
        "each type, wrong parameters and crash dumps, then looks for it in plain text, UTF-16, "
        "hexadecimal and base64.",
        "",
        "| where | found |",
        "| --- | --- |",
    ]
    return "\n".join([*head, *rows, ""])


@pytest.fixture(scope="module")
def found(
    prefect_server: str, prefect_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Where the key was found, after all of it."""
    key = f"brk-{uuid.uuid4().hex}"
    name = f"n-{uuid.uuid4().hex[:8]}"
    home = tmp_path_factory.mktemp("home")
    out = tmp_path_factory.mktemp("out") / "told.json"
    env = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "barrack_tasks",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PYTHONPATH": str(ROOT),
    }
    env.pop("BARRACK_API_KEY", None)
    with Sandbox(api_key=key, speed=3600, fleet=2, balance="5000") as sandbox:
        words = [sys.executable, "-m", "tests.security.journey", sandbox.url, name, str(out)]
        with Watch(key) as block:
            done = run(words, key, env)
        assert done.returncode == 0, done.stdout[-3000:]
        code = "import barrack_tasks; print(barrack_tasks.get_credit_balance(None))"
        with Watch(key) as environment:
            own = run([sys.executable, "-c", code], "", {**env, **sandbox.env})
        assert own.returncode == 0, own.stdout
    settled(prefect_server)
    told = json.loads(out.read_text())
    kept = {
        kind: told_by_server(prefect_server, kind)
        for kind in ("flow_runs", "task_runs", "logs", "events", "artifacts", "variables")
    }
    assert name in kept["flow_runs"]
    assert "BarrackAuthenticationError" in kept["logs"]
    assert "httpcore" in done.stdout
    assert len(list((home / "storage").iterdir())) > 2
    seen = [
        done.stdout + own.stdout,
        told["errors"],
        told["tracebacks"],
        told["shown"],
        told["pickles"],
        kept["flow_runs"],
        kept["task_runs"],
        states_of(prefect_server),
        kept["logs"],
        kept["events"],
        kept["artifacts"],
        kept["variables"],
        blocks(prefect_server, secrets=False),
        blocks(prefect_server, secrets=True),
    ]
    assert all(seen)
    inside = files_with(key, prefect_home)
    server = Path(f"/proc/{listener(prefect_server)}/environ").read_bytes()
    answers = [
        *(holds(text, key) for text in seen),
        any(path.startswith("prefect.db") for path in inside),
        bool(inside),
        bool(files_with(key, home)),
        block.in_arguments or environment.in_arguments,
        block.in_environment,
        environment.in_environment,
        holds(server, key),
    ]
    return dict(zip(EXPECTED, (YES if answer else NO for answer in answers), strict=True))


def run(words: list[str], given: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=ROOT,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        env=dict(env),
    )


class Watch:
    """Looks at the arguments and the environment of all processes that this one has started."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.in_arguments = self.in_environment = False

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            for pid in below(os.getpid()):
                for kind in ("cmdline", "environ"):
                    try:
                        text = Path(f"/proc/{pid}/{kind}").read_bytes()
                    except OSError:
                        continue
                    if holds(text, self._secret):
                        if kind == "cmdline":
                            self.in_arguments = True
                        else:
                            self.in_environment = True


def below(pid: int) -> list[int]:
    """A process's children, their children, and so on."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *below(child)]
    return found


def listener(server: str) -> int:
    """The process id of the server, a child of the one that runs the tests."""
    port = httpx.URL(server).port
    [found] = [
        pid
        for pid in below(os.getpid())
        if f"--port\0{port}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        and b"server\0start" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ][:1]
    return found


def blocks(server: str, secrets: bool) -> str:
    """All blocks, as the server tells them."""
    wanted: dict[str, Any] = {"include_secrets": secrets, "limit": 200}
    answer = asked("POST", f"{server}/block_documents/filter", body=wanted)
    return answer.raise_for_status().text


@pytest.mark.slow
def test_it_is_in_the_encrypted_block_and_in_the_environment_that_names_it(
    found: dict[str, str],
) -> None:
    print(table(found))  # noqa: T201 - shown when it is not as it should be
    assert found == EXPECTED


@pytest.mark.slow
def test_the_table_in_the_documentation_is_this_one(found: dict[str, str]) -> None:
    assert TABLE.read_text() == table(found)


@pytest.mark.parametrize("spelling", ["utf-8", "utf-16-le", "base64", "nested base64", "hex"])
def test_a_key_is_found_in_any_spelling(spelling: str) -> None:
    """Whoever finds nothing anywhere must be able to find."""
    import base64

    key = f"brk-{uuid.uuid4().hex}"
    plain = f'{{"a": "é", "api_key": "{key}"}} and more'
    found = {
        "utf-8": plain.encode(),
        "utf-16-le": plain.encode("utf-16-le"),
        "base64": base64.b64encode(plain.encode()),
        "nested base64": base64.b64encode(b"xy" + plain.encode()),
        "hex": plain.encode().hex().encode(),
    }
    assert holds(found[spelling], key)
    assert not holds(found[spelling], f"brk-{uuid.uuid4().hex}")
