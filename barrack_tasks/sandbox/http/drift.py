"""A cloud that is not quite what the built-in dialect says: what a first contact may look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from barrack_tasks.api.dialect import Dialect, builtin


@dataclass(frozen=True)
class Drift:
    """One way in which the cloud differs: of an operation's path, or of a field of a schema."""

    kind: str
    place: str
    to: str = ""


CHANGES = (
    Drift("path", "get_gpu_stock", "/gpu-stock"),
    Drift("renamed", "UserVM.hourly_price", "price_per_hour"),
    Drift("missing", "Price.currency"),
    Drift("extra", "Balance.frozen"),
    Drift("type", "Specs.vcpus", "text"),
    Drift("word", "UserVM.status", "PAUSED"),
    Drift("word", "Region.name", "ICELAND-1"),
)
"""What `--drift` changes, all of it."""


def drifted() -> Dialect:
    """The built-in dialect with a path and two fields that are not what they were."""
    built_in = builtin()
    stock = built_in.operations["get_gpu_stock"].model_copy(update={"path": "/gpu-stock"})
    price = {"hourly_price": "price_per_hour"}
    return built_in.model_copy(
        update={
            "operations": {**built_in.operations, "get_gpu_stock": stock},
            "schemas": {
                **built_in.schemas,
                "UserVM": price,
                "VMInstance": price,
                "Price": {"currency": None},
            },
        }
    )


def tamper(operation: str, body: Any) -> Any:
    """An answer with what a dialect cannot say: strangers, other types, new words."""
    change = _TAMPERING.get(operation)
    if change is not None:
        change(body)
    return body


def _add_to_balance(body: Any) -> None:
    body["data"]["balance"]["frozen"] = "0.00"


def _word_the_cores(body: Any) -> None:
    for gpu in body["gpus"]:
        for specs in gpu["specs"]:
            specs["vcpus"] = f"{specs['vcpus']} cores"


def _pause_the_first(body: Any) -> None:
    for instance in body["instances"][:1]:
        instance["status"] = "PAUSED"


def _open_a_region(body: Any) -> None:
    body["regions"].append({"name": "ICELAND-1", "country": "Iceland"})


_TAMPERING: dict[str, Callable[[Any], None]] = {
    "get_credit_balance": _add_to_balance,
    "get_gpu_specs": _word_the_cores,
    "list_instances": _pause_the_first,
    "list_regions": _open_a_region,
}
