"""Guards against an API whose list of instances lacks some of those that it says there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from barrack_tasks.api import BarrackError
from barrack_tasks.sandbox import Sandbox
from flows.enforce_budget import enforce_budget
from flows.snapshot_before_stop import snapshot_before_stop
from flows.watch_balance import watch_balance
from tests.flows.conftest import DIALECT, account_of, effects, fleet, states
from tests.flows.receivers import Webhook, subjects
from tests.relay import relay

Cloud = Callable[..., Sandbox]

pytestmark = pytest.mark.skipif(DIALECT != "built-in", reason="cuts the built-in answer")


def without_the_last(path: str, answer: Any) -> Any:
    """The list of instances without its last one, while the total stays as it is."""
    return {**answer, "instances": answer["instances"][:-1]} if path == "/instances" else answer


@pytest.fixture
def short(cloud: Cloud) -> Iterator[tuple[Sandbox, Any]]:
    """A cloud of two instances, and an account that is shown one of them."""
    sandbox = fleet(cloud, "20", "alpha", "beta")  # 2.38 an hour, which lasts 8 hours
    with relay(sandbox.url, changed=without_the_last) as (_, url):
        yield sandbox, account_of(sandbox, url)


def test_the_balance_watch_does_not_take_a_part_of_the_burn_for_the_whole(
    short: tuple[Sandbox, Any], hook: tuple[Webhook, str], impatient: None
) -> None:
    _, account = short
    kept, name = hook
    with pytest.raises(BarrackError, match="the API announces 2 items and sends 1"):
        watch_balance(thresholds=[{"runway": "10h"}], notify=[name], credentials=account)
    assert len(kept.received) == 1
    assert "cannot be read" in subjects(kept)[0]


def test_a_budget_does_not_take_a_part_of_the_burn_for_the_whole(
    short: tuple[Sandbox, Any], hook: tuple[Webhook, str], impatient: None
) -> None:
    sandbox, account = short
    kept, name = hook
    budget = {"per": "hour", "hard": 2}
    report = enforce_budget(budgets=[budget], notify=[name], credentials=account)
    assert any("the API announces 2 items and sends 1" in note for note in report.notes)
    assert len(kept.received) == 1
    assert "cannot be read" in subjects(kept)[0]
    assert set(states(sandbox).values()) == {"ACTIVE"}


def test_nothing_is_stopped_on_a_part_of_the_list(
    short: tuple[Sandbox, Any], impatient: None
) -> None:
    sandbox, account = short
    with pytest.raises(BarrackError, match="the API announces 2 items and sends 1"):
        snapshot_before_stop(select=["*"], then="hibernate", credentials=account)
    assert set(states(sandbox).values()) == {"ACTIVE"}
    assert effects(sandbox, "create_snapshot") == []
