"""Thresholds, alarms and whom they put to rest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.plans import SelectionError
from barrack_tasks.plans.alerts import Alarm, Message, Reading, forget_others, messages_of, note
from barrack_tasks.plans.money.balance import outlook, report_of, unreadable
from barrack_tasks.plans.money.burn import Burn, Tariff, burn_of
from barrack_tasks.plans.money.shedding import Shedding, candidates
from barrack_tasks.plans.money.thresholds import (
    WOBBLE,
    Threshold,
    check_may_act,
    check_thresholds,
    read_line,
    read_thresholds,
)
from barrack_tasks.plans.report import money

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def usd(amount: Any) -> Balance:
    return Balance(amount=str(amount), currency="USD")


def machine(name: str, price: str = "1", status: str = "ACTIVE", model: str = "L40") -> UserVM:
    return UserVM(
        id=f"id-{name}",
        name=name,
        status=status,
        gpu_model=model,
        gpu_count=1,
        hourly_price=price,
        currency="USD",
    )


def lines(*written: Any) -> list[Threshold]:
    return read_thresholds(list(written))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "either an amount or a runway"),
        ({"amount": 5, "runway": "2h"}, "either an amount or a runway"),
        ({"amount": "lots"}, "write 50 or '50 USD'"),
        ({"runway": "soon"}, "runway"),
        ({"runway": "24h", "until": "2h"}, "crossed again at once"),
        ({"runway": "24h", "actions": []}, "does nothing"),
        ({"runway": "24h", "actions": ["delete"]}, "hibernate"),
        ({"runway": "-24h"}, "runway"),
        ({"runway": 0}, "longer than zero"),
        ({"amount": 5, "colour": "red"}, "colour"),
    ],
)
def test_a_threshold_that_cannot_be_meant_is_refused(written: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^threshold 2: .*{said}"):
        lines({"runway": "72h"}, written)


def test_thresholds_must_fit_the_account_and_each_other() -> None:
    with pytest.raises(ValueError, match=r"in EUR, and the account's currency is USD"):
        check_thresholds(lines({"amount": "50 EUR"}), usd(9))
    with pytest.raises(ValueError, match=r"wrong order: runway 150 min comes before runway 24 h"):
        check_thresholds(lines({"runway": "2.5h"}, {"runway": "24h"}), usd(9))
    with pytest.raises(ValueError, match="two thresholds are runway 2 h: lines must be a second"):
        check_thresholds(lines({"runway": 7200.5}, {"runway": "2h"}), usd(9))
    with pytest.raises(ValueError, match="wrong order"):
        check_thresholds(lines({"amount": 5}, {"amount": 5}), usd(9))
    check_thresholds(lines({"amount": 50}, {"runway": "24h"}, {"amount": "5 usd"}), usd(9))
    with pytest.raises(ValueError, match="not empty"):
        read_thresholds([])
    with pytest.raises(SelectionError, match=r"nothing says what: name instances in select="):
        check_may_act(lines({"runway": "2h", "actions": ["hibernate_all"]}), None)


@given(values=st.lists(st.integers(0, 200), min_size=1, max_size=60), line=st.integers(1, 100))
def test_each_crossing_is_told_once_and_a_wobble_not_at_all(values: list[int], line: int) -> None:
    threshold = Threshold(amount=Decimal(line))
    alarms: dict[str, Alarm] = {}
    told: list[str] = []
    expected: list[str] = []
    crossed = False
    for tick, value in enumerate(values):
        now = NOW + tick * HOUR
        reading = read_line(threshold, usd(value), None)
        for message in messages_of([reading], alarms, ["a"], now):
            told.append(message.kind)
            note(alarms, message, [], now)
        if not crossed and value < line:
            crossed = True
            expected.append("crossed")
        elif crossed and value >= line * WOBBLE:
            crossed = False
            expected.append("recovered")
        # Looking again changes nothing.
        assert messages_of([reading], alarms, ["a"], now) == ()
    assert told == expected


@given(spans=st.sets(st.integers(1, 10**6), min_size=2, max_size=5), unit=st.integers(1, 3600))
def test_lines_that_differ_by_a_second_are_remembered_apart(spans: set[int], unit: int) -> None:
    keys = {t.key for t in lines(*({"runway": seconds * unit} for seconds in spans))}
    assert len(keys) == len(spans)


def test_of_two_lines_close_together_each_is_told_once() -> None:
    drawn = lines({"runway": "2.5h"}, {"runway": "2h"})
    alarms: dict[str, Alarm] = {}
    told: list[tuple[str, str]] = []
    for _ in range(3):
        readings = [read_line(line, usd(100), timedelta(hours=2.2)) for line in drawn]
        for message in messages_of(readings, alarms, ["a"], NOW):
            told.append((message.kind, message.text))
            note(alarms, message, [], NOW)
    assert told == [
        ("crossed", "100.00 USD left, which lasts 2 h: below the line of 150 min"),
    ]


def test_reminders_come_at_their_interval_and_who_was_missed_is_told_later() -> None:
    over = Reading("line", True, False, "low")
    alarms: dict[str, Alarm] = {}

    def tick(hours: int, failed: Sequence[str] = ()) -> list[tuple[str, tuple[str, ...]]]:
        now = NOW + hours * HOUR
        messages = messages_of([over], alarms, ["a", "b"], now, remind=12 * HOUR)
        for message in messages:
            note(alarms, message, failed, now)
        return [(m.kind, m.to) for m in messages]

    assert tick(0, failed=["b"]) == [("crossed", ("a", "b"))]
    assert tick(1, failed=["b"]) == [("owed", ("b",))]
    assert tick(2) == [("owed", ("b",))]
    assert tick(3) == []
    assert tick(14) == [("reminder", ("a", "b"))]
    assert tick(15) == []
    assert alarms["line"].since == NOW
    forget_others(alarms, ["another"])
    assert alarms == {}


def test_one_notifier_that_stays_down_keeps_no_reminder_from_the_others() -> None:
    over = Reading("line", True, False, "low")
    alarms: dict[str, Alarm] = {}
    heard: list[tuple[int, str]] = []
    for hour in range(25):
        now = NOW + hour * HOUR
        for message in messages_of([over], alarms, ["good", "down"], now, remind=12 * HOUR):
            note(alarms, message, ["down"], now)
            if "good" in message.to:
                heard.append((hour, message.kind))
    assert heard == [(0, "crossed"), (12, "reminder"), (24, "reminder")]


def test_who_could_not_be_told_that_it_is_over_is_told_later() -> None:
    over, clear = Reading("line", True, False, "low"), Reading("line", False, True, "fine")
    alarms: dict[str, Alarm] = {}

    def tick(reading: Reading, *failed: str) -> list[tuple[str, tuple[str, ...]]]:
        messages = messages_of([reading], alarms, ["a", "b"], NOW, remind=HOUR)
        for message in messages:
            note(alarms, message, failed, NOW)
        return [(m.kind, m.to) for m in messages]

    assert tick(over) == [("crossed", ("a", "b"))]
    assert tick(clear, "b") == [("recovered", ("a", "b"))]
    assert tick(clear, "b") == [("owed recovery", ("b",))]
    assert tick(over) == [("crossed", ("a", "b"))], "the crossing is news again"
    assert tick(clear, "b") == [("recovered", ("a", "b"))]
    assert tick(clear) == [("owed recovery", ("b",))]
    assert tick(clear) == []
    assert alarms == {}


def test_what_is_told_late_says_truly_how_things_stand() -> None:
    [line] = lines({"runway": "72h"})
    alarms: dict[str, Alarm] = {}

    def tick(minutes: int, hours: int, *failed: str, remind: bool = False) -> list[Message]:
        reading = read_line(line, usd(100), hours * HOUR)
        now = NOW + timedelta(minutes=minutes)
        found = messages_of([reading], alarms, ["a", "b"], now, HOUR if remind else None)
        for message in found:
            note(alarms, message, failed, now)
        return list(found)

    tick(0, 71, "b")
    [owed] = tick(5, 73)
    assert (owed.kind, owed.to) == ("owed", ("b",))
    assert owed.text == (
        "the alarm was raised on 2026-03-01 at 00:00 UTC and is not yet clearly over: "
        "100.00 USD left, which lasts 73 h: above the line of 72 h"
    )
    [reminder] = tick(70, 73, remind=True)
    assert reminder.text == owed.text
    [reminder] = tick(140, 71, remind=True)
    assert reminder.text == "100.00 USD left, which lasts 71 h: below the line of 72 h"
    [over] = tick(150, 90, "b")
    said = (
        "100.00 USD left, which lasts 90 h: above the line of 72 h "
        "(the alarm was raised on 2026-03-01 at 00:00 UTC)"
    )
    assert (over.kind, over.text) == ("recovered", said)
    [owed] = tick(160, 95)
    assert (owed.kind, owed.to) == ("owed recovery", ("b",))
    assert owed.text == said.replace("90 h", "95 h"), "whoever missed the crossing hears of both"


def test_an_operation_that_cannot_be_read_is_named_once() -> None:
    errors = {
        o: BarrackError(f"{o} is down", operation=o) for o in ("list_volumes", "list_snapshots")
    }
    view = outlook(lines({"amount": 5}), usd(9), Burn(()), [], set(), set(), Shedding(), (), errors)
    [sight] = [r.text for r in view.readings if r.key == "unreadable"]
    for operation in errors:
        assert sight.count(f"{operation}: ") == 1


def test_the_users_order_comes_first_then_what_does_nothing_then_the_price() -> None:
    fleet = [
        machine("prod-a", "0.5"),
        machine("scratch-b", "9"),
        machine("scratch-a", "2"),
        machine("dev", "1"),
        machine("parked", "3", "SHUTOFF"),
        machine("asleep", "3", "HIBERNATED"),
        machine("big", "1", model="H100"),
    ]

    def order(**how: Any) -> list[str]:
        burn = burn_of(fleet, [], [], Tariff())
        how_ = Shedding(("scratch-*", "dev"), **how)
        found = candidates(fleet, set(), {("H100", 1)}, how_, burn)
        return [i.name for i in found]

    assert order() == ["scratch-a", "scratch-b", "dev", "parked", "prod-a"]
    assert order(order="dearest")[:2] == ["scratch-b", "scratch-a"]


def view(*written: Any, balance: Any = 10, protected: Sequence[str] = ()) -> Any:
    fleet = [machine("a", "1"), machine("b", "2"), machine("c", "4")]
    burn = burn_of(fleet, [], [], Tariff())
    return outlook(lines(*written), usd(balance), burn, fleet, protected, set(), Shedding())


def test_lines_act_only_when_they_are_crossed_and_the_gravest_counts() -> None:
    shed = {"runway": "2h", "actions": ["alert", "hibernate"], "until": "4h"}
    assert view({"runway": "1h", "actions": ["hibernate"]}).chosen == ()
    assert view({"runway": "24h"}).chosen == ()
    # 10 USD at 7 an hour last 1.4 h; 10 / 4.02 last 2.4 h, 10 / 2.02 for 4.9 h, without b.
    assert [i.name for i in view(shed).chosen] == ["a", "c"]
    assert [i.name for i in view({**shed, "until": "2h"}).chosen] == ["a", "b"]
    everything = {"amount": 20, "actions": ["hibernate_all"]}
    assert len(view(everything, {**shed, "until": "2h"}).chosen) == 3
    assert [i.name for i in view(everything, protected=["id-b"]).chosen] == ["a", "c"]


def test_a_snapshot_comes_first_only_if_every_acting_line_asks_for_it() -> None:
    slow = {"runway": "9h", "actions": ["hibernate"], "snapshot": True}
    fast = {"runway": "2h", "actions": ["hibernate"]}
    assert view(slow).snapshot
    assert not view(slow, fast).snapshot
    assert view(slow, {**fast, "runway": "1h"}).snapshot, "the other line is not crossed"


def test_the_message_has_the_figures() -> None:
    told = view({"runway": "24h", "actions": ["hibernate"]}, balance="0.50")
    assert told.readings[-1].text == ("0.50 USD left, which lasts 4 min: below the line of 24 h")
    assert told.details == [
        "Burning 7.00 USD an hour: instance ACTIVE 7.00 USD.",
        "Going to hibernate a, b, c.",
        "Note: below 1.00 USD nothing can be restored or deployed.",
    ]


def test_a_price_that_cannot_be_read_is_an_alarm_of_its_own() -> None:
    fleet = [machine("a", "1"), UserVM(id="x", name="x", status="ACTIVE")]
    burn = burn_of(fleet, [], [], Tariff())
    seen = outlook(lines({"runway": "1h"}), usd(100), burn, fleet, [], set(), Shedding())
    over = [r.text for r in seen.readings if r.is_over]
    assert over == [
        "the price of instance x cannot be read, so more than 1.00 USD an hour is spent"
    ]


def test_a_line_is_judged_by_what_it_needs_and_by_nothing_else() -> None:
    fleet = [machine("a", "1")]

    def seen(unread: str, *written: Any, there: Sequence[UserVM] = fleet) -> Any:
        burn, why = burn_of(there, [], [], Tariff()), {unread: "it is not found"}
        return outlook(lines(*written), usd(10), burn, there, [], set(), Shedding(), (), why)

    amount = {"amount": 20, "actions": ["hibernate_all"]}
    for unread in ("list_volumes", "list_snapshots", "get_pricing"):
        found = seen(unread, amount, {"runway": "24h", "actions": ["hibernate"]})
        assert ([i.name for i in found.chosen], found.unjudged) == (["a"], ())
        assert f"{unread}: it is not found" in found.readings[0].text
        assert found.readings[-1].text == (
            "10.00 USD left, which lasts at most 10 h: below the line of 24 h"
        )
        unsure = seen(unread, {"runway": "1h"})
        assert unsure.unjudged == ("runway 1 h",), "it may last less than is known"
        assert not unsure.readings[-1].is_clear
    blind = seen("list_instances", amount, there=[])
    assert (blind.chosen, blind.unjudged) == ((), ("amount 20",))
    assert blind.readings[-1].is_over, "it is told all the same"
    assert seen("list_instances", {"amount": 20}, there=[]).unjudged == ()


def test_what_is_named_in_vain_is_said_in_the_message_and_the_report() -> None:
    fleet = [machine("a", "1")]
    burn = burn_of(fleet, [], [], Tariff())
    shed = lines({"runway": "24h", "actions": ["hibernate_all"]})
    unmet = ("select: no instance matches 'b'; there are a",)
    seen = outlook(shed, usd(2), burn, fleet, [], set(), Shedding(), unmet)
    assert [i.name for i in seen.chosen] == ["a"]
    assert "Note: select: no instance matches 'b'; there are a." in seen.details
    assert report_of(seen, ["later"]).notes == (*unmet, "later")


def test_a_line_that_asks_for_no_alert_is_told_to_nobody_and_reported() -> None:
    [line] = lines({"amount": 5, "actions": ["hibernate"]})
    alarms: dict[str, Alarm] = {}
    for balance, kind in ((1, "crossed"), (9, "recovered")):
        [message] = messages_of([read_line(line, usd(balance), None)], alarms, ["a"], NOW)
        assert (message.kind, message.to) == (kind, ())
        note(alarms, message, [], NOW)
    [loud] = lines({"amount": 5, "actions": ["alert", "hibernate"]})
    [message] = messages_of([read_line(loud, usd(1), None)], {}, ["a"], NOW)
    assert message.to == ("a",)


def test_what_was_told_to_nobody_was_not_told() -> None:
    quiet = Reading("line", True, False, "low", quiet=True)
    loud, clear = Reading("line", True, False, "low"), Reading("line", False, True, "fine")
    alarms: dict[str, Alarm] = {}

    def tick(reading: Reading, notifiers: list[str], hours: int = 0) -> list[tuple[str, ...]]:
        now = NOW + hours * HOUR
        messages = messages_of([reading], alarms, notifiers, now, remind=12 * HOUR)
        for message in messages:
            note(alarms, message, [], now)
        return [message.to for message in messages]

    assert tick(quiet, ["a"]) == [()]
    assert tick(loud, []) == [], "still nobody"
    assert tick(loud, ["a"], hours=5) == [("a",)]
    assert tick(loud, ["a"], hours=13) == [], "the reminder comes 12 hours after it was heard"
    assert tick(loud, ["a", "b"], hours=14) == [("b",)], "one who was added has not heard yet"
    assert tick(loud, ["a", "b"], hours=15) == []
    assert tick(clear, ["a", "b"], hours=16) == [("a", "b")]
    assert alarms == {}


def test_what_has_no_price_of_its_own_goes_by_the_tariff_and_what_has_none_goes_last() -> None:
    def listed(name: str, model: str) -> UserVM:
        return machine(name, model=model).model_copy(update={"hourly_price": None})

    fleet = [listed("a", "H100"), listed("b", "L40"), listed("c", "X1"), listed("d", "A40")]
    tariff = Tariff({("H100", 1, None): Decimal(9), ("L40", 1, None): Decimal(1)})
    shed = lines({"runway": "2h", "actions": ["hibernate"], "until": "2h"})

    def chosen(balance: int, **how: Any) -> list[str]:
        burn = burn_of(fleet, [], [], tariff)
        seen = outlook(shed, usd(balance), burn, fleet, [], set(), Shedding(**how))
        said = "these have no known price, so they are put to rest last: c, d"
        assert seen.notes == ((said,) if seen.chosen else ())
        return [i.name for i in seen.chosen]

    # 10 an hour, and what has no price counts as nothing.
    assert chosen(19) == ["b"]
    assert chosen(19, order="dearest") == ["a"]
    assert chosen(0) == ["b", "a", "c", "d"]
    assert chosen(20) == []


def test_a_message_names_the_five_dearest_and_how_many_more() -> None:
    fleet = [machine(f"m{n:03}", str(1 + n % 100)) for n in range(300)]
    burn = burn_of(fleet, [], [], Tariff())
    everything = lines({"amount": 20, "actions": ["hibernate_all"]})
    unable = {("L40", 1)}
    seen = outlook(everything, usd(1), burn, fleet, [], set(), Shedding())
    dearest = "m098, m198, m099, m199, m299 and 295 more"
    assert seen.details[1] == f"Going to hibernate {dearest}."
    stuck = outlook(everything, usd(1), burn, fleet, [], unable, Shedding())
    assert sum(map(len, stuck.details)) < 400
    said = unreadable(*(f"instance m{n}: it is not found" for n in range(300))).text
    assert said.endswith("instance m4: it is not found; and 295 more")


def test_a_figure_is_never_less_than_nothing() -> None:
    assert money(Decimal("-0.004"), "USD") == "0.00 USD"
    assert money(Decimal("-0.006"), None) == "-0.01"


def test_what_cannot_be_hibernated_is_named_when_a_line_acts() -> None:
    fleet = [machine("a"), machine("big", "30", model="H100"), machine("db", model="H100")]
    burn = burn_of(fleet, [], [], Tariff())

    def notes(*actions: str) -> tuple[str, ...]:
        drawn = lines({"runway": "24h", "actions": actions})
        seen = outlook(drawn, usd(2), burn, fleet, ["id-db"], {("H100", 1)}, Shedding())
        assert all(f"Note: {n}." in seen.details for n in seen.notes)
        return seen.notes

    said = "these cannot be hibernated, for their flavor cannot, and go on costing: big"
    assert notes("alert", "hibernate_all") == notes("hibernate") == (said,)
    assert notes("alert") == ()


def test_no_name_is_written_otherwise_because_a_sentence_begins_with_it() -> None:
    fleet = [machine("alpha"), machine("beta")]
    burn = burn_of(fleet, [], [], Tariff())
    notes = ("alpha has moved", "select: no instance matches 'gamma'", "it says 'no.'", "it ends.")
    line = {"runway": "99h", "actions": ["hibernate"]}
    seen = outlook(lines(line), usd(10), burn, fleet, [], set(), Shedding(), notes)
    assert seen.chosen == tuple(fleet)
    assert not any("Alpha" in text or "Select:" in text for text in seen.details)
    assert "Note: alpha has moved." in seen.details
    assert "Note: it ends." in seen.details
