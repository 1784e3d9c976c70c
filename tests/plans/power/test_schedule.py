"""What a timetable asks of a machine, with people, outages and late runs in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.power.evidence import Known, Note, Watched, clock_ahead, with_restore
from barrack_tasks.plans.power.rise import Shortage
from barrack_tasks.plans.power.schedule import (
    Policy,
    Rule,
    Verdict,
    judge,
    judge_all,
    lead,
    read_rules,
    remember,
    rule_for,
    rule_warnings,
    rules_in_vain,
)
from barrack_tasks.plans.power.schedule_run import Round, decide_round
from barrack_tasks.plans.steps import Finished, Reason, Step
from barrack_tasks.plans.timetable import Boundary, Wish
from barrack_tasks.plans.world import World

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment in the week of Monday, 2 November 2026, UTC."""
    return datetime(2026, 11, 2, tzinfo=UTC) + timedelta(days=day, hours=hour, minutes=minute)


class Machine:
    """A machine, the rule it follows, and what is remembered of it.

    Args:
        timetable: of its rule.
        status: at the beginning.
        is_new: whether it was never looked at before.
        is_timed: whether its cloud tells when an instance changed.
    """

    def __init__(
        self,
        timetable: str,
        status: str = "ACTIVE",
        is_new: bool = False,
        is_timed: bool = True,
        **how: Any,
    ) -> None:
        rule = {k: how.pop(k) for k in list(how) if k in ("shutoff", "snapshot", "priority")}
        self.rule = Rule(select=["*"], timetable=timetable, **rule)  # type: ignore[arg-type]
        self.created = how.pop("created", LONG_AGO)
        how_addressed = how.pop("address", None)
        self.policy = Policy((self.rule,), **how)
        self.notes: dict[str, Note] = {} if is_new else {"BRK-1": Note(seen=LONG_AGO)}
        self.snapshots: list[Snapshot] = []
        self.watched: dict[str, Watched] = {}
        self.status = status
        self.is_timed = is_timed
        self.cloud_ahead = timedelta(0)
        self.changed = self.created
        self.address: str | None = how_addressed

    @property
    def seen(self) -> UserVM:
        return UserVM(
            id="BRK-1",
            name="one",
            status=self.status,
            created_at=self.created,
            updated_at=self.changed if self.is_timed else None,
            hourly_price="2.69",
            currency="USD",
            public_ip=self.address if self.status in ("ACTIVE", "SHUTOFF") else None,
        )

    def becomes(self, status: str, at: datetime) -> None:
        """Somebody brings it into another state; at rest a machine loses its address."""
        if self.status == "HIBERNATED" and self.address:
            self.address = f"38.80.0.{1 + int(self.address.rpartition('.')[2]) % 250}"
        self.status, self.changed = status, at

    @property
    def known(self) -> Known:
        snapshots = {"BRK-1": self.snapshots}
        return Known(self.notes, snapshots, self.watched, self.cloud_ahead)

    def judge(self, now: datetime) -> Verdict:
        return judge_all([self.seen], self.known, self.policy, now)["BRK-1"]

    def look(self, now: datetime, asks: str | None = None) -> Verdict:
        """One look of a run, which notes what it saw and what it is about to ask."""
        verdict = self.judge(now)
        plan = {"BRK-1": Step(asks, "BRK-1", "one")} if asks else {}
        there, verdicts = {"BRK-1": self.seen}, {"BRK-1": verdict}
        at = now + self.cloud_ahead
        self.notes |= remember(there, verdicts, plan, self.known, Memory(), {}, now, at)
        return verdict

    def tick(self, now: datetime, works: bool = True) -> Verdict:
        """One run of the flow: judge, note, do what is asked if the cloud lets it, look again."""
        asks = {"up": "restore_instance", "down": "hibernate_instance", None: None}
        verdict = self.look(now, asks[self.judge(now).goal])
        if verdict.goal and works:
            self.becomes("ACTIVE" if verdict.goal == "up" else "HIBERNATED", now)
            self.look(now)
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
        machine.becomes("ACTIVE", at(day, 20, 30))  # a person, at night
        for hour in (21, 22, 23):
            assert machine.tick(at(day, hour)).goal is None
            assert machine.status == "ACTIVE"
        machine.tick(at(day + 1, 8, 5))
        assert machine.status == "ACTIVE"


