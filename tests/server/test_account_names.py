"""What accounts are called, and how the records of an old name become those of a new one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.server.account_names import (
    account_name,
    derived_name,
    former_names,
    moves,
    normalised,
    place_of,
)

DEFAULT = "https://api.barrack.ai/v1"
SPELLINGS = [DEFAULT, f"{DEFAULT}/", "HTTPS://API.barrack.ai/v1", "https://api.barrack.ai:443/v1"]
NAMES = st.text("abcxyz019-_ ÄA.", min_size=1, max_size=40).filter(lambda name: name.strip())


@given(NAMES, NAMES)
def test_the_records_of_one_account_are_never_taken_for_those_of_another(a: str, b: str) -> None:
    one, two = account_name(a), account_name(b)
    assert re.fullmatch(r"[a-z0-9]+", one)
    assert account_name(one) == one, "a name that is read from a variable is the same account"
    assert (one == two) == (a.strip().casefold() == b.strip().casefold())
    assert not f"barrack_hold_{one}_run_0".startswith(f"barrack_hold_{two}_") or one == two


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_address_is_one_account_however_it_is_spelt(spelling: str) -> None:
    assert derived_name(spelling, "key", DEFAULT) == derived_name(DEFAULT, "key", DEFAULT)


@pytest.mark.parametrize(
    "other", ["https://api.barrack.ai/v2", "https://api.barrack.ai:8443/v1", "http://127.0.0.1:80"]
)
def test_another_address_or_another_key_is_another_account(other: str) -> None:
    assert derived_name(other, "key", DEFAULT) != derived_name(DEFAULT, "key", DEFAULT)
    assert derived_name(other, "key", DEFAULT) != derived_name(other, "another", DEFAULT)


@pytest.mark.parametrize("address", ["http://[::1]:4200/v1", "http://127.0.0.1:4200", "nonsense"])
def test_an_address_that_is_normal_stays_as_it_is(address: str) -> None:
    assert normalised(normalised(address)) == normalised(address)
    assert normalised(address) == address


@pytest.mark.parametrize(
    ("base_url", "name"),
    # As the first release derived them from these spellings and the key "key".
    [(None, "685ec0ac35"), (DEFAULT, "59fa880877"), (f"{DEFAULT}/", "8b7a357d85")],
)
def test_the_names_that_the_first_release_gave_are_known(base_url: str | None, name: str) -> None:
    assert name in former_names(base_url or DEFAULT, "key", DEFAULT, [base_url or ""])


ACCOUNTS = st.sampled_from(["old", "new", "other"])
PARTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 3), max_size=4)


def records(account: str) -> st.SearchStrategy[dict[str, Any]]:
    mappings = st.dictionaries(
        st.sampled_from(["proofs", "schedule"]).flatmap(
            lambda kind: st.integers(0, 2).map(lambda n: f"barrack_{kind}_{account}_{n}")
        ),
        PARTS,
        max_size=4,
    )
    scoped = st.dictionaries(
        st.sampled_from(["s1_0", "s1_1", "s2_0"]).map(
            lambda rest: f"barrack_budgetalarms_{account}_{rest}"
        ),
        PARTS,
        max_size=3,
    )
    single = st.dictionaries(
        st.sampled_from(["0123456789abcdef", "fedcba9876543210"]).map(
            lambda rest: f"barrack_expiry_{account}_{rest}"
        ),
        st.lists(st.integers(0, 3), max_size=3),
        max_size=2,
    )
    holds = st.dictionaries(
        st.sampled_from(["run1_0", "run1_1", "run2_0"]).map(
            lambda rest: f"barrack_hold_{account}_{rest}"
        ),
        st.fixed_dictionaries({"until": st.integers(0, 9)}),
        max_size=3,
    )
    return st.tuples(mappings, scoped, single, holds).map(
        lambda some: {name: value for one in some for name, value in one.items()}
    )


def known(world: dict[str, Any], account: str) -> dict[tuple[str, str, str], list[Any]]:
    """What an account knows, whichever part of a mapping it stands in."""
    found: dict[tuple[str, str, str], list[Any]] = {}
    for name, value in world.items():
        place = place_of(name)
        assert place is not None
        if place.account != account:
            continue
        if place.shelf is not None and place.kind != "hold":
            for key, one in value.items():
                found.setdefault((*place.shelf, key), []).append(one)
        else:
            found[(place.kind, place.rest, "")] = [value]
    return {key: sorted(values, key=str) for key, values in found.items()}


def test_the_lease_of_a_run_that_lives_is_copied_and_stays() -> None:
    theirs = {"barrack_hold_old_run_0": {"until": 1}, "barrack_hold_old_dead_0": {"until": 0}}
    dead, lives = moves(theirs, {}, "old", "new", {"barrack_hold_old_run_0"})
    assert (lives.target, lives.stays) == ("barrack_hold_new_run_0", True)
    assert (dead.target, dead.stays) == ("barrack_hold_new_dead_0", False)


@given(records("old"), records("new"), records("other"))
def test_nothing_that_an_old_name_knew_is_lost_and_nothing_newer_is_overwritten(
    old: dict[str, Any], new: dict[str, Any], other: dict[str, Any]
) -> None:
    world = {**old, **new, **other}
    before, ours = known(world, "old"), known(world, "new")
    for one in moves({**old, **other}, new, "old", "new"):
        assert one.source in old, "what is another account's stays"
        world.pop(one.source)
        if one.target is None:
            continue
        assert one.replaces == (one.target in world), "nothing is overwritten unawares"
        world[one.target] = one.value
    assert known(world, "old") == {}
    after = known(world, "new")
    leases = {key: value for key, value in before.items() if key[0] == "hold"}
    assert after == {**before, **ours, **leases}
    assert moves({**old, **other}, {}, "new", "old") == [], "to repeat it moves nothing"
    assert known(world, "other") == known(other, "other")


def test_every_kind_of_record_has_a_name_that_can_be_told_from_the_account() -> None:
    library = Path(__file__).resolve().parents[2] / "barrack_tasks"
    written = re.compile(r'f"(barrack_[^"]*?)\{(?:self\._?)?account\}')
    kinds = {k for p in library.rglob("*.py") for k in written.findall(p.read_text())}
    assert len(kinds) > 5
    for kind in kinds:
        filled = re.sub(r"\{[\w.]+\}", "guard", kind)
        assert re.fullmatch(r"barrack_([a-z]+|%)_", filled), filled
