"""AI chat: answers, and money to the last digit."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api

CHAT = "/ai/chat/completions"
HELLO = {"model": "qwen3-8b", "messages": [{"role": "user", "content": "Hello there"}]}


def test_golden_shape_of_a_chat() -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start) as sandbox:
        api = Api(sandbox)
        said = api.ok("POST", CHAT, HELLO)
        again = api.ok("POST", CHAT, HELLO)
    assert re.fullmatch(r"chatcmpl-\d{6}", said.pop("id"))
    assert said == {
        "status": True,
        "message": "Chat with AI: done",
        "model": "qwen3-8b",
        "created": "2026-11-25T08:00:00Z",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "You said: Hello there"},
                "finish_reason": "stop",
            }
        ],
        # 11 bytes and 4 for the message; 21 bytes.
        "usage": {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13},
    }
    assert again["choices"] == said["choices"]


def test_the_answer_can_be_cut(api: Api) -> None:
    text = "\N{GRINNING FACE}" * 20
    ask = {**HELLO, "messages": [{"role": "user", "content": text}], "max_tokens": 5}
    said = api.ok("POST", CHAT, ask)
    assert said["choices"][0]["finish_reason"] == "length"
    assert said["usage"]["completion_tokens"] == 5
    assert (
        said["choices"][0]["message"]["content"] == "You said: \N{GRINNING FACE}\N{GRINNING FACE}"
    )


def test_models(api: Api) -> None:
    models = api.ok("GET", "/ai/models")["models"]
    assert models[1] == {
        "id": "qwen3-8b",
        "name": "Qwen3 8B",
        "context_length": 32768,
        "input_price": "0.04",
        "output_price": "0.14",
        "currency": "USD",
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "parrot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages.0.content"),
        ({"model": ""}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": True}, "top_p"),
    ],
)
def test_chats_that_are_refused(
    sandbox: Sandbox, api: Api, change: dict[str, Any], field: str
) -> None:
    assert list(api.no(422, "POST", CHAT, {**HELLO, **change})["errors"]) == [field]
    api.no(404, "POST", CHAT, {**HELLO, "model": "parrot-1"})
    api.ok("POST", CHAT, {**HELLO, "temperature": 0.5, "top_p": 1})
    assert api.ok("GET", "/ai/usage")["requests"] == 1


@pytest.mark.parametrize("currency", ["USD", "EUR", "INR"])
def test_money_agrees_to_the_last_digit(currency: str) -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start, currency=currency) as sandbox:
        api = Api(sandbox)
        prices = {x["id"]: x for x in api.ok("GET", "/ai/models")["models"]}
        costs: list[Decimal] = []
        for n in range(1, 8):
            model = "qwen3-8b" if n % 2 else "llama-3.3-70b-instruct"
            ask = {"model": model, "messages": [{"role": "user", "content": "x" * n**3}]}
            usage = api.ok("POST", CHAT, ask)["usage"]
            million = Decimal(10**6)
            costs.append(
                Decimal(prices[model]["input_price"]) * usage["prompt_tokens"] / million
                + Decimal(prices[model]["output_price"]) * usage["completion_tokens"] / million
            )
            sandbox.advance(60)
        balance = Decimal(api.ok("GET", "/balance")["data"]["balance"]["amount"])
        history = api.ok("GET", "/ai/usage/history")
        usage = api.ok("GET", "/ai/usage")
        half = {"from": "2026-11-25T08:01:00Z", "to": "2026-11-25T08:03:00Z"}
        part = api.ok("GET", "/ai/usage", **half)
        part_history = api.ok("GET", "/ai/usage/history", **half)["transactions"]
        pages = [
            api.ok("GET", "/ai/usage/history", page=n, page_size=3)["transactions"]
            for n in (1, 2, 3)
        ]
        api.no(422, "GET", "/ai/usage", **{"from": "once"})
        ledger = [x for x in sandbox.ledger() if x["kind"] == "ai_chat"]
    assert 100 - balance == sum(costs)
    assert [Decimal(x["cost"]) for x in history["transactions"]] == costs
    assert [x for page in pages for x in page] == history["transactions"]
    assert history["transactions"][0]["created_at"] == "2026-11-25T08:00:00Z"
    assert {x["currency"] for x in history["transactions"]} == {currency}
    assert [Decimal(x["detail"].split()[1]) for x in ledger] == costs
    assert Decimal(usage["total"]) == sum(costs)
    assert usage["requests"] == 7
    assert usage["total_tokens"] == sum(x["total_tokens"] for x in history["transactions"])
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert {x["model"]: Decimal(x["cost"]) for x in usage["models"]} == {
        "qwen3-8b": sum(costs[::2]),
        "llama-3.3-70b-instruct": sum(costs[1::2]),
    }
    assert (usage["from"], usage["to"]) == ("2026-11-25T08:00:00Z", "2026-11-25T08:07:00Z")
    assert Decimal(part["total"]) == sum(costs[1:3])
    assert (part["from"], part["to"]) == (half["from"], half["to"])
    assert [Decimal(x["cost"]) for x in part_history] == costs[1:3]


def test_nothing_is_said_without_credits(sandbox: Sandbox, api: Api) -> None:
    api.ok("POST", CHAT, HELLO)
    spent = Decimal(api.ok("GET", "/ai/usage")["total"])
    sandbox.add_credit(spent - 100)
    assert Decimal(api.ok("GET", "/balance")["data"]["balance"]["amount"]) == 0
    assert api.no(402, "POST", CHAT, HELLO)["error_reason"] == "insufficient_credits"
    sandbox.add_credit(spent)
    api.ok("POST", CHAT, HELLO)
    assert Decimal(api.ok("GET", "/balance")["data"]["balance"]["amount"]) == 0
    assert api.ok("GET", "/ai/usage")["requests"] == 2
    assert len(api.ok("GET", "/ai/usage/history")["transactions"]) == 2


def test_a_lost_answer_was_paid_for(sandbox: Sandbox, api: Api) -> None:
    sandbox.fault("error_after", "chat")
    assert api.http.post(CHAT, json=HELLO).status_code == 500
    assert api.ok("GET", "/ai/usage")["requests"] == 1


def test_the_log_of_requests_keeps_numbers(sandbox: Sandbox, api: Api) -> None:
    api.ok("POST", CHAT, {**HELLO, "temperature": 0.5})
    body = b'{"temperature": 1e999, "model": "m"}'
    assert api.http.post(CHAT, content=body).status_code == 422
    sent = [x["body"]["temperature"] for x in sandbox.requests()]
    assert sent == [0.5, "1E+999"]
