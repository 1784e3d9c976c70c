"""Swagger 2 documents, rewritten as OpenAPI 3 as far as anything is learned from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOVED = {
    "#/definitions/": "#/components/schemas/",
    "#/responses/": "#/components/responses/",
    "#/parameters/": "#/components/parameters/",
}
_OF_THE_SCHEMA = (
    "type", "items", "format", "enum", "default", "minimum", "maximum",
)  # fmt: skip
_JSON = "application/json"


def as_openapi(root: Mapping[str, Any]) -> dict[str, Any]:
    """A Swagger 2 document as one of OpenAPI 3.

    Bodies become JSON, whatever the document says that they may be besides.

    Example:
        >>> as_openapi({"swagger": "2.0", "host": "api.example", "paths": {}})["servers"]
        [{'url': 'https://api.example'}]
    """
    root = _referred(root)
    named = {
        "schemas": root.get("definitions"),
        "responses": _each(root.get("responses"), _response),
        "parameters": _each(root.get("parameters"), _parameter),
        "securitySchemes": root.get("securityDefinitions"),
    }
    bodies = {
        f"#/components/parameters/{name}": value
        for name, value in _table(root.get("parameters")).items()
        if _table(value).get("in") == "body"
    }
    found: dict[str, Any] = {
        "openapi": "3.0.3",
        "paths": _each(root.get("paths"), lambda item: _path(item, bodies)),
        "components": {kind: _table(value) for kind, value in named.items()},
        "security": root.get("security"),
    }
    path = root.get("basePath")
    path = path.rstrip("/") if isinstance(path, str) else ""
    host = root.get("host")
    if isinstance(host, str) and host:
        schemes = root.get("schemes")
        plain = isinstance(schemes, list) and "https" not in schemes and "http" in schemes
        found["servers"] = [{"url": f"{'http' if plain else 'https'}://{host}{path}"}]
    elif path:
        found["servers"] = [{"url": path}]
    return found


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _each(value: Any, change: Any) -> dict[str, Any]:
    return {name: change(one) for name, one in _table(value).items()}


def _referred(root: Any) -> Any:
    """The same with references to where things have moved. Its depth is bounded by its reader."""
    if isinstance(root, Mapping):
        return {
            key: _moved(value) if key == "$ref" else _referred(value) for key, value in root.items()
        }
    return [_referred(one) for one in root] if isinstance(root, list) else root


def _moved(reference: Any) -> Any:
    for old, new in _MOVED.items():
        if isinstance(reference, str) and reference.startswith(old):
            return new + reference.removeprefix(old)
    return reference


def _path(item: Any, bodies: Mapping[str, Any]) -> Any:
    return {
        key: _operation(value, bodies) if isinstance(value, Mapping) else _parameters(value, bodies)
        for key, value in _table(item).items()
    }


def _parameters(value: Any, bodies: Mapping[str, Any]) -> Any:
    if not isinstance(value, list):
        return value
    return [_parameter(one) for one in value if not _is_body(one, bodies)]


def _is_body(parameter: Any, bodies: Mapping[str, Any]) -> bool:
    table = _table(parameter)
    return table.get("in") == "body" or table.get("$ref") in list(bodies)


def _operation(operation: Mapping[str, Any], bodies: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(operation)
    given = found.get("parameters")
    for one in given if isinstance(given, list) else ():
        if _is_body(one, bodies):
            body = _table(bodies.get(str(_table(one).get("$ref")), one))
            found["requestBody"] = {"content": {_JSON: {"schema": body.get("schema")}}}
    found["parameters"] = _parameters(given, bodies) if isinstance(given, list) else []
    found["responses"] = _each(operation.get("responses"), _response)
    return found


def _parameter(parameter: Any) -> Any:
    table = _table(parameter)
    if "$ref" in table:
        return parameter
    own = {key: value for key, value in table.items() if key not in _OF_THE_SCHEMA}
    return {**own, "schema": {key: table[key] for key in _OF_THE_SCHEMA if key in table}}


def _response(response: Any) -> Any:
    table = _table(response)
    if "schema" not in table:
        return response
    rest = {key: value for key, value in table.items() if key != "schema"}
    return {**rest, "content": {_JSON: {"schema": table["schema"]}}}