def test_a_rule_touches_neither_of_two_that_it_may_mean() -> None:
    rules = (Rule(select=["BRK-1"], timetable="never"), Rule(select=["*"], timetable="never"))  # type: ignore[arg-type]
    one = Machine("never").seen
    named = one.model_copy(update={"id": "BRK-2", "name": "BRK-1"})
    other = one.model_copy(update={"id": "BRK-3", "name": "three"})
    verdicts = judge_all([one, named, other], Known({}, {}, {}), Policy(rules), at(0, 12))
    assert list(verdicts) == ["BRK-3"]
    assert list(judge_all([one, other], Known({}, {}, {}), Policy(rules), at(0, 12))) == [
        "BRK-1",
        "BRK-3",
    ]


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
    morning.becomes("HIBERNATED", at(0, 22))
    assert morning.tick(at(0, 23)).goal is None


@pytest.mark.parametrize(
    ("timetable", "day", "left"),
    [
        ("Mon-Sun -22:00 UTC", 1, "ACTIVE"),
        ("Mon-Sun 08:00- UTC", 1, "HIBERNATED"),
        ("Mon-Fri 08:00-20:00 UTC, Sat -22:00 UTC", 6, "ACTIVE"),
        ("Mon-Fri 08:00-20:00 UTC, Sat -22:00 UTC", 5, "HIBERNATED"),
    ],
)
def test_strict_enforces_a_one_sided_rule_at_its_boundary_and_no_later(
    timetable: str, day: int, left: str
) -> None:
    machine = Machine(timetable, strict=True)
    for hour in range(24 * (day - 1), 24 * day + 10):
        machine.tick(at(0, hour, 5))
    opposite = "HIBERNATED" if machine.status == "ACTIVE" else "ACTIVE"
    machine.becomes(opposite, at(day, 10))
    machine.tick(at(day, 11))
    assert machine.status == left


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
        machine.becomes("ACTIVE", at(0, 21))
        machine.tick(at(0, 22))
        assert machine.status == left


def test_stopped_by_hand_inside_its_window_it_stays_so_and_is_up_at_the_next() -> None:
    for stopped in ("SHUTOFF", "HIBERNATED"):
        machine = Machine(OFFICE, "HIBERNATED")
        machine.tick(at(0, 8, 5))
        machine.becomes(stopped, at(0, 9))
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


def test_down_is_caught_up_with_however_late_until_a_boundary_wants_it_up() -> None:
    for late in (at(0, 21, 59), at(0, 22, 1), at(1, 7, 59)):
        machine = Machine(OFFICE, is_new=True)
        assert machine.tick(late).goal == "down"
        assert machine.status == "HIBERNATED"
    friday = Machine(OFFICE, is_new=True)
    sunday = friday.tick(at(6, 23))
    assert (sunday.goal, sunday.reason) == ("down", Reason.DUE)
    assert sunday.why == "it was due 51 h ago, and this run catches up"
    assert Machine(OFFICE, is_new=True).tick(at(7, 8)).goal is None, "it is wanted up by now"


def test_up_is_caught_up_with_within_catch_up_and_no_later() -> None:
    assert Machine(OFFICE, "HIBERNATED").tick(at(0, 9, 59)).goal == "up"
    late = Machine(OFFICE, "HIBERNATED").tick(at(0, 10, 1))
    assert (late.goal, late.reason) == (None, Reason.MISSED)
    longer = Machine(OFFICE, "HIBERNATED", catch_up=timedelta(hours=5))
    assert longer.tick(at(0, 12, 30)).goal == "up"


def test_at_first_sight_a_hibernated_machine_waits_for_the_next_boundary() -> None:
    machine = Machine(OFFICE, "HIBERNATED", is_new=True)
    for hour, minute in ((8, 5), (8, 10), (12, 0), (19, 55)):
        waits = machine.tick(at(0, hour, minute))
        assert (waits.goal, waits.reason) == (None, Reason.FIRST_SIGHT)
        assert waits.why == (
            "it was HIBERNATED when this flow first saw it, and stays so until Mon 02 Nov 20:00 "
            "UTC; adopt='now' brings it up at once"
        )
    assert machine.tick(at(0, 20, 5)).reason is Reason.AS_WANTED
    assert machine.tick(at(1, 8, 1)).goal == "up"


