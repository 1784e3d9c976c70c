"""What a timetable asks of a machine, with people, outages and late runs in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.schedule import (
    Note,
    Policy,
    Rule,
    Verdict,
    judge,
    judge_all,
    lead,
    note_restore,
    read_rules,
    remember,
    rule_for,
    rule_warnings,
)

HOUR = timedelta(hours=1)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment in the week of Monday, 2 November 2026, UTC."""
    return datetime(2026, 11, 2, tzinfo=UTC) + timedelta(days=day, hours=hour, minutes=minute)


class Machine:
    """A machine, the rule it follows, and what is remembered of it."""

    def __init__(self, timetable: str, status: str = "ACTIVE", **how: Any) -> None:
        rule = {k: how.pop(k) for k in list(how) if k in ("shutoff", "snapshot", "priority")}
        self.rule = Rule(select=["*"], timetable=timetable, **rule)  # type: ignore[arg-type]
        self.created = how.pop("created", LONG_AGO)
        self.policy = Policy((self.rule,), **how)
        self.notes: dict[str, Note] = {}
        self.status = status

    @property
    def seen(self) -> UserVM:
        return UserVM(id="BRK-1", name="one", status=self.status, created_at=self.created)

    def tick(self, now: datetime, works: bool = True) -> Verdict:
        """One run of the flow: judge, do what is asked if the cloud lets it, remember."""
        verdict = judge_all([self.seen], self.notes, self.policy, now)["BRK-1"]
        pursued = ["BRK-1"] if verdict.goal else []
        if verdict.goal and works:
            self.status = "ACTIVE" if verdict.goal == "up" else "HIBERNATED"
        remember([self.seen], self.notes, {"BRK-1": verdict}, pursued)
        return verdict


OFFICE = "Mon-Fri 08:00-20:00 UTC"


@pytest.mark.parametrize("timetable", [OFFICE, "Mon-Sun -20:00 UTC"])
def test_started_by_a_person_at_night_it_sleeps_again_at_the_next_boundary_every_day(
    timetable: str,
) -> None:
    machine = Machine(timetable)
    for day in range(4):
        machine.tick(at(day, 20, 5))
        assert machine.status == "HIBERNATED"
        machine.status = "ACTIVE"  # a person, at night
        for hour in (21, 22, 23):
            assert machine.tick(at(day, hour)).goal is None
            assert machine.status == "ACTIVE"
        machine.tick(at(day + 1, 8, 5))
        assert machine.status == "ACTIVE"


def test_a_one_sided_rule_leaves_the_morning_to_people() -> None:
    machine = Machine("Mon-Sun -22:00 UTC")
    machine.tick(at(0, 22, 5))
    assert machine.status == "HIBERNATED"
    for hour in range(1, 20):
        assert machine.tick(at(1, hour)).goal is None
    assert machine.status == "HIBERNATED"
    morning = Machine("Mon-Fri 08:00- UTC", "HIBERNATED")
    morning.tick(at(0, 8, 5))
    assert morning.status == "ACTIVE"
    morning.status = "HIBERNATED"
    assert morning.tick(at(0, 23)).goal is None


@pytest.mark.parametrize("end", ["23:55", "24:00"])
def test_a_boundary_at_midnight_is_not_lost_between_two_checks(end: str) -> None:
    machine = Machine(f"Mon-Fri 08:00-{end} UTC")
    machine.tick(at(0, 23, 50))
    assert machine.status == "ACTIVE"
    machine.tick(at(1, 0, 5))
    assert machine.status == "HIBERNATED"


def test_started_by_hand_outside_its_window_it_is_left_alone_but_not_with_strict() -> None:
    for strict, left in ((False, "ACTIVE"), (True, "HIBERNATED")):
        machine = Machine(OFFICE, strict=strict)
        machine.tick(at(0, 20, 5))
        machine.status = "ACTIVE"
        machine.tick(at(0, 22))
        assert machine.status == left


def test_stopped_by_hand_inside_its_window_it_stays_so_and_is_up_at_the_next() -> None:
    for stopped in ("SHUTOFF", "HIBERNATED"):
        machine = Machine(OFFICE, "HIBERNATED")
        machine.tick(at(0, 8, 5))
        machine.status = stopped
        for hour in (10, 14, 19):
            assert machine.tick(at(0, hour)).goal is None
        machine.tick(at(0, 20, 5))
        machine.tick(at(1, 8, 5))
        assert machine.status == "ACTIVE"


def test_local_times_hold_over_a_change_of_the_clocks() -> None:
    machine = Machine("Mon-Sun 08:00-20:00 Europe/Berlin")
    summer = datetime(2026, 10, 24, 18, 1, tzinfo=UTC)  # 20:01 in Berlin, the day before
    machine.tick(summer)
    assert machine.status == "HIBERNATED"
    machine.tick(datetime(2026, 10, 25, 6, 30, tzinfo=UTC))  # 07:30 there, clocks went back
    assert machine.status == "HIBERNATED"
    machine.tick(datetime(2026, 10, 25, 7, 1, tzinfo=UTC))
    assert machine.status == "ACTIVE"


def test_a_late_run_does_what_was_due_within_catch_up_and_nothing_older() -> None:
    assert Machine(OFFICE).tick(at(0, 21, 59)).goal == "down"
    late = Machine(OFFICE)
    assert late.tick(at(0, 22, 1)).goal is None
    assert "missed" in late.tick(at(0, 22, 1)).why
    assert Machine(OFFICE, catch_up=timedelta(hours=5)).tick(at(1, 0, 30)).goal == "down"


