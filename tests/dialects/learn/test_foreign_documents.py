"""What is learned from public documents of other clouds that rent machines: nothing wrong.

The documents are not part of this repository. `BARRACK_FOREIGN_DOCUMENTS` names a folder that holds
them as `hcloud.json`, `exoscale.yaml` and so on; what each has is in `foreign-operations.csv`.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import pytest

from barrack_tasks.dialects.learn import learn_openapi
from barrack_tasks.dialects.learn.document import Document

FOLDER = os.environ.get("BARRACK_FOREIGN_DOCUMENTS", "")
TABLE = Path(__file__).resolve().parents[2] / "data" / "foreign-operations.csv"
FIGURES: dict[str, tuple[int, int, int, int]] = {}
NAMES = ("hcloud", "exoscale", "hostinger", "runpod", "ubicloud",
         "contabo", "crusoe", "digitalocean")  # fmt: skip


def truth(name: str) -> dict[str, str]:
    with TABLE.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["document"] == name]
    return {row["operation"]: f"{row['method']} {row['path']}" for row in rows}


def document_of(name: str) -> bytes:
    found = sorted(Path(FOLDER).glob(f"{name}.*")) if FOLDER else []
    if not found:
        pytest.skip(f"BARRACK_FOREIGN_DOCUMENTS holds no OpenAPI document {name}.*")
    return found[0].read_bytes()


def plain(place: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", place)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_wrong_is_learned(name: str) -> None:
    content = document_of(name)
    has = truth(name)
    there = {plain(f"{method} {path}") for path, method, *_ in Document.read(content).operations()}
    assert set(has.values()) <= there, "the table names what the document does not have"
    learned = learn_openapi(content, yes=True)
    in_force = {
        what.removeprefix("operations."): plain(f"{match.wire['method']} {match.wire['path']}")
        for what, match in learned.matches.items()
        if what.startswith("operations.") and what.count(".") == 1 and match.wire is not None
    }
    right = [name for name, place in in_force.items() if has.get(name) == place]
    asked = [name for name in has if f"operations.{name}" in learned.open]
    wrong = sorted(set(in_force) - set(right))
    # has, right, wrong, asked
    figures = (len(has), len(right), len(wrong), len(asked))
    assert wrong == [], figures
    FIGURES[name] = figures
