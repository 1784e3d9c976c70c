"""Each command with `--json` against its published schema; tables at 80 columns and piped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from barrack_tasks import flows
from barrack_tasks.cli.answers import ANSWERS
from barrack_tasks.sandbox import Sandbox
from docs.generate import cli_page
from docs.generate.schemas import DOCS, pages
from tests.cli.test_learn import run

COMMANDS = {
    "ls instances": ["ls"],
    "ls snapshots": ["ls", "snapshots"],
    "ls images": ["ls", "images"],
    "ls volumes": ["ls", "volumes"],
    "ls stock": ["ls", "stock", "--model", "l40"],
    "ls deployments": ["ls", "deployments"],
    "ls runs": ["ls", "runs"],
    "show": ["show", "alpha"],
    "status": ["status"],
    "run": ["run", "prune_snapshots", "*", "--dry-run"],
    "hibernate": ["hibernate", "alpha", "--dry-run"],
    "restore": ["restore", "alpha", "--dry-run"],
    "snapshot": ["snapshot", "alpha", "--dry-run"],
    "costs": ["costs"],
    "logs": ["logs", "RUN"],
    "events": ["events"],
    "notify ls": ["notify", "ls"],
    "schedule preview": ["schedule", "preview", "FILE"],
    "dialect show": ["dialect", "show"],
    "doctor": ["doctor"],
    "watch": ["watch"],
    "panic": ["panic"],
    "lease ls": ["lease", "ls"],
    "owner ls": ["owner", "ls"],
}
ELSEWHERE = {"apply", "arm", "disarm", "up"}
"""These make or need deployments: test_plan.py, test_arm.py and test_up.py look at them."""
LINES = ("watch", "panic")
"""These answer with a line of JSON for each thing that they show."""


@pytest.mark.parametrize(("name", "text"), pages().items())
def test_the_published_schemas_are_up_to_date(name: str, text: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == text, "run: make pages"


def test_every_answer_has_a_command_here() -> None:
    assert COMMANDS.keys() | ELSEWHERE == ANSWERS.keys()


@pytest.fixture(scope="module")
def sandbox(prefect_server: str) -> Iterator[Sandbox]:
    with Sandbox(fleet=3, speed=600, balance=5000) as made:
        yield made


@pytest.fixture(scope="module")
def filled(sandbox: Sandbox) -> tuple[Sandbox, str]:
    """An account with a snapshot, an image and a volume, and the name of a run about it."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in sandbox.env.items():
            patched.setenv(name, value)
        assert run("snapshot", "alpha") == 0
        state = flows.hibernate(select=["alpha"], dry_run=True, return_state=True)
        from barrack_tasks.api import Barrack
        from barrack_tasks.api.models import RegionEnum

        with Barrack(sandbox.api_key, sandbox.url) as client:
            [taken] = client.snapshots.list()
            client.images.create(taken.id, "golden")
            client.volumes.create("disk", 100, RegionEnum.CANADA_1)
    return sandbox, str(state.state_details.flow_run_id)


@pytest.fixture
def account(filled: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in filled[0].env.items():
        monkeypatch.setenv(name, value)
    return filled[1]


EMPTY = ("ls deployments", "events", "notify ls", "lease ls", "owner ls")


def check(name: str, answer: object) -> None:
    """Compare an answer with its published schema."""
    whole = json.loads((DOCS / "cli.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(answer, {**whole["properties"][name], "$defs": whole["$defs"]})


def words_of(name: str, run_id: str, folder: Path) -> list[str]:
    file = folder / "rules.yaml"
    file.write_text('- {select: ["*"], timetable: "Mon-Fri 08:00-20:00 Europe/Berlin"}\n')
    return [{"RUN": run_id, "FILE": str(file)}.get(word, word) for word in COMMANDS[name]]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_answers_is_as_published_and_readable(
    name: str,
    account: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = words_of(name, account, tmp_path)
    run(*words, "--json")
    said = capsys.readouterr().out
    answers = [json.loads(line) for line in said.splitlines()] if name in LINES else []
    answer = answers or json.loads(said)
    for one in answers or [answer]:
        check(name, one)
    assert answer or name in EMPTY, "there is something to see"
    if name in ("costs", "doctor", "run", "restore", "logs", *LINES):
        return  # these ask a server or the cloud much, and their tables are made as the others are
    monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: 80)
    run(*words)
    narrow = capsys.readouterr().out.splitlines()
    monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: 10_000)
    run(*words)
    piped = capsys.readouterr().out.splitlines()
    assert not [line for line in narrow if len(line) > 80 and "  " in line], narrow
    if isinstance(answer, list) and answer:
        assert len(piped) in (len(answer) + 1, len(answer) + 2), "one line for each, and a head"


def test_the_page_of_commands_shows_what_they_show(prefect_server: str) -> None:
    assert cli_page.TARGET.read_text(encoding="utf-8") == cli_page.page(prefect_server), (
        "run: python -m docs.generate.cli_page"
    )