@pytest.mark.parametrize("looked_before", [True, False])
def test_adopt_now_brings_up_what_hibernates_at_first_sight(looked_before: bool) -> None:
    machine = Machine(OFFICE, "HIBERNATED", is_new=True)
    if looked_before:
        assert machine.tick(at(0, 14)).goal is None
    machine.policy = Policy((machine.rule,), adopt="now")
    assert machine.tick(at(0, 15)).goal == "up"
    machine.becomes("HIBERNATED", at(0, 16))
    assert machine.tick(at(0, 17)).reason is Reason.MOVED, "it was adopted once"


def test_always_and_never_act_at_first_sight_and_leave_people_alone_after_it() -> None:
    for timetable, found, wanted in (
        ("never", "ACTIVE", "HIBERNATED"),
        ("always", "HIBERNATED", "ACTIVE"),
    ):
        machine = Machine(timetable, found, is_new=True, created=at(0, 11))
        machine.changed = at(0, 11, 30)
        machine.tick(at(0, 12))
        assert machine.status == wanted
        machine.becomes(found, at(0, 13))
        assert machine.tick(at(0, 14)).reason is Reason.MOVED
        assert machine.tick(at(5, 14)).goal is None
    assert Machine("never", strict=True).tick(at(0, 12)).goal == "down"


def test_a_rule_that_becomes_never_is_kept_whatever_was_noted_under_the_old_one() -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    machine.tick(at(0, 8, 5))
    assert machine.status == "ACTIVE"
    machine.rule = Rule(select=["*"], timetable="never")  # type: ignore[arg-type]
    machine.policy = Policy((machine.rule,))
    assert machine.tick(at(0, 9), works=False).goal == "down"
    machine.tick(at(0, 9, 5))
    assert machine.status == "HIBERNATED"


def test_what_was_made_or_changed_after_the_boundary_by_others_is_left_alone() -> None:
    made = Machine(OFFICE, is_new=True, created=at(0, 20, 1))
    assert made.tick(at(0, 20, 5)).reason is Reason.MOVED
    changed = Machine(OFFICE, is_new=True)
    changed.becomes("ACTIVE", at(0, 20, 11))
    told = changed.tick(at(0, 23))
    assert told.reason is Reason.MOVED
    assert told.why == (
        "a person moved it: it was changed at Mon 20:11 UTC, after the boundary, and not by "
        "this library; it is left alone and costs 2.69 USD an hour until Tue 03 Nov 08:00 UTC"
    )
    before = Machine(OFFICE, is_new=True)
    before.becomes("ACTIVE", at(0, 19, 59))
    assert before.tick(at(0, 23)).goal == "down"


def test_a_snapshot_that_was_taken_is_no_evidence_of_a_person() -> None:
    machine = Machine(OFFICE)
    machine.snapshots = [
        Snapshot(
            id="1",
            name="nightly",
            status="SUCCESS",
            instance_id="BRK-1",
            created_at=at(0, 20, 1),
            updated_at=at(0, 20, 20),
        )
    ]
    machine.changed = at(0, 20, 20)
    assert machine.tick(at(0, 20, 25)).goal == "down"
    later = Machine(OFFICE)
    later.snapshots, later.changed = machine.snapshots, at(0, 20, 50)
    assert later.tick(at(0, 21)).reason is Reason.MOVED


@pytest.mark.parametrize("passes", ["RESTORING", "STARTING", "BUILD", "CREATING"])
def test_what_was_on_its_way_up_when_the_boundary_passed_is_no_evidence_of_a_person(
    passes: str,
) -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    machine.becomes(passes, at(0, 19, 59))
    assert machine.look(at(0, 20, 1)).goal == "down", "it is waited for"
    machine.becomes("ACTIVE", at(0, 20, 20))
    assert machine.look(at(0, 20, 25), asks="hibernate_instance").goal == "down"
    note = machine.notes["BRK-1"]
    assert (note.settled, note.decided) == (None, None)


