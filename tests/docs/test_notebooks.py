"""The notebooks in examples/ run from top to bottom, and what they show is fit to be read."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from docs.generate.notebooks import NOTEBOOKS, run
from tests.docs.blocks import ROOT

every = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
_NOT_SHOWN = re.compile(r"/(work|tmp|home|root|Users)/|sandbox-key|Traceback|PREFECT_API_AUTH")


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def how_much(cell: Any) -> int:
    """How many things a cell shows, besides what a server warns of that other tests use, too."""
    return sum(one.get("name") != "stderr" for one in cell["outputs"])


def test_there_are_three() -> None:
    assert [f.stem for f in NOTEBOOKS] == ["cost_review", "first_look", "overnight_training"]


@every
def test_what_is_stored_was_run_in_order_and_names_no_place_and_no_secret(file: Path) -> None:
    notebook = json.loads(file.read_text(encoding="utf-8"))
    cells = code_of(notebook)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [one for cell in cells for one in cell["outputs"]]
    assert len(outputs) >= 3
    assert {one["output_type"] for one in outputs} <= {"stream", "display_data", "execute_result"}
    assert not _NOT_SHOWN.search(json.dumps(outputs))
    assert file.stat().st_size < 200_000
    if file.stem == "cost_review":
        assert sum("image/svg+xml" in one.get("data", {}) for one in outputs) == 2
        assert "data:image/svg+xml;base64," in json.dumps(outputs), "the report has its chart"
    if file.stem == "overnight_training":
        assert "restore train-1: 1 of 1 finished after" in json.dumps(outputs), "the live line"


@every
@pytest.mark.slow
def test_it_runs(
    file: Path, prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{os.environ.get('PYTHONPATH', '')}")
    stored = json.loads(file.read_text(encoding="utf-8"))
    shown = code_of(run(file, tmp_path))
    assert [how_much(cell) for cell in shown] == [how_much(cell) for cell in code_of(stored)]
