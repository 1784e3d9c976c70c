"""Every command and every code block of README and docs works as it is written.

A block that cannot run here says so in its info string, `by-hand=<why>`; all others are executed
in a fresh home against a sandbox.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from barrack_tasks.sandbox import Sandbox
from tests.conftest import end_with_this_process, free_port
from tests.docs.blocks import ROOT, Block, blocks
from tests.flows.receivers import webhook

BLOCKS = list(blocks())
WHY = {
    "account": "it needs a real account, or a document of one",
    "checkout": "it needs a checkout of this repository",
    "container": "it needs an image registry",
    "id": "an id in it stands for one of the reader's own",
    "terminal": "it occupies a terminal",
    "registry": "it downloads all packages again",
}
SHOWN = {"text", "console"}
"""What is only read: output, signatures and drawings."""
ELSEWHERE = "docs/compositions.md"
"""Its blocks are the programs in `examples/`, which tests/examples runs."""
FLEET = ("train-1", "train-2", "train-main", "builder", "lab-1")
GENERATED = ("docs/reference", "docs/flows")
"""Made from docstrings, whose examples name ids and machines of the reader's own."""
FIRST = '.save("team-slack")'
"""Pages that name this notification block link to the block of code that saves it."""
LAST = "barrack down"
"""What ends the server is run after all others."""
BARRACK = Path(sys.executable).parent


def runnable(language: str) -> list[Block]:
    return [
        b
        for b in BLOCKS
        if b.language == language and not b.by_hand and not b.place.startswith(ELSEWHERE)
    ]


def test_each_block_runs_or_says_why_not() -> None:
    for block in BLOCKS:
        why = block.by_hand.removeprefix("by-hand=")
        assert not block.by_hand or (block.by_hand.startswith("by-hand=") and why in WHY), block
        known = {"python", "sh", "yaml", *SHOWN}
        assert block.language in known or block.by_hand, f"{block.place} has no language"
    listed = [f"{b.place}: {WHY[b.by_hand[8:]]}" for b in BLOCKS if b.by_hand]
    print("not executed:", *listed, sep="\n  ")  # noqa: T201
    assert len([b for b in BLOCKS if b.by_hand and not b.place.startswith(GENERATED)]) < 12
    assert len(runnable("python")) > 15
    assert len(runnable("sh")) > 4


@pytest.mark.parametrize("block", runnable("python"), ids=lambda b: b.place)
def test_each_python_block_can_be_read(block: Block) -> None:
    import ast

    compile(block.text, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("block", runnable("yaml"), ids=lambda b: b.place)
def test_each_yaml_block_can_be_read(block: Block) -> None:
    from prefect.events import DeploymentEventTrigger

    from barrack_tasks.plans.power.schedule import read_rules

    told = yaml.safe_load(block.text)
    assert told
    if "triggers" in told:
        assert [DeploymentEventTrigger.model_validate(one) for one in told["triggers"]]
    if "timetable" in block.text and isinstance(told, list):
        assert len(read_rules(told)) == len(told)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A fresh home with a sandbox, in which `barrack up` has been run."""
    home = tmp_path
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BARRACK_"))}
    env = {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "PREFECT_HOME": str(home / ".prefect"),
        "PATH": f"{BARRACK}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "160",
    }
    history = {"history": "30d", "balance": "100000", "speed": 120}
    with Sandbox(fleet=FLEET, **history) as sandbox, webhook() as slack:  # type: ignore[arg-type]
        env |= sandbox.env
        env["SLACK_WEBHOOK_URL"] = slack.url.replace("http://", "json://")
        (home / "reference.json").write_bytes(httpx.get(f"{sandbox.url}/openapi.json").content)
        for block in runnable("yaml"):
            if block.text.startswith("# rules.yaml"):
                (home / "rules.yaml").write_text(block.text)
        try:
            typed(env, f"barrack up --port {free_port()}")
            for line in (home / ".local/state/prefect-barrack/env").read_text().splitlines():
                name, _, value = line.removeprefix("export ").partition("=")
                env[name] = value.strip("'\"")
            yield env
        finally:
            typed(env, "barrack down")


def typed(env: dict[str, str], script: str) -> None:
    """A person types this into a shell in their home, and says yes to whatever is asked."""
    leader, terminal = pty.openpty()
    os.write(leader, b"y\n" * 20)
    try:
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=env["HOME"],
            env=env,
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=280,
        )
    finally:
        os.close(leader)
        os.close(terminal)
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.slow
def test_each_block_runs_as_it_is_written(environment: dict[str, str]) -> None:
    """All of them in one home, in the order in which they are read."""
    served = [b for b in runnable("python") if ".serve(" in b.text]
    errors = errors_of_python([b for b in runnable("python") if b not in served], environment)
    for block in served:
        errors |= error_of(block, lambda b: serve(b, environment))
    for block in sorted(runnable("sh"), key=lambda b: LAST in b.text):
        errors |= error_of(block, lambda b: typed(environment, b.text))
    assert not errors, "\n\n".join(f"{place}\n{text[-1500:]}" for place, text in errors.items())


def error_of(block: Block, run: Callable[[Block], None]) -> dict[str, str]:
    """What went wrong with a block, by its place."""
    try:
        run(block)
    except (AssertionError, subprocess.SubprocessError) as error:
        return {block.place: str(error)}
    return {}


def errors_of_python(wanted: list[Block], env: dict[str, str]) -> dict[str, str]:
    """What Python blocks raised in one process of their own, by their places."""
    asked, told = Path(env["HOME"]) / "asked.json", Path(env["HOME"]) / "told.json"
    ordered = sorted(wanted, key=lambda b: FIRST not in b.text)
    asked.write_text(json.dumps([(b.place, b.text) for b in ordered]))
    done = subprocess.run(
        [sys.executable, "-m", "tests.docs.blocks", asked, told],
        cwd=env["HOME"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert told.exists(), done.stderr[-3000:]
    found: dict[str, str] = json.loads(told.read_text())
    return found


def serve(block: Block, env: dict[str, str]) -> None:
    """Run a program until its deployment is on the server, and end it as Ctrl-C would."""
    file = Path(env["HOME"]) / "served.py"
    file.write_text(block.text)
    program = subprocess.Popen(
        [sys.executable, file],
        cwd=env["HOME"],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_this_process,
    )
    try:
        user, _, password = env["PREFECT_API_AUTH_STRING"].partition(":")
        [name] = re.findall(r'name="([\w-]+)"', block.text)
        wanted = {"deployments": {"name": {"any_": [name]}}}
        url = f"{env['PREFECT_API_URL']}/deployments/filter"
        until = time.monotonic() + 90
        while not httpx.post(url, json=wanted, auth=(user, password)).json():
            assert time.monotonic() < until, f"{name} was not served"
            assert program.poll() is None, "the program ended"
            time.sleep(0.5)
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(60)
