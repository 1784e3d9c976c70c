"""AI chat."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from barrack_tasks.api import models as m
from barrack_tasks.sandbox.cloud import catalogue
from barrack_tasks.sandbox.cloud.chats import Transaction
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles, one_page


@handles("list_ai_models")
def list_ai_models(world: CloudState, call: SandboxCall) -> m.ModelsResponse:
    rate = catalogue.RATES[world.currency]
    return m.ModelsResponse(
        models=[
            m.AIModel(
                id=model.id,
                name=model.name,
                context_length=model.context_length,
                input_price=model.input_usd * rate,
                output_price=model.output_usd * rate,
                currency=m.CurrencyEnum(world.currency),
            )
            for model in catalogue.LANGUAGE_MODELS.values()
        ]
    )


@handles("chat")
def chat(world: CloudState, call: SandboxCall) -> m.ChatCompletionsResponse:
    ask: m.ChatCompletionsRequest = call.body
    texts = [message.content for message in ask.messages]
    said, paid = world.chats.say(ask.model, texts, ask.max_tokens)
    reply = m.ChatReply(role=m.ChatRole.ASSISTANT, content=said.text)
    reason = "length" if said.is_cut else "stop"
    return m.ChatCompletionsResponse(
        id=paid.id,
        model=paid.model,
        created=to_datetime(paid.created),
        choices=[m.ChatChoice(index=0, message=reply, finish_reason=reason)],
        usage=m.ChatUsage(
            prompt_tokens=paid.prompt_tokens,
            completion_tokens=paid.completion_tokens,
            total_tokens=paid.prompt_tokens + paid.completion_tokens,
        ),
    )


@handles("get_ai_usage")
def get_ai_usage(world: CloudState, call: SandboxCall) -> m.UsageSummaryResponse:
    since, until = call.window()
    paid = world.chats.within(since, until)
    by_model: dict[str, list[Transaction]] = {}
    for transaction in paid:
        by_model.setdefault(transaction.model, []).append(transaction)
    prompt = sum(x.prompt_tokens for x in paid)
    completion = sum(x.completion_tokens for x in paid)
    first = to_datetime(paid[0].created) if paid else None
    return m.UsageSummaryResponse(
        total=_cost(paid),
        currency=m.CurrencyEnum(world.currency),
        requests=len(paid),
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        start=first if since is None else to_datetime(since),
        end=world.now if until is None else to_datetime(until),
        models=[
            m.AIModelUsage(
                model=model,
                requests=len(of_it),
                total_tokens=sum(x.prompt_tokens + x.completion_tokens for x in of_it),
                cost=_cost(of_it),
            )
            for model, of_it in by_model.items()
        ],
    )


def _cost(paid: Sequence[Transaction]) -> Decimal:
    return sum((x.cost for x in paid), Decimal(0))


@handles("list_ai_usage_history")
def list_ai_usage_history(world: CloudState, call: SandboxCall) -> m.UsageHistoryResponse:
    page, pagination = one_page(call, world.chats.within(*call.window()))
    return m.UsageHistoryResponse(
        transactions=[
            m.AITransaction(
                id=x.id,
                model=x.model,
                prompt_tokens=x.prompt_tokens,
                completion_tokens=x.completion_tokens,
                total_tokens=x.prompt_tokens + x.completion_tokens,
                cost=x.cost,
                currency=m.CurrencyEnum(world.currency),
                created_at=to_datetime(x.created),
            )
            for x in page
        ],
        pagination=pagination,
    )
