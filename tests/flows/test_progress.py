"""What a run says of a large fleet: every instance by its name, in few lines."""

from __future__ import annotations

import logging

import pytest

from barrack_tasks.plans.steps import Finished, Next, Reason, Step, Wait
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


def test_a_long_wait_is_told_ever_more_rarely_until_something_is_new(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits: dict[str, Next] = {
        "1": Wait("its snapshot is CREATING"),
        **{str(n): Wait("a request is under way", Reason.UNDER_WAY) for n in range(2, 9)},
    }
    names = {id_: f"name-{id_}" for id_ in waits}
    progress = Progress(logging.getLogger("told"), names, {})
    told = []
    with caplog.at_level(logging.INFO):
        for at in range(0, 200, 5):
            caplog.clear()
            progress.show(waits, {}, float(at))
            told += [(at, record.getMessage()) for record in caplog.records]
        assert [at for at, _ in told] == [0, 15, 30, 60, 120]
        assert told[1][1] == (
            "nothing has changed for 15 s; at work: name-1 (waiting, its snapshot is CREATING), "
            "name-2 (waiting, a request is under way), name-3 (waiting, a request is under way), "
            "name-4 (waiting, a request is under way), name-5 (waiting, a request is under way) "
            "and 3 more"
        )
        caplog.clear()
        done: dict[str, Next] = {id_: Finished("done") for id_ in waits}
        progress.show(done, {}, 205.0)
        caplog.clear()
        progress.show(done, {}, 300.0)
        assert caplog.records == [], "what is done is not waited for"
