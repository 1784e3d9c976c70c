"""What the fields of this library's schemas hold, as JSON types."""

from __future__ import annotations

import types
import typing
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, cast

from pydantic import BaseModel

from barrack_tasks.api.dialect.codec import kind_of
from barrack_tasks.api.models import Protocol
from barrack_tasks.api.models.base import Answer, Id


@dataclass(frozen=True)
class Kind:
    """What a field of ours holds."""

    inner: type[BaseModel] | type[Enum] | None
    many: bool
    types: frozenset[str]


@lru_cache(maxsize=4096)
def kind_of_field(model: type[BaseModel], name: str) -> Kind:
    annotation = model.model_fields[name].annotation
    inner, many = kind_of(cast(Hashable, annotation))
    if many:
        return Kind(inner, True, frozenset({"array"}))
    if inner is not None:
        if issubclass(inner, BaseModel):
            types_ = {"object", "string"} if inner is Protocol else {"object"}
        else:
            types_ = {"string", "integer", "number"} if issubclass(inner, int) else {"string"}
        return Kind(inner, False, frozenset(types_))
    return Kind(None, False, frozenset(_plain(annotation, name)))


def _plain(annotation: Any, name: str) -> set[str]:
    found: set[str] = set()
    for arm in _arms(annotation):
        if not isinstance(arm, type):
            return set()
        if name == "id" or name.endswith("_id"):
            found |= {"string", "integer"}
        elif issubclass(arm, bool):
            found |= {"boolean"}
        elif issubclass(arm, int):
            found |= {"integer", "number"}
        elif issubclass(arm, Decimal | float):
            found |= {"string", "integer", "number"}
        elif issubclass(arm, datetime):
            found |= {"string"}
        elif issubclass(arm, str):
            found |= {"string", "integer"} if name == "available" else {"string"}
        else:
            found |= {"object", "array"}
    return found


def _arms(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated or (origin is not None and annotation is Id):
        yield from _arms(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for arm in typing.get_args(annotation):
            if arm is not types.NoneType:
                yield from _arms(arm)
    else:
        yield origin or annotation


def inner_model(model: type[BaseModel], name: str) -> tuple[type[BaseModel] | None, bool]:
    """The schema that a field holds, and whether in a list."""
    kind = kind_of_field(model, name)
    inner = kind.inner
    return (inner if inner and issubclass(inner, BaseModel) else None), kind.many


def inner_enum(model: type[BaseModel], name: str) -> type[Enum] | None:
    """The enum that a field holds."""
    inner = kind_of_field(model, name).inner
    return inner if inner and issubclass(inner, Enum) else None


def decorates(model: type[BaseModel], name: str) -> bool:
    """Whether the field is one that stands beside every answer's data."""
    return issubclass(model, Answer) and name in ("status", "message")
