"""Turns at the guard, by real leases on a real Prefect server."""

from __future__ import annotations

import uuid

from barrack_tasks.runtime.turns import Turn


def test_a_turn_is_one_runs_alone_until_it_is_given_back(prefect_server: str) -> None:
    account = uuid.uuid4().hex
    with Turn(account) as one, Turn(account) as other:
        assert one.take()
        assert one.take(), "whoever has it keeps it"
        assert not other.take()
        assert (one.is_mine, other.is_mine) == (True, False)
        one.give_back()
        assert other.take()
        assert not one.take()
        assert (one.is_mine, other.is_mine) == (False, True)
