"""Ten thousand instances are planned in one go."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from barrack_tasks.api.models import VMStatus
from barrack_tasks.plans.power.snapshot_then import Memory, decide
from barrack_tasks.plans.power.snapshot_then_report import rows_planned
from barrack_tasks.plans.steps import Step
from tests.plans.worlds import account, days, intent, snap, vm


@pytest.mark.parametrize("status", ["ACTIVE", "HIBERNATED"])
def test_ten_thousand_instances(status: str, record_property: pytest.RecordProperty) -> None:
    fleet = [vm(f"train-{n}", status, f"BRK-{n:06}D") for n in range(10_000)]
    moments = (
        [days(0), days(1), days(2)] if status == "HIBERNATED" else [days(n) for n in (1, 2, 3)]
    )
    world = account(*fleet, snapshots=[snap(i, moment) for i in fleet for moment in moments])
    run = intent(*fleet, keep=2)

    started = time.perf_counter()
    plan = decide(world, run, Memory(), run.moment)
    took = time.perf_counter() - started
    started = time.perf_counter()
    rows = rows_planned(run, world)
    shown = time.perf_counter() - started
    print(f"\n10,000 instances, {status}: planned in {took:.3f} s, shown in {shown:.3f} s")  # noqa: T201
    record_property("seconds", took)

    expected = "create_snapshot" if status == "ACTIVE" else "delete_snapshot"
    steps = [next_ for next_ in plan.values() if isinstance(next_, Step)]
    assert [step.operation for step in steps] == [expected] * 10_000
    assert len(rows) == 10_000
    alone = replace(run, targets=run.targets[:1])
    assert decide(world, alone, Memory(), run.moment) == dict([next(iter(plan.items()))])
    assert fleet[0].status is VMStatus(status)