def test_what_was_on_its_way_down_when_the_boundary_passed_is_no_evidence_of_a_person() -> None:
    machine = Machine(OFFICE)
    machine.becomes("HIBERNATING", at(1, 7, 59))
    machine.look(at(1, 8, 1))
    machine.becomes("HIBERNATED", at(1, 8, 10))
    assert machine.look(at(1, 8, 11)).goal == "up"


@pytest.mark.parametrize(("took", "moved"), [((), False), ((100,), True), ((900,), False)])
def test_a_restore_that_nobody_watched_may_have_begun_before_the_boundary(
    took: tuple[int, ...], moved: bool
) -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    machine.notes["BRK-1"] = Note(restores=took, seen=LONG_AGO)
    machine.becomes("ACTIVE", at(0, 20, 3))
    assert (machine.tick(at(0, 21)).reason is Reason.MOVED) is moved


def test_what_was_made_before_the_boundary_and_built_over_it_is_no_evidence() -> None:
    machine = Machine(OFFICE, is_new=True, created=at(0, 19, 50))
    machine.becomes("ACTIVE", at(0, 20, 10))
    assert machine.tick(at(0, 20, 15)).goal == "down"


def test_a_restore_that_began_after_the_boundary_is_a_persons() -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    machine.becomes("RESTORING", at(0, 20, 1))
    assert machine.look(at(0, 20, 2)).reason is Reason.MOVED
    machine.becomes("ACTIVE", at(0, 20, 3))
    for hour in (21, 22, 23):
        assert machine.look(at(0, hour)).reason is Reason.MOVED
    note = machine.notes["BRK-1"]
    assert note.settled is None, "nobody has seen it at rest"
    assert note.decided == Boundary(at(0, 20), Wish.DOWN)


@pytest.mark.parametrize("ahead", [timedelta(hours=3), timedelta(minutes=-20)])
def test_what_a_cloud_tells_is_compared_by_its_own_clock(ahead: timedelta) -> None:
    def machine(made: datetime) -> Machine:
        found = Machine(OFFICE, is_new=True, created=made + ahead)
        found.cloud_ahead = ahead
        return found

    assert machine(at(0, 19, 45)).tick(at(0, 20, 30)).goal == "down"
    assert machine(at(0, 20, 15)).tick(at(0, 20, 30)).reason is Reason.MOVED
    changed = machine(LONG_AGO)
    changed.becomes("ACTIVE", at(0, 19, 45) + ahead)
    assert changed.tick(at(0, 20, 30)).goal == "down"


def test_an_edited_rule_is_no_evidence_of_a_person() -> None:
    machine = Machine(OFFICE)
    machine.tick(at(0, 9))
    machine.rule = Rule(select=["*"], timetable="Mon-Fri 06:00-07:00 UTC")  # type: ignore[arg-type]
    machine.policy = Policy((machine.rule,))
    assert machine.tick(at(0, 9, 5)).goal == "down"
    assert machine.status == "HIBERNATED"
    machine.becomes("ACTIVE", at(0, 10))
    assert machine.tick(at(0, 10, 5)).reason is Reason.MOVED


@pytest.mark.parametrize(("before", "after"), [("always", "never"), ("never", "always")])
def test_a_rule_that_is_turned_round_is_no_evidence_of_a_person(before: str, after: str) -> None:
    machine = Machine(before, "ACTIVE" if before == "always" else "HIBERNATED")
    machine.tick(at(0, 9))
    machine.rule = Rule(select=["*"], timetable=after)  # type: ignore[arg-type]
    machine.policy = Policy((machine.rule,))
    assert machine.tick(at(0, 9, 5)).goal == ("down" if after == "never" else "up")


def test_restored_early_it_stays_up_though_restores_are_found_to_be_quicker() -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    machine.notes["BRK-1"] = Note(settled=at(-1, 20), restores=(900,), seen=LONG_AGO)
    machine.tick(at(0, 7, 50))
    assert machine.status == "ACTIVE"
    machine.notes["BRK-1"] = replace(machine.notes["BRK-1"], restores=(60,))
    assert machine.tick(at(0, 7, 55)).goal is None


