"""Mistakes that people make: each is one sentence and a code, and never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from barrack_tasks.sandbox import Sandbox
from docs.generate.mistakes import MISTAKES, TARGET, Mistake, ended

ALL = [one for mistakes in MISTAKES.values() for one in mistakes]
PAGE = TARGET.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(fleet=3, speed=0) as made:
        yield made


def test_there_are_sixty() -> None:
    assert len(ALL) >= 60


@pytest.mark.parametrize(
    "mistake", ALL, ids=lambda one: f"{' '.join([*one.env, one.command, *one.files.values()])}"[:90]
)
def test_a_mistake_is_one_sentence_and_a_code(
    mistake: Mistake, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = sandbox.ledger()
    end = ended(mistake, sandbox, tmp_path)
    assert end.code == mistake.code, end
    [sentence] = end.err.splitlines()
    assert sentence.startswith("barrack: ")
    assert "Traceback" not in end.out
    assert sentence in PAGE, "run: python -m docs.generate.mistakes"
    assert sandbox.ledger() == before, "nothing was changed"
