"""AI chat: talk to language models, and see what that has cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from barrack_tasks.api import models as m
from barrack_tasks.api.models.times import Moment
from barrack_tasks.api.resources.base import Resource, operation

__all__ = ["Ai"]


class Ai(Resource):
    """Operations of the group AI Chat."""

    @operation("list_ai_models")
    def models(self) -> list[m.AIModel]:
        """Language models that can be talked to.

        Returns:
            The models, whose `id` is what `chat` takes as `model`. Prices are for a million tokens.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> {a.id: a.output_price for a in client.ai.models()}
        """

    @operation("chat")
    def chat(
        self,
        model: str,
        messages: Sequence[m.ChatMessage | Mapping[str, str]],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
    ) -> m.ChatCompletionsResponse:
        """Continue a conversation with a language model. It is paid for from the same credits.

        Not repeated when the answer is lost: each answer costs, and nothing tells if one was given.

        Args:
            model: id of the model, one of `list_ai_models`.
            messages: what was said so far, as `ChatMessage` or dicts with `role` (`system`, `user`
                or `assistant`) and `content`; at least one.
            max_tokens: length of the answer at most, 1 or more; the model's limit, if not given.
            temperature: 0 to 2, how freely it answers; the model's choice, if not given.
            top_p: 0 to 1, share of the likely words it chooses from; the model's choice, if not
                given.

        Returns:
            The answer, whose `text` is what the model said, and the tokens it took.

        Raises:
            BarrackValidationError: a field breaks a rule; nothing was sent.
            BarrackNotFoundError: there is no such model.
            BarrackInsufficientCreditsError: the balance does not suffice.

        Example:
            >>> client.ai.chat("qwen3-8b", [{"role": "user", "content": "Hello"}]).text
        """

    @operation("get_ai_usage")
    def usage(
        self, start: Moment | None = None, end: Moment | None = None
    ) -> m.UsageSummaryResponse:
        """What the language models have cost between two moments.

        Args:
            start: zone-aware, or ISO 8601; the beginning, if not given.
            end: zone-aware, or ISO 8601; now, if not given.

        Returns:
            The total as a Decimal with its currency, requests and tokens, in all and by model.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> client.ai.usage().total
        """

    @operation("list_ai_usage_history")
    def usage_history(
        self, start: Moment | None = None, end: Moment | None = None
    ) -> Iterator[m.AITransaction]:
        """Each use of a language model between two moments, page after page.

        Args:
            start: zone-aware, or ISO 8601; the beginning, if not given.
            end: zone-aware, or ISO 8601; now, if not given.

        Returns:
            The uses, each with its tokens and its cost as a Decimal.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> sum(t.cost for t in client.ai.usage_history())
        """
