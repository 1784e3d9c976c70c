"""Which instances a flow is about, and which it must never touch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, NamedTuple, Protocol

from pydantic import PlainValidator, ValidationError, WithJsonSchema

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.inputs import Given, Texts, said_of
from barrack_tasks.plans.plain_words import nearest_are
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.world import Stock


class Selector(Given):
    """Which instances are meant.

    An instance is selected if its name or id matches one of `names` (names, globs and ids alike)
    or its id is one of `ids`, and it is in one of `regions`, has one of the GPU `models` and is in
    one of the `states`; what is not given does not restrict. Nothing given at all is an error: an
    empty selection never means everything. Say `names=["*"]` for everything.

    Example:
        >>> Selector(names=["train-*"], regions=["CANADA-1"], states=["ACTIVE"])
    """

    names: Texts = ()
    ids: Texts = ()
    regions: Texts = ()
    models: Texts = ()
    states: Texts = ()

    def takes(self, id_: str, name: str) -> bool:
        """Whether what has an id and a name is named by `names` or `ids`, if those are given.

        A name is not an id, even if it looks like one.
        """
        if not (self.names or self.ids):
            return True
        return id_ in self.ids or is_named(id_, name, self.names)


class SelectionError(ValueError):
    """A selection that says nothing, or names what does not exist."""


Selection = Selector | dict[str, Any] | list[str] | str
"""Whatever serves as a selector: one, its fields as a dict, a list of names, globs and ids."""


def selector_of(select: Selection | None) -> Selector:
    """Read whatever a user gives for `select`.

    Raises:
        SelectionError: it is empty, of another type, or names an unknown state.
    """
    if isinstance(select, Selector):
        selector = select
    elif isinstance(select, str):
        selector = Selector(names=(select,))
    elif isinstance(select, dict):
        try:
            selector = Selector.model_validate(select)
        except ValidationError as error:
            raise SelectionError(f"select: {said_of(error)}") from None
    elif isinstance(select, list | tuple) and all(isinstance(item, str) for item in select):
        selector = Selector(names=tuple(select))
    elif select is None:
        selector = Selector()
    else:
        raise SelectionError(
            f"select must be a list of names, globs and ids, or a selector; got {select!r}"
        )
    _check(selector)
    return selector


def _read_select(value: Any) -> Selector:
    return selector_of(value)


SELECT_SCHEMA = WithJsonSchema(
    {
        "title": "Select",
        "description": "Names, globs and ids of instances; an empty selection is refused.",
        "anyOf": [
            {"type": "array", "items": {"type": "string"}},
            Selector.model_json_schema(),
        ],
    }
)
"""How a selection is written, for forms."""

Select = Annotated[Selection, PlainValidator(_read_select), SELECT_SCHEMA]
"""Which instances: a list of names, globs and ids, or a `Selector`."""


def _check(selector: Selector) -> None:
    given = [value for values in selector.model_dump().values() for value in values]
    if not given:
        raise SelectionError(
            "the selection is empty, and that does not mean everything; "
            'name instances, or say select=["*"]'
        )
    if not all(value.strip() for value in given):
        raise SelectionError(
            "the selection holds an empty name; leave it out, or write '*' for all"
        )
    for state in selector.states:
        if not VMStatus(state).known:
            known = ", ".join(VMStatus.__members__)
            raise SelectionError(f"no instance state is called {state!r}; known are {known}")


def matches(instance: UserVM, patterns: Iterable[str]) -> bool:
    """Whether an instance's name or id is one of the patterns, or matches one as a glob."""
    return is_named(instance.id, instance.name, patterns)


def is_named(id_: str, name: str, patterns: Iterable[str]) -> bool:
    """Whether a name or id is one of the patterns, or the name matches one as a glob."""
    return any(pattern in (id_, name) or fnmatchcase(name, pattern) for pattern in patterns)


