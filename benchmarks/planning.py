"""What a decision on 10,000 instances costs: time and memory, without any request."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.power.snapshot_then import Then, decide, intent_for
from barrack_tasks.plans.selection import Selector
from barrack_tasks.plans.world import World

COUNT = 10_000
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def world_of(count: int) -> World:
    """A fleet that runs, with four old snapshots of each instance."""
    instances = {}
    snapshots = {}
    for number in range(count):
        id_ = f"BRK-{number:07d}"
        about = {"id": id_, "name": f"m-{number:05d}", "status": "ACTIVE"}
        instances[id_] = UserVM.model_validate({**about, "hourly_price": "2.25", "currency": "USD"})
        snapshots[id_] = [
            Snapshot.model_validate(
                {
                    "id": f"{number}-{age}",
                    "name": f"m-{number:05d}-{age}",
                    "status": "SUCCESS",
                    "instance_id": id_,
                    "created_at": (NOW - timedelta(days=age)).isoformat(),
                }
            )
            for age in range(1, 5)
        ]
    return World(instances=instances, snapshots=snapshots)


def measure() -> dict[str, Any]:
    """Processor seconds and MiB of the decisions, by the name of their flow."""
    world = world_of(COUNT)

    def snapshot_before_stop() -> None:
        selector = Selector(names=["*"])
        span = timedelta(minutes=30)
        intent = intent_for(selector, world, Then.HIBERNATE, NOW, NOW, span, 3, ["no-*"], {})
        decide(world, intent, Memory(), NOW)

    return figures_of({"snapshot_before_stop": snapshot_before_stop})


def figures_of(decisions: dict[str, Callable[[], None]]) -> dict[str, str]:
    """The quickest of three, and the most memory that one takes beside its world."""
    found = {}
    for name, decision in decisions.items():
        took = []
        for _ in range(3):
            began = time.process_time()
            decision()
            took.append(time.process_time() - began)
        tracemalloc.start()
        decision()
        most = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        found[f"{name}, {COUNT:,} instances"] = f"{min(took):.2f} CPU s, {most:.0f} MiB"
    return found
