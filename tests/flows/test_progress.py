"""What a run says of a large fleet: every instance by its name, in few lines."""

from __future__ import annotations

import logging
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.steps import Finished, Next, Reason, Step, Wait
from barrack_tasks.runtime.progress import Bar, Progress, share_done


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


# The bar in Prefect's UI


def test_nothing_to_do_shows_no_bar_and_a_bar_never_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[float] = []

    def write(bar: Bar, percent: float) -> None:
        bar._id = uuid4()
        written.append(percent)

    monkeypatch.setattr(Bar, "_write", write)
    now = [0.0]

    def shown(*plans: tuple[float, dict[str, Next]]) -> list[float]:
        written.clear()
        bar = Bar("acc", lambda: now[0])
        for seconds, plan in plans:
            now[0] += seconds
            bar.show(plan)
        return list(written)

    done, waits = Finished("done"), Wait("it is HIBERNATING")
    step = Step("create_snapshot", "b", "b")
    assert shown((0, {"a": done, "b": done}), (9, {"a": done, "b": done})) == []
    assert shown((0, {}), (9, {})) == []
    assert shown((0, {"a": waits, "b": step}), (1, {"a": done, "b": waits})) == [25.0]
    assert shown((0, {"a": waits, "b": step}), (6, {"a": done, "b": waits})) == [25.0, 75.0]
    assert shown((0, {"a": waits, "b": waits}), (6, {"a": waits, "b": step})) == [50.0]
    assert shown((0, {"a": waits}), (1, {"a": done}), (9, {"a": done})) == [50.0, 100.0]


@given(st.lists(st.sampled_from([Finished("done"), Wait("x"), Step("stop_instance", "a", "a")])))
def test_a_plan_is_wholly_done_only_if_each_of_it_is(nexts: list[Next]) -> None:
    plan = {str(place): next_ for place, next_ in enumerate(nexts)}
    share = share_done(plan)
    assert 0 <= share <= 1
    assert (share == 1) == all(isinstance(next_, Finished) for next_ in nexts)
