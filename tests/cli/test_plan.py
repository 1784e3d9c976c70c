"""`barrack plan` and `barrack apply` on a real Prefect server and a sandbox."""

from __future__ import annotations

import io
import json
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import yaml
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli import applying, deployments, main
from barrack_tasks.cli.applying import _alone, plan_of
from barrack_tasks.cli.check import read
from barrack_tasks.cli.config.tags import owner_of
from barrack_tasks.cli.deployments import apply as up
from barrack_tasks.cli.deployments import deployments_file, deployments_of_ours
from barrack_tasks.sandbox import Sandbox
from tests.cli.test_answers import check
from tests.deployments.playing import change
from tests.forks import PREFECT, run_in_fork

Barrack = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def _prefect_deploys_in_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command of Prefect, which takes seconds to load in a process that starts anew."""

    def run(words: list[str], *, cwd: str, env: dict[str, str], **_: Any) -> CompletedProcess[str]:
        assert words[:3] == [sys.executable, "-m", "prefect"]
        return run_in_fork(*words[3:], program=PREFECT, cwd=cwd, env=env)

    monkeypatch.setattr(deployments, "subprocess", SimpleNamespace(run=run))


@pytest.fixture
def barrack(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Barrack:
    """Runs a command; gives its exit code and what it said."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["barrack", *words])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return int(str(end.value.code)), told.out + told.err

    return run


@pytest.fixture
def account(prefect_server: str) -> Iterator[tuple[Sandbox, str]]:
    """Two machines that run, and the name of the block with their account."""
    with Sandbox(fleet=0, speed=0, balance="5000") as sandbox:
        for name in ("alpha", "beta"):
            sandbox.seed_instance(name, gpu_model="L40")
        block = f"yaml-{uuid.uuid4().hex[:8]}"
        BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url).save(
            block,
            _sync=True,  # type: ignore[call-arg]
        )
        yield sandbox, block
    with get_client(sync_client=True) as client:
        for one in of_file(block):
            client.delete_deployment(UUID(one["id"]))


def of_file(name: str) -> list[dict[str, Any]]:
    """The deployments that a file made, as the server has them."""
    with get_client(sync_client=True) as client:
        return [one for _, one in deployments_of_ours(client) if owner_of(one["tags"]) == name]


def runs_of_plans() -> list[str]:
    only = FlowRunFilter(tags=FlowRunFilterTags(all_=["barrack-plan"]))
    with get_client(sync_client=True) as client:
        return [one.name for one in client.read_flow_runs(flow_run_filter=only)]


def one_of(name: str, flow: str) -> dict[str, Any]:
    [found] = [one for one in of_file(name) if one["entrypoint"].endswith(f".{flow}")]
    return found


TEXT = """
name: {block}
accounts: [{block}]
protect: [beta]
timetables:
  rules:
    - {{select: ["*"], timetable: never}}
  strict: true
costs: {{days: 7}}
"""


