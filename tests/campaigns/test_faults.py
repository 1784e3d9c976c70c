"""Every request of every flow under every fault: `make faults`, and a small sample of it."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest

from tests.campaigns import leaps
from tests.campaigns.faults import (
    CASES,
    PATIENT,
    Cell,
    Verdict,
    matrix,
    sample_of,
    table_of,
    try_all,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
AT_ONCE = int(os.environ.get("BARRACK_FAULTS_AT_ONCE", "3"))


@pytest.fixture
def alone(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients soon give up; ends of the accounts of other cases are not told."""
    monkeypatch.setattr("barrack_tasks.controllers.reports.told_of_left_ends", lambda *_, **__: [])
    monkeypatch.setattr("barrack_tasks.api.client.RetryPolicy", lambda: PATIENT)
    leaps.install(monkeypatch)
    for module in ("barrack_tasks.plans.snapshots.drill", "barrack_tasks.controllers.drills"):
        import_module(module)
        monkeypatch.setattr(f"{module}.TO_DELETE", timedelta(seconds=15))


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_a_sample_of_all_faults() -> None:
    """A few flows that change something; `make faults` tries all."""
    cells = sample_of(matrix(["snapshot_before_stop", "restore_from_snapshot"]), 12)
    found = try_all(cells, AT_ONCE)
    assert [f"{cell}: {verdict.why}" for cell, verdict in found if verdict.word == "broken"] == []


@pytest.mark.campaign
@pytest.mark.usefixtures("alone")
def test_every_request_of_every_flow_under_every_fault() -> None:
    size = int(os.environ.get("SAMPLE") or 0) or None
    only = os.environ.get("FLOWS")
    names = only.split(",") if only else list(CASES)
    began = time.monotonic()
    everything = matrix(names, AT_ONCE)
    print(f"recorded in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    wanted = os.environ.get("CASE", "").split("|")
    chosen = [cell for cell in everything if any(text in str(cell) for text in wanted)]
    cells = sample_of(chosen, size, int(os.environ.get("SEED") or 1))
    print(f"{len(cells)} of {len(everything)} cases", flush=True)  # noqa: T201 - for whoever waits
    began = time.monotonic()
    kept = Path(os.environ.get("BARRACK_FAULTS_LOG", ".cache/faults.jsonl"))
    with kept.open("w") as log:

        def told(cell: Cell, verdict: Verdict) -> None:
            said = {"case": str(cell), "verdict": verdict.word, "why": verdict.why}
            said["at"] = f"{time.monotonic() - began:.0f}"
            log.write(json.dumps(said) + "\n")
            log.flush()

        found = try_all(cells, AT_ONCE, told)
    table = table_of(found)
    print(table)  # noqa: T201
    if os.environ.get("BARRACK_WRITE_DOCS"):
        text = DOCUMENT.read_text()
        head, rest = text.split("<!-- faults -->\n", 1)
        _, tail = rest.split("<!-- /faults -->", 1)
        DOCUMENT.write_text(f"{head}<!-- faults -->\n{table}\n<!-- /faults -->{tail}")
    assert [f"{cell}: {verdict.why}" for cell, verdict in found if verdict.word == "broken"] == []
