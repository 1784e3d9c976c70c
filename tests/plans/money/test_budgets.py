"""Budgets an hour, a day and a month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from barrack_tasks.api.models import CurrencyEnum, UserVM
from barrack_tasks.plans.money.balance import unpriced
from barrack_tasks.plans.money.bill import day_begins
from barrack_tasks.plans.money.budgets import (
    Budget,
    Standing,
    about_refused,
    burn_watched,
    cells_of,
    is_burn_read,
    kept_of,
    notes_on_budgets,
    period_of,
    read_budgets,
    readings_of,
    refused_of,
    standing,
    whom_budgets_rest,
    with_budgets,
)
from barrack_tasks.plans.money.burn import Burn, Tariff, burn_of
from barrack_tasks.plans.money.shedding import Shedding
from tests.plans.money.test_watch import machine

ZONES = [
    "UTC",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "America/Santiago",
    "America/St_Johns",
]
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
FLEET = [machine("team-a-1", "1"), machine("team-a-2", "2"), machine("team-b", "4")]
BURN = burn_of(FLEET, [], [], Tariff())
USD = CurrencyEnum.USD


def stand(spent: Any = 0, zone: str = "UTC", **budget: Any) -> Standing:
    return standing(Budget(**budget), FLEET, BURN, Decimal(spent), NOW, zone)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ([], "not empty"),
        ([{"per": "day"}], "give soft=, hard= or both"),
        ([{"per": "week", "hard": 1}], "hour"),
        ([{"per": "day", "soft": 5, "hard": 5}], "soft must be lower"),
        ([{"per": "day", "hard": -1}], "hard must be 0 or more, and is -1"),
        ([{"per": "day", "hard": 1, "names": [" "]}], "empty name"),
        ([{"per": "day", "hard": 1}, {"per": "day", "soft": 1}], "two budgets for everything"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(written: Any, said: str) -> None:
    with pytest.raises((ValidationError, ValueError), match=said):
        read_budgets(written)


@given(
    moment=st.integers(1_735_689_600, 1_830_297_600) | st.integers(1_289_090_000, 1_289_110_000),
    zone=st.sampled_from(ZONES),
    per=st.sampled_from(["day", "month"]),
)
def test_a_moment_lies_in_its_period_which_begins_at_the_first_moment_of_its_name(
    moment: int, zone: str, per: Any
) -> None:
    now = datetime.fromtimestamp(moment, UTC)
    period = period_of(per, now, zone)
    assert period.start <= now < period.end
    assert period_of(per, period.end, zone).start == period.end
    form = {"day": "%Y-%m-%d", "month": "%Y-%m"}[per]
    at = ZoneInfo(zone)
    first, last = period.start.astimezone(at), period.end - timedelta(seconds=1)
    assert f"{first:{form}}" == period.name, "also when it comes twice"
    assert f"{last.astimezone(at):{form}}" == period.name
    before = period.start - timedelta(seconds=1)
    assert f"{before.astimezone(at):{form}}" < period.name


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/St_Johns", "2010-11-06", 25),  # at 00:01 of the next the clock goes back
        ("America/St_Johns", "2010-11-07", 24),
        ("America/Havana", "2026-11-01", 25),  # the clock goes back to its midnight
        ("America/Havana", "2026-10-31", 24),
        ("Africa/Cairo", "2026-10-29", 25),
        ("Africa/Cairo", "2026-10-30", 24),
        ("America/Santiago", "2026-04-04", 25),
        ("America/Santiago", "2026-09-06", 23),  # the clock leaps over its midnight
        ("Europe/Berlin", "2026-10-25", 25),
    ],
)
def test_a_day_on_which_the_clock_changes_has_as_many_hours_as_it_has(
    zone: str, day: str, hours: int
) -> None:
    noon = datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=ZoneInfo(zone))
    found = period_of("day", noon, zone)
    assert found.end.astimezone(UTC) - found.start.astimezone(UTC) == timedelta(hours=hours)
    assert found.start == day_begins(noon.date(), ZoneInfo(zone)), "a bill's day is a budget's"


def test_the_forecast_is_what_was_spent_and_what_still_burns() -> None:
    # 12 hours are left of the day at 3 an hour for team a, at 7 for all.
    assert stand(10, per="day", hard=99, names=("team-a-*",)).forecast == 46
    assert stand(10, per="day", hard=99).forecast == 94
    assert stand(per="hour", hard=5, names=("team-a-*",)).spent == 3
    assert stand(per="hour", hard=5).spent == 7


def over(found: Standing) -> list[str]:
    return [r.key for r in readings_of(found, "USD") if r.is_over]


def test_no_alarm_is_over_while_something_that_is_spent_cannot_be_read() -> None:
    found = readings_of(stand(10, per="day", soft=20, hard=200), "USD", is_whole=False)
    assert [(r.is_over, r.is_clear) for r in found] == [(False, False)] * 3


def test_limits_are_read_with_the_period_they_belong_to() -> None:
    assert over(stand(10, per="day", soft=20, hard=200)) == []
    assert over(stand(30, per="day", soft=20, hard=200)) == ["everything per day: soft 2026-03-20"]
    assert over(stand(30, per="day", hard=100)) == ["everything per day: forecast 2026-03-20"]
    assert over(stand(201, per="day", soft=20, hard=200)) == [
        "everything per day: soft 2026-03-20",
        "everything per day: hard 2026-03-20",
    ]
    assert over(stand(per="hour", hard=5)) == ["everything per hour: hard"]
    [text] = [r.text for r in readings_of(stand(30, per="day", soft=20), "USD")]
    assert text == (
        "everything per day: spent 30.00 USD, the soft limit is 20.00 USD; "
        "114.00 USD at the end of the day if nothing changes"
    )


def rested(*found: Standing, fleet: list[UserVM] = FLEET, **how: Any) -> list[str]:
    chosen = whom_budgets_rest(found, fleet, set(), set(), Shedding(**how), USD)
    return [i.name for i in chosen]


def test_an_hourly_cap_rests_nothing_needless_and_a_daily_one_all_it_is_about() -> None:
    # 7 an hour; the cheapest alone leaves 6.01, and is not needed once the next is at rest.
    assert rested(stand(per="hour", hard=6)) == ["team-a-2"]
    assert rested(stand(per="hour", hard="3.5")) == ["team-b"]
    assert rested(stand(per="hour", hard="2.5")) == ["team-a-1", "team-b"]
    assert rested(stand(per="hour", hard=2, names=("team-a-*",))) == ["team-a-2"]
    assert rested(stand(per="hour", hard=7)) == []
    assert rested(stand(9, per="day", hard=5, names=("team-a-*",))) == ["team-a-1", "team-a-2"]


def test_one_large_instance_suffices_where_ten_small_ones_do_not() -> None:
    fleet = [*(machine(f"small-{n}", "1") for n in range(10)), machine("big", "30")]
    burn = burn_of(fleet, [], [], Tariff())
    cap = standing(Budget(per="hour", hard=20), fleet, burn, Decimal(0), NOW, "UTC")
    assert rested(cap, fleet=fleet) == ["big"]
    assert rested(cap, fleet=fleet, priority=("small-*",)) == ["big"]
    roomy = standing(Budget(per="hour", hard=38), fleet, burn, Decimal(0), NOW, "UTC")
    assert rested(roomy, fleet=fleet, priority=("small-7",)) == ["small-7", "small-0", "small-1"]


def test_all_budgets_of_a_tick_are_met_together() -> None:
    both = stand(per="hour", hard=4), stand(per="hour", hard=1, names=("team-b",))
    assert rested(*both) == ["team-b"], "it was both budgets' own"
    day = stand(9, per="day", hard=5, names=("team-b",))
    assert rested(day, stand(per="hour", hard=4)) == ["team-b"], "what it saves counts"
    fleet = [machine(name) for name in ("a-1", "b-1", "x-ab")]
    burn = burn_of(fleet, [], [], Tariff())
    budgets = [Budget(per="hour", hard=1.5, names=names) for names in (("a*", "x*"), ("b*", "x*"))]
    overlapping = [standing(b, fleet, burn, Decimal(0), NOW, "UTC") for b in budgets]
    assert rested(*overlapping, fleet=fleet) == ["x-ab"], "of equals the one that serves both"
    assert rested(*overlapping, fleet=fleet, priority=("a-1", "b-1")) == ["a-1", "b-1"]


def test_a_new_cap_below_what_runs_is_refused_with_the_figures() -> None:
    found = stand(per="hour", hard=5)
    assert refused_of([found], []) == [found]
    assert "is 5.00 USD, and it burns 7.00 USD: raise it" in about_refused(found, "USD")
    assert "enforce_at_once=True" in about_refused(found, "USD")
    assert refused_of([found], [found.budget.identity]) == []
    assert refused_of([stand(per="hour", hard=8)], []) == []
    lower = stand(per="hour", hard=4)
    assert refused_of([found, lower], [found.budget.identity]) == [lower]


def test_a_refused_limit_is_told_in_place_of_the_limit() -> None:
    found = readings_of(stand(9, per="day", soft=2, hard=5), "USD", is_refused=True)
    assert [(r.key, r.is_over) for r in found] == [
        ("everything per day: soft 2026-03-20", True),
        ("everything per day: refused", True),
    ]
    assert found[1].text.startswith("the hard limit of everything per day is 5.00 USD, and it has")


def test_a_period_that_ends_ends_its_alarm() -> None:
    today = readings_of(stand(30, per="day", soft=20), "USD")[0].key
    later = standing(
        Budget(per="day", soft=20), FLEET, BURN, Decimal(0), NOW + timedelta(days=1), "UTC"
    )
    assert today != readings_of(later, "USD")[0].key


def test_limits_of_two_deployments_do_not_touch_each_other() -> None:
    tight, wide = Budget(per="hour", hard=4), Budget(per="hour", hard=6)
    known: dict[str, int] = {}
    for day in (700, 700, 730, 765):
        known = with_budgets(known, [tight, Budget(per="day", soft=1)], day)
        known = with_budgets(known, [wide], day) if day < 765 else known
        assert known.keys() >= {tight.identity, wide.identity}
    later = with_budgets(known, [tight], 771)
    assert later == {tight.identity: 771}, "what nobody keeps is forgotten, and new again"
    assert with_budgets({"b: 9": 1}, [], 800) == {"b: 9": 800}, "as an earlier release wrote it"


def test_prices_that_cannot_be_read_are_those_of_what_the_budgets_are_about() -> None:
    fleet = [machine("team-a", "1"), *(UserVM(id=n, name=n, status="ACTIVE") for n in "bc")]
    burn = burn_of(fleet, [], [], Tariff())

    def stands(*names: str) -> list[Standing]:
        budgets = [Budget(per="hour", hard=9, names=(name,)) for name in names]
        return [standing(b, fleet, burn, Decimal(0), NOW, "UTC") for b in budgets]

    assert burn_watched(stands("team-*")).unknown == ()
    assert burn_watched(stands("b", "[bt]*")).unknown == ("instance b",)
    reading = unpriced(burn_watched(stands("*")), "USD")
    assert reading.is_over
    assert "the price of instance b, instance c cannot be read" in reading.text


def test_what_a_budget_cannot_put_to_rest_is_named() -> None:
    over, within = stand(9, per="day", hard=5, names=("team-a-*",)), stand(per="hour", hard=99)
    unable = {("L40", 1)}
    assert notes_on_budgets([over, within], FLEET[1:], set(), unable) == (
        "these cannot be hibernated, for their flavor cannot, and go on costing: team-a-2",
    )
    assert notes_on_budgets([within], FLEET, set(), unable) == ()
    unpriced = [FLEET[0], *(UserVM(id=n, name=f"team-a-{n}", status="ACTIVE") for n in "xy")]
    burn = burn_of(unpriced, [], [], Tariff())
    about = Budget(per="day", hard=5, names=("team-a-*",))
    found = standing(about, unpriced, burn, Decimal(9), NOW, "UTC")
    assert notes_on_budgets([found], unpriced, {"y"}, set()) == (
        "these have no known price, so they are put to rest last: team-a-x",
    )


def test_a_limit_is_known_once_all_that_it_needs_was_read() -> None:
    """A bill or a list that could not be read once makes no new limit act unasked."""
    day, hour = Budget(per="day", hard=5), Budget(per="hour", hard=5)
    for budget in (day, hour):
        blind = standing(budget, [], Burn(()), Decimal(0), NOW, "UTC", is_read=False)
        seen = standing(budget, FLEET, BURN, Decimal(9), NOW, "UTC")
        assert refused_of([blind], []) == []
        assert kept_of([blind], []) == [], "nobody knows what runs"
        assert kept_of([blind], [budget.identity]) == [blind], "it was known before"
        assert kept_of([blind], [], at_once=True) == [blind], "a person asked for it"
        known = with_budgets({}, [s.budget for s in kept_of([blind], [])], 700)
        assert refused_of([seen], known) == [seen]
        assert kept_of([seen], known) == []
        within = standing(budget, [], Burn(()), Decimal(4), NOW, "UTC")
        assert kept_of([within], []) == [within]


@pytest.mark.parametrize(
    ("unread", "names", "is_read"),
    [
        ((), (), True),
        (("list_volumes",), (), False),
        (("list_volumes",), ("team-*",), True),
        (("list_instances",), ("team-*",), False),
        (("get_pricing",), (), True),
    ],
)
def test_what_an_hour_needs_are_the_lists_and_the_prices_of_what_it_is_about(
    unread: tuple[str, ...], names: tuple[str, ...], is_read: bool
) -> None:
    assert is_burn_read(Budget(per="hour", hard=5, names=names), BURN, unread) == is_read
    odd = burn_of([*FLEET, UserVM(id="x", name="x", status="ACTIVE")], [], [], Tariff())
    assert not is_burn_read(Budget(per="hour", hard=5), odd, ())


def test_limits_that_differ_are_told_apart_and_those_that_do_not_are_one() -> None:
    def identity(hard: Any, *names: str) -> str:
        [budget] = read_budgets([{"per": "hour", "hard": hard, "names": names}])
        return budget.identity

    assert identity(40) == "everything per hour: 40"
    assert identity(40, "everything") != identity(40)
    assert identity(40, "a, b") != identity(40, "a", "b")
    assert identity(40, '"a"') != identity(40, "a")
    assert identity(40, "a", "b") == identity(40, "b", "a", "a")
    assert {identity(h) for h in (40, 40.0, "40.0", "4e1")} == {identity(40)}
    read_budgets([{"per": "hour", "hard": 40}, {"per": "hour", "hard": 4, "names": ["everything"]}])
    many = [f"machine-{n:03}" for n in range(300)]
    assert identity(40, *many) != identity(40, *many[:-1], "another")
    found = stand(per="hour", hard=5, names=("team-b", "team-a-1", "team-a-2"))
    for old in (
        "team-b, team-a-1, team-a-2 per hour: 5",
        "team-b, team-a-1, team-a-2 per hour: 5.0",
    ):
        assert refused_of([found], [old]) == [], "as an earlier release wrote it"
    assert refused_of([stand(per="hour", hard=5)], ["everything per hour: 5.00"]) == []
    vague = stand(per="hour", hard=1, names=("everything", "team-*"))
    assert refused_of([vague], ["everything per hour: 1"]) == [vague]


@given(
    names=st.lists(
        st.lists(
            st.text(st.sampled_from('a,*" '), min_size=1, max_size=5).filter(str.strip), max_size=7
        ),
        min_size=2,
        max_size=2,
    )
)
def test_no_two_budgets_have_one_key(names: list[list[str]]) -> None:
    one, other = (Budget(per="hour", hard=4, names=n) for n in names)
    assert (one.key == other.key) == (set(names[0]) == set(names[1]))


def test_a_budget_of_many_names_is_told_with_five_of_them() -> None:
    names = [f"training-machine-{n:03}" for n in range(300)]
    fleet = [machine(name, "1") for name in names]
    found = standing(
        Budget(per="day", soft=1, hard=5, names=names),
        fleet,
        burn_of(fleet, [], [], Tariff()),
        Decimal(9),
        NOW,
        "UTC",
    )
    told = [r for refused in (True, False) for r in readings_of(found, "USD", True, refused)]
    for reading in told:
        assert f"{', '.join(names[:5])} and 295 more per day" in reading.text
        assert len(reading.text) < 400
        assert len(reading.key) < 200
    assert "295 more" in cells_of(found, "USD")["budget"]


def test_what_is_spent_at_the_least_is_told_so() -> None:
    found = readings_of(stand(9, per="day", soft=2, hard=200), "USD", is_whole=False)
    assert (
        "spent at least 9.00 USD, the soft limit is 2.00 USD; at least 93.00 USD" in found[0].text
    )
    assert "at least 9.00 USD spent, and at least 93.00 USD at the end" in found[2].text
    blind = standing(Budget(per="hour", hard=5), FLEET, BURN, Decimal(0), NOW, "UTC", is_read=False)
    assert "burns at least 7.00 USD" in about_refused(blind, "USD")
    assert cells_of(blind, "USD")["spent"] == "at least 7.00 USD"


def test_a_budget_of_a_team_is_about_its_instances_and_never_about_everything() -> None:
    budget = Budget(per="day", hard=20, team=" vision ")  # type: ignore[arg-type]
    assert (budget.title, budget.key) == ("team vision per day", 'team ("vision") per day')
    for ids, meant in (([FLEET[0].id], ["team-a-1"]), ([], [])):
        mine = budget.of_team(ids)
        assert mine.identity == budget.identity, "whoever joins the team changes no limit"
        found = standing(mine, FLEET, BURN, Decimal(0), NOW, "UTC")
        assert [one.name for one in found.scope] == meant
        assert found.burn.hourly == len(meant)
    with pytest.raises(ValueError, match="either names or a team"):
        Budget(per="day", hard=20, team="vision", names=["a"])  # type: ignore[arg-type]
    named = Budget(per="day", hard=20, names=["team vision"])  # type: ignore[arg-type]
    assert named.key != budget.key