def test_a_file_is_planned_applied_and_found_as_it_was_applied(
    barrack: Barrack, account: tuple[Sandbox, str], tmp_path: Path
) -> None:
    sandbox, block = account
    file = tmp_path / "barrack.yaml"
    file.write_text(TEXT.format(block=block))
    code, said = barrack("plan", str(file), "--detailed-exitcode", "--json")
    assert code == 2, said
    planned = json.loads(said)
    assert sorted(one["action"] for one in planned["changes"]) == ["change", "create", "create"]
    [now] = planned["now"]
    assert (now["section"], now["armed"], now["problem"]) == ("timetables", False, None)
    would = {row["instance"]: row["outcome"] for row in now["rows"]}
    assert would["alpha"] == "planned"
    assert would.get("beta") != "planned", "the file protects it"
    assert of_file(block) == []
    assert runs_of_plans() == [], "the server keeps no run of a dry run for a plan"
    assert barrack("apply", str(file))[0] == 1, "there is nobody to ask"
    assert of_file(block) == []

    code, said = barrack("apply", str(file), "--yes")
    assert code == 0, said
    assert BarrackCredentials.find(block).protect == ["beta"]
    schedule = one_of(block, "follow_schedule")
    assert schedule["parameters"]["dry_run"] is True
    assert schedule["work_pool_name"] == "barrack"
    assert schedule["global_concurrency_limit"]["limit"] == 3
    assert [s["active"] for s in schedule["schedules"]] == [False]
    assert one_of(block, "report_costs")["parameters"] == {"days": 7, "credentials": block}
    assert {entry["operation"] for entry in sandbox.ledger()} == {"person"}
    code, said = barrack("plan", str(file), "--detailed-exitcode")
    assert (code, "The server is as the file says." in said) == (0, True), said

    # A change by hand stays, and is told.
    change(schedule, parameters={**schedule["parameters"], "strict": False})
    code, said = barrack("plan", str(file), "--detailed-exitcode")
    assert code == 2
    assert "parameter strict: false was set by hand and stays; the file says true" in said
    file.write_text(TEXT.format(block=block).replace("never", "always"))
    assert barrack("apply", str(file), "--yes")[0] == 0
    now = one_of(block, "follow_schedule")["parameters"]
    assert (now["strict"], now["rules"][0]["timetable"]) == (False, "always")
    # Written into the file, it is no change by hand any more, and follows the file.
    file.write_text(file.read_text().replace("strict: true", "strict: false"))
    assert barrack("apply", str(file), "--yes")[0] == 0
    file.write_text(file.read_text().replace("strict: false", "strict: true"))
    assert barrack("apply", str(file), "--yes")[0] == 0
    assert one_of(block, "follow_schedule")["parameters"]["strict"] is True

    # A section that is left out goes, and nothing else does.
    file.write_text(f"name: {block}\naccounts: [{block}]\nprotect: []\ncosts: {{days: 7}}\n")
    assert barrack("apply", str(file), "--yes")[0] == 0
    assert [one["entrypoint"].rpartition(".")[2] for one in of_file(block)] == ["report_costs"]
    assert BarrackCredentials.find(block).protect == []
    with get_client(sync_client=True) as client:
        owned = f"prefect.deployment.{schedule['id']}"
        assert client.read_resource_related_automations(owned) == []


def test_a_file_of_another_name_takes_nothing(
    barrack: Barrack, account: tuple[Sandbox, str], tmp_path: Path
) -> None:
    _, block = account
    file = tmp_path / "barrack.yaml"
    file.write_text(f"name: {block}\naccounts: [{block}]\nwatch: {{}}\n")
    for words, ended in ((["--json"], 1), (["--json", "--yes"], 0), (["--json"], 0)):
        code, said = barrack("apply", str(file), *words)
        answer = json.loads(said)
        check("apply", answer)
        assert (code, answer["applied"]) == (ended, code == 0), said
        assert all(one["done"] is answer["applied"] for one in answer["changes"])
        if words == ["--json"] and ended:
            assert [one["action"] for one in answer["changes"]] == ["create"]
            assert of_file(block) == [], "nobody agreed"
    file.write_text(f"name: other\naccounts: [{block}]\nwatch: {{}}\n")
    code, said = barrack("plan", str(file))
    assert code == 1
    assert f"was made by the file that is called '{block}'" in said


