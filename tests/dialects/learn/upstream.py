"""The answers that a person gives who learns the upstream provider's API from its document."""

from __future__ import annotations

from pathlib import Path

from barrack_tasks.dialects.learn import dialect_text, learn_openapi

ANSWERS = {
    "operations.restore_instance": "GET /core/virtual-machines/{instance_id}/hibernate-restore",
    "operations.get_credit_balance": "GET /billing/user-credit/credit",
    "operations.get_pricing": "GET /pricebook",
    "currency": "USD",
    "prices": "the price of one GPU (value of each name)",
}
"""By question, the candidate that is chosen, as it is shown. Each is asked by the learner."""


def learned_from(document: Path) -> str:
    """The dialect file that is learned from the document and the answers."""
    learned = learn_openapi(document.read_bytes(), name="learned")
    for what, answer in ANSWERS.items():
        shown = [candidate.shown for candidate in learned.open[what].candidates]
        learned.answer(what, shown.index(answer))
    return dialect_text(learned)
