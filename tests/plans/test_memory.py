"""What a run remembers of itself, and says when it cannot go on."""

from __future__ import annotations

from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.steps import Step


def test_a_run_that_did_nothing_says_nothing() -> None:
    assert Memory().done_so_far({}) == ""


def test_a_run_that_cannot_go_on_names_what_it_has_made_and_asked_for() -> None:
    memory = Memory(
        taken={"BRK-1": "4711"},
        made={"restore:base": "BRK-7"},
        imaged={"publish:cuda": "61"},
        acted={"BRK-2", "BRK-1"},
        woken={"BRK-3"},
    )
    memory.begin(Step("create_snapshot", "BRK-4", "gamma"))
    assert memory.done_so_far({"BRK-1": "alpha", "BRK-2": "beta", "restore:base": "train"}) == (
        "it took the snapshot 4711 (alpha), made the instance BRK-7 (train), made the image 61 "
        "(publish:cuda), asked alpha, beta to rest or go, asked BRK-3 to come back and was sending "
        "create_snapshot (gamma)"
    )
