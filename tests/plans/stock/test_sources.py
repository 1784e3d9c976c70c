"""What claims bring back: only as what it is, where it is, and at its price."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.plans.names import snapshot_description
from barrack_tasks.plans.stock.claims import Claims, choose
from barrack_tasks.plans.stock.sources import check_place, place_of_snapshot, ready_snapshot
from barrack_tasks.plans.stock.wants import Place, Want

NOW = datetime(2026, 11, 25, tzinfo=UTC)
BIG = Place("CANADA-1", "H100-PCIe-80GB", 8)
SMALL = Place("CANADA-1", "A40", 1)
SOURCE = UserVM(
    id="BRK-1", name="big", status="ACTIVE", gpu_model=BIG.gpu_model, gpu_count=8, region="US-1"
)


def snapshot(**more: Any) -> Snapshot:
    known = {"id": "17", "name": "saved", "status": "SUCCESS", "instance_id": "BRK-1"}
    return Snapshot(**{**known, "region": "CANADA-1", **more})


def want(**more: Any) -> Want:
    claim = {"how": "snapshot", "snapshot_id": "17", "name": "copy"}
    return Want(**{"gpu_model": "A40", "claim": claim, **more})


def nothing() -> Mapping[str, tuple[str, int]]:
    return {}


def test_a_snapshot_is_claimed_only_where_it_restores_to() -> None:
    either = want(gpu_model="*", otherwise=[{"gpu_model": "H100*", "gpu_count": 8}])
    for stock, places in (({SMALL: 5}, []), ({SMALL: 5, BIG: 1}, [BIG])):
        found = choose([either], stock, [], lambda *_: Decimal(1), Claims(), {"17": BIG})
        assert [a.place for a in found.attempts] == places


def test_the_instance_tells_what_a_snapshot_restores_to_then_whoever_remembers() -> None:
    told = snapshot(description=snapshot_description("BRK-1", ("L40", 2)))
    assert place_of_snapshot(told, [SOURCE], nothing) == BIG, "in the region of the snapshot"
    assert place_of_snapshot(told, [], nothing) == Place("CANADA-1", "L40", 2)
    assert place_of_snapshot(snapshot(), [], lambda: {"BRK-1": ("A40", 1)}) == SMALL
    assert place_of_snapshot(snapshot(region=None), [SOURCE], nothing).region == "US-1"
    with pytest.raises(ValueError, match="nothing tells which GPU the snapshot saved restores to"):
        place_of_snapshot(snapshot(), [], nothing)


def test_a_snapshot_that_is_missing_or_not_ready_is_refused() -> None:
    assert ready_snapshot(want(), [snapshot()], NOW).id == "17"
    other = want(claim={"how": "snapshot", "snapshot_id": "save", "name": "copy"})
    with pytest.raises(ValueError, match="none is called 'save'; the nearest is 'saved'"):
        ready_snapshot(other, [snapshot()], NOW)
    with pytest.raises(ValueError, match="the snapshot saved is CREATING, and not ready"):
        ready_snapshot(want(), [snapshot(status="CREATING")], NOW)


def test_what_comes_back_as_something_else_or_too_dear_is_refused() -> None:
    with pytest.raises(ValueError, match=r"big comes back as 8x H100.*, and wanted is 1x A40"):
        check_place(want(), "big", BIG, Decimal(18), "USD")
    cheap = want(gpu_model="H100*", gpu_count=8, max_price=1)
    with pytest.raises(ValueError, match=r"for 18.00 USD an hour, and the limit is 1.00 USD"):
        check_place(cheap, "big", BIG, Decimal(18), "USD")
    check_place(want(gpu_model="H100*", gpu_count=8, max_price=18), "big", BIG, Decimal(18), "USD")