def test_every_mistake_of_a_plan_exits_one(barrack: Barrack, tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text("balnce: {}\n")
    assert barrack("plan", str(file), "--detailed-exitcode")[0] == 1
    assert barrack("plan", str(tmp_path / "none.yaml"), "--detailed-exitcode")[0] == 1
    assert barrack("plan", "--detailed-exit-cod")[0] == 1
    file.write_text("accounts: [no-such-block]\n")
    code, said = barrack("plan", str(file), "--detailed-exitcode")
    assert (code, "`barrack up --credentials no-such-block` saves one" in said) == (1, True)


def test_an_account_that_cannot_be_read_is_an_error_of_a_plan(
    barrack: Barrack, account: tuple[Sandbox, str], tmp_path: Path
) -> None:
    sandbox, block = account
    file = tmp_path / "barrack.yaml"
    text = TEXT.format(block=block)
    file.write_text(text)
    assert barrack("plan", str(file), "--detailed-exitcode")[0] == 2

    # What the flow itself would fail on is an error as well, but the account was read.
    file.write_text(text.replace('["*"]', "[nobody]"))
    code, said = barrack("plan", str(file), "--detailed-exitcode")
    assert (code, "'nobody'" in said) == (1, True), said
    assert barrack("plan", str(file))[0] == 0

    file.write_text(text)
    for key, url, why in (
        ("wrong", sandbox.url, "HTTP 401"),
        (sandbox.api_key, "http://127.0.0.1:9", "127.0.0.1:9"),
    ):
        BarrackCredentials(api_key=key, base_url=url).save(block, overwrite=True, _sync=True)  # type: ignore[call-arg]
        for words in (["--detailed-exitcode"], [], ["--json"]):
            code, said = barrack("plan", str(file), *words)
            assert (code, why in said) == (1, True), said


def test_a_plan_is_shown_as_json_or_as_markdown(barrack: Barrack, tmp_path: Path) -> None:
    code, said = barrack("plan", str(tmp_path / "none.yaml"), "--json", "--markdown")
    assert code == 1
    assert "--json and --markdown exclude each other" in said


@pytest.mark.slow
def test_job_variables_that_were_set_by_hand_stay(
    barrack: Barrack, account: tuple[Sandbox, str], tmp_path: Path
) -> None:
    _, block = account
    Secret(value="hidden").save(block, _sync=True)  # type: ignore[call-arg]
    file = tmp_path / "barrack.yaml"
    text = f"name: {block}\naccounts: [{block}]\ncosts: {{days: 7}}\n"
    file.write_text(text)
    assert barrack("apply", str(file), "--yes")[0] == 0
    for days, value in ((8, "/data"), (9, f"{{{{ prefect.blocks.secret.{block} }}}}")):
        by_hand = {"env": {"HF_HOME": value}}
        change(one_of(block, "report_costs"), job_variables=by_hand)
        file.write_text(text.replace("days: 7", f"days: {days}"))
        code, said = barrack("plan", str(file))
        assert (code, said.count("was set by hand and stays")) == (0, 1), said
        assert 'job variables: {"env": {"HF_HOME": "(not shown)"}} was set by hand' in said
        for view in ("--json", "--markdown"):
            assert value not in barrack("plan", str(file), view)[1]
        assert barrack("apply", str(file), "--yes")[0] == 0
        now = one_of(block, "report_costs")
        assert (now["parameters"]["days"], now["job_variables"]) == (days, by_hand)


@pytest.mark.slow
def test_what_an_apply_changed_that_did_not_end_was_not_set_by_hand(
    barrack: Barrack,
    account: tuple[Sandbox, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, block = account
    file = tmp_path / "barrack.yaml"

    def write(protect: str, timetable: str, days: int) -> None:
        text = TEXT.replace("[beta]", protect).replace("never", timetable)
        file.write_text(text.format(block=block).replace("days: 7", f"days: {days}"))

    write("[beta]", "never", 7)
    assert barrack("apply", str(file), "--yes")[0] == 0
    write("[beta, alpha]", "always", 8)

    def cut_off(content: dict[str, Any]) -> None:
        deploy({**content, "deployments": content["deployments"][:1]})
        raise BarrackConfigurationError("Prefect refused the deployments")

    deploy = applying._deploy
    with monkeypatch.context() as patched:
        patched.setattr(applying, "_deploy", cut_off)
        assert barrack("apply", str(file), "--yes")[0] == 1
    assert one_of(block, "follow_schedule")["parameters"]["rules"][0]["timetable"] == "always"
    assert one_of(block, "report_costs")["parameters"]["days"] == 7
    change(one_of(block, "follow_schedule"), description="Mine.")

    write("[db]", "Mon-Fri 08:00-20:00 UTC", 9)
    _, said = barrack("plan", str(file))
    assert said.count("by hand") == 2, said
    assert 'description: "Mine." was set by hand' in said
    assert barrack("apply", str(file), "--yes")[0] == 0
    schedule = one_of(block, "follow_schedule")
    assert schedule["parameters"]["rules"][0]["timetable"].startswith("Mon-Fri")
    assert schedule["description"] == "Mine."
    assert one_of(block, "report_costs")["parameters"]["days"] == 9
    assert BarrackCredentials.find(block).protect == ["db"]


def test_two_applies_at_once_do_not_interleave(prefect_server: str) -> None:
    name = f"file-{uuid.uuid4().hex[:8]}"
    waited: list[float] = []
    with _alone(name) as check:
        with (
            pytest.raises(BarrackConfigurationError, match="another apply"),
            _alone(name, waited.append),
        ):
            pass
        check()
        with _alone(f"{name}-other", waited.append):
            pass
    assert len(waited) == 30
    with _alone(name, waited.append):
        assert len(waited) == 30


def test_an_apply_that_was_lost_is_followed_by_another_and_stops_when_it_comes_back(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"file-{uuid.uuid4().hex[:8]}"
    now = applying._server_now()
    with _alone(name) as check:
        monkeypatch.setattr(applying, "_server_now", lambda: now + 3600)
        with _alone(name) as other:
            with pytest.raises(BarrackConfigurationError, match="paused for so long"):
                check()
            other()


@pytest.mark.slow
def test_a_plan_that_is_not_true_any_more_is_not_applied(
    account: tuple[Sandbox, str], tmp_path: Path, barrack: Barrack
) -> None:
    from barrack_tasks.cli.applying import apply

    _, block = account
    file = tmp_path / "barrack.yaml"
    file.write_text(f"name: {block}\naccounts: [{block}]\nwatch: {{}}\n")
    shown = plan_of(read(file), foresee=False)
    assert barrack("apply", str(file), "--yes")[0] == 0
    with pytest.raises(BarrackConfigurationError, match="changed after the plan was shown"):
        apply(shown)


def test_a_first_file_is_written_from_the_account_and_never_again(
    barrack: Barrack,
    account: tuple[Sandbox, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox, block = account
    file = tmp_path / "barrack.yaml"
    assert barrack("init", str(file), "--credentials", block)[0] == 0
    written = file.read_text()
    assert "alpha" in written
    assert f"accounts: [{block}]" in written
    assert sandbox.api_key not in written
    assert barrack("check", str(file))[0] == 0
    code, said = barrack("init", str(file), "--credentials", block)
    assert (code, "is there already, and was not changed" in said) == (2, True)
    assert file.read_text() == written
    # Without such a block, the account of the environment is read.
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    other = tmp_path / "other.yaml"
    assert barrack("init", str(other), "--credentials", "not-saved")[0] == 0
    assert "alpha" in other.read_text()
    assert sandbox.api_key not in other.read_text()
    assert {entry["operation"] for entry in sandbox.ledger()} == {"person"}


@pytest.mark.slow
def test_what_up_has_deployed_is_taken_over_and_up_leaves_it_alone_then(
    barrack: Barrack, account: tuple[Sandbox, str], tmp_path: Path
) -> None:
    _, block = account
    content = yaml.safe_load(deployments_file().read_text())
    content["deployments"] = [
        {**one, "name": f"{one['name']}-{block}"}
        for one in content["deployments"]
        if one["entrypoint"].rpartition(".")[2] in ("follow_schedule", "report_costs")
    ]
    for trigger in content["deployments"][0]["triggers"]:
        trigger["name"] += f" ({block})"
    release = tmp_path / "prefect.yaml"
    release.write_text(yaml.safe_dump(content))
    up(release)
    with get_client(sync_client=True) as client:
        [made] = [
            one
            for _, one in deployments_of_ours(client)
            if one["name"].endswith(block) and one["entrypoint"].endswith("report_costs")
        ]
    change(made, parameters={"days": 3}, tags=[*made["tags"], "mine"])

    file = tmp_path / "barrack.yaml"
    file.write_text(f"name: {block}\naccounts: [{block}]\ncosts: {{days: 7}}\n")
    _, said = barrack("plan", str(file))
    assert "was not made by a file, and belongs to this one from now on" in said
    assert "parameter days: 3 was set by hand and stays; the file says 7" in said
    assert barrack("apply", str(file), "--yes")[0] == 0
    now = one_of(block, "report_costs")
    assert (now["id"], now["parameters"]["days"]) == (made["id"], 3)
    assert "mine" in now["tags"]
    up(release)
    assert one_of(block, "report_costs") == now
    with get_client(sync_client=True) as client:
        for _, one in deployments_of_ours(client):
            if one["name"].endswith(block) and not owner_of(one["tags"]):
                client.delete_deployment(UUID(one["id"]))


def test_what_fails_as_a_dry_run_is_not_armed(
    barrack: Barrack, account: tuple[Sandbox, str], tmp_path: Path
) -> None:
    _, block = account
    file = tmp_path / "barrack.yaml"
    rules = "  rules: [{select: [nobody], timetable: never}]\n"
    armed = f"name: {block}\naccounts: [{block}]\ntimetables:\n  armed: true\n{rules}"
    file.write_text(armed)
    code, said = barrack("apply", str(file), "--yes")
    assert code == 1
    assert "nothing was changed, because the dry run of barrack-follow-schedule/" in said
    assert "'nobody'" in said
    assert of_file(block) == []
    file.write_text(armed.replace("  armed: true\n", ""))
    assert barrack("apply", str(file), "--yes")[0] == 0
    assert one_of(block, "follow_schedule")["parameters"]["dry_run"] is True


@pytest.mark.slow
def test_each_account_has_what_the_file_protects_and_caps_there_and_loses_it_with_the_file(
    barrack: Barrack, account: tuple[Sandbox, str], tmp_path: Path
) -> None:
    _, block = account
    other = f"{block}-b"
    with Sandbox(fleet=0, speed=0) as second:
        BarrackCredentials(api_key=second.api_key, base_url=second.url, protect=["theirs"]).save(
            other, _sync=True
        )  # type: ignore[call-arg]
        file = tmp_path / "barrack.yaml"
        head = f"name: {block}\n"
        plain = f"{head}protect: [db]\naccounts: [{block}, {other}]\n"
        file.write_text(plain)
        assert barrack("apply", str(file), "--yes")[0] == 0
        file.write_text(
            f"{head}protect: [db]\ncaps: {{burn: 60}}\naccounts:\n"
            f"  - {{block: {block}, protect: [alpha], caps: {{burn: 12, lasts: 24h}}}}\n"
            f"  - {other}\n"
        )
        # A name that others add meanwhile is no reason to leave out what the file adds.
        added = BarrackCredentials.find(other)
        added.protect = [*added.protect, "mine"]
        added.save(other, overwrite=True, _sync=True)  # type: ignore[call-arg]
        code, said = barrack("plan", str(file), "--detailed-exitcode")
        assert (code, "by hand" in said) == (2, False), said
        assert barrack("apply", str(file), "--yes")[0] == 0
        one, two = BarrackCredentials.find(block), BarrackCredentials.find(other)
        assert (sorted(one.protect), sorted(two.protect)) == (
            ["alpha", "db"],
            ["db", "mine", "theirs"],
        )
        assert one.caps is not None
        assert two.caps is not None
        assert (one.caps.burn, one.caps.lasts is None, two.caps.burn) == (12, False, 60)
        assert barrack("plan", str(file), "--detailed-exitcode")[0] == 0
        # What the file does not say any more goes; what others said stays.
        file.write_text(f"{head}accounts: [{block}, {other}]\n")
        assert barrack("apply", str(file), "--yes")[0] == 0
        one, two = BarrackCredentials.find(block), BarrackCredentials.find(other)
        assert (one.protect, sorted(two.protect)) == ([], ["mine", "theirs"])
        assert (one.caps, two.caps) == (None, None)
        assert barrack("plan", str(file), "--detailed-exitcode")[0] == 0
