"""Reaping: the snapshot comes first, and a lease says no until the last moment."""

from __future__ import annotations

from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.forgotten.reaping import decide_reaping, unleased
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.steps import Finished, Reason, Step
from tests.plans.worlds import HOUR, NOW, account, intent, snap, vm


def next_of(status: str, then: str, memory: Memory | None = None, **more: object) -> str:
    instance = vm("a", status)
    world = account(instance, **more)  # type: ignore[arg-type]
    wanted = intent(instance, then=then)
    plan = decide_reaping(world, wanted, memory or Memory(), frozenset(), {}, NOW)
    next_ = plan[instance.id]
    return next_.operation if isinstance(next_, Step) else type(next_).__name__


def test_what_is_up_is_snapshotted_before_it_is_put_to_rest_or_deleted() -> None:
    for then in ("hibernate", "delete"):
        assert next_of("ACTIVE", then) == "create_snapshot"
        taken = [snap(vm("a"))]
        memory = Memory(taken={"BRK-a": taken[0].id})
        assert next_of("ACTIVE", then, memory, snapshots=taken) == f"{then}_instance"


def test_what_is_off_is_brought_up_for_its_snapshot() -> None:
    assert next_of("SHUTOFF", "hibernate") == "start_instance"
    assert next_of("SHUTOFF", "delete") == "start_instance"
    assert next_of("HIBERNATED", "delete") == "restore_instance"
    assert next_of("HIBERNATED", "delete", Memory(woken={"BRK-a"})) == "Wait"


def test_what_cannot_hibernate_is_left_alone_and_no_run_fails_for_that() -> None:
    instance = vm("a", gpu_model="H100-SXM5-80GB", gpu_count=8)
    unable = frozenset({("H100-SXM5-80GB", 8)})
    wanted = intent(instance)
    [left] = decide_reaping(account(instance), wanted, Memory(), unable, {}, NOW).values()
    assert isinstance(left, Finished)
    assert left.outcome == "skipped"


def test_a_lease_of_the_last_moment_keeps_the_machine_and_withdraws_what_was_to_be_sent() -> None:
    instance = vm("a")
    lease = {instance.id: Lease(instance.id, "a", "ann", NOW + HOUR)}
    world, wanted = account(instance, snapshots=[snap(instance)]), intent(instance, then="delete")
    memory = Memory(taken={instance.id: snap(instance).id})
    [left] = decide_reaping(world, wanted, memory, frozenset(), lease, NOW).values()
    assert isinstance(left, Finished)
    assert left.reason is Reason.LEASED
    [step] = decide_reaping(world, wanted, memory, frozenset(), {}, NOW).values()
    assert isinstance(step, Step)
    memory.begin(step, NOW)
    [waits] = decide_reaping(world, wanted, memory, frozenset(), lease, NOW).values()
    assert getattr(waits, "reason", None) is Reason.WITHDRAWN


def test_machines_without_a_lease_are_those_that_cost_and_that_nobody_claims() -> None:
    machines = [vm("bare"), vm("leased"), vm("ends"), vm("prod"), vm("sleeps", "HIBERNATED")]
    leases = [Lease("BRK-leased", "leased", "ann", NOW - HOUR)]
    found = unleased([*machines, vm("off", "SHUTOFF")], leases, {"BRK-ends"}, ["prod"])
    assert [one.name for one in found] == ["bare", "off"]
