"""When what was claimed is up, still comes up, or never will."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.stock.announcing import Claimed, standing

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "address", "soon", "later"),
    [
        ("ACTIVE", "10.0.0.1", "up", "up"),
        ("ACTIVE", "pending", "waiting", "waiting"),
        ("CREATING", None, "waiting", "waiting"),
        ("HIBERNATED", None, "waiting", "lost"),
        ("SHUTOFF", None, "waiting", "lost"),
        ("ERROR", None, "lost", "lost"),
        ("DELETED", None, "lost", "lost"),
        (None, None, "waiting", "lost"),
    ],
)
def test_what_was_claimed_is_waited_for(
    status: str | None, address: str | None, soon: str, later: str
) -> None:
    claimed = Claimed("BRK-1", "train", NOW)
    there = UserVM(id="BRK-1", name="train", status=status, public_ip=address) if status else None
    assert standing(claimed, there, NOW + timedelta(minutes=2)) == soon
    assert standing(claimed, there, NOW + timedelta(hours=2)) == later
