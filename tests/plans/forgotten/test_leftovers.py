"""Leftovers: nothing is deleted without a notice, nor what something keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import VolumeResponse
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.forgotten.leftovers import (
    Left,
    Leftover,
    LeftoverGuards,
    judge_leftovers,
    notices_of_leftovers,
)
from barrack_tasks.plans.forgotten.notices import GRACE, Notice, Stage, notices_after
from tests.plans.worlds import HOUR, NOW, snap, vm

GONE = vm("gone")
OLD, NEW = snap(GONE, NOW - 99 * HOUR), snap(GONE, NOW - 50 * HOUR)
LOOSE = VolumeResponse(id="7", name="loose", created_at=NOW - 99 * HOUR)
RULES = [
    Leftover(of="snapshots", longer_than="1d", then="delete"),
    Leftover(of="volumes", longer_than="1d", then="delete"),
]
FREE = LeftoverGuards(gone=[GONE.id], depended_on=[])


def judged(kept: LeftoverGuards = FREE, **more: Any) -> dict[str, Left]:
    found = judge_leftovers(RULES, [OLD, NEW], [LOOSE], {}, NOW, kept, **more)
    return {one.id: one for one in found}


def after(before: dict[str, Notice], left: Any, **more: Any) -> dict[str, Notice]:
    """What is remembered of notices that were given before the grace."""
    given = [replace(one, acts_at=NOW) if one.acts_at else one for one in left]
    return notices_after(before, given, {rule.key for rule in RULES}, NOW - GRACE, **more)


def test_an_old_snapshot_and_a_loose_volume_are_told_of_and_deleted_after_the_grace() -> None:
    first = judged()
    assert first[OLD.id].stage is first["7"].stage is Stage.NOTICE
    assert "the newest ready snapshot" in first[NEW.id].why
    [one, other] = notices_of_leftovers(first.values())
    assert f"barrack lease snapshot:{OLD.id} --extend 30d" in one.text
    assert "barrack lease volume:7 --extend 30d" in other.text
    noticed = after({}, first.values())
    assert {o.id for o in judged(noticed=noticed).values() if o.stage is Stage.DUE} == {OLD.id, "7"}
    unheard = after({}, first.values(), untold=[one.key, other.key])
    assert all(o.stage is not Stage.DUE for o in judged(noticed=unheard).values())
    assert notices_after(noticed, [], [], NOW) == noticed, "those of other rules stay"
    assert after(noticed, []) == {}
    held = {f"snapshot:{OLD.id}"}
    left = notices_after(noticed, [], [], NOW, held)
    assert set(left) == {other.key}, "who leased it has said no to the notices of all rules"


LEASE = Lease("x", "x", "ann", NOW + HOUR)
KEEPERS = {
    "protected by its name": (replace(FREE, protect=[OLD.name]), "it is protected"),
    "protected by its machine": (replace(FREE, protect=[GONE.id]), "its instance is protected"),
    "leased": (replace(FREE, held={f"snapshot:{OLD.id}": LEASE}), "the lease of ann keeps it"),
    "its machine leased": (replace(FREE, held={GONE.id: LEASE}), "keeps its machine"),
    "proven": (replace(FREE, proven=[OLD.id]), "proven to restore"),
    "an image": (replace(FREE, depended_on=[OLD.id]), "an image depends on it"),
    "images unread": (replace(FREE, depended_on=None), "not known whether an image"),
    "in use": (replace(FREE, used={f"snapshot:{OLD.id}": "run x"}), "run x is using it"),
    "not surely gone": (replace(FREE, gone=[]), "not certain yet that its machine is gone"),
}


@pytest.mark.parametrize("why", KEEPERS)
def test_what_something_keeps_is_not_deleted_whatever_people_were_told(why: str) -> None:
    kept, sentence = KEEPERS[why]
    long_ago = Notice(NOW - 2 * GRACE, NOW - GRACE)
    noticed = dict.fromkeys((one.key for one in judged().values()), long_ago)
    assert judged(noticed=noticed)[OLD.id].stage is Stage.DUE
    left = judged(kept, noticed=noticed)[OLD.id]
    assert left.stage is Stage.SPARED
    assert sentence in left.why


def test_a_snapshot_that_somebody_else_made_stays() -> None:
    foreign = snap(GONE, NOW - 99 * HOUR, name="mine", description="by hand")
    [left] = judge_leftovers(RULES, [foreign, NEW], [], {}, NOW, FREE)[:1]
    assert "not made by this library" in left.why


def test_a_volume_that_was_detached_a_moment_ago_is_no_leftover() -> None:
    fresh = LOOSE.model_copy(update={"updated_at": NOW - HOUR})
    assert judge_leftovers(RULES, [], [fresh], {}, NOW, FREE) == []


@given(st.integers(0, 400), st.booleans(), st.booleans())
def test_nothing_is_due_without_a_notice_that_is_old_enough(
    minutes: int, is_told: bool, is_leased: bool
) -> None:
    ago = timedelta(minutes=minutes)
    notice = Notice(NOW - ago, NOW - ago + GRACE)
    noticed = {one.key: notice for one in judged().values()} if is_told else {}
    held = {"volume:7": LEASE} if is_leased else {}
    left = judged(replace(FREE, held=held), noticed=noticed)["7"]
    assert (left.stage is Stage.DUE) == (is_told and not is_leased and ago >= GRACE)
