"""Wire to canonical and back: the client's reading of a dialect."""

from __future__ import annotations

import contextlib
import importlib
import re
import types
from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Union, cast, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from barrack_tasks.api.dialect.model import OF_THE_ITEM, Dialect, Value, WirePath
from barrack_tasks.api.errors import BarrackConfigurationError

_MISSING = object()
_NUMBER = re.compile(r"[0-9]+")


def steps_of(path: WirePath) -> tuple[str, ...]:
    """`"a.b"` as `("a", "b")`; the object itself as `()`."""
    return () if path in ("", ".") else tuple(path.split("."))


def dig(value: Any, steps: tuple[str, ...], default: Any = None) -> Any:
    """What lies at the end of a path, or the default."""
    for step in steps:
        if isinstance(value, list) and step.isdecimal():
            if int(step) >= len(value):
                return default
            value = value[int(step)]
            continue
        if not isinstance(value, Mapping) or step not in value:
            return default
        value = value[step]
    return value


def is_grouped(steps: tuple[str, ...]) -> bool:
    """Whether the path of a list leads through groups."""
    return any(step.endswith(("[]", "{}")) for step in steps)


def gathered(value: Any, steps: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The items at the end of a path through groups, each with what it lies in beside it.

    Raises:
        ValueError: something on the way is no list or table, as the path says.

    Example:
        >>> list(gathered({"sizes": {"2x": 5}}, ("sizes{}",)))
        [{'^': {'sizes': {'2x': 5}}, '@key': '2x', '@value': 5}]
    """
    if not is_grouped(steps):
        yield value
        return
    at = next(n for n, step in enumerate(steps) if step.endswith(("[]", "{}")))
    group = dig(value, up_to_group(steps), [])
    is_list = steps[at].endswith("[]")
    if group is None:
        return
    if not isinstance(group, list if is_list else Mapping):
        raise ValueError(f"{steps[at]} is not a {'list' if is_list else 'table'}")
    entries = enumerate(group) if isinstance(group, list) else group.items()
    for key, entry in entries:
        inside = {"^": value, "@key": key, "@value": entry}
        item = {**entry, **inside} if isinstance(entry, Mapping) else inside
        yield from gathered(item, steps[at + 1 :])


def up_to_group(steps: tuple[str, ...]) -> tuple[str, ...]:
    """The path of the first group of a path; the whole path if it leads through none."""
    if not is_grouped(steps):
        return steps
    at = next(n for n, step in enumerate(steps) if step.endswith(("[]", "{}")))
    return tuple(step for step in (*steps[:at], steps[at][:-2]) if step)


def reached(wire: Any, steps: tuple[str, ...], default: Any = None) -> Any:
    """What lies at the end of a path, also one that leads through groups, or the default."""
    if is_grouped(steps):
        with contextlib.suppress(ValueError):  # the model says what it is not
            return list(gathered(wire, steps))
    return dig(wire, up_to_group(steps), default)


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
            said = self._dialect
            known = not (said.schemas.get(name) or said.values.get(name)) and all(
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
        # A class of its own may read otherwise what the dialect says as it is said here.
        if isinstance(wire, dict) and type(self) is Codec and self._is_plain(model):
            return wire
        canonical: dict[str, Any] = {}
        used: list[tuple[str, ...]] = []
        values = self._dialect.values.get(model.__name__, {})
        for field, steps, kind, many in self._plan(model):
            value = reached(wire, steps, _MISSING)
            if value is not _MISSING:
                used.append(up_to_group(steps))
            if value is not _MISSING and field in values:
                value = read_value(values[field], value)
            if value is not _MISSING:
                canonical[field] = self._decode_value(kind, many, value)
        for field, value in values.items():
            if value.constant is not None or value.cases:
                told = value.constant if value.constant is not None else case_of(value, wire)
                if told is not None:
                    canonical[field] = told
        if isinstance(wire, Mapping):
            for key, value in _without(wire, used).items():
                if key not in OF_THE_ITEM:
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
        values = self._dialect.values.get(type(value).__name__, {})
        for field, steps, kind, _many in self._plan(type(value)):
            content = getattr(value, field)
            if content is None or (field not in value.model_fields_set and content == []):
                continue
            encoded = self.encode_value(kind, content)
            if field in values:
                encoded = write_value(values[field], content, encoded)
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

    def beside(
        self, value: BaseModel, wire: Any, in_path: Iterable[str], names: Mapping[str, str]
    ) -> Any:
        """A request's wire value without what stands in the path, and with names for ids."""
        for field, steps, _kind, _many in self._plan(type(value)):
            if not steps or not isinstance(wire, dict) or getattr(value, field) is None:
                continue
            if field in in_path:
                wire = _without(wire, [steps])
            elif field in names:
                place = dig(wire, steps[:-1])
                place[steps[-1]] = names[field]
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


def read_value(how: Value, wire: Any) -> Any:
    """A value of the wire as the models read it. What cannot be read so is left as it is."""
    if how.times is not None:
        return _times(wire, how.times)
    if how.epoch is not None:
        return _moment(wire, how.epoch)
    if how.zone is not None and isinstance(wire, str):
        return _in_zone(wire, how.zone)
    if how.yes:
        word = as_word(wire)
        return True if word in how.yes else False if word in how.no else wire
    if how.digits and isinstance(wire, str):
        found = _NUMBER.search(wire)
        return int(found[0]) if found and len(found[0]) < _LONGEST_NUMBER else wire
    return wire


def write_value(how: Value, content: Any, encoded: Any) -> Any:
    """A value of a request as the wire writes it; `encoded` as it would be without."""
    if how.times is not None and isinstance(content, Decimal | int):
        amount = Decimal(content) / how.times
        return int(amount) if amount == int(amount) else str(amount)
    if how.epoch is not None and isinstance(content, datetime):
        return int(content.timestamp() * (1000 if how.epoch == "milliseconds" else 1))
    if how.zone is not None and isinstance(content, datetime):
        return content.astimezone(ZoneInfo(how.zone)).replace(tzinfo=None).isoformat()
    if how.yes and isinstance(content, bool):
        return how.yes[0] if content else how.no[0]
    return encoded


_LONGEST_NUMBER = 18


def as_word(wire: Any) -> str:
    """How a value is written in a dialect file: JSON's own words for true, false and null."""
    if isinstance(wire, bool):
        return "true" if wire else "false"
    return "null" if wire is None else str(wire)


def _times(wire: Any, factor: Decimal) -> Any:
    if isinstance(wire, bool) or not isinstance(wire, int | float | str | Decimal):
        return wire
    try:
        return Decimal(str(wire)) * factor
    except ArithmeticError:
        return wire


def _moment(wire: Any, unit: str) -> Any:
    seconds = _times(wire, Decimal("0.001") if unit == "milliseconds" else Decimal(1))
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return wire


def _in_zone(wire: str, zone: str) -> Any:
    try:
        moment = datetime.fromisoformat(wire)
    except ValueError:
        return wire
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))