@pytest.mark.parametrize("is_timed", [True, False])
def test_shut_off_at_the_boundary_and_started_since_it_was_moved_by_a_person(
    is_timed: bool,
) -> None:
    machine = Machine(OFFICE, "SHUTOFF", is_timed=is_timed)
    assert machine.look(at(0, 20, 5)).goal == "down"
    machine.becomes("ACTIVE", at(0, 20, 30))
    for hour in (21, 22, 23):
        assert machine.look(at(0, hour)).reason is Reason.MOVED


def test_what_was_started_in_order_to_hibernate_it_is_not_taken_for_moved() -> None:
    machine = Machine(OFFICE, "SHUTOFF", shutoff="hibernate")
    machine.look(at(0, 20, 5), asks="start_instance")  # and the run is killed
    machine.becomes("ACTIVE", at(0, 20, 7))
    assert machine.tick(at(0, 20, 10)).goal == "down"


@pytest.mark.parametrize("between", [None, "HIBERNATING"])
def test_a_request_that_came_to_nothing_is_no_person_and_is_sent_again(
    between: str | None,
) -> None:
    machine = Machine(OFFICE)
    machine.look(at(0, 20, 5), asks="hibernate_instance")
    if between:
        machine.becomes(between, at(0, 20, 6))
        machine.look(at(0, 20, 7))
    for hour in (21, 22, 23):
        machine.becomes("ACTIVE", at(0, hour - 1, 40))  # the cloud gave up
        assert machine.look(at(0, hour), asks="hibernate_instance").goal == "down"
    assert "asked 4 times" in machine.judge(at(0, 23, 30)).trouble


def test_a_restore_that_came_to_nothing_is_no_person_and_is_sent_again() -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    machine.look(at(0, 8, 1), asks="restore_instance")
    machine.becomes("HIBERNATED", at(0, 8, 20))
    assert machine.look(at(0, 8, 30)).goal == "up"


def test_a_request_that_came_to_nothing_after_the_rule_was_edited_is_no_person() -> None:
    machine = Machine(OFFICE)
    machine.look(at(0, 20, 5), asks="hibernate_instance")
    machine.rule = Rule(select=["*"], timetable="Mon-Fri 08:00-20:10 UTC")  # type: ignore[arg-type]
    machine.policy = Policy((machine.rule,))
    machine.becomes("ACTIVE", at(0, 20, 20))
    assert machine.look(at(0, 20, 25)).goal == "down"


@pytest.mark.parametrize("seen", ["HIBERNATED", "RESTORING"])
def test_seen_at_rest_or_on_its_way_back_after_the_request_it_is_a_persons(seen: str) -> None:
    machine = Machine(OFFICE)
    machine.look(at(0, 20, 5), asks="hibernate_instance")
    machine.becomes(seen, at(0, 20, 20))
    machine.look(at(0, 20, 25))
    machine.becomes("ACTIVE", at(0, 20, 40))
    for hour in (21, 22, 23):
        assert machine.look(at(0, hour)).reason is Reason.MOVED


@pytest.mark.parametrize("status", ["HIBERNATING", "ERROR"])
def test_what_our_request_left_stuck_is_a_failure(status: str) -> None:
    machine = Machine(OFFICE)
    machine.look(at(0, 20, 5), asks="hibernate_instance")
    machine.becomes(status, at(0, 20, 6))
    late = machine.look(at(0, 20, 50))
    assert late.goal is None
    assert f"asked once to hibernate, at Mon 20:05 UTC, and it is {status}" in late.trouble
    assert Machine(OFFICE, status).look(at(0, 20, 50)).trouble == "", "nothing was asked of it"


