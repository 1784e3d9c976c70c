"""Random weeks of two deployments, judged by a bookkeeper who uses none of the library's sums.

People start and stop machines, credits come, debits go, the balance wobbles, watches are missed,
notifiers fail. Each crossing is told once to each who is told, none is missed, and no machine is
put to rest that could have been left out.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from barrack_tasks.api.models import Balance, CurrencyEnum, UserVM, VolumeResponse
from barrack_tasks.plans.alerts import Alarm, Reading, forget_others, messages_of, note
from barrack_tasks.plans.money.balance import outlook
from barrack_tasks.plans.money.budgets import (
    read_budgets,
    readings_of,
    refused_of,
    standing,
    whom_budgets_rest,
    with_budgets,
)
from barrack_tasks.plans.money.burn import BalanceSample, Tariff, burn_of, other_hourly, with_sample
from barrack_tasks.plans.money.shedding import Shedding
from barrack_tasks.plans.money.thresholds import read_thresholds
from barrack_tasks.runtime.alerts import scope_of
from tests.plans.money.test_watch import machine

START = datetime(2026, 3, 1, tzinfo=UTC)
TICK = timedelta(minutes=10)
ASLEEP = Decimal("0.01")
STORAGE = Decimal("0.2")
VOLUMES = [VolumeResponse(id="v", name="v", size_gb=2000)]
TARIFF = Tariff(volume_gb=Decimal("0.0001"))
PRICES = ["0.5", "1", "1", "1.19", "2", "2", "4.5", "9"]


@dataclass
class World:
    """What there is, and what it costs by the second; nobody but `people` knows of `chat`."""

    dice: random.Random
    chat: Decimal
    balance: Decimal = Decimal(400)
    now: datetime = START
    disturbed: datetime = START
    zone: str = "UTC"
    spent: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What each machine, and storage, cost on each day of the zone."""
    ends: dict[str, datetime] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prices = {f"m{n}": Decimal(price) for n, price in enumerate(PRICES)}
        self.states = dict.fromkeys(self.prices, "ACTIVE")

    def hourly(
        self, resting: Collection[str] = (), among: Collection[str] | None = None
    ) -> Decimal:
        """What burns while some more rest: all of it, or that of some machines."""
        names = self.prices if among is None else among
        return sum(
            (
                ASLEEP if self.states[n] == "HIBERNATED" or n in resting else self.prices[n]
                for n in names
            ),
            STORAGE if among is None else Decimal(0),
        )

    def awake(self, *but: str) -> list[str]:
        return [n for n, state in self.states.items() if state != "HIBERNATED" and n not in but]

    def pass_time(self, span: timedelta) -> None:
        if span > TICK:  # no step lies over a midnight
            for _ in range(span // TICK):
                self.pass_time(TICK)
            return
        hours = Decimal(int(span.total_seconds())) / 3600
        today = self.called("%Y-%m-%d")
        self.now += span
        for name in self.prices:
            self.spent[name, today] += self.hourly(among=[name]) * hours
        self.spent["storage", today] += STORAGE * hours
        spent = (self.hourly() + self.chat) * int(span.total_seconds()) / 3600
        self.balance -= spent.quantize(Decimal("0.000001"))

    def called(self, form: str, moment: datetime | None = None) -> str:
        """How a moment is called in the zone: its day or its month."""
        return f"{(moment or self.now).astimezone(ZoneInfo(self.zone)):{form}}"

    def spent_in(self, period: str, among: Collection[str] | None = None) -> Decimal:
        """What was spent in a day or a month."""
        return sum(
            (
                cost
                for (name, day), cost in self.spent.items()
                if day.startswith(period) and (among is None or name in among)
            ),
            Decimal(0),
        )

    def end_of(self, form: str) -> datetime:
        """When the present day or month ends: moments are asked one by one how they are called."""
        period = self.called(form)
        if period not in self.ends:
            moment = self.now
            while self.called(form, moment) == period:
                moment += TICK
            self.ends[period] = moment
        return self.ends[period]

    def people(self) -> None:
        """What happens between two looks."""
        dice, chance = self.dice, self.dice.random()
        self.pass_time(TICK)
        if chance < 0.2:
            self.states[dice.choice(list(self.states))] = dice.choice(["ACTIVE", "SHUTOFF"])
        elif chance < 0.23:
            self.states[dice.choice(list(self.states))] = "HIBERNATED"
        elif chance < 0.37 and self.now - self.disturbed > timedelta(hours=3):
            self.disturbed = self.now
            if chance < 0.25:
                self.pass_time(dice.choice([3, 7]) * timedelta(hours=1))  # nobody looked
            # Somebody bought something, a machine came and went, or it is given back later.
            self.balance -= dice.choice([5, 40, 400, self.balance / 200])
        elif chance < 0.42:
            self.balance += self.balance / 200
        if self.balance < 20 or chance > 0.995:
            self.balance += dice.choice([200, 400, 900])

    def listed(self) -> list[UserVM]:
        return [machine(n, str(self.prices[n]), state) for n, state in self.states.items()]


@dataclass
class Bookkeeper:
    """Counts for one deployment what was to be told to whom, and what was.

    A crossing that was over before a notifier was back is not told to it any more: what it hears is
    one message that says both, see `Deployment.tell`.
    """

    notifiers: Sequence[str]
    crossed: dict[str, Counter[str]] = field(default_factory=dict)
    """Of each line that is crossed: how often each notifier has heard of it."""
    crossings: int = 0

    def check(
        self,
        truth: dict[str, tuple[bool, bool, bool]],
        heard: Iterable[tuple[str, str, str]],
        failing: Collection[str],
    ) -> None:
        """Judge one tick.

        Args:
            truth: of each line: whether it is crossed, clear, and told to nobody.
            heard: line, kind of message and notifier, of what was delivered.
            failing: notifiers that are down.
        """
        told, over = Counter(heard), Counter()
        for (line, kind, notifier), times in told.items():
            if kind in ("crossed", "owed"):
                over[line, notifier] += times
        for line, (is_over, is_clear, is_quiet) in truth.items():
            if is_over and line not in self.crossed:
                self.crossings += 1
                self.crossed[line] = Counter()
            ends = line in self.crossed and is_clear
            if ends:
                del self.crossed[line]
            for notifier in self.notifiers:
                times = over.pop((line, notifier), 0)
                if line not in self.crossed or is_quiet:
                    assert times == 0, f"{notifier} heard of {line} for nothing"
                    continue
                self.crossed[line][notifier] += times
                expected = int(self.crossed[line][notifier] > 0 or notifier not in failing)
                assert self.crossed[line][notifier] == expected, f"{line} to {notifier}"
        assert not over


class Deployment:
    """One deployment of a guardrail: it remembers under its scope, as a flow does."""

    def __init__(
        self, kept: dict[str, dict[str, Alarm]], notifiers: list[str], *lines: Any
    ) -> None:
        self.notifiers = notifiers
        scope = scope_of([line.model_dump_json() for line in lines], notifiers)
        self.alarms = kept.setdefault(scope, {})
        self.book = Bookkeeper(notifiers)

    def tell(
        self, readings: Sequence[Reading], now: datetime, failing: Collection[str]
    ) -> list[tuple[str, str, str]]:
        heard = []
        for message in messages_of(readings, self.alarms, self.notifiers, now):
            is_over = message.kind in ("recovered", "owed recovery")
            assert is_over == ("(the alarm was raised on " in message.text), "it may be news"
            heard += [(message.key, message.kind, n) for n in message.to if n not in failing]
            note(self.alarms, message, [n for n in message.to if n in failing], now)
        forget_others(self.alarms, [r.key for r in readings])
        return heard


def check_needed(
    chosen: Collection[str], able: Collection[str], unmet: Callable[[Collection[str]], set[str]]
) -> None:
    """Each that rests is needed, and what can be met is met."""
    assert set(chosen) <= set(able)
    left = unmet(chosen)
    assert left == unmet(able), "what can be met is met"
    for name in chosen:
        if not left:
            assert unmet(set(chosen) - {name}), f"{name} was put to rest for nothing"


LINES = (
    [
        {"runway": "72h"},
        {"runway": "24h", "actions": ["alert", "hibernate"], "until": "48h"},
        {"amount": 60, "actions": ["alert", "hibernate_all"]},
    ],
    [
        {"runway": "24h", "actions": ["hibernate"], "until": "30h"},
        {"amount": 200, "actions": ["alert"]},
    ],
)
BUDGETS = (
    [
        {"per": "hour", "soft": 9, "hard": 16},
        {"per": "hour", "hard": 6, "names": ["m[4-7]"]},
    ],
    [{"per": "hour", "soft": 11, "hard": 12}],
)
HOWS = (Shedding(priority=("m7", "m[0-2]")), Shedding(order="dearest"))
SCOPES = {"everything": None, "m[4-7]": ["m4", "m5", "m6", "m7"]}


def simulate(seed: int, ticks: int) -> Counter[str]:
    """Random ticks; what happened, counted."""
    dice = random.Random(seed)
    world = World(dice, Decimal(dice.choice([0, 0, 3])))
    kept: dict[str, dict[str, Alarm]] = {}
    happened: Counter[str] = Counter()
    samples: list[BalanceSample] = []
    known: dict[str, int] = {}
    watching = [
        (read_thresholds(lines), Deployment(kept, ["a", "b"], *read_thresholds(lines)))
        for lines in LINES
    ]
    capping = [
        (read_budgets(caps), Deployment(kept, ["a", "b"], *read_budgets(caps))) for caps in BUDGETS
    ]
    for budgets, _ in capping:
        known = with_budgets(known, budgets, START.toordinal())
    for _ in range(ticks):
        world.people()
        failing = {n for n in "ab" if dice.random() < 0.2}
        samples = with_sample(samples, BalanceSample(world.now, world.balance, world.hourly()))
        other = other_hourly(samples)
        assert 0 <= other <= world.chat, "no debit is a burn"
        happened["ticks with a rate"] += other > 0
        for (lines, deployment), how in zip(watching, HOWS, strict=True):
            watch(world, lines, deployment, how, other, failing, happened)
        for (budgets, deployment), how in zip(capping, HOWS, strict=True):
            known = cap(world, budgets, deployment, how, known, failing, happened)
    for _, deployment in [*watching, *capping]:
        happened["crossings"] += deployment.book.crossings
    return happened


def watch(
    world: World,
    lines: Sequence[Any],
    deployment: Deployment,
    how: Shedding,
    other: Decimal,
    failing: Collection[str],
    happened: Counter[str],
) -> None:
    """One tick of `watch_balance`; m3 is protected."""
    listed = world.listed()
    burn = burn_of(listed, VOLUMES, [], TARIFF, other)
    money = Balance(amount=world.balance, currency="USD")
    view = outlook(lines, money, burn, listed, {"id-m3"}, set(), how)
    heard = deployment.tell(view.readings, world.now, failing)

    def hours(resting: Collection[str] = ()) -> Decimal:
        return world.balance / (world.hourly(resting) + other)

    truth, goals, takes_all = {}, [], False
    for line in lines:
        value, mark = world.balance, line.amount
        if line.runway is not None:
            value, mark = hours() * 3600, Decimal(int(line.runway.total_seconds()))
        is_over, is_clear = value < mark, value >= mark * Decimal("1.05")
        truth[line.key] = (is_over, is_clear, "alert" not in line.actions)
        takes_all |= is_over and "hibernate_all" in line.actions
        if is_over and "hibernate" in line.actions:
            goals.append(line.until.total_seconds() / 3600)
    deployment.book.check(truth, heard, failing)
    chosen, able = [i.name for i in view.chosen], world.awake("m3")
    if takes_all:
        assert sorted(chosen) == able
    elif goals:
        goal = Decimal(max(goals)) - Decimal("0.001")  # time left is told in whole seconds
        check_needed(chosen, able, lambda resting: {"goal"} if hours(resting) < goal else set())
    else:
        assert chosen == []
    happened["rested by lines"] += len(chosen)
    world.states.update(dict.fromkeys(chosen, "HIBERNATED"))


def cap(
    world: World,
    budgets: Sequence[Any],
    deployment: Deployment,
    how: Shedding,
    known: dict[str, int],
    failing: Collection[str],
    happened: Counter[str],
) -> dict[str, int]:
    """One tick of `enforce_budget`; m3 is protected."""
    listed = world.listed()
    burn = burn_of(listed, VOLUMES, [], TARIFF)
    stands = [standing(b, listed, burn, burn.hourly, world.now, "UTC") for b in budgets]
    assert refused_of(stands, known) == [], "the other deployment's limits leave these alone"
    readings = [r for stand in stands for r in readings_of(stand, "USD")]
    heard = deployment.tell(readings, world.now, failing)
    truth, hard = {}, {}
    for budget in budgets:
        name = budget.names[0] if budget.names else "everything"
        burning = world.hourly(among=SCOPES[name])
        hard[name] = budget.hard
        for kind, limit in (("soft", budget.soft), ("hard", budget.hard)):
            if limit is not None:
                key = f"{name} per hour: {kind}"
                truth[key] = (burning > limit, burning <= limit * Decimal("0.95"), False)
    deployment.book.check(truth, heard, failing)

    def unmet(resting: Collection[str]) -> set[str]:
        return {n for n, most in hard.items() if world.hourly(resting, SCOPES[n]) > most}

    usd = CurrencyEnum.USD
    chosen = [i.name for i in whom_budgets_rest(stands, listed, {"id-m3"}, set(), how, usd)]
    check_needed(chosen, world.awake("m3"), unmet)
    assert bool(chosen) == bool(unmet(()))
    happened["rested by budgets"] += len(chosen)
    world.states.update(dict.fromkeys(chosen, "HIBERNATED"))
    return with_budgets(known, budgets, world.now.toordinal())


PERIODS = (
    [
        {"per": "day", "soft": 150, "hard": 260},
        {"per": "month", "hard": 1500},
        {"per": "day", "hard": 120, "names": ["m[4-7]"]},
    ],
    [{"per": "month", "soft": 900, "hard": 1400, "names": ["m[4-7]"]}, {"per": "hour", "hard": 14}],
)
CLOCKS = [
    ("Europe/Berlin", datetime(2026, 3, 27, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 2, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 10, 29, tzinfo=UTC)),
    ("Africa/Cairo", datetime(2026, 10, 27, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 1, tzinfo=UTC)),
]
"""Zones, and moments some days before their clocks change."""
FORMS = {"day": "%Y-%m-%d", "month": "%Y-%m"}


def simulate_periods(seed: int, ticks: int) -> Counter[str]:
    """Random ticks of budgets an hour, a day and a month, over a change of the clock."""
    dice = random.Random(seed)
    zone, start = CLOCKS[seed % len(CLOCKS)]
    world = World(dice, Decimal(0), Decimal(9000), start, start, zone)
    kept: dict[str, dict[str, Alarm]] = {}
    happened: Counter[str] = Counter()
    deployments = [
        (read_budgets(caps), Deployment(kept, ["a", "b"], *read_budgets(caps))) for caps in PERIODS
    ]
    for _ in range(ticks):
        world.people()
        failing = {n for n in "ab" if dice.random() < 0.2}
        for (budgets, deployment), how in zip(deployments, HOWS, strict=True):
            cap_periods(world, budgets, deployment, how, failing, happened)
    for _, deployment in deployments:
        happened["crossings"] += deployment.book.crossings
    return happened


def cap_periods(
    world: World,
    budgets: Sequence[Any],
    deployment: Deployment,
    how: Shedding,
    failing: Collection[str],
    happened: Counter[str],
) -> None:
    """One tick of `enforce_budget` with days and months; m3 is protected."""
    listed = world.listed()
    burn = burn_of(listed, VOLUMES, [], TARIFF)
    stands, truth, over_all, hourly = [], {}, set(), {}
    for budget in budgets:
        name = budget.names[0] if budget.names else "everything"
        scope, burning = SCOPES[name], world.hourly(among=SCOPES[name])
        form = FORMS.get(budget.per, "")
        period = world.called(form) if form else ""
        spent = world.spent_in(period, scope) if form else burning
        stands.append(standing(budget, listed, burn, spent, world.now, world.zone))
        label = f" {period}" if form else ""
        for kind, limit in (("soft", budget.soft), ("hard", budget.hard)):
            if limit is not None:
                key = f"{name} per {budget.per}: {kind}{label}"
                truth[key] = (spent > limit, spent <= limit * Decimal("0.95"), False)
        if form and budget.hard is not None:
            left = int((world.end_of(form) - world.now).total_seconds())
            will = spent + burning * left / 3600
            key = f"{name} per {budget.per}: forecast{label}"
            is_clear = will <= budget.hard * Decimal("0.95")
            truth[key] = (will > budget.hard >= spent, is_clear, False)
        if budget.hard is not None and spent > budget.hard:
            if form:
                over_all |= set(world.prices if scope is None else scope)
            else:
                hourly[name] = budget.hard
    heard = deployment.tell(
        [r for stand in stands for r in readings_of(stand, "USD")], world.now, failing
    )
    for line in deployment.book.crossed.keys() - truth.keys():
        del deployment.book.crossed[line]  # its period is over
    deployment.book.check(truth, heard, failing)
    usd = CurrencyEnum.USD
    chosen = [i.name for i in whom_budgets_rest(stands, listed, {"id-m3"}, set(), how, usd)]
    anyway = over_all & set(world.awake("m3"))
    assert anyway <= set(chosen)

    def unmet(resting: Collection[str]) -> set[str]:
        rest = anyway | set(resting)
        return {n for n, most in hourly.items() if world.hourly(rest, SCOPES[n]) > most}

    check_needed(set(chosen) - anyway, world.awake("m3", *anyway), unmet)
    happened["rested by periods"] += len(anyway)
    happened["rested by an hour"] += len(chosen) - len(anyway)
    world.states.update(dict.fromkeys(chosen, "HIBERNATED"))


def judge_periods(happened: Counter[str]) -> None:
    """The ticks were worth something."""
    assert happened["crossings"] > 6
    assert happened["rested by periods"] > 3
    assert happened["rested by an hour"] > 3


@pytest.mark.parametrize("seed", range(5))
def test_random_ticks_of_hours_days_and_months_over_a_change_of_the_clock(seed: int) -> None:
    judge_periods(simulate_periods(seed, 600))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
def test_a_thousand_random_ticks_of_periods(seed: int) -> None:
    judge_periods(simulate_periods(seed, 1500))


def judge(happened: Counter[str]) -> None:
    """The ticks were worth something: all that is checked did happen."""
    assert happened["crossings"] > 15
    assert happened["rested by lines"] > 3
    assert happened["rested by budgets"] > 10


def test_random_ticks() -> None:
    judge(simulate(seed=1, ticks=400))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
def test_a_thousand_random_ticks(seed: int) -> None:
    judge(simulate(seed, 1000))
