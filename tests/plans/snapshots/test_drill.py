"""What to prove next, and the steps of a proof."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.api.models.rules import check_instance_name
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.selection import SelectionError, Selector
from barrack_tasks.plans.snapshots.drill import (
    Drills,
    Probe,
    Proof,
    can_be_probed,
    choose,
    decide_drill,
    decide_drills,
    drill_name,
    of_each_instance,
    verdict_of,
    within_cost,
)
from barrack_tasks.plans.snapshots.drill_report import (
    DrillReport,
    ages_of,
    drilled_of,
    readings_of_proofs,
)
from barrack_tasks.plans.snapshots.restore import Restoring
from barrack_tasks.plans.steps import Finished, Step, Wait
from barrack_tasks.plans.world import World

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
FOREVER = timedelta(days=9999)


def snap(id_: str, instance: str = "a", **more: Any) -> Snapshot:
    about: dict[str, Any] = {"created_at": NOW - timedelta(hours=1), "status": "SUCCESS", **more}
    return Snapshot(id=id_, name=f"s{id_}", instance_id=instance, instance_name=instance, **about)


@given(
    st.integers(1, 12),
    st.integers(1, 4),
    st.sets(st.integers(0, 11)),
    st.randoms(use_true_random=False),
)
def test_nothing_starves(count: int, at_most: int, failing: set[int], chance: Any) -> None:
    """Each instance is tried once in every so many runs, whatever fails and whatever is new."""
    proofs: dict[str, Proof] = {}
    tried: dict[str, int] = {}
    serial = 0
    rounds = -(-count // at_most)
    newest = {}
    for turn in range(3 * rounds):
        for n in range(count):
            if turn == 0 or chance.random() < 0.8:
                serial += 1
                newest[f"i{n}"] = [snap(str(serial), f"i{n}")]
        now = NOW + timedelta(days=turn)
        for snapshot in choose(newest, proofs, at_most, FOREVER, now):
            id_ = str(snapshot.instance_id)
            tried[id_] = turn
            old = proofs.get(id_, Proof(now))
            failed = int(id_[1:]) in failing
            proofs[id_] = (
                Proof(now, old.snapshot_id, old.proven) if failed else Proof(now, snapshot.id, now)
            )
        for id_, snapshots in newest.items():
            is_proven = id_ in proofs and proofs[id_].snapshot_id == snapshots[0].id
            assert is_proven or turn - tried.get(id_, -1) <= rounds


def test_the_newest_ready_one_is_proven_and_not_twice() -> None:
    old, new = snap("1", created_at=NOW - timedelta(days=2)), snap("2")
    bad = snap("3", created_at=NOW, status="FAILED")
    assert choose({"a": [old, new, bad]}, {}, 5, FOREVER, NOW) == [new]
    proven = {"a": Proof(NOW, "2", NOW)}
    assert choose({"a": [old, new, bad]}, proven, 5, FOREVER, NOW) == []
    day = timedelta(days=1)
    assert choose({"a": [old, new]}, proven, 5, day, NOW + 2 * day) == [new], "its proof is old"
    assert choose({"a": [bad]}, {}, 5, FOREVER, NOW) == []


@given(st.text(min_size=1, max_size=40), st.integers(1, 10**6))
def test_names_are_valid_and_the_same_for_the_same_snapshot(name: str, id_: int) -> None:
    one = snap(str(id_)).model_copy(update={"instance_name": name})
    check_instance_name(drill_name(one))
    assert drill_name(one) == drill_name(one.model_copy(update={"status": "FAILED"}))
    assert drill_name(one) != drill_name(snap(str(id_ + 1)))


@given(
    st.lists(st.one_of(st.none(), st.decimals("0.01", 50, places=2)), max_size=8),
    st.decimals("0.01", 60, places=2),
)
def test_the_cap_on_the_cost_holds(prices: list[Decimal | None], most: Decimal) -> None:
    chosen = [Restoring(snap(str(n)), f"drill-{n}") for n in range(len(prices))]
    known = {one.key: price for one, price in zip(chosen, prices, strict=True)}
    left_out = within_cost(chosen, known, Decimal(1), most)
    spent = sum((p or Decimal(0) for k, p in known.items() if k not in left_out), Decimal(0))
    assert spent <= most
    assert all(k in left_out for k, p in known.items() if p is None)
    assert within_cost(chosen, known, Decimal(1), None) == {}


def test_what_a_drill_costs_is_said_with_its_currency() -> None:
    one = Restoring(snap("1"), "drill-a", hourly_price=Decimal(8), currency="EUR")
    assert within_cost([one], {one.key: Decimal(8)}, Decimal(1), Decimal(5)) == {
        one.key: "it may cost 8.00 EUR, and 5.00 EUR of the cap is left"
    }
    drilled = drilled_of([one], Memory(made={one.key: "new"}), NOW, NOW + timedelta(hours=1))
    report = DrillReport(flow="verify_snapshots", rows=(), drilled=drilled).markdown()
    assert report.count("8.00 EUR") == 2


ONE = Restoring(snap("1"), "drill-a")
MADE = Memory(made={ONE.key: "new"})


def machine(status: str = "ACTIVE", **more: Any) -> UserVM:
    about = {"boot_source": "snapshot", "public_ip": "203.0.113.9", **more}
    return UserVM(id="new", name="drill-a", status=status, **about)


def seen(*there: UserVM, **more: Any) -> World:
    return World({i.id: i for i in there}, {"a": [ONE.snapshot]}, **more)


@pytest.mark.parametrize(
    ("world", "probed", "late", "verdict"),
    [
        (seen(), None, False, None),
        (seen(machine("CREATING")), None, False, None),
        (seen(machine("CREATING")), None, True, "did not come up in time"),
        (seen(machine("ERROR")), None, False, "ERROR"),
        (seen(machine()), None, False, None),
        (seen(machine()), "", False, ""),
        (seen(machine()), "port 22 does not answer", False, "port 22"),
        (seen(machine(boot_source="image")), "", False, "differs"),
        (seen(machine(public_ip="pending")), None, True, "did not come up in time"),
        (seen(gone=frozenset({"new"})), None, False, "gone"),
    ],
)
def test_verdicts(world: World, probed: str | None, late: bool, verdict: str | None) -> None:
    found = verdict_of(ONE, world, MADE, probed, late)
    if not verdict:
        assert found == verdict
    else:
        assert found is not None
        assert verdict in found


def test_what_was_made_is_deleted_whatever_the_verdict_and_nothing_else() -> None:
    for verdict in ("", "it differs"):
        drills = Drills({ONE.key: verdict})
        step = decide_drill(ONE, seen(machine()), MADE, drills, NOW, NOW)
        assert isinstance(step, Step)
        assert (step.operation, step.arguments) == ("delete_instance", {"instance_id": "new"})
        asked = Memory(made=dict(MADE.made), acted={ONE.key})
        assert isinstance(decide_drill(ONE, seen(machine()), asked, drills, NOW, NOW), Wait)
        gone = seen(gone=frozenset({"new"}))
        end = decide_drill(ONE, gone, asked, drills, NOW, NOW)
        assert isinstance(end, Finished)
        assert end.outcome == ("failed" if verdict else "done")
    stranger = machine().model_copy(update={"id": "other"})
    taken = decide_drill(ONE, seen(stranger), Memory(), Drills(), NOW, NOW)
    assert isinstance(taken, Finished), "a name that somebody else has is left alone"


def test_what_a_person_renames_while_it_is_proven_is_left_alone() -> None:
    renamed = machine().model_copy(update={"name": "keep"})
    for verdicts in ({}, {ONE.key: ""}, {ONE.key: "no"}):
        drills = Drills(verdicts=dict(verdicts))
        end = decide_drill(ONE, seen(renamed), MADE, drills, NOW, NOW)
        assert end == Finished("failed", "it is called keep now, and is left alone")


def test_what_was_made_is_deleted_however_late_it_is() -> None:
    late = NOW + timedelta(days=1)
    how: Any = ([ONE], seen(machine()))
    drills = Drills({ONE.key: ""})
    made = Memory(made=dict(MADE.made))
    plan = decide_drills(*how, made, drills, NOW, timedelta(minutes=30), late)
    assert isinstance(plan[ONE.key], Step)
    made.succeeded(plan[ONE.key])  # type: ignore[arg-type]
    made.asked_at[ONE.key] = late
    for after, kind in ((1, Wait), (20, Finished)):
        then = late + timedelta(minutes=after)
        plan = decide_drills(*how, made, drills, NOW, timedelta(minutes=30), then)
        assert isinstance(plan[ONE.key], kind)
    hopeless = Memory(made=dict(MADE.made), hopeless={ONE.key: "refused"})
    plan = decide_drills(*how, hopeless, drills, NOW, timedelta(minutes=30), late)
    assert plan[ONE.key] == Finished("failed", "refused")


def test_an_instance_without_a_fresh_proof_is_told_of() -> None:
    snapshots = {"a": [snap("1")], "b": [snap("2", "b")]}
    proofs = {"a": Proof(NOW, "1", NOW - timedelta(days=2)), "b": Proof(NOW)}
    week = timedelta(days=7)
    first, second = readings_of_proofs(snapshots, proofs, week, NOW, {})
    assert (first.is_over, second.is_over) == (False, True)
    assert "has no snapshot that was proven" in second.text
    gone = {"a": Proof(NOW, "gone", NOW), "b": Proof(NOW, "2", NOW)}
    first, second = readings_of_proofs(snapshots, gone, week, NOW, {})
    assert (first.is_over, second.is_over) == (True, False)
    assert [cells[2] for cells in ages_of(snapshots, gone, NOW, {})] == ["never", "0 s"]


def test_an_instance_without_any_snapshot_is_told_of_as_well() -> None:
    bare = UserVM(id="BRK-9", name="bare", status="ACTIVE", region="CANADA-1")
    found = of_each_instance(Selector(names=("*",)), [snap("1")], [bare], [])
    assert found == {"a": [snap("1")], "BRK-9": []}
    assert of_each_instance(Selector(names=("bare",)), [snap("1")], [bare], []) == {"BRK-9": []}
    with pytest.raises(SelectionError, match="no snapshot would ever be proven"):
        of_each_instance(Selector(names=("*",)), [], [bare], ["bare"])
    [reading] = readings_of_proofs({"BRK-9": []}, {}, FOREVER, NOW, {"BRK-9": "bare"})
    assert reading.is_over
    assert reading.text.startswith("bare has no snapshot ")
    with pytest.raises(SelectionError, match="no snapshot of 'bear'"):
        of_each_instance(Selector(names=("bear",)), [snap("1")], [bare], [])


def test_a_probe_that_is_not_content_in_time_is_what_a_late_drill_tells() -> None:
    up = seen(machine())
    assert verdict_of(ONE, up, MADE, None, True, "port 22 does not answer") == (
        "port 22 does not answer"
    )
    assert verdict_of(ONE, up, MADE, None, False, "port 22 does not answer") is None


@pytest.mark.parametrize("address", [None, "", "pending"])
def test_nothing_is_probed_while_its_address_is_missing(address: str | None) -> None:
    assert can_be_probed(machine(), addressed=True)
    assert not can_be_probed(machine("CREATING"), addressed=True)
    assert not can_be_probed(machine(public_ip=address), addressed=True)
    assert can_be_probed(machine(public_ip=None), addressed=False)


def test_a_probe_is_one_thing() -> None:
    for wrong in ({}, {"port": 22, "command": ["true"]}, {"command": []}):
        with pytest.raises(ValueError, match="either a port or a command"):
            Probe.model_validate(wrong)