def ambiguous(
    names: Iterable[str], things: Iterable[Called], noun: str = "instance"
) -> list[InVain]:
    """What of a list of names is the id of one thing and the name of another: which is not told.

    Args:
        names: names, globs and ids; `key` of what is found is the name.
        things: what may be meant.
        noun: what they are.
    """
    known = list(things)
    by_id = {thing.id: thing for thing in known}
    return [
        InVain(
            name,
            f"{name!r} is the id of one {noun}, {by_id[name].name}, and the name of another, "
            f"{other.id}; give the name of the one, or the id of the other",
        )
        for name in names
        if name in by_id
        for other in known
        if other.name == name and other.id != name
    ]


def clear_of(selector: Selector, things: Iterable[Called]) -> Selector | None:
    """A selector without the names of which it is not told what they mean; None if none is left."""
    unclear = {one.key for one in ambiguous(selector.names, things)}
    if not unclear:
        return selector
    names = tuple(name for name in selector.names if name not in unclear)
    return selector.model_copy(update={"names": names}) if names or selector.ids else None


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


class Called(Protocol):
    """What has an id and a name."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


class Named(NamedTuple):
    """An id and a name."""

    id: str
    name: str


class InVain(NamedTuple):
    """A sentence about what a list names in vain. `key` is the list and the name alone.

    `is_error` is False for what may well be so: a glob that matches nothing yet, while nothing is
    nearly called so.
    """

    key: str
    text: str
    is_error: bool = True


def named_in_vain(
    list_name: str,
    names: Iterable[str],
    things: Iterable[Called],
    noun: str = "instance",
    standing: bool = False,
) -> list[InVain]:
    """What a list of names, globs and ids names that nothing has, or that may mean two things.

    A list that keeps things from being touched means both.

    Args:
        list_name: the parameter, such as `protect`: each sentence begins with it.
        names: the list.
        things: what may be meant.
        noun: what they are.
        standing: the list is kept for good, over what comes and goes: nothing in it is an error.

    Example:
        >>> named_in_vain("exclude", ["trian-1"], instances)[0].text
        "exclude: no instance is called 'trian-1'; the nearest is train-1"
    """
    known = list(things)
    fits = is_protected if list_name in _WHATEVER_THE_CASE else _fits_exactly
    found = []
    if list_name not in _WHATEVER_THE_CASE:
        names = list(names)
        found += [
            InVain(f"{list_name} {one.key}", f"{list_name}: {one.text}", not standing)
            for one in ambiguous(names, known, noun)
        ]
    for name in names:
        if any(fits([name], thing.id, thing.name) for thing in known):
            continue
        existing = {thing.name for thing in known}
        verb = "matches" if _is_glob(name) else "is called"
        is_meant = not _is_glob(name) or _is_nearly_one_of(name, existing)
        text = f"{list_name}: no {noun} {verb} {name!r}; {what_exists(name, existing)}"
        found.append(InVain(f"{list_name} {name}", text, is_meant and not standing))
    return found


_WHATEVER_THE_CASE = ("protect", "exclude")
"""Lists that keep instances from being touched, and so match too much rather than too little."""


def _is_nearly_one_of(glob: str, names: Iterable[str]) -> bool:
    """Whether a glob looks like a name misspelt, and not like one that is still to come."""
    folded = [name.casefold() for name in names]
    return bool(difflib.get_close_matches(glob.casefold(), folded, n=1, cutoff=0.5))


def _fits_exactly(patterns: Iterable[str], id_: str, name: str) -> bool:
    return is_named(id_, name, patterns)


def models_in_vain(list_name: str, models: Iterable[str], stock: Stock | None) -> list[InVain]:
    """What a list of GPU models names that the stock does not; no error: it may be sold out."""
    known = {Named("", model.casefold()) for _, model in stock or {}}
    folded = [model.casefold() for model in models]
    return named_in_vain(list_name, folded, known, "GPU model", standing=True) if known else []


def selected_in_vain(
    selector: Selector | None, instances: Sequence[UserVM], name: str = "select"
) -> list[InVain]:
    """What a selector names that no instance has."""
    if selector is None or not instances:
        return []
    unmet = _unmet(selector, instances, set())
    return [InVain(f"{name} {pattern}", f"{name}: {sentence}") for pattern, sentence in unmet]


def check_protect(protect: Iterable[str], instances: Sequence[UserVM]) -> None:
    """Refuse a misspelt name in `protect`, before what it was to protect is touched.

    Raises:
        SelectionError: no instance has the name; says what exists.
    """
    refuse(named_in_vain("protect", protect, instances))


def refuse(in_vain: Iterable[InVain]) -> None:
    """Refuse what is an error in lists of names.

    Raises:
        SelectionError: there is any; says all of it, and what exists.
    """
    errors = [one.text for one in in_vain if one.is_error]
    if errors:
        raise SelectionError(f"{'. '.join(errors)}. Correct it, or take it out if it is gone")


def select_instances(
    selector: Selector, instances: Sequence[UserVM], known_before: Iterable[str] = ()
) -> list[UserVM]:
    """The instances that a selector means, in the order given.

    `known_before` are names and ids that need not exist any more, because an earlier start of
    the same run dealt with them.

    Raises:
        SelectionError: a name, id, region or model matches nothing, or a name is the id of
            another instance; says what exists.
    """
    for _, sentence in _unmet(selector, instances, set(known_before)):
        raise SelectionError(sentence)
    return _meant(selector, instances)


def selected_that_exist(select: Selection | None, instances: Sequence[UserVM]) -> list[UserVM]:
    """The instances that a selector means now, whatever it names in vain, or ambiguously.

    For runs on a schedule: when an instance that they name is gone, they go on with the others.
    """
    return [] if select is None else _meant(selector_of(select), instances)


def _meant(selector: Selector, instances: Sequence[UserVM]) -> list[UserVM]:
    clear = clear_of(selector, instances)
    if clear is None:
        return []
    states = {VMStatus(state) for state in selector.states}
    return [one for one in instances if _takes(clear, one) and (not states or one.status in states)]


def takes_in_any_state(selector: Selector, instance: UserVM) -> bool:
    """Whether a selector means an instance, in whatever state that is.

    One that names states alone means every instance.
    """
    clear = clear_of(selector, [instance])
    return clear is not None and _takes(clear, instance)


def _takes(selector: Selector, instance: UserVM) -> bool:
    return (
        selector.takes(instance.id, instance.name)
        and (not selector.regions or _fits(instance.region, selector.regions))
        and (not selector.models or _fits(instance.gpu_model, selector.models))
    )


def each_pattern(selector: Selector) -> Iterator[tuple[str, Selector]]:
    """Each of a selector's names and ids, with a selector of nothing else."""
    for name in selector.names:
        yield name, Selector(names=(name,))
    for id_ in selector.ids:
        yield id_, Selector(ids=(id_,))


