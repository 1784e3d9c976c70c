"""What a section says twice, or says in vain: each with its place in the section.

A flow would accept it, and a person who wrote it believes that it does something.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from prefect._vendor.croniter import CroniterError, croniter  # type: ignore[attr-defined]
from pydantic import BaseModel

from barrack_tasks.api.dialect.reading import Place, clipped
from barrack_tasks.plans.selection import Selector
from barrack_tasks.plans.snapshots.retention import Retention

Found = Iterator[tuple[Place, str]]
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_RESTS = frozenset({"hibernate", "hibernate_all"})


def said_twice(content: Any, place: Place = ()) -> Found:
    """Items of lists that are written again, at the place of the second.

    Args:
        content: as it was read from a file.
        place: where it stands.

    Example:
        >>> list(said_twice({"protect": ["a", "b", "a"]}))
        [(('protect', 2), "item 3 of protect says the same as item 1; keep one of them")]
    """
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from said_twice(value, (*place, key))
    if not isinstance(content, list):
        return
    texts = [json.dumps(one, sort_keys=True, default=str) for one in content]
    for number, text in enumerate(texts):
        if (first := texts.index(text)) < number:
            yield (*place, number), _same(place, number, first)
        else:
            yield from said_twice(content[number], (*place, number))


def in_vain(section: BaseModel, protect: Iterable[str] = ()) -> Found:
    """What a section says that changes nothing, each with its place in the section.

    Args:
        section: as it was read by its model, see `model_of`.
        protect: names and globs that the whole file protects.

    Example:
        >>> given = {"select": ["*"], "retention": {"last": 0}}
        >>> [place for place, said in in_vain(model_of("retention").model_validate(given))]
        [('retention', 'last')]
    """
    protected = [*protect, *(getattr(section, "protect", None) or ())]
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, list | tuple):
            yield from _of_list(name, value)
        if isinstance(value, Retention) and value.last == 0:
            yield (
                (name, "last"),
                "last: 0 changes nothing, since the newest ready snapshot of an instance is "
                "always kept; write 1 or more",
            )
        if name == "schedule" and value is not None:
            yield from _never_due(value.cron)
        if name == "select":
            yield from _protected(_selector(value), protected, (name,))
        if name == "rules":
            yield from _of_rules(value, protected, getattr(section, "exclude", ()))
    has_probe = getattr(section, "idleness", None) is not None
    for number, rule in enumerate(getattr(section, "rules", ())):
        if getattr(rule, "idle", False) and not has_probe:
            yield (
                ("rules", number, "idle"),
                "a rule that counts idle time does nothing without a probe; give `idleness`",
            )


def _same(place: Place, second: int, first: int) -> str:
    what = next((part for part in reversed(place) if isinstance(part, str)), "the list")
    return f"item {second + 1} of {what} says the same as item {first + 1}; keep one of them"


def _of_list(name: str, items: Sequence[Any]) -> Found:
    """Items that mean the same although they are written in two ways, and actions that do not."""
    for number, item in enumerate(items):
        first = items.index(item)
        keys = [getattr(one, "key", None) for one in items[:number]]
        if first < number:
            yield (name, number), _same((name,), number, first)
        elif name == "budgets" and item.key in keys:
            yield (
                (name, number),
                f"there are two budgets for {item.title}; write one with both limits",
            )
        elif name == "thresholds":
            yield from _of_threshold(item, (name, number))
        elif name == "wants":
            yield from _of_want(item, items[:number], (name, number))


def _of_threshold(line: Any, place: Place) -> Found:
    rests = _RESTS.intersection(line.actions)
    if not rests and line.snapshot:
        yield (
            (*place, "snapshot"),
            "a line that hibernates nothing takes no snapshot; add the action hibernate, or leave "
            "`snapshot` out",
        )
    if "hibernate" not in line.actions and line.until is not None:
        yield (
            (*place, "until"),
            "`until` says when the action hibernate may end, and this line does not have it; add "
            "it, or leave `until` out",
        )
    if rests == _RESTS:
        yield (
            (*place, "actions"),
            "hibernate_all hibernates whatever hibernate would; keep one of the two",
        )


def _of_want(want: Any, before: Sequence[Any], place: Place) -> Found:
    for number, option in enumerate(want.otherwise):
        mine = {name: getattr(want, name) for name in type(option).model_fields}
        if option.model_dump() == type(option)(**mine).model_dump():
            yield (
                (*place, "otherwise", number),
                "this is what the want itself asks for; name something else, or leave it out",
            )
    taken = {name for other in before for name in other.names}
    for name in want.names:
        if name in taken:
            yield (
                (*place, "claim", "name"),
                f"two wants would claim the name {clipped(name)!r}; give each its own",
            )
            return


def _of_rules(rules: Sequence[Any], protected: Sequence[str], exclude: Iterable[str]) -> Found:
    """Rules that no instance comes to: an earlier one has all of them, or they are left alone."""
    are_ordered = all(hasattr(rule, "timetable") for rule in rules)
    for number, rule in enumerate(rules):
        yield from _protected(rule.select, [*protected, *exclude], ("rules", number, "select"))
        for earlier in range(number if are_ordered else 0):
            if _has_all_of(rules[earlier].select, rule.select) and rules[earlier] != rule:
                yield (
                    ("rules", number),
                    f"rule {number + 1} is never reached: rule {earlier + 1} takes all that it "
                    f"selects; put it above, or leave it out",
                )
                break


def _has_all_of(wide: Selector, narrow: Selector) -> bool:
    """Whether one selector takes all that another takes, as far as their words alone tell."""
    if wide == narrow:
        return True
    if wide.regions or wide.models or wide.states:
        return False
    if "*" in wide.names:
        return True
    names = [*narrow.names, *narrow.ids]
    return bool(names) and all(_covers([*wide.names, *wide.ids], name) for name in names)


def _covers(patterns: Iterable[str], name: str) -> bool:
    """Whether patterns mean all that a name or glob means. Of two globs, only what is plain."""
    if any(sign in name for sign in "?["):
        return name in patterns
    sample = name.replace("*", "\0")  # what a pattern takes with this in it, it takes with all
    return any(one == name or fnmatchcase(sample, one) for one in patterns)


def _protected(select: Selector | None, protected: Sequence[str], place: Place) -> Found:
    if select is None or not protected:
        return
    given = [*select.names, *select.ids]
    for number, name in enumerate(given):
        if _covers(protected, name):
            yield (
                (*place, number),
                f"{clipped(name)!r} is protected or excluded, so that selecting it does nothing; "
                f"take it out of one of the two lists",
            )


def _selector(value: Any) -> Selector | None:
    return value if isinstance(value, Selector) else None


def _never_due(cron: str | None) -> Found:
    if cron is None:
        return
    try:
        croniter(cron, _ANY_DAY).get_next(datetime)  # type: ignore[no-untyped-call]
    except CroniterError:
        said = f"{cron!r} is never due, since no year has such a day; correct the day or the month"
        yield ("schedule", "cron"), said
