"""An OpenAPI document of what the sandbox serves, made of the table, the models and a dialect."""

from __future__ import annotations

import re
import typing
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from barrack_tasks.api.dialect import Dialect
from barrack_tasks.api.models import ErrorResponse, VMStatus
from barrack_tasks.api.models.base import Answer, Request
from barrack_tasks.api.operations import OPERATIONS, Operation
from barrack_tasks.sandbox.cloud.catalogue import MOST_VOLUME_GB, OFFERS, RATES, REGIONS
from barrack_tasks.sandbox.handlers.registry import MAX_PAGE_SIZE, MOST
from barrack_tasks.sandbox.http.routes import Route, Routes
from barrack_tasks.sandbox.http.wire import bare, path_of, wire_names

Json = dict[str, Any]
MONEY = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
ID = {"type": ["string", "integer"]}
OFFERED: dict[str, list[Any]] = {
    "RegionEnum": list(REGIONS),
    "GpuModelEnum": list(OFFERS),
    "CurrencyEnum": list(RATES),
}
"""What the sandbox takes in a request, where it takes less than the enum would."""
LIMITS: dict[str, Json] = {"size_gb": {"maximum": MOST_VOLUME_GB}}
"""What the sandbox asks of a field beside its model, by the field's name."""


class _Schemas:
    """Named schemas, written as they are first referred to."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.named: dict[str, Json] = {}

    def ref(self, model: type[BaseModel], asked: bool) -> Json:
        name = model.__name__.lstrip("_")
        if name not in self.named:
            self.named[name] = {}
            self.named[name] = self._object(model, asked)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, model: type[BaseModel], asked: bool) -> Json:
        root: Json = {"type": "object", "properties": {}, "additionalProperties": True}
        if model.__doc__ and not model.__doc__.startswith("Usage"):
            root["description"] = " ".join(model.__doc__.split())
        for field, place in wire_names(self.dialect, model).items():
            info = model.model_fields[field]
            schema = self._field(model, field, asked)
            steps = path_of(place)
            if not steps:
                if schema.get("type") == "array":
                    return schema
                root.setdefault("allOf", []).append(schema)
                continue
            target = root
            for step in steps[:-1]:
                if info.is_required():
                    _require(target, step)
                target = target["properties"].setdefault(
                    step, {"type": "object", "properties": {}, "additionalProperties": True}
                )
            target["properties"][steps[-1]] = schema
            if info.is_required() or field in _always(model):
                _require(target, steps[-1])
        if asked:
            places = wire_names(self.dialect, model).items()
            names = {field: place for field, place in places if len(path_of(place)) == 1}
            for rule in _asked_of_all(model):
                # Left out where it speaks of a field that does not lie in the object itself.
                with suppress(KeyError):
                    root.setdefault("allOf", []).append(_on_wire(rule, names))
        return root

    def _field(self, model: type[BaseModel], field: str, asked: bool) -> Json:
        info = model.model_fields[field]
        kind, many, optional = bare(info.annotation)
        schema = self._kind(kind, field, asked)
        if many:
            schema = {"type": "array", "items": schema}
        for rule in info.metadata:
            for ours, theirs in (("ge", "minimum"), ("le", "maximum")):
                if getattr(rule, ours, None) is not None:
                    schema = {**schema, theirs: getattr(rule, ours)}
        if asked:
            for asks in (*_asks(info), LIMITS.get(field, {})):
                schema = {**schema, **asks}
        return {"anyOf": [schema, {"type": "null"}]} if optional else schema

    def _kind(self, kind: Any, field: str, asked: bool) -> Json:
        if not isinstance(kind, type):
            return {}
        if issubclass(kind, BaseModel):
            return self.ref(kind, asked)
        if issubclass(kind, Enum):
            return self._enum(kind, asked)
        if field == "id" or field.endswith(("_id", "_ids")):
            return dict(ID)
        plain: list[tuple[type, Json]] = [
            (bool, {"type": "boolean"}),
            (int, {"type": "integer"}),
            (float, {"type": "number"}),
            (Decimal, dict(MONEY)),
            (datetime, {"type": "string", "format": "date-time"}),
            (str, {"type": "string"}),
        ]
        return next((schema for of, schema in plain if issubclass(kind, of)), {})

    def _enum(self, kind: type[Enum], asked: bool) -> Json:
        words = OFFERED.get(kind.__name__, [member.value for member in kind])
        known = _said(self.dialect, kind.__name__, words)
        schema: Json = {"type": "integer" if issubclass(kind, int) else "string"}
        # An answer may hold words that nobody knows yet; a request may not.
        return {**schema, "enum": known} if asked else {**schema, "examples": known}


def _asks(info: FieldInfo) -> list[Json]:
    """What a field's own checks ask for, also where it may be null."""
    checks = [check for arm in typing.get_args(info.annotation) for check in typing.get_args(arm)]
    fields = [one for one in (info, *checks) if isinstance(one, FieldInfo)]
    return [one.json_schema_extra for one in fields if isinstance(one.json_schema_extra, dict)]


def _asked_of_all(model: type[BaseModel]) -> list[Any]:
    """What an object must meet beside its fields' own rules, under canonical names."""
    rules: Any = model.model_config.get("json_schema_extra") or {"allOf": []}
    found: list[Any] = rules.get("allOf", [rules])
    return found


