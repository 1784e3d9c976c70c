"""From a method and a path to an operation, by the operation table and a dialect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from barrack_tasks.api.dialect import Dialect, OperationWire
from barrack_tasks.api.operations import OPERATIONS, Operation

_PARAMETER = re.compile(r"\{([^{}]+)\}")


class Route:
    """One operation with its place on the wire."""

    def __init__(self, operation: Operation[Any], wire: OperationWire) -> None:
        self.operation = operation
        self.wire = wire
        self.rivals: list[Route] = []
        """Others at the same place, which the body of a request tells apart."""

    def chosen(self, body: Any, query: Mapping[str, str]) -> Route:
        """This one, or the one at the same place whose fixed parts the request holds."""
        for route in (self, *self.rivals):
            fixed, parameters = route.wire.body, route.wire.parameters
            if (fixed or parameters) and _holds(body, fixed) and _holds(query, parameters):
                return route
        return self


class Routes:
    """All operations that the table and the dialect both know.

    A path without parameters hides those with some; among these, the ones with fewer come first.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.prefix = urlsplit(dialect.base_url).path.rstrip("/")
        self._static: dict[str, dict[str, Route]] = {}
        self._all: list[tuple[str, str, Route]] = []
        patterns: dict[str, dict[str, Route]] = {}
        for name, operation in OPERATIONS.items():
            wire = dialect.operations.get(name)
            if wire is None:
                continue
            table = patterns if _PARAMETER.search(wire.path) else self._static
            path = self.prefix + wire.path
            own = Route(operation, wire)
            route = table.setdefault(path, {}).setdefault(wire.method, own)
            if route is own:
                self._all.append((wire.path, wire.method, route))
            elif wire.body or wire.parameters:
                route.rivals.append(own)
        self._templated = [
            (_pattern(path), methods)
            for path, methods in sorted(
                patterns.items(), key=lambda item: len(_PARAMETER.findall(item[0]))
            )
        ]

    def all(self) -> list[tuple[str, str, Route]]:
        """Path under the prefix, method and operation, in the order of the table."""
        return list(self._all)

    def find(self, path: str) -> list[tuple[Mapping[str, Route], dict[str, str]]]:
        """What a raw path may mean, best first: operations by method, and path parameters."""
        if path in self._static:
            return [(self._static[path], {})]
        found: list[tuple[Mapping[str, Route], dict[str, str]]] = []
        for pattern, methods in self._templated:
            match = pattern.fullmatch(path)
            if match:
                values = {k: unquote(v) for k, v in match.groupdict().items()}
                found.append((methods, values))
        return found


def _holds(body: Any, part: Mapping[str, Any]) -> bool:
    return not part or (
        isinstance(body, Mapping)
        and all(
            _holds(body.get(key), value) if isinstance(value, Mapping) else body.get(key) == value
            for key, value in part.items()
        )
    )


def _pattern(path: str) -> re.Pattern[str]:
    """A template as a pattern. Two templates that differ in their names only are two patterns."""
    parts: list[str] = []
    at = 0
    for match in _PARAMETER.finditer(path):
        parts += [re.escape(path[at : match.start()]), f"(?P<{match.group(1)}>[^/]+)"]
        at = match.end()
    return re.compile("".join(parts) + re.escape(path[at:]))
