"""`barrack arm` and `barrack disarm` on a real Prefect server."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from barrack_tasks import BarrackCredentials
from barrack_tasks.cli import main
from barrack_tasks.cli.deployments import Deployed, apply, deployments_file, read_deployed
from barrack_tasks.sandbox import Sandbox
from tests.cli.test_answers import check
from tests.cli.test_learn import run
from tests.conftest import free_port
from tests.deployments.playing import change, function_of, start
from tests.forks import ROOT, run_in_fork

DRILL, REPORT, HIBERNATE = (
    "barrack-verify-snapshots/verify-snapshots",
    "barrack-report-costs/report-costs",
    "barrack-hibernate/hibernate",
)


@pytest.fixture(scope="module")
def file(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three of the library's deployments, applied: a guard, one that looks, one on demand."""
    content = yaml.safe_load(deployments_file().read_text())
    wanted = {function_of(name.partition("/")[0]) for name in (DRILL, REPORT, HIBERNATE)}
    content["deployments"] = [
        {k: v for k, v in one.items() if k != "triggers"}
        for one in content["deployments"]
        if one["entrypoint"].rpartition(".")[2] in wanted
    ]
    path = tmp_path_factory.mktemp("arm") / "prefect.yaml"
    path.write_text(yaml.safe_dump(content))
    apply(path)
    yield path
    with get_client(sync_client=True) as client:
        for name in (DRILL, REPORT, HIBERNATE):
            client.delete_deployment(UUID(there(name).id))