@given(
    steps=st.lists(
        st.tuples(
            st.integers(5, 180),  # minutes to what happens next
            st.sampled_from(["run", "run", "killed", "killed", "nothing", "person"]),
            # what the cloud makes of a request: it works, fails, hangs or leaves an ERROR
            st.sampled_from(["HIBERNATED", "HIBERNATED", "ACTIVE", "HIBERNATING", "ERROR"]),
            st.booleans(),  # whether that is so before the run ends
        ),
        min_size=1,
        max_size=25,
    ),
    is_timed=st.booleans(),
    shutoff=st.booleans(),
    address=st.sampled_from([None, "38.80.0.1"]),
)
def test_what_nobody_moved_rests_in_the_end_or_is_told_and_what_a_person_moved_is_left_alone(
    steps: list[tuple[int, str, str, bool]], is_timed: bool, shutoff: bool, address: str | None
) -> None:
    machine = Machine(
        "Mon 08:00-20:00 UTC", is_timed=is_timed, shutoff="hibernate", address=address
    )
    if shutoff:
        machine.status = "SHUTOFF"
    now, boundary = at(0, 20, 6), at(0, 20)
    asked = seen_at_rest = is_a_persons = False
    outcome: tuple[datetime, str] | None = None
    """What comes of a request, and when."""
    for minutes, event, comes, is_quick in steps:
        now += timedelta(minutes=minutes)
        assert machine.rule.timetable.last_boundary(now).moment == boundary  # type: ignore[union-attr]
        if outcome and now >= outcome[0]:
            machine.becomes(outcome[1], outcome[0])
            outcome = None
        if event == "person" and machine.status in ("HIBERNATED", "SHUTOFF"):
            is_told = bool(address) and machine.status == "HIBERNATED" and asked
            if seen_at_rest or is_told or (is_timed and not asked):
                is_a_persons = True
            elif machine.status == "HIBERNATED" or not is_timed:
                continue  # of which nothing can be known
            if machine.status == "SHUTOFF" and asked:
                continue
            machine.becomes("ACTIVE", now)
        if event not in ("run", "killed"):
            continue
        operation = "start_instance" if machine.status == "SHUTOFF" else "hibernate_instance"
        verdict = machine.judge(now)
        if is_a_persons and machine.status not in ("HIBERNATED", "HIBERNATING"):
            assert verdict.goal is None
        elif machine.status in ("ACTIVE", "SHUTOFF"):
            assert verdict.goal == "down", "nobody moved it"
        elif machine.status != "HIBERNATED":
            first = machine.notes["BRK-1"].asked
            is_old = machine.status == "ERROR" or (first and now - first > HOUR)
            assert verdict.trouble or not is_old, "it is told as failed"
        machine.look(now, operation if verdict.goal else None)
        seen_at_rest |= machine.status == "HIBERNATED"
        if verdict.goal:
            asked = True
            result = "ACTIVE" if operation == "start_instance" else comes
            outcome = (now + timedelta(minutes=2), result)
            if is_quick and event == "run":
                machine.becomes(result, outcome[0])
                machine.look(now + 3 * MINUTE)
                now, outcome = now + 3 * MINUTE, None
                seen_at_rest |= machine.status == "HIBERNATED"


def test_back_with_another_address_after_our_request_it_is_a_persons() -> None:
    machine = Machine(OFFICE, address="38.80.0.1")
    machine.look(at(0, 20, 5), asks="hibernate_instance")  # and the run is killed
    machine.becomes("HIBERNATED", at(0, 20, 10))
    machine.becomes("ACTIVE", at(0, 20, 20))
    for hour in (21, 22, 23):
        assert machine.look(at(0, hour)).reason is Reason.MOVED
    failed = Machine(OFFICE, address="38.80.0.1")
    failed.look(at(0, 20, 5), asks="hibernate_instance")
    failed.becomes("ACTIVE", at(0, 20, 20))  # the cloud gave up
    assert failed.look(at(0, 20, 30)).goal == "down"


def test_killed_before_the_request_took_effect_it_is_asked_again() -> None:
    for asks in ("hibernate_instance", "create_snapshot"):
        machine = Machine(OFFICE)
        machine.look(at(0, 20, 5), asks=asks)  # and the run is killed
        if asks == "create_snapshot":
            machine.changed = at(0, 20, 9)
        assert machine.look(at(0, 20, 10)).goal == "down"


