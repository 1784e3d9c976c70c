"""Alarms are remembered as they are told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from barrack_tasks.plans.alerts import Reading
from barrack_tasks.runtime.alerts import Alarms

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Killed(BaseException):
    """Stands for a process that ends here."""


def test_a_run_that_is_killed_between_two_messages_repeats_one_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf: dict[str, Any] = {}
    told: list[str] = []
    killed_at = 2

    def write(_prefix: str, _before: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        shelf.clear()
        shelf.update(content)

    def tell(_notifiers: Any, _to: Any, subject: str, _body: str) -> dict[str, str]:
        told.append(subject[-1])
        if len(told) == killed_at:
            raise Killed
        return {}

    monkeypatch.setattr("barrack_tasks.runtime.alerts.read_all", lambda _prefix: dict(shelf))
    monkeypatch.setattr("barrack_tasks.runtime.alerts.merge_all", write)
    monkeypatch.setattr("barrack_tasks.runtime.alerts.tell", tell)
    monkeypatch.setattr("barrack_tasks.runtime.alerts.emit", lambda *_, **__: None)
    readings = [Reading(key, True, False, key) for key in "abc"]
    alarms = Alarms("balance", "account", {}, None, logging.getLogger(__name__))
    with pytest.raises(Killed):
        alarms.raise_for(readings, NOW)
    alarms.raise_for(readings, NOW)
    assert told == ["a", "b", "b", "c"]
    alarms.raise_for(readings[:1], NOW)
    assert list(shelf) == ["a"]
