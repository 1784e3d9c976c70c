"""Owners: the nearest name counts, and nothing that was spent is lost between them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.forgotten.leases import Lease, program_of
from barrack_tasks.plans.forgotten.owners import NOBODY, Ownership, channels, owner_of, spent_by
from barrack_tasks.plans.money.bill import Bill, Charge, Thing
from tests.plans.worlds import HOUR, NOW

TABLE = [
    Ownership("*", "office"),
    Ownership("train-*", "ann", "vision", tell="ann-slack"),
    Ownership("train-1", "bob", "speech"),
    Ownership("BRK-7", "eve", "speech"),
]


def test_an_id_counts_before_a_name_and_a_name_before_a_glob() -> None:
    assert owner_of("BRK-7", "train-1", TABLE).owner == "eve"
    assert owner_of("BRK-8", "train-1", TABLE).owner == "bob"
    assert owner_of("BRK-8", "train-2", TABLE).owner == "ann"
    assert owner_of("BRK-8", "other", TABLE).owner == "office"
    lease = Lease("BRK-8", "other", "zoe", NOW + HOUR)
    assert owner_of("BRK-8", "other", [], [lease]).owner == "zoe"
    assert owner_of("BRK-8", "other", [], []).owner == ""


@given(st.lists(st.sampled_from(TABLE), unique=True), st.randoms(use_true_random=False))
def test_the_order_of_the_table_makes_no_difference(table: list[Ownership], random: object) -> None:
    mixed = sorted(table, key=lambda _: random.random())  # type: ignore[attr-defined]
    for id_, name in (("BRK-7", "train-1"), ("BRK-8", "train-2"), ("BRK-9", "x")):
        assert owner_of(id_, name, table) == owner_of(id_, name, mixed)


@given(
    st.lists(
        st.tuples(st.sampled_from(["train-1", "train-2", "x"]), st.integers(0, 10**6)), max_size=8
    ),
    st.lists(st.sampled_from(TABLE), unique=True),
)
def test_owners_and_teams_together_pay_all_of_it(
    spent: list[tuple[str, int]], table: list[Ownership]
) -> None:
    charges = tuple(
        Charge(
            Thing("instance", f"BRK-{name}", name),
            NOW - HOUR,
            NOW,
            "ACTIVE",
            60,
            Decimal(cents) / 100,
        )
        for name, cents in spent
    )
    bill = Bill(NOW - timedelta(days=1), NOW, "USD", "UTC", charges)
    for what in ("owner", "team"):
        sums = spent_by(what, bill, table)
        assert sum(sums.values()) == sum(cents for _, cents in spent) / Decimal(100)
        assert table or set(sums) <= {NOBODY}


def test_who_is_an_owner_by_a_lease_alone_is_told_where_the_table_says_that_they_are_told() -> None:
    news = Reading("lease 1 BRK-9", True, False, "it ends")
    held = [Lease("BRK-9", "other", "ann", NOW + HOUR)]
    assert channels([news], {"BRK-9": "other"}, TABLE[1:], held) == {"ann-slack": [news]}
    # A row of the machine that names only its team, or no channel, does not silence its owner.
    for row in (Ownership("other", team="speech"), Ownership("other", "ann", "speech")):
        table = [row, *TABLE[1:]]
        assert channels([news], {"BRK-9": "other"}, table, held) == {"ann-slack": [news]}
        assert owner_of("BRK-9", "other", table, held).team == "speech"
    others = [Lease("BRK-9", "other", "zoe", NOW + HOUR)]
    assert channels([news], {"BRK-9": "other"}, TABLE[1:], others) == {}


def test_a_machine_is_whose_lease_lasts_and_not_whose_was_given_back() -> None:
    gone = Lease("BRK-9", "x", "ann", NOW + 90 * HOUR, released=NOW - HOUR)
    mine = Lease("BRK-9", "x", "bob", NOW + HOUR)
    assert owner_of("BRK-9", "x", [], [gone, mine]).owner == "bob"
    ended = replace(mine, until=NOW - 2 * HOUR)
    assert owner_of("BRK-9", "x", [], [gone, ended]).owner == "ann", "she had it last"


def test_a_machine_that_a_program_keeps_awake_is_the_persons_for_whom_it_works() -> None:
    program = Lease("BRK-9", "x", program_of("ann", 4711, "gpu-1", "3f2a"), NOW + 9 * HOUR)
    assert owner_of("BRK-9", "x", [], [program]).owner == "ann"
    nameless = replace(program, owner="process 4711 on gpu-1 (3f2a)")
    bob = Lease("BRK-9", "x", "bob", NOW + HOUR)
    assert owner_of("BRK-9", "x", [], [nameless, bob]).owner == "bob"


def test_who_is_an_owner_by_a_lease_alone_is_of_the_team_that_the_table_says() -> None:
    held = [Lease("BRK-9", "other", "ann", NOW + HOUR)]
    assert owner_of("BRK-9", "other", TABLE[1:], held).team == "vision"
    two = [*TABLE[1:], Ownership("demo-*", "ann", "sales")]
    assert owner_of("BRK-9", "other", two, held).team == "", "nobody knows which of the two"


def test_each_owner_is_told_of_their_own_machines_alone() -> None:
    keys = ("lease BRK-1", "ab12 BRK-2", "volume BRK-3", "name:train-of ann")
    news = [Reading(key, True, False, f"{key} ends") for key in keys]
    names = {"BRK-1": "train-1", "BRK-2": "train-2"}
    assert channels(news, names, TABLE, []) == {"ann-slack": [news[1], news[3]]}
