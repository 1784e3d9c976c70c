"""Lifetimes: nothing is acted on before it is old enough, and people could say no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import VolumeResponse
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.forgotten.leftovers import Leftover, judge_leftovers
from barrack_tasks.plans.forgotten.lifetimes import (
    Lifetime,
    Overstay,
    Sighting,
    judge_lifetimes,
    notices_of,
    purpose_of,
    read_lifetimes,
    sighted,
    with_notices,
)
from barrack_tasks.plans.forgotten.notices import GRACE, Notice, Stage
from tests.plans.worlds import HOUR, NOW, snap, vm

SCRATCH = Lifetime(select=["scratch-*"], longer_than="8h", then="hibernate")
OFF = Lifetime(select={"states": ["SHUTOFF"]}, longer_than="15m", then="hibernate")
ASLEEP = Lifetime(select={"states": ["HIBERNATED"]}, longer_than="30d", then="delete")
BROKEN = Lifetime(select={"states": ["ERROR"]}, longer_than="1h", then="alert")
IDLE = Lifetime(select=["*"], longer_than="1h", then="hibernate", idle=True)
RULES = [SCRATCH, OFF, ASLEEP, BROKEN, IDLE]


def judged(
    name: str,
    status: str,
    seen: Sighting,
    held: Mapping[str, Lease] | None = None,
    protect: tuple[str, ...] = (),
    **more: Any,
) -> list[Overstay]:
    instance = vm(name, status, **more)
    return judge_lifetimes([instance], RULES, {instance.id: seen}, held or {}, protect, NOW)


def since(hours: float, status: str = "ACTIVE", **more: Any) -> Sighting:
    return Sighting(status, NOW - timedelta(hours=hours), NOW, **more)


def told(at: datetime) -> Notice:
    return Notice(at, at + GRACE)


@pytest.mark.parametrize(
    ("name", "status", "hours", "rule"),
    [
        ("scratch-1", "ACTIVE", 9, SCRATCH),
        ("scratch-1", "ACTIVE", 7, None),
        ("train-1", "ACTIVE", 900, None),
        ("train-1", "SHUTOFF", 0.3, OFF),
        ("train-1", "SHUTOFF", 0.2, None),
        ("train-1", "HIBERNATED", 24 * 31, ASLEEP),
        ("train-1", "HIBERNATED", 24 * 29, None),
        ("train-1", "ERROR", 2, BROKEN),
        ("scratch-1", "HIBERNATED", 24, None),
        ("scratch-1", "HIBERNATING", 24, None),
    ],
)
def test_each_rule_of_the_story_means_what_it_says(
    name: str, status: str, hours: float, rule: Lifetime | None
) -> None:
    found = judged(name, status, since(hours, status))
    assert [one.rule for one in found] == ([rule] if rule else [])


def test_a_machine_that_was_woken_yesterday_is_not_as_old_as_the_day_it_was_made() -> None:
    assert judged("scratch-1", "ACTIVE", since(2), created_at=NOW - 900 * HOUR) == []


def test_one_that_is_idle_is_known_by_evidence_alone() -> None:
    assert judged("train-1", "ACTIVE", since(900, idle=None)) == []
    [verdict] = judged("train-1", "ACTIVE", since(900, idle=NOW - 2 * HOUR))
    assert verdict.why == "it has been idle for 2 h, longer than 60 min"


def test_people_are_told_first_and_a_lease_says_no() -> None:
    [first] = judged("scratch-1", "ACTIVE", since(9))
    assert first.stage is Stage.NOTICE
    [text] = [reading.text for reading in notices_of([first])]
    assert "barrack lease scratch-1 --extend 8h" in text
    then = replace(first, acts_at=NOW)
    known = with_notices({"BRK-scratch-1": since(9)}, [then], RULES, NOW - GRACE)
    [second] = judged("scratch-1", "ACTIVE", known["BRK-scratch-1"])
    assert second.stage is Stage.DUE
    lease = Lease("BRK-scratch-1", "scratch-1", "ann", NOW + HOUR)
    [spared] = judged("scratch-1", "ACTIVE", known["BRK-scratch-1"], {"BRK-scratch-1": lease})
    assert (spared.stage, "the lease of ann keeps it" in spared.why) == (Stage.SPARED, True)
    forgotten = with_notices(known, [spared], RULES, NOW)
    assert forgotten["BRK-scratch-1"].noticed == {}, "after the lease people are told anew"
    others = with_notices(known, [spared], [OFF], NOW)
    assert others == known, "the notices of other rules are another run's"
    [never] = judged("scratch-1", "ACTIVE", known["BRK-scratch-1"], protect=("Scratch-*",))
    assert never.stage is Stage.SPARED


looks = st.lists(
    st.tuples(
        st.sampled_from(["ACTIVE", "SHUTOFF", "HIBERNATED"]),
        st.integers(0, 600),
        st.sampled_from([True, False, None]),
    ),
    min_size=1,
    max_size=12,
)


@given(looks)
def test_no_age_is_longer_than_what_was_seen(told: list[tuple[str, int, Any]]) -> None:
    """State and idleness never count from before they began, nor over a long time unseen."""
    moment, began, idle_began = NOW, NOW, None
    sighting: Sighting | None = None
    state = ""
    for status, minutes, is_idle in told:
        moment += timedelta(minutes=minutes)
        is_new = status != state or minutes > 60
        if is_new:
            state, began = status, moment
        before = None if is_new else idle_began
        idle_began = (before or moment) if is_idle else None
        sighting = sighted(sighting, vm("a", status), is_idle, moment)
        assert sighting.since == began
        assert sighting.idle == idle_began


@given(*[st.integers(0, 600)] * 3)
def test_a_machine_that_changed_since_the_last_look_is_no_older_than_that(
    began: int, looked: int, changed: int
) -> None:
    since, seen, told = (NOW - timedelta(minutes=m) for m in (began + looked, looked, changed))
    sighting = sighted(Sighting("ACTIVE", since, seen), vm("a", updated_at=told), None, NOW)
    assert sighting.since == (told if told > seen else min(since, told))


def test_one_that_hibernates_tells_since_when() -> None:
    slept = NOW - 900 * HOUR
    there = vm("a", "HIBERNATED", hibernated_at=slept, updated_at=NOW)
    assert sighted(None, there, None, NOW).since == slept
    assert sighted(since(1, "HIBERNATED"), there, None, NOW).since == slept


@given(
    st.dictionaries(st.sampled_from([r.key for r in RULES]), st.integers(-240, 0), max_size=3),
    st.sampled_from(["ACTIVE", "SHUTOFF", "HIBERNATED", "ERROR"]),
    st.integers(0, 2000),
)
def test_nothing_is_due_before_its_notice_is_old_enough(
    noticed: dict[str, int], status: str, hours: int
) -> None:
    notices = {k: told(NOW + timedelta(minutes=m)) for k, m in noticed.items()}
    found = judged("scratch-1", status, since(hours, status, idle=NOW - HOUR * 5, noticed=notices))
    assert sum(one.rule.then in ("hibernate", "delete") for one in found) <= 1
    for one in found:
        if one.stage is Stage.DUE:
            assert notices[one.rule.key].acts_at <= NOW


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"select": {"states": ["ERROR"]}, "longer_than": "1h", "then": "delete"}, "no snapshot"),
        ({"select": {"states": ["HIBERNATED"]}, "longer_than": "1h", "then": "hibernate"}, "use"),
        ({"select": [], "longer_than": "1h"}, "empty"),
        ({"select": ["a"], "longer_than": "0h"}, "longer than zero"),
        ({"select": ["a"], "longer_then": "1h"}, "longer_than"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"lifetime 1: .*{why}"):
        read_lifetimes([rule])


def test_what_belongs_to_nothing_is_named_once_it_is_old() -> None:
    there, gone = vm("there"), vm("gone")
    snapshots = [snap(there, NOW - 99 * HOUR), snap(gone, NOW - 99 * HOUR), snap(gone, NOW)]
    unknown = snap(gone, NOW - 99 * HOUR, instance_id=None)
    volumes = [
        VolumeResponse(id="1", name="loose", created_at=NOW - 99 * HOUR),
        VolumeResponse(id="2", name="young", created_at=NOW),
        VolumeResponse(id="3", name="ageless"),
        VolumeResponse.model_validate(
            {"id": "4", "name": "used", "created_at": NOW - 99 * HOUR}
        ).model_copy(update={"attachments": [object()]}),
    ]
    rules = [Leftover(of="snapshots", longer_than="1d"), Leftover(of="volumes", longer_than="1d")]
    found = judge_leftovers(rules, [*snapshots, unknown], volumes, {there.id: there}, NOW)
    assert [(one.kind, one.id) for one in found] == [
        ("snapshot", snapshots[1].id),
        ("volume", "1"),
    ]


def test_a_notice_that_nobody_heard_does_not_begin_the_grace() -> None:
    [first] = judged("scratch-1", "ACTIVE", since(9))
    seen = {"BRK-scratch-1": since(9)}
    [reading] = notices_of([first])
    unheard = with_notices(seen, [first], RULES, NOW - GRACE, untold=[reading.key])
    [again] = judged("scratch-1", "ACTIVE", unheard["BRK-scratch-1"])
    assert again.stage is Stage.NOTICE


def test_an_old_notice_of_a_rule_that_was_away_is_given_anew() -> None:
    noticed = {SCRATCH.key: told(NOW - timedelta(days=20))}
    [verdict] = judged("scratch-1", "ACTIVE", since(900, noticed=noticed))
    assert verdict.stage is Stage.NOTICE
    anew = with_notices({verdict.instance.id: since(900, noticed=noticed)}, [verdict], RULES, NOW)
    [now] = judged("scratch-1", "ACTIVE", anew[verdict.instance.id])
    assert now.stage is Stage.GRACE


def test_who_leases_a_machine_says_no_to_the_notices_of_all_rules() -> None:
    noticed = {SCRATCH.key: told(NOW - timedelta(minutes=50))}
    seen = {"BRK-scratch-1": since(9, noticed=noticed)}
    assert with_notices(seen, [], [OFF], NOW)["BRK-scratch-1"].noticed == noticed
    assert with_notices(seen, [], [OFF], NOW, ["BRK-scratch-1"])["BRK-scratch-1"].noticed == {}


def test_a_machine_that_one_list_lacks_keeps_its_notice() -> None:
    noticed = {SCRATCH.key: told(NOW - timedelta(minutes=50))}
    seen = {"BRK-scratch-1": since(9, noticed=noticed)}
    later = NOW + timedelta(minutes=5)
    assert with_notices(seen, [], RULES, later) == seen, "no rule has let it go"
    assert with_notices(seen, [], RULES, NOW)["BRK-scratch-1"].noticed == {}


@pytest.mark.parametrize("year", [1, 1970])
def test_a_time_that_no_cloud_can_mean_is_no_age(year: int) -> None:
    never = datetime(year, 1, 1, tzinfo=UTC)
    for status in ("ACTIVE", "SHUTOFF", "HIBERNATED"):
        there = vm("a", status, updated_at=never, hibernated_at=never, created_at=never)
        seen = sighted(None, there, None, NOW)
        assert seen.since == NOW, status
        delete = Lifetime(select=["*"], longer_than="8h", then="delete")
        assert judge_lifetimes([there], [delete], {there.id: seen}, {}, [], NOW) == []
    [left] = [VolumeResponse(id="1", name="loose", created_at=never)]
    rules = [Leftover(of="volumes", longer_than="1d")]
    assert judge_leftovers(rules, [], [left], {}, NOW) == []


def test_one_that_was_idle_at_rest_is_not_idle_for_that_long_once_it_is_woken() -> None:
    slept = Sighting("HIBERNATED", NOW - 20 * HOUR, NOW - HOUR / 2, idle=NOW - 20 * HOUR)
    assert sighted(slept, vm("a"), True, NOW).idle == NOW


def test_a_notice_names_what_a_shell_would_misread_by_its_id() -> None:
    [verdict] = judged("scratch-$(reboot)", "ACTIVE", since(9), id_="BRK-a")
    namesakes = [vm("scratch-1", id_="BRK-b"), vm("scratch-1", id_="BRK-c")]
    [plain] = judged("scratch-1", "ACTIVE", since(9), id_="BRK-b")
    readings = notices_of([verdict, plain], instances=namesakes)
    for reading, id_ in zip(readings, ("BRK-a", "BRK-b"), strict=True):
        assert f"run: barrack lease {id_} --extend 8h" in reading.text


def test_a_run_goes_on_with_what_the_same_rules_began_and_with_nothing_else() -> None:
    assert purpose_of(RULES, "hibernate") == purpose_of(RULES[::-1], "hibernate")
    assert purpose_of([OFF, IDLE], "hibernate") != purpose_of(RULES, "hibernate")
    assert purpose_of([OFF, ASLEEP], "delete") == purpose_of(RULES, "delete")
