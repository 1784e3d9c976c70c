"""Idleness: no evidence is not evidence, and work puts a timetable off, but not for ever."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import nan
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.forgotten.idleness import (
    ApiProbe,
    Evidence,
    Idleness,
    PrometheusProbe,
    SshProbe,
    asked_of_api,
    combined,
    judge_numbers,
    judge_output,
    put_off,
    read_idleness,
)
from tests.plans.worlds import HOUR, NOW, vm

evidence = st.lists(st.builds(Evidence, st.sampled_from([True, False, None]), st.just("why")))


@given(evidence, st.sampled_from(["all", "any"]))
def test_idle_needs_a_probe_that_saw_it(found: list[Evidence], how: Literal["all", "any"]) -> None:
    told = combined(found, how).is_idle
    seen = [one.is_idle for one in found]
    if told:
        assert True in seen
        assert how == "any" or all(seen), "all: every single one saw it idle"
    if told is False:
        assert False in seen
        assert how == "all" or set(seen) == {False}


@given(evidence, st.sampled_from(["all", "any"]), st.randoms())
def test_the_order_of_probes_makes_no_difference(
    found: list[Evidence], how: Literal["all", "any"], random: object
) -> None:
    mixed = sorted(found, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert combined(found, how).is_idle == combined(mixed, how).is_idle


@given(st.sampled_from([True, False, None]), st.integers(-600, 1200))
def test_nothing_is_put_off_beyond_the_limit_nor_what_is_idle(
    is_idle: bool | None, minutes: int
) -> None:
    now = NOW + timedelta(minutes=minutes)
    why = put_off(Evidence(is_idle, "why"), NOW, 6 * HOUR, now)
    assert (why is None) == (is_idle is True or minutes >= 360)


def test_what_is_put_off_says_until_when() -> None:
    why = put_off(Evidence(False, "GPU at 93"), NOW, 6 * HOUR, NOW + HOUR)
    assert why is not None
    assert "GPU at 93" in why
    assert "at most until 2026-11-26 01:00 UTC" in why


@pytest.mark.parametrize(
    ("printed", "is_idle"),
    [("0\n3\n", True), ("0\n97\n", False), ("", None), ("[N/A]", None), ("nan", None)],
)
def test_only_numbers_that_a_command_prints_are_evidence(
    printed: str, is_idle: bool | None
) -> None:
    assert judge_output(printed, 5, "the command").is_idle is is_idle


def test_what_is_no_number_is_below_nothing() -> None:
    assert judge_numbers([1.0, nan], 5, "it").is_idle is None


@pytest.mark.parametrize(
    ("status", "changed", "is_idle"),
    [
        ("SHUTOFF", NOW, True),
        ("ACTIVE", NOW - timedelta(minutes=5), False),
        ("ACTIVE", NOW - 5 * HOUR, None),
        ("ACTIVE", None, None),
    ],
)
def test_what_the_api_itself_tells(
    status: str, changed: datetime | None, is_idle: bool | None
) -> None:
    told = asked_of_api(vm("a", status, updated_at=changed), ApiProbe(), NOW)
    assert told.is_idle is is_idle


def test_probes_are_read_from_dicts_and_what_cannot_be_read_is_named() -> None:
    read = read_idleness({"probes": [{"probe": "prometheus", "url": "http://p"}, {"probe": "ssh"}]})
    assert read == Idleness(probes=(PrometheusProbe(url="http://p"), SshProbe()))
    with pytest.raises(ValueError, match=r"idleness: probes: probe must be one of .*, ssh, api"):
        read_idleness({"probes": [{"probe": "telepathy"}]})
    with pytest.raises(ValueError, match="idleness: probes: probe is missing"):
        read_idleness({"probes": [{"url": "http://p"}]})
    with pytest.raises(ValueError, match="without a probe there is no evidence"):
        read_idleness({"probes": []})
    with pytest.raises(ValueError, match="user"):
        read_idleness({"probes": [{"probe": "ssh", "user": "-oProxyCommand=x"}]})
