"""AI chat: models, conversations, and what they have cost. OpenAI-style throughout [I]."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from barrack_tasks.api.models.base import Answer, Id, Model, Money, OpenEnum, Request, Timestamp
from barrack_tasks.api.models.common import CurrencyEnum, Pagination
from barrack_tasks.api.models.rules import Text, check_known, says

__all__ = [
    "AIModel", "AIModelUsage", "AITransaction", "ChatChoice", "ChatCompletionsRequest",
    "ChatCompletionsResponse", "ChatMessage", "ChatReply", "ChatRole", "ChatUsage",
    "ModelsResponse", "UsageHistoryResponse", "UsageSummaryResponse",
]  # fmt: skip


class AIModel(Model):
    """A language model. Prices are for a million tokens."""

    id: Id
    name: str | None = None
    description: str | None = None
    context_length: int | None = None
    input_price: Money | None = None
    output_price: Money | None = None
    currency: CurrencyEnum | None = None


class ModelsResponse(Answer):
    """Answer of `list_ai_models`."""

    models: list[AIModel]


class ChatRole(OpenEnum):
    """Who says something in a conversation."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class ChatMessage(Request):
    """Something that is said to a language model."""

    role: Annotated[ChatRole, AfterValidator(check_known)]
    content: Text


def _say_something(messages: list[ChatMessage]) -> list[ChatMessage]:
    if not messages:
        raise ValueError("must hold at least one message")
    return messages


class ChatCompletionsRequest(Request):
    """A conversation to be continued. The answer comes in one piece."""

    model: Text
    messages: Annotated[list[ChatMessage], AfterValidator(_say_something), says(minItems=1)]
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)


class ChatReply(Model):
    """Something that a language model says."""

    role: ChatRole | None = None
    content: str | None = None


class ChatChoice(Model):
    """One way the conversation goes on."""

    index: int | None = None
    message: ChatReply
    finish_reason: str | None = None


class ChatUsage(Model):
    """Tokens that a request took."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class ChatCompletionsResponse(Answer):
    """Answer of `chat`."""

    id: Id | None = None
    model: str | None = None
    created: Timestamp | None = None
    choices: list[ChatChoice]
    usage: ChatUsage | None = None

    @property
    def text(self) -> str:
        """What the model said, of its first choice."""
        return (self.choices[0].message.content or "") if self.choices else ""


class AIModelUsage(Model):
    """What one language model was used for."""

    model: str
    requests: int | None = None
    total_tokens: int | None = None
    cost: Money | None = None


class UsageSummaryResponse(Answer):
    """Answer of `get_ai_usage`."""

    total: Money
    currency: CurrencyEnum
    requests: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    start: Timestamp | None = None
    end: Timestamp | None = None
    models: list[AIModelUsage] = []


class AITransaction(Model):
    """One use of a language model that was paid for, from the same credits as the rest [I]."""

    id: Id
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cost: Money
    currency: CurrencyEnum | None = None
    created_at: Timestamp


class UsageHistoryResponse(Answer):
    """Answer of `list_ai_usage_history`."""

    transactions: list[AITransaction]
    pagination: Pagination | None = None
