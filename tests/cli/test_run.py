"""`barrack run` and the short ways, with a real Prefect server and the sandbox."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks import flows
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli.answers import ReportShown
from barrack_tasks.cli.failing import WrongWordsError, code_of
from barrack_tasks.cli.prefect_lists import read_logs, read_runs
from barrack_tasks.cli.running import described, flags_of, given_by, help_of, parameters_of
from barrack_tasks.controllers.money.bills import check_file
from barrack_tasks.plans.selection import SelectionError
from barrack_tasks.sandbox import Sandbox
from tests.cli.test_learn import run
from tests.cli.test_up import barrack
from tests.forks import started

HIBERNATE = flags_of(flows.hibernate.fn)


@pytest.fixture(scope="module")
def sandbox(prefect_server: str) -> Iterator[Sandbox]:
    with Sandbox(fleet=3, speed=600, balance=5000) as made:
        yield made


@pytest.fixture
def account(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: 80)
    return sandbox


@pytest.mark.parametrize("name", flows.__all__)
def test_every_parameter_of_every_flow_is_a_flag_that_is_explained(name: str) -> None:
    function = getattr(flows, name).fn
    for flag in flags_of(function):
        assert flag.about, f"{name} {flag.word}"
        assert any(flag.word in line for line in help_of(name, function))
        assert not flag.word.endswith("-")
    assert [line for line in help_of(name, function) if len(line) > 80] == []


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--select", "a", "b", "--dry-run"], {"select": ["a", "b"], "dry_run": True}),
        (["a", "b*"], {"select": ["a", "b*"]}),
        (["--select=a", "--select", "b"], {"select": ["a", "b"]}),
        (["--no-dry-run", "a"], {"dry_run": False, "select": ["a"]}),
        (["--dry_run=no", "a"], {"dry_run": False, "select": ["a"]}),
        (["--timeout", "10m", "a"], {"timeout": ["10m"], "select": ["a"]}),
        (["a=b"], {"select": ["a=b"]}),
    ],
)
def test_words_give_parameters(words: list[str], given: dict[str, object]) -> None:
    assert given_by(words, HIBERNATE) == given


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["a"], {"select": "a"}),
        (["{regions: [CANADA-1]}"], {"select": {"regions": ["CANADA-1"]}}),
        (["a", "--timeout", "10m"], {"select": "a", "timeout": "10m"}),
        (["a", "--timeout", "90"], {"select": "a", "timeout": 90}),
        (["a", "--protect", "x"], {"select": "a", "protect": ["x"]}),
        (["a", "--protect", "x", "y"], {"select": "a", "protect": ["x", "y"]}),
        (["a", "--protect", "[x, y]"], {"select": "a", "protect": ["x", "y"]}),
        (["a", "--credentials", "123"], {"select": "a", "credentials": "123"}),
    ],
)
def test_values_are_text_or_yaml_as_the_parameter_takes_them(
    words: list[str], values: dict[str, object]
) -> None:
    assert parameters_of(HIBERNATE, given_by(words, HIBERNATE)) == values


def test_what_has_parts_is_read_for_other_flows_too() -> None:
    flags = flags_of(flows.follow_schedule.fn)
    rules = '[{"select": ["*"], "timetable": "always"}]'
    assert parameters_of(flags, {"rules": [rules]})["rules"] == [
        {"select": ["*"], "timetable": "always"}
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--select is missing"),
        (["--selct", "a"], "did you mean --select?"),
        (["a", "--timeout"], "--timeout needs a value"),
        (["a", "--timeout", "10x"], "--timeout: '10x' is not a duration"),
        (["a", "--dry-run=perhaps"], "write --no-dry-run"),
        (["a", "--shutoff", "burn"], "--shutoff must be one of leave, hibernate"),
        (["{region: [x]}"], "--select: "),
    ],
)
def test_words_that_cannot_be_meant_are_one_sentence(words: list[str], says: str) -> None:
    with pytest.raises(WrongWordsError) as refused:
        parameters_of(HIBERNATE, given_by(words, HIBERNATE))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_sentences_of_a_docstring_are_found() -> None:
    text = "Do.\n\n    Args:\n        a: one,\n            more.\n        b: two.\n\n    Returns:\n"
    assert described(text) == {"a": "one, more.", "b": "two."}


def test_codes_tell_mistakes_from_failures_and_bugs() -> None:
    assert code_of(BarrackConfigurationError("no key")) == 2
    assert code_of(SelectionError("nothing")) == 2
    assert code_of(KeyError("bug")) is None
    with pytest.raises(ValueError, match="invalid literal") as bug:
        int("x")
    assert code_of(bug.value) is None
    with pytest.raises(ValueError, match="save_to") as told:
        check_file(Path("costs.txt"))
    assert code_of(told.value) == 2


def test_a_dry_run_shows_a_table_and_then_json(
    account: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", "hibernate", "--select", "alpha", "beta", "--dry-run") == 0
    shown = capsys.readouterr()
    assert "Dry run, nothing was changed: 2 instances" in shown.out
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    assert "INFO" not in shown.err
    assert run("hibernate", "alpha", "--dry-run", "--json") == 0
    report = ReportShown.model_validate(json.loads(capsys.readouterr().out))
    assert [(row.name, row.outcome) for row in report.rows] == [("alpha", "planned")]


@pytest.mark.slow
def test_without_a_server_it_is_said_once_that_one_is_started(tmp_path: Path) -> None:
    with Sandbox(fleet=1) as sandbox:
        done = barrack(tmp_path, "run", "hibernate", "--select", "*", "--dry-run", **sandbox.env)
    assert done.returncode == 0
    assert done.stderr.count("No Prefect server is known, so a temporary one is started ...\n") == 1


def test_the_short_ways_do_it_and_a_line_tells_what_each_instance_is_doing(
    account: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("hibernate", "beta", "--watch") == 0
    shown = capsys.readouterr()
    assert "beta: hibernate instance" in shown.err.splitlines()
    assert "done: " in shown.out
    assert run("restore", "beta") == 0


def test_a_name_in_vain_is_one_sentence_and_no_traceback(
    account: Sandbox, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert run("run", "hibernate", "alhpa") == 2
    shown = capsys.readouterr()
    [line] = shown.err.splitlines()
    assert line == "barrack: no instance matches 'alhpa'; the nearest is alpha"
    assert "Traceback" not in caplog.text


def test_called_from_python_it_is_one_sentence_in_the_log_and_can_be_caught(
    account: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO, "prefect.flow_runs"),
        pytest.raises(SelectionError) as caught,
    ):
        flows.hibernate(select=["alhpa"])
    assert "Traceback" not in caplog.text
    with get_client(sync_client=True) as client:
        [newest] = read_runs(client, 1)
        page: list[str] = []
        for _ in range(60):  # the log is sent behind the run
            page = [line.text for line in read_logs(client, newest.id)]
            if any(line.startswith("Finished") for line in page):
                break
            time.sleep(0.25)
    assert "no instance matches 'alhpa'; the nearest is alpha" in page, "what the UI shows"
    assert not [line for line in page if "Traceback" in line]
    frames = [entry.name for entry in caught.traceback]
    assert frames[-1] == "__call__"
    assert len(frames) == 2, "nothing of Prefect is between the caller and the sentence"
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    sentence = "SelectionError: no instance matches 'alhpa'; the nearest is alpha"
    assert again._render_traceback_() == [sentence], "what a notebook shows"


def test_work_that_fails_is_a_table_and_a_sentence_and_ends_1(
    account: Sandbox, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    account.fault("status", operation="hibernate_instance", status=400, count=50)
    assert run("hibernate", "gamma") == 1
    account.clear_faults()
    shown = capsys.readouterr()
    assert "gamma" in shown.out
    assert "1 instance, 1 failed" in shown.out
    [line] = shown.err.splitlines()
    assert line.startswith("barrack: 1 of 1 instances failed: gamma: ")
    assert "Traceback" not in caplog.text


def test_a_mistake_behind_the_parameters_is_one_sentence_too(
    account: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run", "report_costs", "--zone", "Europe/Berlni") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("barrack: ")
    assert "Europe/Berlin" in line
    assert run("run", "restore_from_snapshot", "latest:nobody", "--dry-run") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("barrack: ")


def test_ctrl_c_ends_with_what_is_left_at_work(account: Sandbox, tmp_path: Path) -> None:
    account.seed_instance("slow", gpu_model="L40")
    account.settings(durations={"hibernate": 36_000})
    env = {**os.environ, **account.env, "XDG_STATE_HOME": str(tmp_path)}
    reads, writes = os.pipe()
    with Path(os.devnull).open("r+b") as nothing, os.fdopen(reads) as said:
        streams = (nothing.fileno(), nothing.fileno(), writes)
        child = started("hibernate", "slow", "--watch", env=env, streams=streams)
        os.close(writes)
        for line in said:
            if line.startswith("slow: hibernate"):
                break
        assert child.pid is not None
        os.kill(child.pid, signal.SIGINT)
        rest = said.read()
        child.join(60)
        assert child.exitcode == 130
    assert "interrupted; still in progress: slow." in rest
    assert "Traceback" not in rest


ROOT = Path(__file__).resolve().parents[2]
PYTHON = re.compile(r"\bNone\b|\bdicts?\b|<class|Optional|timedelta|Input should|\[type=|Decimal\(")
"""Words of Python, and sentences of those who read it."""


@pytest.mark.parametrize("name", flows.__all__)
def test_no_word_of_python_is_in_what_is_shown_of_flags(name: str) -> None:
    shown = " ".join(line.strip() for line in help_of(name, getattr(flows, name).fn)[3:])
    assert not PYTHON.findall(shown)


@pytest.mark.parametrize("page", ["mistakes", "barrack-yaml-mistakes", "cli"])
def test_no_word_of_python_is_in_what_is_shown_of_mistakes(page: str) -> None:
    assert not PYTHON.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
