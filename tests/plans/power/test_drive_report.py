"""What a plan says that an instance costs once it is driven to where it is wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.power.drive_report import rows_of
from barrack_tasks.plans.steps import Step
from barrack_tasks.plans.world import World


@pytest.mark.parametrize(
    ("status", "operation", "cost"),
    [
        ("SHUTOFF", "start_instance", "0.01"),
        ("ACTIVE", "create_snapshot", "0.01"),
        ("ACTIVE", "hibernate_instance", "0.01"),
        ("ACTIVE", "stop_instance", "2.25"),
    ],
)
def test_a_plan_counts_where_an_instance_ends_and_not_where_its_next_step_leads(
    status: str, operation: str, cost: str
) -> None:
    instance = UserVM.model_validate(
        {"id": "BRK-1", "name": "a", "status": status, "hourly_price": "2.25", "currency": "USD"}
    )
    target = Target("BRK-1", "a", datetime(2026, 11, 25, tzinfo=UTC), instance)
    plan = {"BRK-1": Step(operation, "BRK-1", "a")}
    world = World(instances={"BRK-1": instance})
    [row] = rows_of([target], plan, world, Memory(), {"BRK-1": VMStatus.HIBERNATED})
    assert (row.hourly_before, row.hourly_now) == (Decimal("2.25"), Decimal(cost))
