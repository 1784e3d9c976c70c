"""AI chat: answers that can be foreseen, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from barrack_tasks.sandbox.cloud import catalogue
from barrack_tasks.sandbox.cloud.account import CloudAccount
from barrack_tasks.sandbox.cloud.catalogue import LanguageModel
from barrack_tasks.sandbox.cloud.refusals import Refused

MILLION = 1_000_000
BYTES_A_TOKEN = 4
TOKENS_A_MESSAGE = 4
"""What a message takes beside its text."""


@dataclass
class Transaction:
    """One chat that was paid for. Moments are microseconds since 1970."""

    id: str
    serial: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal
    created: int


@dataclass(frozen=True)
class Saying:
    """What a language model says."""

    text: str
    tokens: int
    is_cut: bool


def tokens_of(text: str) -> int:
    """How many tokens a text takes: one for four bytes, or a part of them."""
    return -(-len(text.encode()) // BYTES_A_TOKEN)


def answer_to(text: str, most: int | None) -> Saying:
    """What is said to a text: the text itself, in so many tokens at most."""
    said = f"You said: {text}"
    tokens = tokens_of(said)
    if most is None or tokens <= most:
        return Saying(said, tokens, is_cut=False)
    cut = said.encode()[: most * BYTES_A_TOKEN].decode(errors="ignore")
    return Saying(cut, most, is_cut=True)


class Chats:
    """All chats of the account. They are paid for to the last digit: nothing is rounded."""

    def __init__(self, account: CloudAccount) -> None:
        self._account = account
        self._all: list[Transaction] = []

    def within(self, since: int | None, until: int | None) -> list[Transaction]:
        """What was paid for in a window, oldest first."""
        return [
            x
            for x in self._all
            if (since is None or x.created >= since) and (until is None or x.created < until)
        ]

    def say(
        self, model_id: str, messages: Sequence[str], most: int | None
    ) -> tuple[Saying, Transaction]:
        """Answer the last of some messages, and take what that costs.

        Raises:
            Refused: 402, 404.
        """
        model = catalogue.LANGUAGE_MODELS.get(model_id)
        if model is None:
            raise Refused(404, f"Model {model_id!r} was not found", "model_not_found")
        said = answer_to(messages[-1], most)
        asked = sum(tokens_of(text) + TOKENS_A_MESSAGE for text in messages)
        account = self._account
        cost = cost_of(model, asked, said.tokens, account.currency)
        account.need_balance(cost)
        serial = account.next_serial()
        paid = Transaction(
            f"chatcmpl-{serial:06d}", serial, model.id, asked, said.tokens, cost, account.micros
        )
        self._all.append(paid)
        account.meter.charge(cost)
        detail = f"charged {cost:f} {account.currency}: {asked} + {said.tokens} tokens"
        account.record("ai_chat", paid.id, model.id, detail)
        return said, paid


def cost_of(model: LanguageModel, asked: int, said: int, currency: str) -> Decimal:
    """What a chat costs, exactly."""
    usd = (model.input_usd * asked + model.output_usd * said) / MILLION
    return usd * catalogue.RATES[currency]
