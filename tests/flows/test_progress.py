"""What a run says of a large fleet: every instance by its name, in few lines."""

from __future__ import annotations

import logging

import pytest

from barrack_tasks.plans.steps import Next, Step, Wait
from barrack_tasks.runtime.progress import Progress


def lines(caplog: pytest.LogCaptureFixture, *plans: dict[str, Next]) -> list[str]:
    names = {id_: f"name-{id_}" for plan in plans for id_ in plan}
    with caplog.at_level(logging.INFO):
        progress = Progress(logging.getLogger("told"), names, {})
        for plan in plans:
            progress.show(plan, {})
    return [record.getMessage() for record in caplog.records]


def plan_of(count: int) -> dict[str, Next]:
    return {str(n): Step("create_snapshot", str(n), f"name-{n}") for n in range(count)}


def test_few_instances_have_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, plan_of(2)) == ["name-0: create snapshot", "name-1: create snapshot"]


def test_many_instances_that_do_the_same_share_lines_and_none_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = lines(caplog, {**plan_of(120), "odd": Wait("it is STOPPING")}, plan_of(120))
    assert len(told) == 4
    assert told[0].startswith("50 instances: create snapshot: name-0, name-1, ")
    assert told[-1] == "name-odd: waiting, it is STOPPING"
    said = {name for line in told[:-1] for name in line.split(": ")[2].split(", ")}
    assert said == {f"name-{n}" for n in range(120)}
