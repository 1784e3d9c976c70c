"""State hooks that tell people, on real flow runs."""

from __future__ import annotations

import pytest
from prefect import flow

from barrack_tasks import tell_state
from tests.flows.receivers import Webhook


def test_a_run_that_fails_is_told_and_one_that_does_not_is_not(hook: tuple[Webhook, str]) -> None:
    kept, name = hook

    @flow(name="mine", on_failure=[tell_state(name)])
    def mine(fails: bool) -> None:
        if fails:
            raise ValueError("the disk is full")

    mine(False)
    assert kept.received == []
    with pytest.raises(ValueError, match="the disk is full"):
        mine(True)
    [told] = kept.received
    assert told["subject"].startswith("mine: run ")
    assert "is Failed" in told["subject"]
    assert "the disk is full" in told["body"]


def test_a_hook_without_a_notifier_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one notification block"):
        tell_state()
