"""The judge of the campaigns finds each broken promise in a ledger that shows it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from barrack_tasks import flows
from barrack_tasks.api import BarrackError
from barrack_tasks.sandbox.http.faults import AFTER_EFFECT, BEFORE_EFFECT
from tests.campaigns.faults import (
    CASES,
    SNAPSHOT_FIRST,
    TROUBLES,
    Broken,
    Cell,
    Point,
    Run,
    Verdict,
    Watched,
    judge_promises,
    sample_of,
    table_of,
)

READY = ("clock", "snapshot", "s1", "alpha-1", "CREATING -> SUCCESS: done")
TAKEN = ("create_snapshot", "snapshot", "s1", "alpha-1", "CREATING of BRK-1")
RESTED = ("hibernate_instance", "instance", "BRK-1", "alpha", "ACTIVE -> HIBERNATING")


class Told(Watched):
    """A cloud of which only the ledger is told."""

    def __init__(self, *entries: tuple[str, ...]) -> None:
        super().__init__(api_key="secret-key")
        fields = ("operation", "kind", "id", "name", "detail")
        self.entries = [dict(zip(fields, entry, strict=True)) for entry in entries]

    def whole_ledger(self) -> list[dict[str, Any]]:
        return self.entries

    def ledger(self) -> list[dict[str, Any]]:
        return [e for e in self.entries if not e["name"].startswith("keep-")]


def judge(sandbox: Told, *runs: Run, case: str = "snapshot_before_stop") -> None:
    judge_promises(CASES[case], sandbox, runs)


def test_every_case_with_a_snapshot_first_is_judged_by_it() -> None:
    takes_one = {n for n, case in CASES.items() if "snapshot_then" in case.judge.__qualname__}
    assert takes_one == set(SNAPSHOT_FIRST)
    for name in takes_one:
        with pytest.raises(Broken, match="without a snapshot"):
            judge(Told(RESTED), case=name)


def test_every_flow_and_every_kind_of_fault_is_tried() -> None:
    assert {case.flow for case in CASES.values()} == set(flows.__all__)
    kinds = {trouble.wire.get("kind", "") for trouble in TROUBLES}
    assert kinds >= BEFORE_EFFECT | AFTER_EFFECT | {"stuck", "fail", "vanish"}


def test_what_is_as_promised_is_kept() -> None:
    judge(Told(TAKEN, READY, RESTED), Run(error=BarrackError("it failed")))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([RESTED], "without a snapshot"),
        ([TAKEN, RESTED, READY], "without a snapshot"),
        ([("stop_instance", "instance", "k", "keep-1", "ACTIVE -> STOPPING")], "protected"),
        ([TAKEN, (*TAKEN[:2], "s2", *TAKEN[3:])], "made twice"),
        ([TAKEN, READY, ("delete_snapshot", "snapshot", "s1", "alpha-1", "deleted")], "newest"),
    ],
)
def test_a_broken_promise_is_found_in_the_ledger(entries: list[tuple[str, ...]], said: str) -> None:
    with pytest.raises(Broken, match=said):
        judge(Told(*entries))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("id"), "ended with KeyError"),
        (BarrackError("the key secret-key was refused"), "the key is in"),
    ],
)
def test_a_run_that_says_what_it_must_not_is_found(error: Exception, said: str) -> None:
    with pytest.raises(Broken, match=said):
        judge(Told(), Run(error=error))


def test_a_sample_is_the_same_each_time_and_the_table_counts_it() -> None:
    cells = [Cell("restore", Point("list_instances", n), TROUBLES[0]) for n in range(50)]
    assert sample_of(cells, 7) == sample_of(cells, 7)
    words = ["kept", "unfinished", "broken", "not struck", "kept"]
    found = [(cell, Verdict(word)) for cell, word in zip(cells, words, strict=False)]
    assert table_of(cast(Any, found)).splitlines()[-1] == "| all | 4 | 2 | 1 | 1 |"
