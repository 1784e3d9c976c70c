"""What burns, checked against what a cloud then bills."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.api import Barrack
from barrack_tasks.api.models import CurrencyEnum, Price, Snapshot, TierEnum, UserVM, VMStatus
from barrack_tasks.controllers.money import funds
from barrack_tasks.plans.durations import read_span, said
from barrack_tasks.plans.money.burn import (
    BalanceSample,
    Burn,
    Cost,
    Tariff,
    about_debits,
    burn_of,
    other_hourly,
    priced,
    runway,
    seen_until,
    tariff_of,
    with_sample,
)
from barrack_tasks.sandbox import Sandbox

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODELS = ["L40", "A40", "H100-PCIe-80GB", "A100-SXM4-80GB-NVLink"]
MACHINES = st.lists(
    st.tuples(
        st.sampled_from(MODELS),
        st.sampled_from([1, 2, 4, 8]),
        st.sampled_from(["ACTIVE", "SHUTOFF", "HIBERNATED", "ERROR"]),
    ),
    max_size=6,
)


def burn_now(client: Barrack) -> Burn:
    return burn_of(
        client.instances.list(),
        client.volumes.list(),
        client.snapshots.list(),
        tariff_of(client.pricing.list()),
    )


@settings(max_examples=15)
@given(
    currency=st.sampled_from(["USD", "EUR", "INR"]),
    machines=MACHINES,
    sizes=st.lists(st.integers(1, 5000), max_size=3),
    offset=st.integers(0, 100),
)
def test_the_burn_predicted_for_an_hour_is_what_the_cloud_then_bills(
    currency: str, machines: list[tuple[str, int, str]], sizes: list[int], offset: int
) -> None:
    fleet = [
        {"name": f"m-{n}", "gpu_model": model, "gpu_count": count, "region": "CANADA-1"}
        for n, (model, count, _) in enumerate(machines)
    ]
    sandbox = Sandbox(fleet=fleet, balance="90000000", speed=0, start=START, currency=currency)
    with sandbox, Barrack(sandbox.api_key, sandbox.url) as client:
        for number, size in enumerate(sizes):
            client.volumes.create(f"v-{number}", size, "CANADA-1", "Cloud-SSD")
        made = list(client.instances.list())
        for machine in made[:2]:
            client.snapshots.create(machine.id, f"s-{machine.id}")
        sandbox.advance(600)
        for machine, (_, _, state) in zip(made, machines, strict=True):
            sandbox.set_instance_status(machine.id, state)
        sandbox.advance(offset)
        predicted = burn_now(client).hourly
        before = Decimal(sandbox.state()["balance"])
        sandbox.advance(3600)
        assert before - Decimal(sandbox.state()["balance"]) == predicted


def test_a_state_that_passes_counts_as_the_one_it_leads_to() -> None:
    def one(status: str) -> Decimal:
        machine = UserVM(id="1", name="m", status=status, hourly_price="2.5", currency="USD")
        return burn_of([machine], [], [], Tariff()).hourly

    assert one("RESTORING") == one("BUILD") == one("ACTIVE") == one("STOPPING") == Decimal("2.5")
    assert one("HIBERNATING") == one("HIBERNATED") == Decimal("0.01")
    assert one("DELETING") == one("ERROR") == 0
    assert one("SOMETHING_NEW") == Decimal("2.5"), "what nobody knows is taken at its dearest"


def test_a_price_that_is_missing_comes_from_the_tariff_or_is_named() -> None:
    machine = UserVM(
        id="1", name="m", status="ACTIVE", gpu_model="L40", gpu_count=2, currency="USD"
    )
    known = Tariff({("L40", 2, None): Decimal("2.38")})
    assert burn_of([machine], [], [], known).hourly == Decimal("2.38")
    assert burn_of([machine], [], [], Tariff()).unknown == ("instance m",)
    asleep = UserVM(id="2", name="n", status="HIBERNATED")
    assert burn_of([asleep], [], [], Tariff()).unknown == ("instance n",)
    cheap = (("on-demand", "1.19"), ("spot", "0.50"))
    tiers = tariff_of(
        Price(
            resource_type="instance",
            gpu_model="L40",
            gpu_count=2,
            hourly=hourly,
            tier=tier,
            currency="USD",
        )
        for tier, hourly in cheap
    )
    spot = machine.model_copy(update={"tier": TierEnum.SPOT})
    assert burn_of([spot], [], [], tiers).hourly == Decimal("0.50")
    assert burn_of([machine], [], [], tiers).hourly == Decimal("1.19"), "of no tier: the dearest"
    split = tariff_of(
        Price(
            resource_type="instance",
            gpu_model="L40",
            gpu_count=2,
            hourly=hourly,
            tier=tier,
            region=region,
            currency="USD",
        )
        for tier, hourly, region in (("on-demand", "2.00", None), ("spot", "0.50", "CANADA-1"))
    )
    assert split.of("L40", 2, "CANADA-1") == 2, "of no tier: the dearest that may be charged"
    assert split.of("L40", 2, "CANADA-1", "spot") == Decimal("0.50")
    other = machine.model_copy(update={"tier": TierEnum("reserved")})
    assert burn_of([other], [], [], tiers).unknown == ("instance m",)
    listed = UserVM.model_validate({"id": "3", "name": "s", "status": "ACTIVE", "tier": "spot"})
    assert listed.tier is TierEnum.SPOT
    known_account = priced(asleep, Tariff(), CurrencyEnum.INR)
    assert burn_of([known_account], [], [], Tariff()).hourly == 1


@given(
    costs=st.lists(st.decimals(0, 1000, places=6), max_size=8),
    other=st.decimals(0, 10, places=6),
)
def test_the_parts_of_the_burn_add_up_to_the_whole(costs: list[Decimal], other: Decimal) -> None:
    states = [str(s) for s in (VMStatus.ACTIVE, VMStatus.SHUTOFF)]
    burn = Burn(
        tuple(
            Cost("instance" if n % 3 else "volume", str(n), f"n{n}", states[n % 2], cost)
            for n, cost in enumerate(costs)
        ),
        other,
    )
    assert sum(burn.by_state().values()) == burn.hourly
    asleep = burn.resting({str(n) for n in range(len(costs))}, CurrencyEnum.USD)
    instances = sum(1 for n in range(len(costs)) if n % 3)
    volumes = sum(cost for n, cost in enumerate(costs) if not n % 3)
    assert asleep.hourly == instances * Decimal("0.01") + volumes + other


@given(balance=st.decimals(0, 10**6, places=2), hourly=st.decimals(0, 10**4, places=6))
def test_a_balance_lasts_as_long_as_it_pays(balance: Decimal, hourly: Decimal) -> None:
    lasts = runway(balance, hourly)
    if lasts is None:
        assert hourly == 0 or balance / hourly > 24 * 36_000
        return
    seconds = int(lasts.total_seconds())
    assert hourly * seconds / 3600 <= balance or balance == 0
    assert balance == 0 or hourly * (seconds + 1) / 3600 > balance * Decimal("0.9999999999")


def seen(*amounts: str, every: timedelta = HOUR, hourly: str = "2") -> list[BalanceSample]:
    return [
        BalanceSample(START + n * every, Decimal(amount), Decimal(hourly))
        for n, amount in enumerate(amounts)
    ]


def test_what_the_balance_loses_beyond_its_things_is_seen() -> None:
    assert other_hourly(seen("100", "98", "96", "94")) == 0
    assert Decimal("0.9") < other_hourly(seen("100", "97", "94", "91")) <= 1
    # A top-up says nothing about what was spent meanwhile.
    assert Decimal("0.9") < other_hourly(seen("100", "97", "147", "144", "141")) <= 1
    # A few minutes say nothing either, for billing is by the minute.
    assert other_hourly(seen("100", "99", every=timedelta(minutes=5))) == 0


def test_a_debit_is_no_burn() -> None:
    """2,000 USD, of which 400 go at once; and a machine that comes and goes between two looks."""
    burning = seen("2000", "1998", "1596", "1594", "1592")
    for count in range(1, 6):
        assert other_hourly(burning[:count]) == 0
    assert about_debits(burning, "USD") == (
        "a debit of 399.97 USD was seen in the balance between 2026-03-01 01:00 and 02:00 UTC: "
        "a single debit is not counted as burn",
    )
    assert about_debits(burning[:2], "USD") == ()
    long = [
        BalanceSample(START + hours * HOUR, Decimal(balance), Decimal(1))
        for hours, balance in ((16, 900), (17, 899), (31, 480), (32, 479))
    ]
    assert "between 2026-03-01 17:00 and 2026-03-02 07:00 UTC" in about_debits(long, "USD")[0]
    blind = [
        BalanceSample(START + hours * HOUR, Decimal(balance), Decimal("1.19"))
        for hours, balance in ((0, "2000"), (7, "1842.15"), (8, "1840.96"), (9, "1839.77"))
    ]
    assert [other_hourly(blind[:count]) for count in (1, 2, 3, 4)] == [0] * 4


@pytest.mark.parametrize("unknown_until", [1, 6, 30])
def test_what_a_price_that_is_not_known_costs_is_no_loss_once_it_is_known(
    unknown_until: int,
) -> None:
    cheap, dear = Cost("instance", "z", "z", "ACTIVE", Decimal(1)), Decimal(10)
    samples: list[BalanceSample] = []
    for hour in range(unknown_until + 14):
        price = dear if hour >= unknown_until else None
        burn = Burn((cheap, Cost("instance", "m", "m", "ACTIVE", price)))
        now = START + hour * HOUR
        samples = seen_until(samples, now, Decimal(4000) - 11 * hour, burn)
        if hour >= unknown_until:
            assert other_hourly(samples) == 0
        elif hour >= 2:
            assert Decimal("9.9") < other_hourly(samples) <= 10, "it stands in for the price"
        assert all(now - s.at <= timedelta(hours=24) for s in samples)


def test_what_cannot_be_read_explains_nothing_and_old_samples_go_all_the_same() -> None:
    known = seen("100", "97", "94", "91")
    later = START + 4 * HOUR
    assert seen_until(known, later, Decimal(88), Burn(()), is_read=False) == known
    assert len(seen_until(known, later, Decimal(88), Burn(()))) == 5
    assert seen_until(known, START + 30 * HOUR, Decimal(9), Burn(()), is_read=False) == []


def test_what_moved_between_two_looks_explains_what_it_cost() -> None:
    """The dearer of both burns counts, whichever of the two it is."""
    for hourly in ("2", "8"), ("8", "2"):
        samples = [
            BalanceSample(START + n * HOUR, Decimal(balance), Decimal(hourly[n % 2]))
            for n, balance in enumerate((100, 92, 84, 76))
        ]
        assert other_hourly(samples) == 0
        assert about_debits(samples, "USD") == ()


def test_a_snapshot_that_failed_costs_nothing() -> None:
    tariff = Tariff(snapshot_gb=Decimal("0.01"))

    def burn(status: str) -> Burn:
        made = Snapshot.model_validate({"id": "1", "name": "s", "status": status, "size_gb": 100})
        return burn_of([], [], [made], tariff)

    assert burn("ACTIVE").hourly == 1
    assert burn("ERROR") == Burn(())


@pytest.mark.parametrize("every", [timedelta(minutes=5), timedelta(minutes=10), HOUR])
def test_what_is_lost_steadily_is_a_rate_and_a_debit_among_it_is_none(every: timedelta) -> None:
    samples: list[BalanceSample] = []
    for tick in range(40):
        hours = Decimal(tick * every.total_seconds()) / 3600
        balance = 5000 - 6 * hours - (400 if tick > 20 else 0)
        samples = with_sample(samples, BalanceSample(START + tick * every, balance, Decimal(2)))
        if hours <= Decimal("0.5"):
            assert other_hourly(samples) == 0, "seen in one stretch only"
        elif hours >= 2:
            assert Decimal("3.9") < other_hourly(samples) <= 4
        told = about_debits(samples, "USD")
        assert any("a debit of 399.9" in text or "400" in text for text in told) == (tick > 20)


@given(
    rates=st.lists(st.integers(0, 50), min_size=1, max_size=30),
    debit=st.integers(1, 5000),
    at=st.integers(0, 29),
)
def test_no_single_stretch_makes_a_rate(rates: list[int], debit: int, at: int) -> None:
    """However much is lost in one stretch: the rate is one that the others have as well."""
    balance, samples = Decimal(100_000), [BalanceSample(START, Decimal(100_000), Decimal(0))]
    for number, rate in enumerate(rates):
        balance -= rate + (debit if number == at % len(rates) else 0)
        samples.append(BalanceSample(START + (number + 1) * HOUR, balance, Decimal(0)))
    others = [r for n, r in enumerate(rates) if n != at % len(rates)]
    assert other_hourly(samples) <= max(others, default=0)


@given(st.lists(st.integers(1, 7200), min_size=1, max_size=300))
def test_samples_stay_few_and_of_the_last_day(gaps: list[int]) -> None:
    samples: list[BalanceSample] = []
    moment = START
    for gap in gaps:
        moment += timedelta(seconds=gap)
        samples = with_sample(samples, BalanceSample(moment, Decimal(5), Decimal(1)))
        assert samples[-1].at == moment
        assert len(samples) <= 49
        assert samples[0].at >= moment - timedelta(days=1)
        assert [s.at for s in samples] == sorted({s.at for s in samples})


def test_spans_are_read_and_said() -> None:
    assert read_span("72h") == timedelta(hours=72)
    assert read_span(" 3 days ") == timedelta(days=3)
    assert read_span("1.5 hours") == timedelta(minutes=90)
    assert read_span("30s") == read_span("30 seconds") == read_span(30) == timedelta(seconds=30)
    assert read_span("90 minutes") == read_span("PT90M") == timedelta(minutes=90)
    assert [said(timedelta(hours=h)) for h in (1, 25, 200)] == ["60 min", "25 h", "8 days"]
    assert said(timedelta(seconds=95)) == "95 s"
    assert said(None) == "without end"


def test_what_no_duration_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="is longer than any duration can be"):
        read_span(f"{9**99}d")


@pytest.mark.parametrize(
    "span", ["soon", "8", "8 hourz", "", True, None, [8], float("nan"), float("inf")]
)
def test_what_is_no_duration_is_refused_with_the_forms_that_are(span: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration; write '8h', '30m', '2d' or '90s'"):
        read_span(span)


@pytest.mark.parametrize("span", ["-8h", -5, "-PT8H", timedelta(seconds=-1)])
def test_no_duration_is_less_than_nothing(span: Any) -> None:
    with pytest.raises(ValueError, match="cannot be negative, and this is -"):
        read_span(span)


def test_a_tariff_has_the_prices_of_one_currency() -> None:
    prices = [
        Price(resource_type="instance", gpu_model="L40", gpu_count=1, hourly=h, currency=c)
        for h, c in (("1.19", "USD"), ("101.15", "INR"))
    ] + [
        Price(resource_type="volume", hourly=h, currency=c)
        for h, c in (("0.0001", "USD"), ("0.0085", "INR"))
    ]
    dollars, rupees = tariff_of(prices, "USD"), tariff_of(prices, "INR")
    assert dollars.of("L40", 1, "CANADA-1") == Decimal("1.19")
    assert rupees.of("L40", 1, "CANADA-1") == Decimal("101.15")
    assert (dollars.volume_gb, rupees.volume_gb) == (Decimal("0.0001"), Decimal("0.0085"))
    assert tariff_of(prices, "EUR") == Tariff()


def test_samples_are_read_as_they_were_written(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [
        BalanceSample(START, Decimal("5.5"), Decimal(1)),
        BalanceSample(START + HOUR, Decimal(4), Decimal(0), is_priced=False),
    ]
    written = {"junk": ["x"], **funds._written(samples)}
    monkeypatch.setattr(funds, "read_all", lambda _prefix: written)
    assert funds.read_samples("account") == samples
    assert funds._written(samples[:1]) == {"1772323200": ["5.5", "1"]}, "as it was ever written"
