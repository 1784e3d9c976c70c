"""Wire to canonical and back: the client's reading of a dialect."""

from __future__ import annotations

import types
from collections.abc import Hashable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel

from barrack_tasks.api.dialect.model import Dialect, WirePath

_MISSING = object()


def steps_of(path: WirePath) -> tuple[str, ...]:
    """`"a.b"` as `("a", "b")`; the object itself as `()`."""
    return () if path in ("", ".") else tuple(path.split("."))


def dig(value: Any, steps: tuple[str, ...], default: Any = None) -> Any:
    """What lies at the end of a path, or the default."""
    for step in steps:
        if not isinstance(value, Mapping) or step not in value:
            return default
        value = value[step]
    return value


@lru_cache(maxsize=4096)
def kind_of(annotation: Any) -> tuple[type[BaseModel] | type[Enum] | None, bool]:
    """The model or enum inside an annotation, and whether it stands in a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kind_of(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        inner = [a for a in get_args(annotation) if a is not types.NoneType]
        return kind_of(inner[0]) if len(inner) == 1 else (None, False)
    if origin in (list, tuple):
        return kind_of(get_args(annotation)[0])[0], True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel | Enum):
        return annotation, False
    return None, False


class Codec:
    """Reads answers and writes requests in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._plans: dict[str, list[tuple[str, tuple[str, ...], Any, bool]]] = {}
        self._plain: dict[str, bool] = {}

    def _plan(self, model: type[BaseModel]) -> list[tuple[str, tuple[str, ...], Any, bool]]:
        plan = self._plans.get(model.__name__)
        if plan is None:
            names = self._dialect.schemas.get(model.__name__, {})
            plan = []
            for field, info in model.model_fields.items():
                path = names.get(field, field)
                if path is not None:
                    kind, many = kind_of(cast(Hashable, info.annotation))
                    plan.append((field, steps_of(path), kind, many))
            self._plans[model.__name__] = plan
        return plan

    def _is_plain(self, model: type[BaseModel], above: tuple[str, ...] = ()) -> bool:
        """Whether the wire says a model as it is said here, with all that is inside of it."""
        name = model.__name__
        if name in above:
            return True  # the rest of it decides
        known = self._plain.get(name)
        if known is None:
            known = not self._dialect.schemas.get(name) and all(
                not self._dialect.words.get(kind.__name__)
                if issubclass(kind, Enum)
                else self._is_plain(kind, (*above, name))
                for *_, kind, _ in self._plan(model)
                if kind is not None
            )
            if not above:
                self._plain[name] = known
        return known

    def decode(self, model: type[BaseModel], wire: Any) -> Any:
        """A wire value as plain data under canonical names, ready for `model_validate`.

        What the dialect does not name is kept, also beside what it names inside of an object.
        """
        if isinstance(wire, dict) and self._is_plain(model):
            return wire
        canonical: dict[str, Any] = {}
        used: list[tuple[str, ...]] = []
        for field, steps, kind, many in self._plan(model):
            value = dig(wire, steps, _MISSING)
            if value is not _MISSING:
                canonical[field] = self._decode_value(kind, many, value)
                used.append(steps)
        if isinstance(wire, Mapping):
            for key, value in _without(wire, used).items():
                canonical.setdefault(key, value)
        return canonical

    def _decode_value(self, kind: Any, many: bool, value: Any) -> Any:
        if many and isinstance(value, list):
            return [self._decode_value(kind, False, item) for item in value]
        if kind is None or value is None or many:
            return value
        if issubclass(kind, Enum):
            words = self._dialect.words.get(kind.__name__, {})
            return words.get(value, value) if isinstance(value, str) else value
        return self.decode(kind, value) if isinstance(value, Mapping | list) else value

    def encode(self, value: BaseModel) -> Any:
        """A request as a wire value. Fields that were not given are not sent."""
        wire: dict[str, Any] = {}
        for field, steps, kind, _many in self._plan(type(value)):
            content = getattr(value, field)
            if content is None or (field not in value.model_fields_set and content == []):
                continue
            encoded = self.encode_value(kind, content)
            if not steps:
                # The object itself: a list replaces it, an object is poured into it.
                if not isinstance(encoded, dict):
                    return encoded
                wire.update(encoded)
                continue
            place = wire
            for step in steps[:-1]:
                place = place.setdefault(step, {})
            place[steps[-1]] = encoded
        return wire

    def encode_value(self, kind: Any, content: Any) -> Any:
        """One value under the wire's words: enums, nested models, lists, JSON's plain types."""
        if isinstance(content, list | tuple):
            return [self.encode_value(kind, item) for item in content]
        if isinstance(content, Mapping):
            return {str(key): self.encode_value(None, item) for key, item in content.items()}
        if isinstance(content, BaseModel):
            return self.encode(content)
        if isinstance(content, Enum):
            words = self._dialect.words.get(type(content).__name__, {})
            back = {canonical: word for word, canonical in reversed(words.items())}
            return back.get(str(content.value), content.value)
        if isinstance(content, bool | int | float | str | None):
            return content
        return content.isoformat() if hasattr(content, "isoformat") else str(content)


def _without(wire: Mapping[str, Any], used: list[tuple[str, ...]]) -> dict[str, Any]:
    """What remains of an object when what lies at some paths is taken out."""
    whole = {steps[0] for steps in used if len(steps) == 1}
    rest = {key: value for key, value in wire.items() if key not in whole}
    for key in {steps[0] for steps in used if len(steps) > 1} & rest.keys():
        inside = [steps[1:] for steps in used if steps[:1] == (key,)]
        left = _without(rest.pop(key), inside)
        if left:
            rest[key] = left
    return rest
