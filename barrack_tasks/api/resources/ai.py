"""AI chat: talk to language models, and see what that has cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource


class Ai(Resource):
    """Operations of the group AI Chat."""

    def models(self) -> list[m.AIModel]:
        """Language models that there are, and their prices."""
        return self._list(m.AIModel, "list_ai_models")

    def chat(
        self,
        model: str,
        messages: Sequence[m.ChatMessage | Mapping[str, str]],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
    ) -> m.ChatCompletionsResponse:
        """Continue a conversation. Never repeated by itself: each answer is paid for."""
        return self._one(
            m.ChatCompletionsResponse,
            "chat",
            model=model,
            messages=messages,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
        )

    def usage(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> m.UsageSummaryResponse:
        """What the language models have cost between two moments."""
        return self._one(m.UsageSummaryResponse, "get_ai_usage", start=start, end=end)

    def usage_history(
        self, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[m.AITransaction]:
        """Each use of a language model between two moments, lazily."""
        return self._pages(m.AITransaction, "list_ai_usage_history", start=start, end=end)