def test_a_restore_once_begun_is_tried_beyond_catch_up_until_it_is_given_up() -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    for hour in (8, 10, 12, 15):
        assert machine.tick(at(0, hour, 1), works=False).goal == "up"
    assert machine.tick(at(0, 16, 1), works=False).goal is None


def test_a_machine_made_after_the_boundary_is_somebodys_decision() -> None:
    machine = Machine(OFFICE, created=at(0, 21))
    assert machine.tick(at(0, 21, 5)).goal is None
    machine.tick(at(1, 20, 5))
    assert machine.status == "HIBERNATED"


def test_always_and_never_are_enforced_only_strictly() -> None:
    assert Machine("never").tick(at(0, 12)).goal is None
    assert Machine("never", strict=True).tick(at(0, 12)).goal == "down"
    assert Machine("always", "HIBERNATED", strict=True).tick(at(0, 12)).goal == "up"


def test_a_shutoff_machine_is_not_at_rest() -> None:
    assert Machine(OFFICE, "SHUTOFF").tick(at(0, 20, 5)).goal == "down"
    assert Machine(OFFICE, "SHUTOFF").tick(at(0, 8, 5)).goal == "up"
    assert Machine(OFFICE, "ERROR").tick(at(0, 20, 5)).goal is None


def test_restores_begin_as_much_earlier_as_they_take() -> None:
    note = Note()
    for seconds in (100, 400, 250):
        note_restore(note, timedelta(seconds=seconds))
    assert lead(note) == timedelta(seconds=400)
    rule = Rule(select=["*"], timetable=OFFICE)  # type: ignore[arg-type]
    asleep = UserVM(id="1", name="one", status="HIBERNATED")
    policy = Policy((rule,))
    note.settled = at(-1, 20)
    assert judge(asleep, rule, note, policy, at(0, 7, 50)).goal is None
    early = judge(asleep, rule, note, policy, at(0, 7, 54))
    assert (early.goal, early.boundary) == ("up", at(0, 8))
    for _ in range(9):
        note_restore(note, timedelta(hours=9))
    assert lead(note) == timedelta(minutes=30), "never more than half an hour"


def test_the_first_rule_that_means_a_machine_counts() -> None:
    rules = read_rules(
        [
            {"select": ["gpu-1"], "timetable": "always"},
            {"select": {"regions": ["CANADA-*"]}, "timetable": "never"},
            {"select": {"models": ["L4*"]}, "timetable": OFFICE},
        ]
    )
    policy = Policy(tuple(rules), exclude=("keep-*",))

    def meant(name: str, region: str = "US-1", model: str = "L40") -> str | None:
        vm = UserVM(id=name, name=name, status="ACTIVE", region=region, gpu_model=model)
        rule = rule_for(vm, policy)
        return str(rule.timetable) if rule else None

    assert meant("gpu-1", "CANADA-1") == "always"
    assert meant("gpu-2", "CANADA-1") == "never"
    assert meant("gpu-2") == OFFICE
    assert meant("gpu-2", model="A40") is None
    assert meant("keep-1", "CANADA-1") is None


def test_rules_that_hardly_are_meant_are_warned_of() -> None:
    rules = read_rules(
        [
            {"select": ["*"], "timetable": "always"},
            {"select": ["one"], "timetable": OFFICE},
            {"select": ["nobody"], "timetable": "2020-01-01-2020-01-02 UTC"},
        ]
    )
    said = rule_warnings(rules, [UserVM(id="1", name="one", status="ACTIVE")], at(0, 12))
    assert any("rule 2 (one) is never reached: rule 1 takes all" in s for s in said)
    assert any("rule 3 (nobody) means no instance now" in s for s in said)
    assert any(s.startswith("rule 3") and "past" in s for s in said)


@pytest.mark.parametrize(
    "value", [None, [], {}, [{"select": ["a"]}], [{"timetable": "always"}], [{"selekt": 1}], ["x"]]
)
def test_what_is_no_rule_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"(?i)rule|select|timetable"):
        read_rules(value)


@given(
    steps=st.lists(
        st.tuples(
            st.integers(5, 400),  # minutes to the next tick
            st.sampled_from(["none", "none", "none", "ACTIVE", "HIBERNATED"]),  # a person
            st.booleans(),  # whether the worker runs
        ),
        min_size=5,
        max_size=60,
    ),
    timetable=st.sampled_from(
        [OFFICE, "Fri 22:00-06:00 UTC, Mon 09:00-12:00 UTC", "Sun-Thu 00:00-24:00 UTC"]
    ),
)
def test_people_are_left_alone_and_boundaries_are_kept(
    steps: list[tuple[int, str, bool]], timetable: str
) -> None:
    machine = Machine(timetable)
    now = at(0, 0)
    moved_since: datetime | None = None
    seen_since: datetime | None = None
    for minutes, person, runs in steps:
        now += timedelta(minutes=minutes)
        if person != "none" and person != machine.status:
            machine.status = person
            moved_since = now
        if not runs:
            continue
        before = machine.status
        verdict = machine.tick(now)
        boundary = machine.rule.timetable.last_boundary(now)
        assert boundary is not None
        wanted = "ACTIVE" if machine.rule.timetable.is_on(now) else "HIBERNATED"
        if verdict.goal:
            assert before != wanted, "nothing is asked of a machine that is where it should be"
            settled = seen_since is not None and seen_since >= boundary.moment
            moved = moved_since is not None and moved_since >= boundary.moment
            assert not (settled and moved), "a person moved it after it had been there"
        elif now - boundary.moment <= 2 * HOUR and (
            moved_since is None or moved_since < boundary.moment
        ):
            assert machine.status == wanted, "due, and not done"
        if machine.status == wanted:
            seen_since = now
