"""Holding values against sense: what can be read, and can hardly be meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from barrack_tasks.api.dialect import Dialect, builtin
from barrack_tasks.api.dialect.codec import kind_of
from barrack_tasks.api.models import Price, UserVM
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.doctor.report import Difference

DOCUMENTED = {
    "H100-SXM5-80GB": Decimal("2.69"),
    "H100-PCIe-NVLink-80GB": Decimal("2.29"),
    "H100-PCIe-80GB": Decimal("2.25"),
    "A100-SXM4-80GB-NVLink": Decimal("1.59"),
    "A100-PCIe-80GB": Decimal("1.55"),
    "L40": Decimal("1.19"),
    "RTX-A6000": Decimal("0.69"),
    "A40": Decimal("0.69"),
}
"""USD an hour and GPU [D, one edition of the documentation]."""
_FAR = Decimal(20)
"""How many times the documented price nobody asks for, nor a part of it: units are mistaken."""
_AHEAD = timedelta(minutes=10)
"""How far a moment may lie ahead of the cloud's own clock."""
_OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
_RATES = {"USD": Decimal(1), "EUR": Decimal(1), "INR": Decimal(85)}
_MOST = 5
"""Things of one kind that are told."""


def make_no_sense(
    operation: str,
    result: Any,
    before: Mapping[str, Any],
    now: datetime,
    dialect: Dialect | None = None,
) -> list[Difference]:
    """What in a result can hardly be meant.

    Args:
        operation: whose result it is.
        result: one thing or a list.
        before: results of other operations, by name.
        now: the cloud's time.
        dialect: what the result was read with: what it says already is what is to be changed.

    Example:
        >>> make_no_sense("list_instances", instances, {}, client.now())
    """
    things = result if isinstance(result, list) else [result]
    spoken = dialect or builtin()
    found: dict[Difference, None] = {}
    for thing in things:
        if isinstance(thing, BaseModel):
            found.update(dict.fromkeys((*_price(thing, spoken), *_times(thing, now, spoken))))
    found.update(dict.fromkeys(_id(operation, result, before)))
    return list(found)[: 3 * _MOST]


def _price(thing: BaseModel, dialect: Dialect) -> Iterator[Difference]:
    if not isinstance(thing, UserVM | Price):
        return
    field = "hourly_price" if isinstance(thing, UserVM) else "hourly"
    price, each = getattr(thing, field), DOCUMENTED.get(str(thing.gpu_model))
    rate = _RATES.get(str(thing.currency or "USD"))
    if price is None or price <= 0 or each is None or rate is None:
        return
    if isinstance(thing, UserVM) and thing.status != "ACTIVE":
        return
    expected = each * int(thing.gpu_count or 1) * rate
    if expected / _FAR < price < expected * _FAR:
        return
    factor = next(
        (f for f in (Decimal("0.01"), Decimal("0.001"), Decimal(100))
         if expected / 3 < price * f < expected * 3), None,
    )  # fmt: skip
    schema = type(thing).__name__
    place = _told_by(schema, field, dialect)
    said = dialect.values.get(place[0], {}).get(place[1])
    if factor is not None and said is not None and said.times is not None:
        factor = (factor * said.times).normalize()
    times = f'"{factor:f}"' if factor is not None else "<a factor>"
    yield Difference(
        kind="sense",
        schema_name=schema,
        field=field,
        seen=f"{price:f}, where {thing.gpu_model} is documented at about {expected:f} an hour",
        line=f"values: {{{place[0]}: {{{place[1]}: {{times: {times}}}}}}}",
    )


def _told_by(schema: str, field: str, dialect: Dialect) -> tuple[str, str]:
    """Schema and field of the wire that tell a field: another operation may."""
    join = dialect.joins.get(schema)
    if join is None or field not in join.take:
        return schema, field
    operation = OPERATIONS[join.operation]
    kind = kind_of(operation.response.model_fields[operation.result].annotation)[0]
    return (kind.__name__ if kind else schema), join.take[field]


def _times(thing: BaseModel, now: datetime, dialect: Dialect) -> Iterator[Difference]:
    schema = type(thing).__name__
    for field in ("created_at", "updated_at", "hibernated_at"):
        moment = getattr(thing, field, None)
        if not isinstance(moment, datetime):
            continue
        said = dialect.values.get(schema, {}).get(field)
        if moment > now + _AHEAD:
            hours = round((moment - now) / timedelta(hours=1), 1)
            seen = f"lies {hours:g} hours in the future"
            how = "{epoch: milliseconds}" if said and said.epoch else "{zone: <its time zone>}"
        elif moment < _OLDEST:
            seen, how = "lies before the year 2000", "{epoch: seconds}"
        else:
            continue
        yield Difference(
            kind="sense",
            schema_name=schema,
            field=field,
            seen=seen,
            line=f"values: {{{schema}: {{{field}: {how}}}}}",
        )


_OF_A_LIST = {
    "get_instance": "list_instances",
    "get_snapshot": "list_snapshots",
    "get_volume": "list_volumes",
    "get_firewall": "list_firewalls",
    "get_image": "list_images",
}


def _id(operation: str, result: Any, before: Mapping[str, Any]) -> Iterator[Difference]:
    """An id that a list spells in another way than the thing itself."""
    listed = before.get(_OF_A_LIST.get(operation, ""))
    if not listed or result is None or listed[0].id == result.id:
        return
    schema = type(result).__name__
    yield Difference(
        kind="sense",
        schema_name=schema,
        field="id",
        seen=f"{result.id!r}, where {_OF_A_LIST[operation]} says {listed[0].id!r}",
        line=f"schemas: {{{schema}: {{id: <where the id of the list stands>}}}}",
    )