def case_of(how: Value, wire: Any) -> str | None:
    """The word of the first row that fits an object of the wire."""
    for case in how.cases:
        if all(
            as_word(dig(wire, steps_of(path), _MISSING)) == wanted
            for path, wanted in case.when.items()
        ):
            return case.word
    return None


def codec_of(dialect: Dialect) -> Codec:
    """The codec of a dialect: its own class where it names one.

    Raises:
        BarrackConfigurationError: the class is not there, or is no `Codec`.
    """
    if not dialect.codec:
        return Codec(dialect)
    module, _, name = dialect.codec.partition(":")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BarrackConfigurationError(
            f"the dialect {dialect.name!r} names the codec {dialect.codec!r}, which cannot be "
            f"imported: {error}; put its module on the Python path"
        ) from None
    if not (isinstance(kind, type) and issubclass(kind, Codec)):
        raise BarrackConfigurationError(
            f"the dialect {dialect.name!r} names the codec {dialect.codec!r}, which is no class "
            "that inherits from barrack_tasks.api.dialect.Codec"
        )
    return kind(dialect)


def _without(wire: Mapping[str, Any], used: list[tuple[str, ...]]) -> dict[str, Any]:
    """What remains of an object when what lies at some paths is taken out."""
    whole = {steps[0] for steps in used if len(steps) == 1}
    rest = {key: value for key, value in wire.items() if key not in whole}
    for key in {steps[0] for steps in used if len(steps) > 1} & rest.keys():
        inside = [steps[1:] for steps in used if steps[:1] == (key,)]
        within = rest.pop(key)
        left = _without(within, inside) if isinstance(within, Mapping) else None
        if left:
            rest[key] = left
    return rest
