"""The day of a new user: init, edit, check, plan, apply, a change by hand, drift, arm, run, costs.

The page about it shows the same day; see `docs/generate/day.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks import BarrackCredentials
from barrack_tasks.sandbox import Sandbox
from docs.generate.day import TARGET, Day, new_block, of_file, sandbox_of_the_day, settled
from tests.deployments import playing
from tests.deployments.playing import change, start, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def account(prefect_server: str) -> Iterator[tuple[Sandbox, str]]:
    block = new_block()
    with sandbox_of_the_day() as sandbox:
        BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url).save(
            block,
            _sync=True,  # type: ignore[call-arg]
        )
        yield sandbox, block
    with get_client(sync_client=True) as client:
        for one in of_file(block):
            client.delete_deployment(UUID(one["id"]))


def test_a_new_user_writes_plans_applies_arms_and_runs_a_file(
    account: tuple[Sandbox, str], prefect_server: str, tmp_path: Path
) -> None:
    sandbox, block = account
    before: list[dict[str, str]] = []

    def play(id_: str) -> str:
        before.append(day.states())
        assert {"armed"} <= set(day.schedule()["tags"])
        assert [one["active"] for one in day.schedule()["schedules"]] == [True]
        with playing.worker(sandbox):
            return wait_for(start(id_))

    day = Day(
        sandbox,
        block,
        prefect_server,
        tmp_path,
        play,
        lambda one, parameters: change(one, parameters=parameters),
    )
    day.live()
    assert len(of_file(block)) == 3
    assert set(before[0].values()) == {"ACTIVE"}, "until then all of it was dry"
    assert day.states() == {"train-1": "ACTIVE", "train-2": "HIBERNATED", "prod-1": "ACTIVE"}
    [first] = day.said["plan"]
    assert "(dry), if it ran now:" in first
    applied, drifted, armed, done = day.said["plan --detailed-exitcode"]
    assert "The server is as the file says." in applied
    assert "parameter at_once: 3 was set by hand and stays; the file says (none)" in drifted
    assert "parameter dry_run: true -> false" in armed
    assert armed.count("planned: hibernate instance") == 2
    assert "planned" not in done.partition("follow-schedule")[2]
    written = TARGET.read_text(encoding="utf-8")
    assert settled(written) == settled(day.page()), "run: python -m docs.generate.day"
