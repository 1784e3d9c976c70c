"""Whom limits put to rest, against a check that knows nothing of how they are chosen."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import CurrencyEnum, UserVM
from barrack_tasks.plans.money.burn import Tariff, burn_of
from barrack_tasks.plans.money.shedding import (
    Limit,
    Shedding,
    candidates,
    limit_to_last,
    whom_limits_rest,
)
from tests.plans.money.test_watch import HOUR, machine, usd

USD = CurrencyEnum.USD
MACHINES = st.lists(
    st.tuples(
        st.sampled_from(["0", "0.5", "1", "1", "2", "9.75", None]),
        st.sampled_from(["ACTIVE", "ACTIVE", "SHUTOFF", "HIBERNATED", "RESTORING", "ERROR"]),
    ),
    max_size=8,
).map(
    lambda kinds: [
        machine(f"m{n}", status=s).model_copy(
            update={"hourly_price": None if p is None else Decimal(p)}
        )
        for n, (p, s) in enumerate(kinds)
    ]
)
GROUPS = st.lists(
    st.tuples(st.sets(st.integers(0, 7)).map(frozenset), st.integers(0, 12)), max_size=3
)
HOWS = st.builds(
    Shedding,
    priority=st.lists(st.sampled_from(["m1", "m[2-5]", "m7"]), unique=True, max_size=2).map(tuple),
    order=st.sampled_from(["cheapest", "dearest"]),
)


def costs(machines: Sequence[UserVM], resting: Collection[str], among: Collection[str]) -> Decimal:
    """What burns an hour while some rest: added up anew, instance by instance."""
    total = Decimal(0)
    for one in machines:
        if one.id not in among or str(one.status) == "ERROR":
            continue
        is_asleep = one.id in resting or str(one.status) == "HIBERNATED"
        if one.hourly_price is not None or str(one.status) == "HIBERNATED":
            total += Decimal("0.01") if is_asleep else one.hourly_price or Decimal(0)
    return total


def ids_of(numbers: Collection[int]) -> frozenset[str]:
    return frozenset(f"id-m{n}" for n in numbers)


@given(
    machines=MACHINES,
    groups=GROUPS,
    how=HOWS,
    balance=st.integers(0, 200),
    hours=st.integers(1, 60),
)
def test_nobody_is_put_to_rest_who_could_be_left_out(
    machines: list[UserVM],
    groups: list[tuple[frozenset[int], int]],
    how: Shedding,
    balance: int,
    hours: int,
) -> None:
    """All limits are met, or everything that helps rests; and each one that rests is needed."""
    burn = burn_of(machines, [], [], Tariff())
    all_ids = {m.id for m in machines}
    able = candidates(machines, {"id-m0"}, set(), how, burn)
    caps = [(ids_of(numbers), Decimal(most)) for numbers, most in groups]
    caps.append((frozenset(all_ids), Decimal(balance) / hours))
    limits = [
        Limit(costs(machines, (), ids), lambda hourly, most=most: bool(hourly <= most), ids)  # type: ignore[misc]
        for ids, most in caps[:-1]
    ]
    limits.append(limit_to_last(burn, usd(balance), hours * HOUR))
    chosen = {i.id for i in whom_limits_rest(limits, able, burn, USD)}
    assert chosen <= {i.id for i in able}

    def unmet(resting: Collection[str]) -> set[int]:
        slack = Decimal(1) / 3600  # a runway is told in whole seconds
        return {
            n
            for n, (ids, most) in enumerate(caps)
            if costs(machines, resting, ids) > most + (slack if n == len(caps) - 1 else 0)
        }

    hopeless = unmet(chosen)
    for one in able:
        gain = None if one.hourly_price is None else one.hourly_price - Decimal("0.01")
        serves = any(one.id in caps[n][0] for n in hopeless)
        if serves and (gain is None or gain > 0):
            assert one.id in chosen, "a limit that cannot be met takes all that help"
        elif one.id in chosen:
            assert unmet(chosen - {one.id}) > hopeless, f"{one.name} is needless"
    helping = {i.id for i in able if i.hourly_price is None or i.hourly_price > 0}
    assert hopeless <= unmet(helping), "what can be met is met"


@given(machines=MACHINES, most=st.integers(0, 12), how=HOWS)
def test_nobody_goes_in_whose_place_earlier_ones_could(
    machines: list[UserVM], most: int, how: Shedding
) -> None:
    burn = burn_of(machines, [], [], Tariff())
    able = [i.id for i in candidates(machines, set(), set(), how, burn)]
    limit = Limit(burn.hourly, lambda hourly: hourly <= most)
    ordered = [i for id_ in able for i in machines if i.id == id_]
    chosen = [i.id for i in whom_limits_rest([limit], ordered, burn, USD)]
    everything = {m.id for m in machines}
    if costs(machines, chosen, everything) <= most:
        for place, id_ in enumerate(chosen):
            instead = [*able[: able.index(id_)], *chosen[place + 1 :]]
            cheaper = [i for i in instead if burn.of_instances[i] not in (Decimal(0), None)]
            assert costs(machines, cheaper, everything) > most


def test_of_equals_the_first_by_name_go_and_the_dearest_if_asked() -> None:
    fleet = [machine(n, p) for n, p in (("c", "2"), ("a", "2"), ("b", "2"), ("z", "1"))]
    burn = burn_of(fleet, [], [], Tariff())

    def rested(most: str, how: Shedding) -> list[str]:
        able = candidates(fleet, set(), set(), how, burn)
        limit = Limit(burn.hourly, Decimal(most).__ge__)
        return [i.name for i in whom_limits_rest([limit], able, burn, USD)]

    assert rested("6.5", Shedding()) == ["z"]
    assert rested("5.5", Shedding()) == ["a"], "z is not needed beside it"
    assert rested("4.5", Shedding()) == ["z", "a"]
    assert rested("4.5", Shedding(priority=("c", "b"))) == ["c", "b"]
    assert rested("6.5", Shedding(order="dearest")) == ["a"]


def test_ten_thousand_are_chosen_from_without_delay() -> None:
    fleet = [machine(f"m{n}") for n in range(10_000)]
    burn = burn_of(fleet, [], [], Tariff())
    half = frozenset(i.id for i in fleet[::2])
    limits = [
        limit_to_last(burn, usd(1), 1000 * HOUR),
        limit_to_last(burn, usd(10_000), HOUR * 2),
        Limit(Decimal(5_000), Decimal(9).__ge__, half),
    ]
    began = time.process_time()
    assert len(whom_limits_rest(limits, fleet, burn, USD)) == 10_000
    assert time.process_time() - began < 2
