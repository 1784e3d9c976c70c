"""The answers that a person gives who learns the upstream provider's API from its document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from barrack_tasks.dialects.learn import dialect_text, learn_openapi

ANSWERS: dict[str, Any] = {}


def learned_from(document: Path) -> str:
    """The dialect file that is learned from the document and the answers."""
    learned = learn_openapi(document.read_bytes(), name="learned")
    for what, answer in ANSWERS.items():
        learned.answer(what, answer)
    return dialect_text(learned)