def test_what_was_asked_for_one_boundary_and_came_about_after_the_next_is_ours() -> None:
    machine = Machine("Mon-Sun 08:00-20:00 UTC, Mon-Sun 20:10-20:30 UTC", is_new=True)
    machine.look(at(0, 20, 5), asks="hibernate_instance")
    machine.becomes("HIBERNATED", at(0, 20, 12))
    assert machine.look(at(0, 20, 15)).goal == "up"


def test_what_watch_account_saw_after_the_boundary_counts() -> None:
    for seen_at, goal in ((at(0, 20, 1), None), (at(0, 19, 59), "down")):
        machine = Machine(OFFICE, is_timed=False)
        machine.watched = {"BRK-1": Watched(machine.seen.status.__class__("HIBERNATED"), seen_at)}
        assert machine.judge(at(0, 21)).goal == goal


def test_a_machine_that_was_up_before_its_window_and_then_put_to_rest_comes_up_at_it() -> None:
    machine = Machine(OFFICE, is_timed=False)
    machine.notes = {"BRK-1": Note(restores=(600,), seen=LONG_AGO)}
    assert machine.look(at(0, 7, 52)).reason is Reason.AS_WANTED
    machine.becomes("HIBERNATED", at(0, 7, 55))
    assert machine.look(at(0, 8, 1)).goal == "up"


def test_a_restore_once_begun_is_tried_beyond_catch_up_until_it_is_given_up() -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    for hour in (8, 10, 12, 15):
        assert machine.tick(at(0, hour, 1), works=False).goal == "up"
    assert machine.tick(at(0, 16, 1), works=False).goal is None


def test_a_shutoff_machine_is_not_at_rest() -> None:
    assert Machine(OFFICE, "SHUTOFF").tick(at(0, 20, 5)).goal == "down"
    assert Machine(OFFICE, "SHUTOFF").tick(at(0, 8, 5)).goal == "up"
    assert Machine(OFFICE, "ERROR").tick(at(0, 20, 5)).goal is None


def test_restores_begin_as_much_earlier_as_they_take() -> None:
    note = Note(settled=at(-1, 20))
    for seconds in (100, 400, 250):
        note = with_restore(note, timedelta(seconds=seconds))
    assert lead(note) == timedelta(seconds=400)
    rule = Rule(select=["*"], timetable=OFFICE)  # type: ignore[arg-type]
    asleep = UserVM(id="1", name="one", status="HIBERNATED")
    known, policy = Known({"1": note}), Policy((rule,))
    assert judge(asleep, rule, known, policy, at(0, 7, 50)).goal is None
    early = judge(asleep, rule, known, policy, at(0, 7, 54))
    assert (early.goal, early.boundary and early.boundary.moment) == ("up", at(0, 8))
    for _ in range(9):
        note = with_restore(note, timedelta(hours=9))
    assert lead(note) == timedelta(minutes=30), "never more than half an hour"
    assert len(note.restores) == 5


@pytest.mark.parametrize("is_timed", [True, False])
def test_a_restore_that_outlasts_its_run_is_learned_by_the_next(is_timed: bool) -> None:
    machine = Machine(OFFICE, "HIBERNATED", is_timed=is_timed)
    machine.look(at(0, 8, 0), "restore_instance")
    machine.becomes("RESTORING", at(0, 8, 0))
    for minute in (5, 10, 15):
        machine.look(at(0, 8, minute))
    machine.becomes("ACTIVE", at(0, 8, 17))
    for minute in (20, 25):
        machine.look(at(0, 8, minute))
    note = machine.notes["BRK-1"]
    assert note.restores == ((17 if is_timed else 20) * 60,)
    assert timedelta(minutes=15) < lead(note) < timedelta(minutes=30)


def test_what_is_on_its_way_when_time_is_over_is_left_to_the_next_run() -> None:
    machine = Machine(OFFICE, "HIBERNATED")
    verdict = machine.judge(at(0, 8, 1))
    target = Target("BRK-1", "one", at(0, 8, 1), machine.seen)
    shortage = Shortage("wait", (), timedelta(0))
    round_ = Round({"BRK-1": verdict}, (target,), (), at(0, 8), timedelta(minutes=15), 5, shortage)
    memory = Memory()
    memory.woken.add("BRK-1")
    for status, outcome in (("RESTORING", "skipped"), ("HIBERNATED", "failed")):
        machine.status = status
        world = World(instances={"BRK-1": machine.seen})
        end = decide_round(round_, world, memory, at(0, 8, 17), {"BRK-1": verdict})["BRK-1"]
        assert isinstance(end, Finished)
        assert end.outcome == outcome, end


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
    assert any("rule 2 (one) has no effect: all its instances belong to rule 1" in s for s in said)
    assert any("rule 3 (nobody) selects no instance now" in s for s in said)
    assert any(s.startswith("rule 3") and "past" in s for s in said)


