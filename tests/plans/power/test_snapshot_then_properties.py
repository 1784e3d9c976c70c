"""What `decide` never does, over worlds of every kind."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.api.models import Snapshot
from barrack_tasks.plans.names import snapshot_name
from barrack_tasks.plans.power.snapshot_then import Target, decide
from barrack_tasks.plans.power.snapshot_then_report import rows_done, rows_planned
from barrack_tasks.plans.steps import Finished, Step, Wait
from tests.plans.worlds import Case, any_case

ACTS = {"hibernate_instance", "stop_instance", "delete_instance"}
FINISHED = {"done", "already", "skipped", "failed"}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return any_case(lambda options: draw(st.sampled_from(options)))


@settings(max_examples=200)
@given(cases())
def test_what_is_decided_keeps_the_rules(case: Case) -> None:
    check(case)


@pytest.mark.slow
def test_what_is_decided_keeps_the_rules_many_times() -> None:
    dice = random.Random(20261125)
    seen: set[str] = set()
    for _ in range(6_000):
        case = any_case(dice.choice)
        seen |= check(case)
    assert seen >= ACTS | {"create_snapshot", "delete_snapshot", "wait"} | FINISHED


def contents(case: Case) -> object:
    """Copies of all that could be changed; the models cannot."""
    world = case.world
    snapshots = {id_: list(of_one) for id_, of_one in world.snapshots.items()}
    return copy.deepcopy(case.memory), dict(world.instances), snapshots, replace(case.intent)


def check(case: Case) -> set[str]:
    """Assert every rule; gives the kinds of decisions there were."""
    before = contents(case)
    plan = decide(case.world, case.intent, case.memory, case.now)
    assert plan == decide(case.world, case.intent, case.memory, case.now), "deterministic"
    assert before == contents(case), "nothing given is changed"
    assert list(plan) == [target.id for target in case.intent.targets], "one entry a target"
    kinds = set()
    for target in case.intent.targets:
        next_ = plan[target.id]
        match next_:
            case Step():
                kinds.add(next_.operation)
                check_step(next_, target, case)
            case Wait():
                kinds.add("wait")
                assert next_.why
                late = case.now >= target.began + case.intent.timeout
                assert not late or target.id in case.memory.under_way, "a wait ends"
            case Finished():
                kinds.add(next_.outcome)
                assert next_.outcome in FINISHED
                assert next_.why or next_.outcome == "done"
                check_finished(next_, target, case)
    # Whatever the world, there are rows to show.
    assert len(rows_done(case.intent, case.world, case.memory, plan)) == len(plan)
    assert len(rows_planned(case.intent, case.world)) == len(plan)
    return kinds


def check_finished(finished: Finished, target: Target, case: Case) -> None:
    if target.id in case.intent.protect:
        assert finished.outcome == "skipped"
    if finished.outcome == "done":
        snapshot = own(target, case)
        assert snapshot is not None, "what is done has its snapshot"
        assert is_ready(snapshot), "and it can be restored"
        instance = case.world.instances.get(target.id)
        assert (target.id in case.world.gone and case.intent.then == "delete") or (
            instance is not None and instance.status is case.intent.then.goal
        )


def check_step(step: Step, target: Target, case: Case) -> None:
    assert step.instance_id == target.id
    assert target.id not in case.intent.protect
    assert target.id not in case.memory.under_way
    assert target.id not in case.memory.held_by
    assert target.id not in case.memory.hopeless
    assert case.now < target.began + case.intent.timeout
    instance = case.world.instances.get(target.id)
    if step.operation in ACTS:
        assert instance is not None
        assert instance.status == "ACTIVE"
        assert step.operation == f"{case.intent.then}_instance"
        assert dict(step.arguments) == {"instance_id": target.id}
        assert target.id not in case.memory.acted, "asked once"
        snapshot = own(target, case)
        assert snapshot is not None, "no act without the snapshot of this run"
        assert is_ready(snapshot)
        others = [s for s in case.world.snapshots[target.id] if s is not snapshot]
        assert not [s for s in others if is_being_taken(s) and s.status != "DELETING"], (
            "nobody's snapshot is interrupted"
        )
    elif step.operation == "create_snapshot":
        assert instance is not None
        assert instance.status == "ACTIVE"
        assert step.arguments["instance_id"] == target.id
        assert 1 <= len(step.arguments["name"]) <= 50
        assert target.id in step.arguments["description"]
        assert step.arguments["name"] not in {s.name for s in case.world.snapshots[target.id]}
        assert target.id not in case.memory.taken, "taken once"
        assert not any(is_being_taken(s) for s in case.world.snapshots[target.id])
    else:
        assert step.operation == "delete_snapshot"
        check_drop(step, target, case)


def check_drop(step: Step, target: Target, case: Case) -> None:
    assert case.world.depended_on is not None
    snapshot = next(
        s for s in case.world.snapshots[target.id] if s.id == step.arguments["snapshot_id"]
    )
    assert snapshot.id not in case.world.depended_on
    assert not snapshot.is_image
    assert is_ready(snapshot)
    assert is_marked(snapshot, target.id)
    assert snapshot.name != snapshot_name(target.name, target.id, case.intent.moment)
    assert snapshot.id not in case.memory.dropped
    assert snapshot.id not in case.memory.not_deleted, "not asked again"
    assert snapshot.created_at is not None
    ours = [s for s in case.world.snapshots[target.id] if is_ready(s) and is_marked(s, target.id)]
    newer = [s for s in ours if s is not snapshot and s.created_at]
    newer = [s for s in newer if s.created_at >= snapshot.created_at]  # type: ignore[operator]
    assert len(newer) >= case.intent.keep, "the newest are kept, so many of ours"
    assert own(target, case) is not None, "only of an instance that this run has put to rest"


def own(target: Target, case: Case) -> Snapshot | None:
    """The snapshot of this run that surely is of this very instance, by a reading of its own."""
    name = snapshot_name(target.name, target.id, case.intent.moment)
    for snapshot in case.world.snapshots.get(target.id, ()):
        if snapshot.name != name:
            continue
        if snapshot.instance_id == target.id:
            return snapshot
        known = case.memory.taken.get(target.id) == snapshot.id
        if snapshot.instance_id is None and (known or is_marked(snapshot, target.id)):
            return snapshot
    return None


def is_ready(snapshot: Snapshot) -> bool:
    return snapshot.status.lower() in ("success", "available")


def is_being_taken(snapshot: Snapshot) -> bool:
    return not is_ready(snapshot) and snapshot.status.lower() not in ("failed", "error")


def is_marked(snapshot: Snapshot, id_: str) -> bool:
    words = (snapshot.description or "").split()
    ours = words[:5] == ["Taken", "by", "prefect-barrack", "of", "instance"] and words[5] == id_
    named = len(snapshot.name) > 17 and snapshot.name[-1] == "Z" and snapshot.name[-8] == "T"
    return ours and named and snapshot.instance_id in (None, id_)
