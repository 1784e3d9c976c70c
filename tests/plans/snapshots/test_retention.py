"""Retention: what is kept, what is dropped, and what never is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from barrack_tasks.api.models import Snapshot
from barrack_tasks.plans import Retention, SelectionError
from barrack_tasks.plans.money.burn import Tariff, burn_of
from barrack_tasks.plans.selection import selector_of
from barrack_tasks.plans.snapshots.prune import (
    Pruning,
    candidates_of,
    decide_pruning,
    keepers,
    prune_rows,
    selected_snapshots,
    unjudged,
)
from barrack_tasks.plans.snapshots.retention import Fate
from tests.plans.worlds import NOW, days, snap, vm

ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]
STATES = ["SUCCESS", "available", "CREATING", "FAILED", "somewhere"]


def at(moment: datetime | None, id_: str, instance: str | None = "vm", **more: Any) -> Snapshot:
    fields: dict[str, Any] = {"status": "SUCCESS", "name": f"s-{id_}", **more}
    return Snapshot(id=id_, instance_id=instance, created_at=moment, **fields)


@st.composite
def histories(draw: st.DrawFn) -> list[Snapshot]:
    count = draw(st.integers(0, 30))
    found = []
    for number in range(count):
        hours = draw(st.integers(-48, 24 * 400))
        found.append(
            at(
                draw(st.sampled_from([NOW - timedelta(hours=hours)] * 9 + [None])),
                str(number),
                draw(st.sampled_from(["vm-1", "vm-2", None])),
                status=draw(st.sampled_from([*["SUCCESS"] * 6, *STATES])),
                is_image=draw(st.sampled_from([None, False, False, True])),
            )
        )
    return found


RETENTIONS = st.builds(
    Retention,
    last=st.integers(1, 5),
    daily=st.integers(0, 8),
    weekly=st.integers(0, 5),
    monthly=st.integers(0, 6),
    zone=st.sampled_from(ZONES),
)


def ids(snapshots: Sequence[Snapshot]) -> set[str]:
    return {s.id for s in snapshots}


def newest_ready(snapshots: Sequence[Snapshot]) -> set[str]:
    found: dict[str, Snapshot] = {}
    for s in snapshots:
        if s.instance_id and s.status.is_ready and s.created_at and s.created_at <= NOW:
            best = found.get(s.instance_id)
            if best is None or (s.created_at, s.id) > (best.created_at, best.id):
                found[s.instance_id] = s
    return ids(list(found.values()))


@given(snapshots=histories(), retention=RETENTIONS, shuffled=st.randoms())
def test_what_holds_for_every_history(
    snapshots: list[Snapshot], retention: Retention, shuffled: Any
) -> None:
    keep, drop = retention.split(snapshots, NOW)
    assert sorted([*keep, *drop], key=lambda s: s.id) == sorted(snapshots, key=lambda s: s.id)
    assert newest_ready(snapshots) <= ids(keep)
    for s in drop:
        assert s.status.is_ready
        assert not s.is_image
        assert s.created_at is not None
        assert s.created_at <= NOW
        assert s.instance_id
    assert retention.split(keep, NOW) == (keep, []), "what was kept is kept again"
    mixed = list(snapshots)
    shuffled.shuffle(mixed)
    assert ids(retention.split(mixed, NOW)[1]) == ids(drop)
    more = retention.model_copy(update={"daily": retention.daily + 1, "last": retention.last + 1})
    assert ids(more.split(snapshots, NOW)[1]) <= ids(drop)
    alone = [s for s in snapshots if s.instance_id == "vm-1"]
    assert ids(retention.split(alone, NOW)[1]) == ids([s for s in drop if s in alone])
    asked = ids(drop[:2])
    assert ids(retention.split(snapshots, NOW, keep=asked)[1]) == ids(drop) - asked


@given(snapshots=histories(), retention=RETENTIONS)
def test_the_count_agrees_with_a_slow_one(snapshots: list[Snapshot], retention: Retention) -> None:
    """Written again, another way: bucket by bucket, from the newest bucket on."""
    zone = ZoneInfo(retention.zone)
    expected: set[str] = set()
    for vm_id in ("vm-1", "vm-2"):
        own = [
            s
            for s in snapshots
            if s.instance_id == vm_id
            and s.status.is_ready
            and s.created_at is not None
            and s.created_at <= NOW
        ]
        own.sort(key=lambda s: (s.created_at, s.id))
        expected |= ids(own[-retention.last :]) | ids(own[-1:])
        for count, form in (
            (retention.daily, "%Y-%m-%d"),
            (retention.weekly, "%G-%V"),
            (retention.monthly, "%Y-%m"),
        ):
            buckets: dict[str, str] = {}
            for s in own:
                buckets[s.created_at.astimezone(zone).strftime(form)] = s.id
            for name in sorted(buckets)[len(buckets) - min(count, len(buckets)) :]:
                expected.add(buckets[name])
    keep, _ = retention.split(snapshots, NOW)
    counted = {
        s.id
        for s in keep
        if s.instance_id and s.status.is_ready and s.created_at and s.created_at <= NOW
    }
    images = {s.id for s in snapshots if s.is_image}
    assert counted - images == expected - images


def test_the_words_of_backup_tools() -> None:
    noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    history = [at(noon - timedelta(days=n), str(n)) for n in range(100)]
    keep, drop = Retention(last=2, daily=3, weekly=2, monthly=2).split(history, noon)
    # 25, 24, 23 Nov (days), 22 Nov (the Sunday of the week before), 31 Oct (the month before).
    assert [s.id for s in keep] == ["0", "1", "2", "3", "25"]
    assert len(drop) == 95
    why = Retention(last=1, daily=1, weekly=2, monthly=0).fates(history, noon, {})
    assert why[0].kept == ("newest ready", "last 1", "daily 2026-11-25", "weekly 2026-W48")
    assert why[3].kept == ("weekly 2026-W47",)
    assert why[1].kept == ()


def test_a_day_is_a_day_of_the_zone() -> None:
    late = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # the 29th in Berlin, the 28th in UTC
    early = datetime(2026, 3, 28, 21, 0, tzinfo=UTC)
    history = [at(late, "late"), at(early, "early")]
    two_days = Retention(last=0, daily=2, weekly=0, monthly=0, zone="Europe/Berlin")
    assert two_days.split(history, NOW)[1] == []
    in_utc = two_days.model_copy(update={"zone": "UTC"})
    assert [s.id for s in in_utc.split(history, NOW)[1]] == ["early"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"last": -1}, "greater than or equal"),
        ({"last": 0, "daily": 0, "weekly": 0, "monthly": 0}, "keeps nothing"),
        ({"zone": "Europe/Berln"}, "nearest is Europe/Berlin"),
        ({"hourly": 3}, "hourly"),
    ],
)
def test_retention_that_cannot_be_meant_is_refused(how: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Retention(**how)


def test_what_must_stay_stays_and_says_why() -> None:
    machine = vm("alpha")
    own = [snap(machine, NOW - timedelta(days=n)) for n in range(6)]
    foreign = own[5].model_copy(update={"id": "foreign", "description": "by hand"})
    how = Pruning(Retention(last=1, daily=0, weekly=0, monthly=0))
    given = [*own, foreign]
    assert len(candidates_of(given, how, NOW)) == 5
    keep = keepers(given, how, {own[1].id}, {}, proven={own[2].id})
    assert keep == {
        own[1].id: "an image depends on it",
        own[2].id: "it is the newest that was proven to restore",
        "foreign": "not made by this library",
    }
    dropped = [f.snapshot.id for f in decide_pruning(given, how, keep, NOW) if not f.kept]
    assert dropped == [s.id for s in own[3:]]
    unknown = keepers(given, how, None, {})
    assert [f for f in decide_pruning(given, how, unknown, NOW) if not f.kept] == []
    held = keepers(given, how, set(), {machine.id: "run x"})
    assert held[own[3].id] == "run x is working on its instance"
    safe = keepers(given, Pruning(how.retention, protect=(machine.id,)), set(), {})
    assert safe[own[3].id] == "its instance is protected"


def test_snapshots_made_by_hand_take_no_place_of_own_ones_in_retention() -> None:
    machine = vm("alpha")
    own = [snap(machine, NOW - timedelta(days=n, hours=1)) for n in range(6)]
    by_hand = [
        at(NOW - timedelta(days=n), f"by-hand-{n}", machine.id, description="mine")
        for n in range(4)
    ]
    how = Pruning(Retention(last=2, daily=3, weekly=0, monthly=0))
    given = [s for pair in zip(own, by_hand, strict=False) for s in pair] + own[4:]
    keep = keepers(given, how, frozenset(), {})
    fates = decide_pruning(given, how, keep, NOW)
    assert [f.snapshot for f in fates] == given
    kept = [f.snapshot for f in fates if f.kept]
    assert [s for s in kept if s in own] == own[:3]
    assert [s for s in kept if s in by_hand] == by_hand
    assert {f.kept for f in fates if f.snapshot in by_hand} == {("not made by this library",)}
    alone = decide_pruning(by_hand, how, {}, NOW)
    assert all(f.kept for f in alone), "whatever the caller knows of them"
    assert how.retention.split(given, NOW)[0] != kept, "`split` counts all that it is given"


def test_a_snapshot_that_failed_is_not_told_as_costing() -> None:
    machine = vm("alpha")
    ready = snap(machine, NOW, size_gb=100)
    broken = [snap(machine, days(n), s, size_gb=100) for n, s in ((8, "FAILED"), (9, "ERROR"))]
    fates = [Fate(ready, ("last 1",)), *(Fate(s) for s in broken)]
    rows = prune_rows(fates, Decimal("0.0001"), "USD", {}, dry_run=True)
    assert [r.hourly_before for r in rows] == [Decimal("0.01"), 0, 0]
    tariff = Tariff(snapshot_gb=Decimal("0.0001"))
    assert burn_of([], [], [ready, *broken], tariff).hourly == Decimal("0.01")


def test_what_stays_only_because_something_could_not_be_read_has_failed() -> None:
    machine = vm("alpha")
    newest, *old = [snap(machine, days(n)) for n in range(4)]
    how = Pruning(Retention(last=1))
    keep = keepers([newest, *old], how, None, {}, used={old[0].id: "another run"})
    fates = decide_pruning([newest, *old], how, keep, NOW)
    assert all(fate.kept for fate in fates), "unknown is not none"
    unread = unjudged(fates, [s.id for s in old], how, {}, used={old[0].id: "another run"})
    assert set(unread) == {s.id for s in old[1:]}
    rows = prune_rows(fates, None, None, unread, dry_run=False)
    assert [(r.outcome, r.did) for r in rows] == [("already", ())] * 2 + [("failed", ())] * 2


def test_failed_ones_are_dropped_only_when_asked_and_only_our_own() -> None:
    machine = vm("alpha")
    ready, broken = snap(machine, NOW), snap(machine, NOW - timedelta(days=9), "FAILED")
    theirs = broken.model_copy(update={"id": "x", "description": None})
    given = [ready, broken, theirs]
    how = Pruning(Retention())
    assert candidates_of(given, how, NOW) == []
    assert candidates_of(given, Pruning(Retention(), failed="drop"), NOW) == [broken]


def test_a_selection_is_by_the_instances_name_id_and_region() -> None:
    alpha = at(NOW, "1", "BRK-1", instance_name="alpha", region="CANADA-1")
    gone = at(NOW, "2", "BRK-2", instance_name="gone", region="US-1")
    given = [alpha, gone]
    assert selected_snapshots(selector_of(["*"]), given) == given
    assert selected_snapshots(selector_of(["BRK-2"]), given) == [gone]
    assert selected_snapshots(selector_of({"regions": ["US-1"]}), given) == [gone]
    looks_so = gone.model_copy(update={"instance_id": "BRK-9", "instance_name": "BRK-2"})
    assert selected_snapshots(selector_of({"ids": ["BRK-2"]}), [*given, looks_so]) == [gone]
    with pytest.raises(SelectionError, match="'BRK-2' is the id of one instance, gone, and the"):
        selected_snapshots(selector_of(["BRK-2"]), [*given, looks_so])
    with pytest.raises(
        SelectionError, match="no snapshot of 'alpa'; there are snapshots of alpha, gone"
    ):
        selected_snapshots(selector_of(["alpa"]), given)
    with pytest.raises(SelectionError, match="name instances or regions"):
        selected_snapshots(selector_of({"states": ["ACTIVE"]}), given)
