"""Tasks of the group AI Chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task


@barrack_task()
def list_ai_models(credentials: BarrackCredentials) -> list[m.AIModel]:
    """Language models that can be talked to.

    Args:
        credentials: the account.

    Returns:
        The models, whose `id` is what `chat` takes as `model`. Prices are for a million tokens.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> {a.id: a.output_price for a in list_ai_models(account)}

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().ai.models()


@barrack_task("chat with {model}")
def chat(
    credentials: BarrackCredentials,
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
        credentials: the account.
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
        >>> chat(account, "llama-3.3-70b", [{"role": "user", "content": "Hello"}]).text

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().ai.chat(
        model, messages, max_tokens=max_tokens, temperature=temperature, top_p=top_p
    )


@barrack_task()
def get_ai_usage(
    credentials: BarrackCredentials, start: datetime | None = None, end: datetime | None = None
) -> m.UsageSummaryResponse:
    """What the language models have cost between two moments.

    Args:
        credentials: the account.
        start: zone-aware; the beginning, if not given.
        end: zone-aware; now, if not given.

    Returns:
        The total as a Decimal with its currency, requests and tokens, in all and by model.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> get_ai_usage(account).total

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().ai.usage(start, end)


@barrack_task()
def list_ai_usage_history(
    credentials: BarrackCredentials, start: datetime | None = None, end: datetime | None = None
) -> list[m.AITransaction]:
    """Each use of a language model between two moments, page after page.

    Args:
        credentials: the account.
        start: zone-aware; the beginning, if not given.
        end: zone-aware; now, if not given.

    Returns:
        The uses, each with its tokens and its cost as a Decimal.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> sum(t.cost for t in list_ai_usage_history(account))

    Operation: inferred; its path and fields: inferred.
    """
    return list(credentials.get_client().ai.usage_history(start, end))
