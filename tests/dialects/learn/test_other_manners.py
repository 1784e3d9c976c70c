"""What is learned of small APIs in the manners of other clouds: nothing wrong."""

from __future__ import annotations

import json
import re

import pytest

from barrack_tasks.dialects.learn import Learned, learn_openapi
from barrack_tasks.dialects.learn.calls import place_of
from tests.dialects.learn.other_clouds import HALTS, RIGS, TRUTH, ZONES, document

FEWEST = {"halts": 13, "zones": 0, "rigs": 0}
"""How many are right at the least before anything is answered."""


def plain(place: str) -> str:
    return re.sub(r"/\{[^}]*\}", "/{}", place)


def in_force(learned: Learned) -> dict[str, str]:
    return {
        what.split(".")[1]: plain(place_of(m.wire["method"], m.wire["path"], m.wire.get("body")))
        for what, m in learned.matches.items()
        if what.startswith("operations.") and what.count(".") == 1 and m.wire is not None
    }


@pytest.mark.parametrize("name", TRUTH)
def test_nothing_wrong_is_learned(name: str) -> None:
    api, has = TRUTH[name]
    learned = learn_openapi(json.dumps(document(api)).encode(), yes=True)
    found = in_force(learned)
    wrong = {n: place for n, place in found.items() if plain(has.get(n, "")) != place}
    assert wrong == {}
    assert len(found) >= FEWEST[name]


def test_under_a_zone_that_is_named_all_is_found() -> None:
    learned = learn_openapi(json.dumps(document(ZONES)).encode(), fixed={"zone": "x-1"})
    found, has = in_force(learned), TRUTH["zones"][1]
    right = {n for n, place in found.items() if has.get(n, "").replace("{zone}", "x-1") == place}
    assert set(found) == right
    assert len(right) >= 9
    for name in ("create", "list", "delete"):
        of_disks = [what for what in learned.open if what.startswith(f"operations.{name}_snapshot")]
        assert of_disks, "these are snapshots of disks, so they are asked"


def test_a_zone_over_everything_is_said() -> None:
    notes = learn_openapi(json.dumps(document(ZONES)).encode()).notes
    assert any("--fixed zone=VALUE" in note for note in notes)


def test_work_that_goes_on_is_not_the_thing_that_it_changes() -> None:
    learned = learn_openapi(json.dumps(document(ZONES)).encode(), fixed={"zone": "x-1"})
    for schema in ("StartVMResponse", "StopVMResponse", "RebootVMResponse"):
        match = learned.matches.get(f"schemas.{schema}.instance")
        assert match is None or match.wire is None, schema


def test_a_copy_over_a_disk_is_no_waking() -> None:
    learned = learn_openapi(json.dumps(document(HALTS)).encode())
    asked = learned.open.get("operations.restore_instance")
    assert asked is None or not any("/restore" in c.shown for c in asked.candidates)


def test_machines_of_a_name_that_nobody_knows_are_asked_first() -> None:
    learned = learn_openapi(json.dumps(document(RIGS)).encode())
    asked = {q.what: q for q in learned.questions()}
    first = list(asked)[:6]
    assert "operations.list_instances" in first
    assert asked["operations.list_instances"].candidates[0].shown == "GET /api/rigs"
    assert [c.shown for c in asked["operations.hibernate_instance"].candidates] == [
        "PUT /api/rigs/{instance_id}/power {command: sleep}"
    ]
    assert [c.shown for c in asked["operations.restore_instance"].candidates] == [
        "PUT /api/rigs/{instance_id}/power {command: wake}"
    ]
