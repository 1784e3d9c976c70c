"""Alarms are remembered as they are told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prefect import flow, tags

from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.lease_keys import TOOK_OVER
from barrack_tasks.runtime.alerts import Alarms, this_deployment

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Killed(BaseException):
    """Stands for a process that ends here."""


def test_a_run_that_is_killed_between_two_messages_repeats_one_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf: dict[str, Any] = {}
    told: list[tuple[str, ...]] = []
    killed_at = 1

    def write(_prefix: str, _before: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        shelf.clear()
        shelf.update(content)

    def tell(_notifiers: Any, to: Any, subject: str, body: str, **_: Any) -> dict[str, str]:
        told.append((*to, subject.rpartition(": ")[2], *body.splitlines()))
        if len(told) == killed_at:
            raise Killed
        return {}

    monkeypatch.setattr("barrack_tasks.runtime.alerts.read_all", lambda _prefix: dict(shelf))
    monkeypatch.setattr("barrack_tasks.runtime.alerts.merge_all", write)
    monkeypatch.setattr("barrack_tasks.runtime.post.tell", tell)
    monkeypatch.setattr("barrack_tasks.runtime.alerts.emit", lambda *_, **__: None)
    people: Any = {"me": None}
    quiet = Reading("q", True, False, "q", quiet=True)
    readings = [quiet, *(Reading(key, True, False, key) for key in "abc")]
    alarms = Alarms("balance", "account", people, None, logging.getLogger(__name__))
    with pytest.raises(Killed):
        alarms.raise_for(readings, NOW)
    assert list(shelf) == ["q"], "what was told before is noted"
    alarms.raise_for(readings, NOW)
    digest = ("me", "3 alerts", "a.", "b.", "c.")
    assert told == [digest, digest], "what the same people hear is one message"
    alarms.raise_for(readings[:2], NOW)
    assert sorted(shelf) == ["a", "q"]


def test_a_message_ends_with_one_full_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[str] = []

    def tell(_notifiers: Any, _to: Any, subject: str, body: str, **_: Any) -> dict[str, str]:
        bodies.append(subject)
        bodies.extend(body.splitlines())
        return {}

    monkeypatch.setattr("barrack_tasks.runtime.alerts.read_all", lambda _prefix: {})
    monkeypatch.setattr("barrack_tasks.runtime.alerts.merge_all", lambda *_: None)
    monkeypatch.setattr("barrack_tasks.runtime.post.tell", tell)
    monkeypatch.setattr("barrack_tasks.runtime.alerts.emit", lambda *_, **__: None)
    readings = [Reading("a", True, False, "it ends."), Reading("b", True, False, "it ends")]
    people: Any = {"me": None}
    Alarms("balance", "account", people, None, logging.getLogger(__name__)).raise_for(readings, NOW)
    assert bodies == ["Barrack balance: 2 alerts", "it ends.", "it ends."]


def test_a_notice_is_owed_to_whom_it_could_not_be_told_and_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf: dict[str, Any] = {}
    heard: list[tuple[str, str]] = []
    down = {"b"}
    looked = 0

    def read(_prefix: str) -> dict[str, Any]:
        nonlocal looked
        looked += 1
        return dict(shelf)

    def write(_prefix: str, _before: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        shelf.clear()
        shelf.update(content)

    def tell(_notifiers: Any, to: Any, subject: str, body: str, **_: Any) -> dict[str, str]:
        first = subject.removeprefix("Barrack: ").removesuffix(" (and 1 more message)")
        said = body.replace("Also: ", f"{first}\n").splitlines() or [first]
        heard.extend((name, text) for name in to if name not in down for text in said)
        return dict.fromkeys(set(to) & down, "ConnectError")

    monkeypatch.setattr("barrack_tasks.runtime.alerts.read_all", read)
    monkeypatch.setattr("barrack_tasks.runtime.alerts.merge_all", write)
    monkeypatch.setattr("barrack_tasks.runtime.post.tell", tell)
    people: Any = {"a": None, "b": None}

    def run() -> Alarms:
        return Alarms("stock", "account", people, None, logging.getLogger(__name__))

    alarms = run()
    alarms.pass_on({"1": "one", "2": "two", "3": "three"}, NOW)
    for seconds in range(1, 60):
        alarms.pass_on({}, NOW + timedelta(seconds=seconds), over=["2"] if seconds == 9 else [])
    assert heard == [("a", text) for text in ("one", "two", "three")]
    assert looked == 2, "it is not tried, nor looked up, at each look"
    down.clear()
    alarms.pass_on({"3": "three again"}, NOW + timedelta(seconds=60))
    assert sorted(heard[3:]) == [
        ("a", "three again"),
        ("b", "one"),
        ("b", "three again"),
    ]
    assert (shelf, alarms.undelivered) == ({}, {})
    for minute in (2, 3):
        alarms.pass_on({}, NOW + timedelta(minutes=minute))
    assert (len(heard), looked) == (6, 3), "nothing is owed any more"
    down.add("a")
    run().pass_on({"4": "four"}, NOW)
    down.clear()
    run().pass_on({}, NOW + timedelta(days=8))
    assert heard[6:] == [("b", "four")], "what is a week old is no news"
    assert shelf == {}


def test_news_are_told_while_the_prefect_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def away(*_: Any) -> dict[str, Any]:
        raise httpx.ConnectError("no route")

    def tell(_notifiers: Any, _to: Any, subject: str, _body: str, **_: Any) -> dict[str, str]:
        told.append(subject)
        return {}

    monkeypatch.setattr("barrack_tasks.runtime.alerts.read_all", away)
    monkeypatch.setattr("barrack_tasks.runtime.alerts.merge_all", away)
    monkeypatch.setattr("barrack_tasks.runtime.post.tell", tell)
    people: Any = {"a": None}
    Alarms("stock", "x", people, None, logging.getLogger(__name__)).pass_on({"1": "one"}, NOW)
    assert told == ["Barrack: one"]


def test_a_run_finds_what_the_deployment_before_has_remembered(
    prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @flow(name="whose memory")
    def found() -> dict[str, str]:
        return this_deployment()

    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "before")
    remembered = found()
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "now")
    assert found() != remembered
    with tags("barrack", f"{TOOK_OVER}before"):
        assert found() == remembered
