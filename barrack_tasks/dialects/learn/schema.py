"""One schema of a document, as the learner sees it: its names, its fields, its words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from barrack_tasks.api.dialect.model import names_a_field
from barrack_tasks.dialects.learn.document import Document

Steps = tuple[str, ...]
_MOST_PLACES = 600
_DEEPEST = 12


class Schemas:
    """Schemas of one document, each made once."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._made: dict[tuple[int, tuple[str, ...]], Schema] = {}
        self.named = {
            name: self.of({"$ref": f"#/components/schemas/{_escape(name)}"})
            for name in document.components("schemas")
            if isinstance(name, str)
        }

    def of(self, node: Any) -> Schema:
        """The schema that a node describes."""
        found, names = self.document.resolve(node)
        table = found if isinstance(found, Mapping) else {}
        key = (id(table) if table else 0, names)
        if key not in self._made:
            self._made[key] = Schema(self, table, names)
        return self._made[key]


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1").replace("%", "%25")


class Schema:
    """A view of a schema: references followed, null left out, `allOf` taken together."""

    def __init__(self, schemas: Schemas, node: Mapping[str, Any], names: tuple[str, ...]) -> None:
        self._schemas = schemas
        self._own: dict[str, Schema] | None = None
        self._unsayable: dict[str, Schema] = {}
        self._poured: list[Schema] = []
        self.names, self._nodes = names, [node]
        self._unwrap()

    def _unwrap(self) -> None:
        """Go through what only says "this, or null" and "this, with a description"."""
        document = self._schemas.document
        for _ in range(_DEEPEST):
            node = self._nodes[-1]
            arms = [
                arm
                for key in ("anyOf", "oneOf")
                for arm in document.listed(node.get(key))
                if not _is_null(arm)
            ]
            whole = document.listed(node.get("allOf"))
            plain = not node.get("properties") and not node.get("items")
            if len(arms) == 1 and plain and not whole:
                inner = arms[0]
            elif len(whole) == 1 and plain and not arms and not self.names:
                inner = whole[0]
            else:
                return
            found, names = document.resolve(inner)
            if not isinstance(found, Mapping) or any(found is n for n in self._nodes):
                return
            self.names += names
            self._nodes.append(found)

    @property
    def name(self) -> str:
        """The name that the document gives to the schema, or nothing."""
        return self.names[0] if self.names else ""

    @property
    def node(self) -> Mapping[str, Any]:
        """The node itself."""
        return self._nodes[-1]

    @property
    def kinds(self) -> set[str]:
        """JSON types that a value may have; none if the schema does not say."""
        said = self.node.get("type")
        kinds = {k for k in (said if isinstance(said, list) else [said]) if isinstance(k, str)}
        if not kinds:
            if self.node.get("properties") or self.poured:
                kinds = {"object"}
            elif self.node.get("items"):
                kinds = {"array"}
            else:
                for arm in self._arms():
                    kinds |= arm.kinds
        return kinds - {"null"}

    def _arms(self) -> list[Schema]:
        document = self._schemas.document
        return [
            self._schemas.of(arm)
            for key in ("anyOf", "oneOf")
            for arm in document.listed(self.node.get(key))
            if not _is_null(arm) and arm is not self.node
        ]

    def _read(self) -> dict[str, Schema]:
        if self._own is None:
            self._own = {}
            self._gather(self.node, 0)
        return self._own

    def _gather(self, node: Mapping[str, Any], depth: int) -> None:
        document, own = self._schemas.document, self._own
        assert own is not None  # noqa: S101
        if depth > _DEEPEST:
            return
        for name, inner in document.table(node.get("properties")).items():
            if isinstance(name, str) and name:
                held = own if names_a_field(name) else self._unsayable
                held.setdefault(name, self._schemas.of(inner))
        for part in document.listed(node.get("allOf")):
            schema = self._schemas.of(part)
            if schema is self or any(schema is p for p in self._poured):
                continue
            if schema.names:
                self._poured.append(schema)
            elif isinstance(part, Mapping):
                self._gather(part, depth + 1)
        for key in ("anyOf", "oneOf"):
            for arm in document.listed(node.get(key)):
                found = document.resolve(arm)[0]
                if isinstance(found, Mapping) and found is not node:
                    self._gather(found, depth + 1)

    @property
    def own(self) -> dict[str, Schema]:
        """Fields that the schema names itself."""
        return self._read()

    @property
    def poured(self) -> list[Schema]:
        """Named schemas whose fields lie in this object."""
        self._read()
        return self._poured

    @cached_property
    def fields(self) -> dict[str, Schema]:
        """All fields of the object that a path can name, its own and those poured into it."""
        return _together(part.own for part in self._parts())

    @cached_property
    def unsayable(self) -> dict[str, Schema]:
        """All fields of the object that no path of a dialect can name."""
        return _together(part._unsayable for part in self._parts())

    def _parts(self) -> Iterator[Schema]:
        """The schema itself and all that is poured into it, however indirectly."""
        waiting, seen = [self], {id(self)}
        while waiting:
            schema = waiting.pop(0)
            for part in schema.poured:
                if id(part) not in seen:
                    seen.add(id(part))
                    waiting.append(part)
            yield schema

    @property
    def items(self) -> Schema | None:
        """What a list holds."""
        items = self.node.get("items")
        return self._schemas.of(items) if isinstance(items, Mapping) else None

    @property
    def words(self) -> list[str]:
        """Words that the schema lists as its values, as an enum or as examples."""
        document = self._schemas.document
        found: list[Any] = []
        for node in self._nodes:
            found += [*document.listed(node.get("enum")), *document.listed(node.get("examples"))]
            found += [node[key] for key in ("const", "example") if key in node]
        for arm in self._arms()[:50]:
            if arm is not self:
                found += [*document.listed(arm.node.get("enum")), arm.node.get("const")]
        return list(dict.fromkeys(str(w) for w in found if isinstance(w, str) and w))

    @cached_property
    def required(self) -> frozenset[str]:
        """Fields that every object of the schema must have."""
        return self._required(self.node, 0)

    def _required(self, node: Mapping[str, Any], depth: int) -> frozenset[str]:
        document = self._schemas.document
        found = {w for w in document.listed(node.get("required")) if isinstance(w, str)}
        if depth > _DEEPEST:
            return frozenset(found)

        def of(arm: Any) -> frozenset[str]:
            inner = document.resolve(arm)[0]
            return self._required(document.table(inner), depth + 1)

        found = found.union(*(of(part) for part in document.listed(node.get("allOf"))))
        for key in ("anyOf", "oneOf"):
            arms = [of(arm) for arm in document.listed(node.get(key))]
            if arms:
                found |= frozenset.intersection(*arms)
        return frozenset(found)

    @property
    def description(self) -> str:
        """What the document says about the schema, where it is used and where it is defined."""
        said = [node.get("description") for node in self._nodes]
        return " ".join(text for text in said if isinstance(text, str))

    @property
    def format(self) -> str:
        """The format that the schema names, or nothing."""
        said = self.node.get("format")
        return said if isinstance(said, str) else ""

    @cached_property
    def names_within(self) -> frozenset[str]:
        """Names of the schema itself and of those in it, not too deep."""
        return frozenset(self.names).union(*(s.names for _, s in self.places()))

    def places(self, depth: int = 3) -> Iterator[tuple[Steps, Schema]]:
        """Paths to everything that lies in the object, the near ones first."""
        waiting: list[tuple[Steps, Schema]] = [((), self)]
        given = 0
        while waiting:
            steps, schema = waiting.pop(0)
            for name, inner in schema.fields.items():
                given += 1
                if given > _MOST_PLACES:
                    return
                yield (*steps, name), inner
                if len(steps) + 1 < depth and inner is not self:
                    waiting.append(((*steps, name), inner))

    def at(self, steps: Steps) -> Schema:
        """The schema at the end of a path; an empty one if there is none."""
        schema = self
        for step in steps:
            schema = schema.fields.get(step) or self._schemas.of({})
        return schema


def _together(parts: Iterable[Mapping[str, Schema]]) -> dict[str, Schema]:
    """Fields of several objects, of two of one name the first."""
    found: dict[str, Schema] = {}
    for fields in parts:
        for name, schema in fields.items():
            found.setdefault(name, schema)
    return found


def _is_null(arm: Any) -> bool:
    return isinstance(arm, Mapping) and (
        arm.get("type") == "null" or arm.get("type") == ["null"] or arm.get("enum") == [None]
    )
