"""Changes between two looks at an account."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.plans.account_changes import (
    MOVES,
    Sight,
    changes,
    next_turns,
    next_view,
    view_of,
    with_moves,
)
from tests.plans.worlds import NOW, snap, vm

STATES = ["ACTIVE", "HIBERNATED", "RESTORING", "SHUTOFF"]
VIEWS = st.dictionaries(
    st.sampled_from(["instance:1", "instance:2", "snapshot:1", "volume:1", "volume:2"]),
    st.none(),
).flatmap(
    lambda keys: st.fixed_dictionaries(
        {
            key: st.tuples(
                st.just("name"), st.sampled_from(STATES), st.sampled_from(["", "1.1.1.1", "vm-2"])
            )
            if not key.startswith("volume")
            else st.tuples(st.just("name"), st.just("in-use"), st.sampled_from(["1", "2"]))
            for key in keys
        }
    )
)


@given(VIEWS, VIEWS)
def test_no_change_no_event_and_every_appearance_and_absence_once(
    before: dict[str, Sight], after: dict[str, Sight]
) -> None:
    assert changes(before, before, {}, {}) == []
    found = changes(before, after, {}, {})
    appeared = {c.key for c in found if c.event.endswith("appeared") and "dis" not in c.event}
    gone = {c.key for c in found if c.event.endswith("disappeared")}
    assert appeared == set(after) - set(before)
    assert gone == set(before) - set(after)
    assert len({(c.event, c.key, c.instance) for c in found}) == len(found)
    touched = {c.key for c in found}
    for key in set(before) & set(after):
        if key.startswith("instance") and before[key][1] != after[key][1]:
            assert key in touched


@given(st.lists(VIEWS, min_size=1, max_size=6))
def test_the_same_change_of_another_day_is_another(views: list[dict[str, Sight]]) -> None:
    view: dict[str, Sight] = {}
    turns: dict[str, int] = {}
    told: set[tuple[object, ...]] = set()
    for day, now in enumerate(views):
        gone = view.keys() - now.keys()
        after = next_view(view, now, gone)
        found = changes(view, after, turns, {})
        for change in found:
            if not change.event.endswith("appeared"):
                identity = (change.event, change.key, change.turn, change.instance)
                assert identity not in told or change.turn == 0
                told.add(identity)
        view, turns = after, next_turns(turns, found, after, NOW + timedelta(days=day))
    assert set(turns) == set(view)


def test_what_is_late_in_the_lists_is_not_gone() -> None:
    before = view_of([vm("a"), vm("b")], [], [])
    now = view_of([vm("a")], [], [])
    assert next_view(before, now, set()) == before
    assert next_view(before, now, {"instance:BRK-b"}) == now


def test_a_snapshot_that_gets_ready_or_fails() -> None:
    machine = vm("a")
    made = view_of([], [], [snap(machine, status="CREATING")])
    ready = view_of([], [], [snap(machine, status="SUCCESS")])
    failed = view_of([], [], [snap(machine, status="FAILED")])

    def words(before: dict[str, Sight], after: dict[str, Sight]) -> list[str]:
        return [c.event.rpartition(".")[2] for c in changes(before, after, {}, {})]

    assert words({}, made) == ["appeared"]
    assert words({}, ready) == ["appeared", "completed"]
    assert words(made, ready) == ["completed"]
    assert words(made, failed) == ["failed"]
    assert words(ready, {}) == ["disappeared"]
    [change] = changes(made, ready, {}, {})
    assert change.instance == machine.id


@given(VIEWS, VIEWS, st.sets(st.sampled_from(["1", "2"])), st.sampled_from(STATES))
def test_a_move_is_of_a_run_or_on_its_way_or_otherwise(
    before: dict[str, Sight], after: dict[str, Sight], by_runs: set[str], state: str
) -> None:
    instances = {one: vm(status=state, id_=one) for one in ("1", "2")}
    plain = changes(before, after, {}, instances)
    told = with_moves(plain, instances, by_runs)
    for change, was in zip(told, plain, strict=True):
        if change.event not in MOVES:
            assert change == was, "nothing else is said to have been moved"
        elif change.id in by_runs:
            assert change.moved == "by-a-run"
        else:
            assert change.moved == ("on-its-way" if state == "RESTORING" else "otherwise")