def test_what_rules_name_in_vain_is_told_with_what_is_near() -> None:
    one = UserVM(id="1", name="train-1", status="ACTIVE", region="CANADA-1", gpu_model="L40")
    other = UserVM(id="2", name="lab", status="ACTIVE", region="US-1", gpu_model="A40")
    rules = read_rules(
        [
            {"select": ["train-1", "trian-2"], "timetable": OFFICE},
            {"select": {"regions": ["NORWAY-1"]}, "timetable": OFFICE},
            {"select": {"names": ["train-*"], "regions": ["US-1"]}, "timetable": OFFICE},
            {"select": {"names": ["train-*"], "states": ["SHUTOFF"]}, "timetable": OFFICE},
        ]
    )
    assert [told.text for told in rules_in_vain(rules, [one, other])] == [
        "rule 1: select: no instance matches 'trian-2'; the nearest is train-1",
        "rule 2: select: no instance has the region 'NORWAY-1'; there are CANADA-1, US-1",
        "rule 3 (train-*) selects no instance",
    ]
    assert rules_in_vain(rules, []) == [], "in an empty account nothing can be meant"


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
    is_timed=st.booleans(),
)
def test_people_are_left_alone_and_boundaries_are_kept(
    steps: list[tuple[int, str, bool]], timetable: str, is_timed: bool
) -> None:
    machine = Machine(timetable, is_timed=is_timed)
    now = at(0, 0)
    moved_since: datetime | None = None
    seen_since: datetime | None = None
    for minutes, person, runs in steps:
        now += timedelta(minutes=minutes)
        if person != "none" and person != machine.status:
            machine.becomes(person, now)
            moved_since = now
        if not runs:
            continue
        before = machine.status
        verdict = machine.tick(now)
        boundary = machine.rule.timetable.last_boundary(now)
        assert boundary is not None
        wanted = "ACTIVE" if machine.rule.timetable.is_on(now) else "HIBERNATED"
        moved = moved_since is not None and moved_since > boundary.moment
        # What came about right after the boundary may have been under way when it passed.
        is_told = moved_since is not None and moved_since > boundary.moment + 5 * MINUTE
        if verdict.goal:
            assert before != wanted, "nothing is asked of a machine that is where it should be"
            settled = seen_since is not None and seen_since >= boundary.moment
            assert not (moved and (settled or (is_timed and is_told))), (
                "that a person moved it is evident"
            )
        elif not moved and (wanted == "HIBERNATED" or now - boundary.moment <= 2 * HOUR):
            assert machine.status == wanted, "due, and not done"
        if machine.status == wanted:
            seen_since = now


@given(
    status=st.sampled_from(["ACTIVE", "SHUTOFF"]),
    late=st.integers(0, 59 * 60),
    is_new=st.booleans(),
    is_timed=st.booleans(),
)
def test_what_nobody_touched_is_put_to_rest_however_late(
    status: str, late: int, is_new: bool, is_timed: bool
) -> None:
    machine = Machine(OFFICE, status, is_new=is_new, is_timed=is_timed)
    friday = at(4, 20)
    assert machine.tick(friday + timedelta(minutes=late)).goal == "down"


def test_clocks_that_are_days_apart_are_not_two_clocks_of_one_time() -> None:
    at = datetime(2026, 11, 25, 19, tzinfo=UTC)
    assert clock_ahead(at + timedelta(hours=3), at) == timedelta(hours=3)
    assert clock_ahead(at - timedelta(minutes=5), at) == -timedelta(minutes=5)
    assert clock_ahead(at - timedelta(days=2), at) == timedelta(0)
