"""Wants: what can be asked for, what can never be met, and what is claimed of a stock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from barrack_tasks.api.models import Balance, GPUStockItem, Price, UserVM
from barrack_tasks.plans.money.burn import Tariff, tariff_of
from barrack_tasks.plans.money.caps import Caps, Means, Proposed, objections
from barrack_tasks.plans.steps import Reason
from barrack_tasks.plans.stock.claims import (
    Attempt,
    Claims,
    Refusal,
    choose,
    is_met,
    taken_by,
)
from barrack_tasks.plans.stock.report import rows_of_claims
from barrack_tasks.plans.stock.wants import (
    Place,
    Want,
    check_wants,
    family_of,
    only_in,
    places_of,
    read_wants,
    wanted_names,
)
from barrack_tasks.plans.world import stock_of

H100, A100 = "H100-SXM5-80GB", "A100-PCIe-80GB"
OFFERED = {H100: [1, 2, 4, 8], A100: [1, 2, 4, 8], "L40": [1, 2]}
REGIONS = ["CANADA-1", "NORWAY-1"]
RATES = {H100: Decimal("2.69"), A100: Decimal("1.55"), "L40": Decimal("1.19")}
TARIFF = Tariff({(m, c, None): RATES[m] * c for m, counts in OFFERED.items() for c in counts})
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CLAIM = {"name": "train", "image_id": "1"}


def price_of(place: Place, tier: str | None = None) -> Decimal | None:
    return TARIFF.of(place.gpu_model, place.gpu_count, place.region, tier)


def vm(name: str, status: str = "ACTIVE", **more: Any) -> UserVM:
    fields = {"gpu_model": H100, "gpu_count": 8, "region": "CANADA-1", **more}
    return UserVM(id=f"id-{name}", name=name, status=status, **fields)


@pytest.mark.parametrize(
    ("wants", "said"),
    [
        ([], "not empty"),
        ([{"gpu_model": "L40", "gpu_count": "many"}], "gpu_count"),
        ([{"gpu_model": "L40", "gpu_count": 0}], "gpu_count must be 1 or more, and is 0"),
        ([{"gpu_model": "L40", "claim": {"name": "a"}}], "needs `image_id`; add it"),
        ([{"gpu_model": "L40", "claim": {"how": "restore"}}], "needs `instance`; add it"),
        ([{"gpu_model": "L40", "claim": {"name": "x", "image_id": "1"}}], "called 'x'"),
        ([{"gpu_model": "L40", "claim": {"name": "a/b", "image_id": "1"}}], "position 2"),
        (
            [{"gpu_model": "L40", "quantity": 2, "claim": {"name": "n" * 29, "image_id": "1"}}],
            "2 to 30 characters",
        ),
        ([{"gpu_model": "L40", "claim": CLAIM}, {"gpu_model": "A40", "claim": CLAIM}], "'train'"),
        ([{"gpu_model": "L40", "max_price": 0}], "max_price must be more than 0"),
        ([{"gpu_model": "L40", "where": "x"}], "where"),
    ],
)
def test_a_want_that_cannot_be_meant_is_refused(wants: Any, said: str) -> None:
    with pytest.raises((ValidationError, ValueError), match=said):
        read_wants(wants)


@pytest.mark.parametrize(
    ("want", "said"),
    [
        ({"gpu_model": "H200*"}, f"no GPU model matches 'H200\\*'; the nearest is {H100}"),
        ({"gpu_model": "h100-sxm"}, f"nearest is {H100}"),
        ({"gpu_model": "L40", "gpu_count": "8x"}, "does not come as 8x; the nearest are 1x, 2x"),
        ({"gpu_model": "L40", "regions": ["CANADA-2"]}, "nearest are CANADA-1"),
        (
            {"gpu_model": "H100*", "gpu_count": 8, "max_price": 20},
            r"never be met: the cheapest is 8x .* for 21.52 USD an hour, and the limit is 20.00",
        ),
        ({"gpu_model": "L40", "otherwise": [{"gpu_model": "B200"}]}, "matches 'B200'"),
    ],
)
def test_what_does_not_exist_or_can_never_be_paid_names_what_does(want: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_wants(read_wants([want]), OFFERED, REGIONS, TARIFF, "USD")


def test_what_the_caps_never_allow_is_said_at_the_start() -> None:
    wants = read_wants([{"gpu_model": "H100*", "gpu_count": 8}])
    check_wants(wants, OFFERED, REGIONS, TARIFF, "USD", Decimal(22))
    with pytest.raises(ValueError, match="can never be met"):
        check_wants(wants, OFFERED, REGIONS, TARIFF, "USD", Decimal(21))
    cheaper = read_wants(
        [{"gpu_model": "H100*", "gpu_count": 8, "otherwise": [{"gpu_model": "L40"}]}]
    )
    check_wants(cheaper, OFFERED, REGIONS, TARIFF, "USD", Decimal(21))


def claimed(
    wants: list[dict[str, Any]],
    stock: dict[Place, int],
    instances: Sequence[UserVM] = (),
    claims: Claims | None = None,
) -> list[tuple[str, Place]]:
    found = choose(read_wants(wants), stock, instances, price_of, claims or Claims()).attempts
    return [(a.step.subject, a.place) for a in found]


def test_the_best_option_that_is_there_and_affordable_is_taken() -> None:
    want = {
        "gpu_model": "H100-SXM5*",
        "gpu_count": "8x",
        "otherwise": [
            {"gpu_model": "H100-SXM5*", "gpu_count": "4x", "max_price": 10},
            {"gpu_model": "A100*", "gpu_count": "8x", "regions": ["NORWAY-*"]},
        ],
        "claim": CLAIM,
    }
    eight, four = Place("CANADA-1", H100, 8), Place("CANADA-1", H100, 4)
    norway, canada = Place("NORWAY-1", A100, 8), Place("CANADA-1", A100, 8)
    assert claimed([want], {eight: 1, four: 2, norway: 9}) == [("train", eight)]
    assert claimed([want], {eight: 0, four: 1, norway: 9, canada: 9}) == [("train", norway)]
    assert claimed([want], {canada: 9}) == []


def test_at_least_is_understood() -> None:
    items = [
        GPUStockItem(region="CANADA-1", gpu_model=H100, available="200+"),
        GPUStockItem(
            region="NORWAY-1",
            gpu_model=A100,
            available="7",
            configurations=[{"gpu_count": 4, "available": 1}],
        ),
    ]
    places = places_of(stock_of(items))
    assert places[Place("CANADA-1", H100, 8)] == 25
    assert places[Place("NORWAY-1", A100, 4)] == 1
    assert Place("NORWAY-1", A100, 1) not in places


PLACES = st.dictionaries(
    st.sampled_from([Place(r, m, c) for r in REGIONS for m in (H100, A100) for c in (1, 4, 8)]),
    st.integers(0, 5),
)


@given(
    stock=PLACES,
    quantities=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    there=st.sets(st.integers(0, 11), max_size=5),
    lost=st.sampled_from(["ACTIVE", "ERROR", "DELETED"]),
)
def test_never_more_is_claimed_than_wanted_or_than_there_is(
    stock: dict[Place, int], quantities: list[int], there: set[int], lost: str
) -> None:
    wants = [
        Want(gpu_model="*", gpu_count=8, quantity=q, claim={"name": f"w{n}", "image_id": "1"})
        for n, q in enumerate(quantities)
    ]
    names = [name for want in wants for name in want.names]
    instances = [vm(names[n], lost) for n in sorted(there) if n < len(names)]
    found = choose(wants, stock, instances, price_of, Claims()).attempts
    asked = [a.step.subject for a in found]
    assert len(set(asked)) == len(asked)
    present = {i.name for i in instances if lost != "DELETED"}
    assert set(asked) <= set(names) - present
    by_gpus: dict[tuple[str, str], int] = {}
    for a in found:
        key = (a.place.region, a.place.gpu_model)
        by_gpus[key] = by_gpus.get(key, 0) + 1
    for (region, model), count in by_gpus.items():
        assert count <= stock[Place(region, model, 8)]
    room = sum(n for p, n in stock.items() if p.gpu_count == 8)
    assert len(found) == min(room, len(set(names) - present))
    claims = Claims(made={a.step.subject: (a.want, "id") for a in found})
    again = choose(wants, stock, instances, price_of, claims).attempts
    assert not {a.step.subject for a in again} & set(asked), "nothing is asked for twice"


def test_a_restore_is_claimed_only_where_the_instance_lies() -> None:
    want = {"gpu_model": "*", "gpu_count": 8, "claim": {"how": "restore", "instance": "sleeper"}}
    here, elsewhere = Place("CANADA-1", H100, 8), Place("NORWAY-1", H100, 8)
    sleeper = vm("sleeper", "HIBERNATED")
    assert claimed([want], {elsewhere: 3}, [sleeper]) == []
    [attempt] = choose(read_wants([want]), {here: 1}, [sleeper], price_of, Claims()).attempts
    assert attempt.step.operation == "restore_instance"
    assert attempt.asked.comes_back
    assert claimed([want], {here: 1}, [vm("sleeper", "RESTORING")]) == []
    assert is_met(read_wants([want])[0], [vm("sleeper")])


def test_a_snapshot_is_restored_under_the_wants_names() -> None:
    claim = {"how": "snapshot", "snapshot_id": "17", "name": "back"}
    want = {"gpu_model": H100, "gpu_count": 8, "quantity": 2, "claim": claim}
    here = Place("CANADA-1", H100, 8)
    taken_of = {"17": here}
    found: list[Attempt] = choose(
        read_wants([want]), {here: 5}, [], price_of, Claims(), taken_of
    ).attempts
    assert [a.step.arguments for a in found] == [
        {"snapshot_id": "17", "name": "back-1"},
        {"snapshot_id": "17", "name": "back-2"},
    ]


def test_where_the_guard_refuses_the_best_the_next_best_is_taken() -> None:
    want = {
        "gpu_model": H100,
        "gpu_count": 8,
        "otherwise": [{"gpu_model": H100, "gpu_count": 4}],
        "claim": CLAIM,
    }
    here, there = Place("CANADA-1", H100, 8), Place("NORWAY-1", H100, 8)
    half = Place("NORWAY-1", H100, 4)
    stock = {here: 9, there: 2, half: 4}

    def chosen(*forbidden: Place) -> tuple[list[Place], list[str]]:
        def against(attempt: Attempt, _: Sequence[Attempt]) -> Refusal | None:
            is_forbidden = attempt.place in forbidden
            return Refusal("no", f"not {attempt.place}") if is_forbidden else None

        found = choose(read_wants([want]), stock, [], price_of, Claims(), against=against)
        return [a.place for a in found.attempts], [no.why for _, no in found.refused.values()]

    assert chosen() == ([here], [])
    assert chosen(here) == ([there], [])
    assert chosen(here, there) == ([half], [])
    assert chosen(here, there, half) == ([], [f"not {here}"])


def test_what_was_chosen_before_is_counted() -> None:
    want = {"gpu_model": H100, "gpu_count": 8, "quantity": 3, "claim": CLAIM}

    def against(_: Attempt, before: Sequence[Attempt]) -> Refusal | None:
        return Refusal("enough", "one is enough") if before else None

    stock = {Place("CANADA-1", H100, 8): 9}
    found = choose(read_wants([want]), stock, [], price_of, Claims(), against=against)
    assert [a.step.subject for a in found.attempts] == ["train-1"]
    assert sorted(found.refused) == ["train-2", "train-3"]


def test_a_place_that_no_option_may_be_in_is_said_at_the_start() -> None:
    caps = [Caps(regions=("NORWAY-*",)), Caps(gpu_models=("H100*",))]

    def check(*options: dict[str, Any]) -> None:
        wants = read_wants([{**options[0], "otherwise": options[1:], "claim": CLAIM}])
        check_wants(wants, OFFERED, REGIONS, TARIFF, "USD", caps=caps)

    check({"gpu_model": "H100*"})
    check({"gpu_model": "L40"}, {"gpu_model": "H100*"})
    with pytest.raises(ValueError, match=r"never be met: .* not allowed; allowed are NORWAY-\*"):
        check({"gpu_model": "H100*", "regions": ["CANADA-1"]})
    with pytest.raises(ValueError, match="the GPU model L40 is not allowed; allowed are H100"):
        check({"gpu_model": "L40", "regions": ["NORWAY-1"]})


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (vm("train"), None),
        (vm("train", "BUILD"), None),
        (vm("train", "HIBERNATED"), "the name is taken by train, HIBERNATED 8x H100"),
        (vm("train", gpu_model="A40", gpu_count=1), "ACTIVE 1x A40 in CANADA-1"),
    ],
)
def test_a_name_that_is_taken_by_something_else_is_not_what_is_wanted(
    there: UserVM, said: str | None
) -> None:
    [want] = read_wants([{"gpu_model": H100, "gpu_count": 8, "claim": CLAIM}])
    assert is_met(want, [there]) is (said is None)
    assert (taken_by(want, there) is None) if said is None else said in str(taken_by(want, there))
    stock = {Place("CANADA-1", H100, 8): 9}
    assert choose([want], stock, [there], price_of, Claims()).attempts == [], "nor asked for again"


def test_what_boots_from_an_image_is_wanted_in_its_region_alone() -> None:
    [want] = read_wants([{"gpu_model": "L40", "otherwise": [{"gpu_model": "A40"}]}])
    there = only_in(want, "CANADA-1")
    assert [o.regions for o in there.options] == [("CANADA-1",), ("CANADA-1",)]
    [named] = read_wants([{"gpu_model": "L40", "regions": ["CANADA-*"]}])
    assert only_in(named, "CANADA-1").regions == ("CANADA-1",)
    with pytest.raises(ValueError, match=r"in US-1, and wanted is 1x L40 in CANADA-\*"):
        only_in(named, "US-1")


@pytest.mark.parametrize(
    ("quantity", "there", "asked"),
    [
        (2, ["train"], ["train-2"]),
        (3, ["train", "train-3"], ["train-2"]),
        (1, ["train-1", "train-2"], []),
        (2, ["train", "train-1"], []),
        (2, ["train-2"], ["train-1"]),
        (2, ["train-7"], ["train-2"]),
        (3, ["train", "train-1"], ["train-3"]),
        (2, [], ["train-1", "train-2"]),
    ],
)
def test_a_quantity_that_is_raised_or_lowered_claims_the_difference(
    quantity: int, there: list[str], asked: list[str]
) -> None:
    given = {"gpu_model": H100, "gpu_count": 8, "quantity": quantity, "claim": CLAIM}
    instances = [vm(name) for name in there]
    wants = read_wants([given])
    stock = {Place("CANADA-1", H100, 8): 9}
    found = choose(wants, stock, instances, price_of, Claims()).attempts
    assert [a.step.subject for a in found] == asked
    assert is_met(wants[0], [*instances, *(vm(name) for name in asked)])


def test_what_is_called_like_another_want_or_is_something_else_is_not_counted() -> None:
    def missing(*wants: dict[str, Any], there: Sequence[UserVM]) -> list[list[str]]:
        found = read_wants(list(wants))
        of_each = [(want, family_of(want, there, found)) for want in found]
        return [sorted({*wanted_names(w, own)} - {i.name for i in own}) for w, own in of_each]

    single = {"gpu_model": H100, "gpu_count": 8, "claim": CLAIM}
    two = {**single, "quantity": 2}
    other = {"gpu_model": "L40", "gpu_count": 1}
    assert missing(two, there=[vm("train", **other)]) == [["train-1", "train-2"]]
    assert missing(two, there=[vm("train-2", **other)]) == [["train-1"]], "its name is taken"
    assert missing(two, there=[vm("train", "ERROR")]) == [["train-1", "train-2"]]
    assert missing(two, there=[vm("train-1", "ERROR")]) == [["train-2"]], "it keeps its name"
    assert missing(two, there=[vm("train", "HIBERNATED")]) == [["train-2"]], "it is there"
    strangers = [vm("train-a"), vm("trainer-1"), vm("train-1-1"), vm("train-")]
    assert missing(two, there=strangers) == [["train-1", "train-2"]]
    apart = {**single, "claim": {**CLAIM, "name": "train-1"}}
    assert missing(single, apart, there=[vm("train-1")]) == [["train"], []]
    more = {**apart, "quantity": 2}
    assert missing(single, more, there=[vm("train-1")]) == [["train"], ["train-1-2"]]


@given(
    before=st.sets(st.integers(0, 9), max_size=6),
    quantity=st.integers(1, 6),
    looks=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=8),
)
def test_exactly_as_many_are_had_whatever_they_are_called_and_whatever_is_deleted(
    before: set[int], quantity: int, looks: list[tuple[bool, int]]
) -> None:
    given = {"gpu_model": H100, "gpu_count": 8, "quantity": quantity, "claim": CLAIM}
    wants = read_wants([given])
    called = ["train", *(f"train-{n}" for n in range(1, 10))]
    there = {called[n] for n in before}
    for is_deleted, number in [*looks, (False, 0)]:
        if is_deleted:
            there.discard(called[number])
        instances = [vm(name) for name in sorted(there)]
        found = choose(wants, {Place("CANADA-1", H100, 8): 99}, instances, price_of, Claims())
        asked = {a.step.subject for a in found.attempts}
        assert not asked & there
        assert len(asked) == max(0, quantity - len(there))
        assert is_met(wants[0], instances) is not bool(asked)
        there |= asked
    assert len(there) >= quantity


def prices(*given: tuple[str | None, str]) -> Tariff:
    common = {"resource_type": "instance", "gpu_model": "L40", "gpu_count": 1, "currency": "USD"}
    return tariff_of(Price(hourly=hourly, tier=tier, **common) for tier, hourly in given)


@pytest.mark.parametrize(
    ("written", "tier"),
    [("Spot", "spot"), (" spot", "spot"), ("on_demand", "on-demand"), ("On Demand", "on-demand")],
)
def test_a_tier_is_read_as_the_api_writes_it_or_refused(written: str, tier: str) -> None:
    def claim(tier: str) -> Want:
        [want] = read_wants([{"gpu_model": "L40", "claim": {**CLAIM, "tier": tier}}])
        return want

    assert claim(written).tier == tier
    with pytest.raises(ValueError, match="no tier 'cheap'; there are on-demand, spot"):
        claim("cheap")


def test_a_want_is_priced_by_its_tier() -> None:
    tiers = prices(("on-demand", "1.19"), ("spot", "0.50"))

    def check(tariff: Tariff, **more: Any) -> None:
        wants = read_wants([{"gpu_model": "L40", "max_price": "0.6", **more}])
        check_wants(wants, OFFERED, REGIONS, tariff, "USD")

    check(tiers)
    check(tiers, claim={**CLAIM, "tier": "spot"})
    check(prices((None, "0.40")), claim={**CLAIM, "tier": "spot"})
    for claim in (CLAIM, {**CLAIM, "tier": "on-demand"}):
        with pytest.raises(ValueError, match=r"for 1.19 USD an hour, and the limit is 0.60"):
            check(tiers, claim=claim)
    place = Place("CANADA-1", "L40", 1)
    for tier, asked in (("spot", ["train"]), ("on-demand", []), (None, [])):
        want = {"gpu_model": "L40", "max_price": "0.6", "claim": {**CLAIM, "tier": tier}}

        def of(place: Place, tier: str | None) -> Decimal | None:
            return tiers.of(place.gpu_model, place.gpu_count, place.region, tier)

        found = choose(read_wants([want]), {place: 3}, [], of, Claims()).attempts
        assert [a.step.subject for a in found] == asked
        assert [a.asked.price for a in found] == [Decimal("0.50") for _ in asked]


def test_what_comes_back_is_priced_as_it_says_itself() -> None:
    sleeper = vm("sleeper", "HIBERNATED", hourly_price="9.50")
    claim = {"how": "restore", "instance": "sleeper"}
    want = {"gpu_model": H100, "gpu_count": 8, "max_price": 10, "claim": claim}
    assert claimed([want], {Place("CANADA-1", H100, 8): 1}, [sleeper]) != []


def test_a_row_says_the_true_reason_why_nothing_was_claimed() -> None:
    here = Place("CANADA-1", "L40", 1)
    want = {"gpu_model": "L40", "quantity": 2, "max_price": 2, "claim": CLAIM}

    def said(stock: dict[Place, int], price: str = "1.19", **more: Any) -> list[tuple[Any, str]]:
        wants = read_wants([{**want, **more}])
        claims = Claims()
        known = Decimal(price) if price else None
        found = choose(wants, stock, [], lambda p, _: known if p == here else Decimal(9), claims)
        claims.missed = found.missed
        claims.made = {a.step.subject: (0, "id") for a in found.attempts}
        rows = rows_of_claims(wants, claims, [], stock, {})
        return [(row.reason, row.why) for row in rows if row.outcome == "skipped"]

    assert said({here: 5}, "2.50") == [(Reason.TOO_DEAR, "in stock, but not at the price")] * 2
    place = "1x L40 in CANADA-1"
    unknown = f"in stock, but the price of {place} is not known: it may be above max_price"
    assert said({here: 5}, "") == [(Reason.UNPRICED, unknown)] * 2
    both = f"in stock, but not at the price; the price of {place} is not known"
    assert said({here: 5, Place("NORWAY-1", "L40", 1): 5}, "") == [(Reason.TOO_DEAR, both)] * 2
    assert said({here: 1}) == [(Reason.OUT_OF_STOCK, "no more of it is in stock")]
    assert said({here: 0}) == [(Reason.OUT_OF_STOCK, "out of stock: 1x L40")] * 2
    taken = Claims(elsewhere={"train-1"})
    [first, _] = rows_of_claims(read_wants([want]), taken, [], {here: 5}, {})
    assert (first.reason, first.why[:15]) == (Reason.HELD, "somebody else h")


def test_caps_that_refuse_are_compared_by_name_and_not_by_sentence() -> None:
    asked = Proposed("train", "L40", 1, "CANADA-1", price=Decimal("1.19"))
    means = Means(Balance(amount="100", currency="USD"), Decimal(2), ())
    caps = [Caps(burn=3, gpus=1), Caps(hourly_price="1.2")]
    assert objections(caps, asked, means) == ("burn",)
    assert objections([Caps(burn="2.5")], asked, means) == ("burn",), "whatever the figures are"
    poor = Means(Balance(amount="0.1", currency="USD"), Decimal(0), ())
    assert objections(caps, asked, poor) == ("balance",)
    blind = Means(means.balance, Decimal(2), (), unread={"list_volumes": "404"})
    assert objections([Caps(burn=3)], asked, blind) == ("burn?",)