def _fits(value: str | None, patterns: Iterable[str]) -> bool:
    return value is not None and any(
        fnmatchcase(str(value).casefold(), pattern.casefold()) for pattern in patterns
    )


def _unmet(
    selector: Selector, instances: Sequence[UserVM], excused: set[str]
) -> Iterator[tuple[str, str]]:
    """What matches nothing, or may mean two instances, each with a sentence."""
    yield from ((one.key, one.text) for one in ambiguous(selector.names, instances))
    for pattern, alone in each_pattern(selector):
        if pattern in excused or any(alone.takes(i.id, i.name) for i in instances):
            continue
        if alone.names and any(fnmatchcase(name, pattern) for name in excused):
            continue
        existing = [i.name for i in instances]
        yield pattern, f"no instance matches {pattern!r}; {what_exists(pattern, existing)}"
    if excused:  # those that had the region or model may be gone
        return
    for kind, patterns, values in (
        ("region", selector.regions, {str(i.region) for i in instances if i.region}),
        ("GPU model", selector.models, {str(i.gpu_model) for i in instances if i.gpu_model}),
    ):
        for pattern in patterns:
            if not any(_fits(value, [pattern]) for value in values):
                near = what_exists(pattern, values)
                yield pattern, f"no instance has the {kind} {pattern!r}; {near}"


def what_exists(wanted: str, existing: Iterable[str]) -> str:
    """The nearest of what exists, for a message."""
    names = sorted(existing)
    if not names:
        return "the account has none"
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    shown = names[:10]
    more = "" if len(names) <= 10 else f" and {len(names) - 10} more"
    return nearest_are(near) if near else f"there are {', '.join(shown)}{more}"
