"""Events of a large run wait until the work is done; hooks do not."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest

from barrack_tasks.server import events
from barrack_tasks.server.events import catch_up, emit, on, spread

Sent = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """What was handed to Prefect."""
    found: Sent = []
    monkeypatch.setattr(events, "emit_event", lambda event, **said: found.append((event, said)))
    return found


def hibernated(count: int) -> None:
    for number in range(count):
        emit("barrack.instance.hibernated", f"i-{number}", f"gpu-{number}")


def ids(sent: Sent) -> list[str]:
    return [said["resource"]["prefect.resource.id"].rpartition(".")[2] for _, said in sent]


def test_the_first_events_go_out_at_once_and_the_others_at_the_end_in_order(sent: Sent) -> None:
    with spread(at_once=3):
        hibernated(10)
        assert ids(sent) == ["i-0", "i-1", "i-2"]
        before = datetime.now(UTC)
    assert ids(sent) == [f"i-{n}" for n in range(10)]
    assert all(said["occurred"] <= before for _, said in sent[3:]), "each tells when it happened"


def test_a_long_run_catches_up_a_little_at_each_look(sent: Sent) -> None:
    with spread(at_once=0):
        hibernated(5)
        assert catch_up(2)
        assert ids(sent) == ["i-0", "i-1"]
        assert catch_up(20)
        assert len(sent) == 5
        assert not catch_up(), "nothing waits any more"
    assert len(sent) == 5


def test_hooks_are_called_at_once(sent: Sent) -> None:
    seen: list[str] = []
    with on("barrack.instance.*", lambda one: seen.append(one.id)), spread(at_once=0):
        hibernated(2)
        assert seen == ["i-0", "i-1"]
        assert sent == []


def test_what_was_held_back_is_emitted_when_the_work_fails(sent: Sent) -> None:
    def work() -> None:
        with spread(at_once=0):
            hibernated(2)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert len(sent) == 2


def test_without_a_run_nothing_is_held_back(sent: Sent) -> None:
    hibernated(300)
    assert not catch_up()
    assert len(sent) == 300


def test_a_block_inside_another_leaves_it_to_that_one(sent: Sent) -> None:
    with spread(at_once=1):
        with spread(at_once=5):
            hibernated(3)
        assert ids(sent) == ["i-0"]
    assert ids(sent) == ["i-0", "i-1", "i-2"]


def test_a_held_event_belongs_to_the_context_in_which_it_happened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run: ContextVar[str] = ContextVar("run", default="none")
    seen: list[str] = []
    monkeypatch.setattr(events, "emit_event", lambda event, **said: seen.append(run.get()))
    with spread(at_once=0):
        token = run.set("a run")
        hibernated(1)
        run.reset(token)
    assert seen == ["a run"]
