"""What names alone do not tell: parents in paths, groups, and what must be asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from barrack_tasks.api import models
from barrack_tasks.api.models import CurrencyEnum
from barrack_tasks.api.operations import OPERATIONS, Operation
from barrack_tasks.dialects.learn.calls import Wired
from barrack_tasks.dialects.learn.fields import Mapper
from barrack_tasks.dialects.learn.kinds import inner_model
from barrack_tasks.dialects.learn.likeness import LIKELY, name_likeness
from barrack_tasks.dialects.learn.result import AnswerOption, Learned
from barrack_tasks.dialects.learn.schema import Schema, Steps

_COUNTED = re.compile(r"[0-9]+[xX]?")
_PRICED = ("UserVM", "VMInstance")
_IN_A_CURRENCY = (("Balance", "get_credit_balance"), ("UserVM", "list_instances"),
                  ("VMInstance", "get_instance"), ("Price", "get_pricing"))  # fmt: skip


def parents(operation: Operation[Any], in_path: tuple[str, ...]) -> tuple[str, ...] | None:
    """Fields of the request that stand in a path besides the operation's own parameters.

    None if the path cannot be that of the operation: it holds too few parameters, or one that is
    no field.
    """
    more = len(in_path) - len(operation.path_parameters)
    if more == 0:
        return ()
    if more != 1 or operation.request is None or operation.path_parameters:
        return None
    required = [
        name
        for name, info in operation.request.model_fields.items()
        if name.endswith("_id") and info.is_required()
    ]
    near = [n for n in required if name_likeness("Path", n, in_path[0]).score >= LIKELY]
    return tuple(near) if len(near) == 1 else None


def told_by_lists(operation: Operation[Any], in_path: tuple[str, ...]) -> dict[str, str]:
    """For ids in a path that no caller of the operation gives, the lists that tell them.

    Of a list that is what it may be narrowed by, and of a thing what it lies in. What makes or
    changes something is not looked for so: it may do another thing to the parent.

    Example:
        >>> told_by_lists(OPERATIONS["list_snapshots"], ("vmId",))
        {'instance_id': 'list_instances'}
    """
    if len(in_path) != len(operation.path_parameters) + 1 or operation.request is not None:
        return {}
    if operation.changes and operation.method != "DELETE":
        return {}
    if operation.path_parameters:
        listed = f"list_{operation.path_parameters[-1].removesuffix('_id')}s"
        inner = inner_model(OPERATIONS[listed].response, OPERATIONS[listed].result)[0] if (
            listed in OPERATIONS) else None  # fmt: skip
        names = [n for n in inner.model_fields if n.endswith("_id")] if inner else []
    else:
        names = [n for n in operation.query if n.endswith("_id")] if operation.paged else []
    near = [n for n in names if name_likeness("Path", n, in_path[0]).score >= LIKELY]
    if len(near) != 1:
        return {}
    if not operation.path_parameters:
        listed = f"list_{near[0].removesuffix('_id')}s"
    return {near[0]: listed}


def look_beyond(
    learned: Learned,
    mapper: Mapper,
    matched: Mapping[str, tuple[Operation[Any], Wired]],
    chosen: Mapping[str, Steps],
) -> None:
    """Say what names alone cannot, and ask what no document tells."""
    for name, (operation, wired) in matched.items():
        if operation.changes:
            _say_nothing_of_result(learned, operation, wired)
        if wired.answer is not None and name in chosen and operation.result:
            _groups(learned, mapper, operation, wired.answer.at(chosen[name]))
    _balance_without_a_table_of_its_own(learned, mapper, matched, chosen)
    _ask_currency(learned, matched)
    _ask_prices(learned, matched)


def _say_nothing_of_result(learned: Learned, operation: Operation[Any], wired: Wired) -> None:
    """An answer that surely does not hold what the operation is about."""
    if not operation.result or wired.answer is None or not wired.answer.fields:
        return
    what = f"schemas.{operation.response.__name__}.{operation.result}"
    match = learned.matches.get(what)
    if match is not None and match.wire is not None:
        return
    if any(s.kinds & {"object", "array"} for s in wired.answer.fields.values()):
        return  # it may lie in there
    learned.open.pop(what, None)
    learned.unseen.pop(what, None)
    learned.add(what, None, "the answer does not show it, so the client looks it up", 0.97)


def _groups(learned: Learned, mapper: Mapper, operation: Operation[Any], body: Schema) -> None:
    """A list whose items lie in groups: stock by region, then by model."""
    result = operation.result
    inner, many = inner_model(operation.response, result)
    place = mapper.map(operation.response, body).found.get(result)
    outer = body.at(place.steps).items if place is not None and many else None
    if inner is None or outer is None or place is None:
        return
    needed = {n for n, info in inner.model_fields.items() if info.is_required()}
    flat = set(mapper.map(inner, outer).found)
    if needed <= flat:
        return
    for wire, field in outer.fields.items():
        if field.kinds != {"array"} or field.items is None or not field.items.fields:
            continue
        inside = mapper.map(inner, field.items).found
        if not needed <= flat | set(inside) or not needed & set(inside):
            continue
        reason = f"in groups: {wire} of each of {place.wire}"
        steps = "" if place.wire == "." else place.wire
        _take(learned, operation.response, result, f"{steps}[].{wire}[]", reason)
        for name in inner.model_fields:
            if name in inside:
                _take(learned, inner, name, inside[name].wire, reason)
            elif name in flat:
                outside = mapper.map(inner, outer).found[name].wire
                _take(learned, inner, name, f"^.{outside}", reason)
        _counted(learned, inner, field.items)
        return


def _counted(learned: Learned, model: type[BaseModel], schema: Schema) -> None:
    """Stock by the number of GPUs, in a table such as `{1x: 5, 2x: 2}`."""
    if model is not models.GPUStockItem:
        return
    for wire, field in schema.fields.items():
        names = list(field.fields)
        if names and all(_COUNTED.fullmatch(n) for n in names):
            reason = f"a table by number of GPUs: {', '.join(names)}"
            _take(learned, model, "configurations", f"{wire}{{}}", reason)
            _take(learned, models.GPUStockConfiguration, "gpu_count", "@key", reason)
            _take(learned, models.GPUStockConfiguration, "available", "@value", reason)
            learned.add("values.GPUStockConfiguration.gpu_count", {"digits": True}, reason, 0.9)


def _take(learned: Learned, model: type[BaseModel], name: str, wire: str, reason: str) -> None:
    what = f"schemas.{model.__name__}.{name}"
    learned.open.pop(what, None)
    learned.unseen.pop(what, None)
    learned.add(what, wire, reason, 0.9)


def _lacks(learned: Learned, what: str) -> bool:
    match = learned.matches.get(what)
    return match is None or match.wire is None


def _balance_without_a_table_of_its_own(
    learned: Learned,
    mapper: Mapper,
    matched: Mapping[str, tuple[Operation[Any], Wired]],
    chosen: Mapping[str, Steps],
) -> None:
    """An amount that lies directly beside others in what the answer wraps it in."""
    name = "get_credit_balance"
    if name not in matched or not _lacks(learned, "schemas.Balance.amount"):
        return
    answer = matched[name][1].answer
    if answer is None:
        return
    body = answer.at(chosen.get(name, ()))
    for wire, field in [*body.fields.items(), (".", body)]:
        amount = mapper.map(models.Balance, field).found.get("amount") if field.fields else None
        if amount is not None and len(amount.steps) == 1:
            reason = f"{amount.wire} lies in {wire}"
            _take(learned, models.CreditBalanceResponse, "data", wire, reason)
            _take(learned, models.Data, "balance", ".", reason)
            _take(learned, models.Balance, "amount", amount.wire, reason)
            return


def _ask_currency(learned: Learned, matched: Mapping[str, tuple[Operation[Any], Wired]]) -> None:
    silent = [
        schema
        for schema, operation in _IN_A_CURRENCY
        if operation in matched and _lacks(learned, f"schemas.{schema}.currency")
    ]
    if not silent:
        return
    options = tuple(
        AnswerOption(
            {"values": {schema: {"currency": {"constant": str(word)}} for schema in silent}},
            "amounts name no currency",
            0.4,
            str(word),
        )
        for word in CurrencyEnum
    )
    learned.ask("currency", "In which currency are the amounts?", options, risky=True)
    _close(learned, [f"schemas.{schema}.currency" for schema in silent])


def _price_list(learned: Learned, answer: Schema | None) -> dict[str, Any] | None:
    """Where names and prices lie in a list of prices that is known as one by nothing else."""
    if not _lacks(learned, "schemas.Price.gpu_model") and not _lacks(
        learned, "schemas.Price.hourly"
    ):
        return {}
    if answer is None or answer.kinds != {"array"} or answer.items is None:
        return None
    fields = answer.items.fields
    names = [n for n in ("gpu", "gpu_model", "model", "name") if n in fields]
    prices = [n for n in ("price", "hourly", "value", "rate", "cost") if n in fields]
    if not names or not prices or not fields[prices[0]].kinds & {"number", "integer", "string"}:
        return None
    where: dict[str, Any] = dict.fromkeys(models.Price.model_fields)
    where.update(gpu_model=names[0], hourly=prices[0])
    return {"schemas": {"PricingResponse": {"prices": "."}, "Price": where}}


def _ask_prices(learned: Learned, matched: Mapping[str, tuple[Operation[Any], Wired]]) -> None:
    silent = [s for s in _PRICED if _lacks(learned, f"schemas.{s}.hourly_price")]
    if not silent or "list_instances" not in matched:
        return
    if "operations.get_pricing" in learned.open:
        _close(learned, [f"schemas.{schema}.hourly_price" for schema in silent])
    if "get_pricing" not in matched:
        return
    listed = _price_list(learned, matched["get_pricing"][1].answer)
    if listed is None:
        return
    counted = not listed and not _lacks(learned, "schemas.Price.gpu_count")
    match = {"gpu_model": "gpu_model", **({"gpu_count": "gpu_count"} if counted else {})}
    join = {"operation": "get_pricing", "match": match, "take": {"hourly_price": "hourly"}}
    kind: dict[str, Any] = {}
    if _lacks(learned, "schemas.Price.resource_type"):
        kind = {"values": {"Price": {"resource_type": {"constant": "instance"}}}}
    absent = {
        "schemas": {**listed.get("schemas", {}), **{s: {"hourly_price": None} for s in silent}}
    }
    place = matched["get_pricing"][1].place

    def option(label: str, times: Mapping[str, str]) -> AnswerOption:
        joins = {schema: {**join, **times} for schema in silent}
        wire = {"joins": joins, **kind, **absent}
        if listed:
            label += f" ({listed['schemas']['Price']['hourly']} of each name)"
        return AnswerOption(wire, f"instances name no price, and {place} does", 0.4, label)

    options = [option("the price of the whole instance", {})]
    if not counted:
        options.insert(0, option("the price of one GPU", {"times": "gpu_count"}))
    learned.ask("prices", f"What is the price that {place} gives?", tuple(options), risky=True)
    _close(learned, [f"schemas.{schema}.hourly_price" for schema in silent])


def _close(learned: Learned, places: list[str]) -> None:
    """One question stands for these places."""
    for what in places:
        learned.open.pop(what, None)
        learned.unseen.setdefault(what, "the answer to another question settles it")