def _on_wire(rule: Any, names: dict[str, str]) -> Any:
    """A rule under the wire's names of fields; a KeyError where a field has none."""
    said = dict(rule)
    for key in rule.keys() & {"anyOf", "oneOf"}:
        said[key] = [_on_wire(one, names) for one in rule[key]]
    if "required" in rule:
        said["required"] = [names[field] for field in rule["required"]]
    if "properties" in rule:
        said["properties"] = {names[field]: x for field, x in rule["properties"].items()}
    return said


_INSIDE = {
    bare(field.annotation)[0]
    for operation in OPERATIONS.values()
    for field in operation.response.model_fields.values()
}
"""Models that stand inside of an answer, be they answers of their own elsewhere."""


def _always(model: type[BaseModel]) -> tuple[str, ...]:
    """Fields that the sandbox always sends, though a client does not rely on them."""
    if issubclass(model, ErrorResponse):
        return ("status", "message", "error_reason")
    return ("status", "message") if issubclass(model, Answer) and model not in _INSIDE else ()


def _said(dialect: Dialect, enum: str, words: list[Any]) -> list[Any]:
    """Canonical words as the wire says them."""
    back = {canonical: word for word, canonical in dialect.words.get(enum, {}).items()}
    return [back.get(word, word) for word in words]


def _require(target: Json, name: str) -> None:
    required = target.setdefault("required", [])
    if name not in required:
        required.append(name)


def document(dialect: Dialect) -> Json:
    """The OpenAPI 3.1 document of the API in a dialect.

    Example:
        >>> document(builtin())["openapi"]
        '3.1.0'
    """
    routes, schemas = Routes(dialect), _Schemas(dialect)
    paths: dict[str, Json] = {}
    for path, method, route in routes.all():
        paths.setdefault(_template(path, route), {})[method.lower()] = _operation(
            dialect, schemas, route
        )
    scheme: Json = {"type": "apiKey", "in": "header", "name": dialect.auth.header}
    if dialect.auth.query:
        scheme |= {"in": "query", "name": dialect.auth.query}
    elif dialect.auth.scheme.lower() == "bearer" and dialect.auth.header.lower() == "authorization":
        scheme = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Barrack sandbox ({dialect.name})", "version": "1"},
        "servers": [{"url": urlsplit(dialect.base_url).path or "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": schemas.named, "securitySchemes": {"key": scheme}},
    }


def _template(path: str, route: Route) -> str:
    names = route.wire.path_parameters
    return re.sub(r"\{([^{}]+)\}", lambda x: f"{{{names.get(x.group(1), x.group(1))}}}", path)


def _operation(dialect: Dialect, schemas: _Schemas, route: Route) -> Json:
    operation: Operation[Any] = route.operation
    envelope = dialect.envelope if route.wire.envelope is None else route.wire.envelope
    answer = _enveloped(envelope, schemas.ref(operation.response, asked=False))
    error = _enveloped(dialect.error_envelope, schemas.ref(ErrorResponse, asked=False))
    responses = {
        "200": _json("Success", answer),
        **{str(code): _json(what, error) for code, what in _ERRORS.items()},
        "default": _json("Error", error),
    }
    described: Json = {
        "operationId": operation.name,
        "summary": operation.title,
        "tags": [operation.group],
        "parameters": [*_in_path(route), *_in_query(dialect, route)],
        "responses": responses,
    }
    if operation.request is not None:
        request: type[Request] = operation.request
        described["requestBody"] = {
            "required": not _is_valid_empty(request),
            "content": {"application/json": {"schema": schemas.ref(request, asked=True)}},
        }
    return described


_ERRORS = {
    400: "Not possible as asked",
    401: "The key is missing or wrong",
    402: "Not enough credits",
    404: "There is no such thing",
    409: "In conflict with the state of things",
    422: "Not valid",
}


def _is_valid_empty(request: type[Request]) -> bool:
    try:
        request.model_validate({})
    except ValidationError:
        return False
    return True


def _json(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _enveloped(envelope: str, schema: Json) -> Json:
    for step in reversed(path_of(envelope)):
        schema = {"type": "object", "properties": {step: schema}, "required": [step]}
    return schema


def _in_path(route: Route) -> list[Json]:
    return [
        {
            "name": route.wire.path_parameters.get(name, name),
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"\{([^{}]+)\}", route.wire.path)
    ]


def _in_query(dialect: Dialect, route: Route) -> list[Json]:
    schemas: dict[str, Json] = {
        "region": {"type": "string", "enum": _said(dialect, "RegionEnum", list(REGIONS))},
        "status": {
            "type": "string",
            "enum": _said(dialect, "VMStatus", list(VMStatus.__members__)),
        },
        "start": {"type": "string", "format": "date-time"},
        "end": {"type": "string", "format": "date-time"},
    }
    found = {
        route.wire.query.get(name, name): schemas.get(name, {"type": "string"})
        for name in route.operation.query
    }
    paging = dialect.paging
    if route.operation.paged and paging.style != "none":
        found[paging.page_size] = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE}
        match paging.style:
            case "page":
                found[paging.page] = {
                    "type": "integer",
                    "minimum": paging.first_page,
                    "maximum": MOST,
                }
            case "offset":
                found[paging.offset] = {"type": "integer", "minimum": 0, "maximum": MOST}
            case _:
                found[paging.cursor] = {"type": "string"}
    return [{"name": k, "in": "query", "required": False, "schema": v} for k, v in found.items()]
