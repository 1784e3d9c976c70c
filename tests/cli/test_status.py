"""`barrack status` and `barrack doctor` where there is no server, or nothing answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barrack_tasks.sandbox import Sandbox
from docs.generate.mistakes import Mistake, ended

NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("env", "code", "said"),
    [
        ({}, 0, "`barrack up` starts one"),
        ({"PREFECT_API_URL": f"{NOWHERE}/api"}, 1, "nothing answers at"),
        ({"BARRACK_API_KEY": "wrong"}, 1, "The API key is not valid"),
    ],
)
def test_status_is_well_without_a_server_and_not_without_one_that_is_known(
    env: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    with Sandbox(fleet=1, speed=0) as sandbox:
        end = ended(Mistake("status", env=env), sandbox, tmp_path)
        assert end.code == code
        assert said in end.out
        shown = json.loads(ended(Mistake("status --json", env=env), sandbox, tmp_path).out)
    assert (shown["account"] is None) == ("BARRACK_API_KEY" in env)
    assert (shown["server_problem"] is not None) == ("PREFECT_API_URL" in env)


def test_a_doctor_of_an_api_that_is_away_asks_once_and_says_so(tmp_path: Path) -> None:
    with Sandbox(fleet=1, speed=0) as sandbox:
        env = {"BARRACK_BASE_URL": NOWHERE}
        end = ended(Mistake("doctor --json", env=env), sandbox, tmp_path)
        shown = json.loads(end.out)
        assert end.code == 1
        [finding] = shown["findings"]
        assert finding["verdict"] == "cannot be reached"
        assert [row["topic"] for row in shown["readiness"]] == ["the API"]
        whole = ended(Mistake("doctor", env=env), sandbox, tmp_path).out
    assert "refused  " not in whole
    assert "it cannot be reached" in whole


def test_one_operation_that_does_not_answer_ends_no_check_up(tmp_path: Path) -> None:
    with Sandbox(fleet=1, speed=0) as sandbox:
        sandbox.fault("reset_before", operation="get_gpu_specs", count=9)
        shown = json.loads(ended(Mistake("doctor --json"), sandbox, tmp_path).out)
    verdicts = {one["operation"]: one["verdict"] for one in shown["findings"]}
    assert verdicts["get_gpu_specs"] == "cannot be reached"
    assert list(verdicts.values()).count("works") > 10


def test_costs_need_no_server_and_count_what_is_there(tmp_path: Path) -> None:
    with Sandbox(fleet=2, speed=0) as sandbox:
        sandbox.advance(3 * 3600)
        end = ended(Mistake("costs --json"), sandbox, tmp_path)
        assert end.code == 0, end.err
        shown = json.loads(end.out)
        ended_zone = ended(Mistake("costs --zone Europe/Berln"), sandbox, tmp_path)
        env = {"PREFECT_API_URL": f"{NOWHERE}/api"}
        assert ended(Mistake("costs", env=env), sandbox, tmp_path).code == 1
    assert float(shown["spent"]) == pytest.approx(3 * float(shown["hourly"]))
    assert {one["name"] for one in shown["things"]} == {"alpha", "beta"}
    assert "only what exists now is counted" in end.err
    assert ended_zone.code == 2
    assert "temporary" not in end.err