@pytest.fixture
def barrack(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command; gives its exit code and what it said."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["barrack", *words])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return int(str(end.value.code)), " ".join((told.out + told.err).split())

    return run


def there(name: str) -> Deployed:
    with get_client(sync_client=True) as client:
        return {one.full_name: one for one in read_deployed(client)}[name]


def is_on(name: str) -> list[bool]:
    return [s["active"] for s in there(name).schedules]


@pytest.fixture
def account(file: Path) -> Iterator[tuple[Sandbox, str]]:
    """Two machines that run, and the name of the block with their account."""
    with Sandbox(fleet=0, speed=0, balance="5000") as sandbox:
        for name in ("alpha", "beta"):
            sandbox.seed_instance(name, gpu_model="L40")
        block = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
        block.save("arming", overwrite=True, _sync=True)  # type: ignore[call-arg]
        yield sandbox, "arming"


def ask(answer: str, *words: str) -> tuple[int, str]:
    """Run a command at a terminal of 80 columns, and answer what it asks; code and output."""
    terminal, its_end = os.openpty()
    os.write(terminal, answer.encode() + b"\n")
    env = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    done = run_in_fork(*words, env=env, stdin=its_end)
    os.close(terminal)
    os.close(its_end)
    return done.returncode, done.stdout


def test_arming_shows_what_would_be_done_now_and_asks(account: tuple[Sandbox, str]) -> None:
    sandbox, block = account
    was = {"dry_run": True, "select": ["*"], "credentials": block}
    change({"id": there(HIBERNATE).id}, parameters=was)
    code, said = ask("n", "arm", HIBERNATE)
    assert (code, "Nothing was changed." in said) == (1, True), said
    assert there(HIBERNATE).parameters == was
    assert {entry["operation"] for entry in sandbox.ledger()} == {"person"}
    assert 'select: ["*"]' in said
    assert "runs next: when somebody starts it" in said
    [effect] = [line for line in said.splitlines() if "make the account cost" in line]
    assert effect.endswith(" an hour less.")
    rows = [line for line in said.splitlines() if "alpha" in line or "beta" in line]
    assert len(rows) == 2
    assert all("planned" in row and len(row) <= 80 for row in rows), rows
    assert ask("y", "arm", HIBERNATE)[0] == 0
    assert there(HIBERNATE).parameters == {**was, "dry_run": False}
    change({"id": there(HIBERNATE).id}, parameters={})


def test_json_shows_what_would_be_done_and_changes_nothing_without_yes(
    account: tuple[Sandbox, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, block = account
    was = {"dry_run": True, "select": ["*"], "credentials": block}
    change({"id": there(HIBERNATE).id}, parameters=was)
    for words, code, armed in (
        (["arm", HIBERNATE, "--json"], 1, False),
        (["arm", HIBERNATE, "--json", "--yes"], 0, True),
        (["disarm", HIBERNATE, "--json"], 0, False),
    ):
        assert run(*words) == code
        answer = json.loads(capsys.readouterr().out)
        check(words[0], answer)
        [one] = answer
        assert (one["deployment"], one["armed"], one["changed"]) == (HIBERNATE, armed, code == 0)
        reports = [seen["report"] for seen in one["previews"]]
        assert all(len(report["rows"]) == 2 for report in reports)
        assert bool(reports) == (words[0] == "arm")
    change({"id": there(HIBERNATE).id}, parameters={})


def test_arming_says_why_nothing_would_be_done(account: tuple[Sandbox, str]) -> None:
    sandbox, block = account
    client = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url).get_client()
    client.snapshots.create(next(client.instances.list()).id, "begun-a-moment-ago")
    given = {"dry_run": True, "select": ["*"], "credentials": block}
    change({"id": there(DRILL).id}, parameters=given)
    _, said = ask("n", "arm", DRILL)
    assert "It would do nothing now." in said
    assert "No drill is due: no snapshot is ready" in said


def test_without_a_terminal_and_without_yes_nothing_is_armed(
    barrack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = there(DRILL)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    said = "There is no terminal to ask on; pass --yes to continue without asking."
    assert barrack("arm", DRILL) == (1, said)
    assert there(DRILL) == before


WAS_SET = {"select": ["a"], "max_cost": 7}


def test_arming_and_disarming_keep_what_else_was_set(barrack: Any) -> None:
    change({"id": there(DRILL).id}, parameters={"dry_run": True, **WAS_SET})
    code, said = barrack("arm", DRILL, "--yes")
    assert (code, said.endswith(f"{DRILL} acts, and runs at 04:00 UTC every day.")) == (0, True)
    assert (there(DRILL).parameters, is_on(DRILL)) == ({**WAS_SET, "dry_run": False}, [True])
    assert there(DRILL).tags == ("barrack", "snapshots", "armed")
    code, said = barrack("disarm", DRILL.partition("/")[2])
    assert (code, said) == (0, f"{DRILL} is a dry run, and its schedule is off.")
    assert there(DRILL).tags == ("barrack", "snapshots", "dry")
    assert (there(DRILL).parameters, is_on(DRILL)) == ({**WAS_SET, "dry_run": True}, [False])


@pytest.mark.slow
def test_what_was_armed_or_disarmed_stays_when_all_is_applied_again(
    barrack: Any, file: Path
) -> None:
    change({"id": there(DRILL).id}, parameters={"dry_run": True, **WAS_SET})
    barrack("arm", DRILL, "--yes")
    barrack("disarm", REPORT)
    apply(file)
    assert (there(DRILL).parameters, is_on(DRILL)) == ({**WAS_SET, "dry_run": False}, [True])
    assert is_on(REPORT) == [False]
    barrack("disarm", DRILL)
    apply(file)
    assert (there(DRILL).parameters, is_on(DRILL)) == ({**WAS_SET, "dry_run": True}, [False])


def test_what_has_no_dry_run_is_given_none(barrack: Any) -> None:
    before = there(REPORT).parameters
    code, said = barrack("disarm", REPORT, REPORT)
    assert (code, said) == (0, f"{REPORT} has no dry run, and its schedule is off.")
    assert (there(REPORT).parameters, is_on(REPORT)) == (before, [False])
    code, said = barrack("arm", REPORT, "--yes")
    assert said.endswith(f"{REPORT} has no dry run, and runs at 07:00 Europe/Berlin every Monday.")
    assert (there(REPORT).parameters, is_on(REPORT)) == (before, [True])


def test_a_run_that_waits_from_before_is_told_of(barrack: Any) -> None:
    code, said = barrack("arm", HIBERNATE, "--yes")
    assert "not known: its runs get these parameters only when they are started: select" in said
    assert (code, said.endswith(f"{HIBERNATE} acts, and runs when somebody starts it.")) == (
        0,
        True,
    )
    assert there(HIBERNATE).parameters["dry_run"] is False
    run = start(there(HIBERNATE).id, select=["a"])
    code, said = barrack("disarm", HIBERNATE)
    with get_client(sync_client=True) as client:
        client.delete_flow_run(UUID(run))  # a later test's worker would take it
    assert code == 0
    assert f"{HIBERNATE} is a dry run, and runs when somebody starts it; 1 run, already" in said
    assert there(HIBERNATE).parameters["dry_run"] is True


def test_a_schedule_that_says_so_itself_and_a_paused_deployment_are_armed_too(
    barrack: Any,
) -> None:
    id_ = UUID(there(DRILL).id)
    with get_client(sync_client=True) as client:
        [schedule] = client.read_deployment_schedules(id_)
        own = {"dry_run": True, "max_cost": 3}
        client.update_deployment_schedule(id_, schedule.id, parameters=own)
        client.pause_deployment(id_)
        barrack("arm", DRILL, "--yes")
        [schedule] = client.read_deployment_schedules(id_)
        assert schedule.parameters == {"dry_run": False, "max_cost": 3}
        assert not client.read_deployment(id_).paused
        barrack("disarm", DRILL)
        [schedule] = client.read_deployment_schedules(id_)
        assert schedule.parameters == own


def test_an_unknown_name_changes_nothing_of_any(barrack: Any) -> None:
    before = there(DRILL)
    code, said = barrack("arm", DRILL, "barrack-verify-snapshot/dril")
    assert code == 2
    assert "no deployment is called 'barrack-verify-snapshot/dril', and nothing was changed" in said
    assert f"nearest is {DRILL}" in said
    assert there(DRILL) == before
    assert barrack("arm")[0] == 2


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_said_as_status_says_it(barrack: Any) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url}):
        for command in ("arm", "disarm"):
            code, told = barrack(command, DRILL)
            assert code == 1
            said = told.removeprefix("barrack: ")
            assert said.startswith(f"Prefect: nothing answers at {url}; check that")
        assert said in barrack("status")[1]
