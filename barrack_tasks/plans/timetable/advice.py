"""What can be read but is hardly meant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from barrack_tasks.plans.timetable.boundaries import is_always, spans_from
from barrack_tasks.plans.timetable.rules import Absolute, Constant, Rule, Weekly
from barrack_tasks.plans.timetable.zone_names import same_all_year

_MARKS_LOOKED_AT = 60


def advice(rules: Sequence[Rule], now: datetime) -> tuple[str, ...]:
    """One sentence for each rule that does nothing from now on, and for each doubtful zone."""
    said: list[str] = []
    seen: set[Rule] = set()
    for i, rule in enumerate(rules):
        others = [*rules[:i], *rules[i + 1 :]]
        problem = "it occurs twice" if rule in seen else _problem(rule, others, now)
        seen.add(rule)
        if problem:
            said.append(f"{rule}: {problem}")
    zones = [rule.zone for rule in rules if not isinstance(rule, Constant) and rule.zone]
    said += filter(None, map(same_all_year, dict.fromkeys(zones)))
    return tuple(said)


def _problem(rule: Rule, others: Sequence[Rule], now: datetime) -> str | None:
    if isinstance(rule, Constant):
        return "it adds nothing to the other rules" if others and not rule.on else None
    if isinstance(rule, Absolute) and rule.moments()[1] <= now:
        return "it lies wholly in the past"
    day = now.toordinal() - 1
    if isinstance(rule, Weekly) and next(rule.occurrences(day), None) is None:
        return "it never occurs, since its exceptions leave out all of its days"
    if is_always(others):
        return "it has no effect, since the other rules cover all of the time"
    if isinstance(rule, Weekly) and rule.one_sided and _swallowed(rule, others, now):
        return "it has no effect, since its moments lie inside the windows of the other rules"
    return None


def _swallowed(rule: Weekly, others: Sequence[Rule], now: datetime) -> bool:
    """Whether the next moments of a one-sided rule all lie inside windows."""
    windowed = [r for r in others if not (isinstance(r, Weekly) and r.one_sided)]
    spans = spans_from(windowed, now)
    span = next(spans, None)
    for moment in islice((m for m in rule.marks(now) if m >= now), _MARKS_LOOKED_AT):
        while span is not None and span[1] <= moment:
            span = next(spans, None)
        if span is None or moment < span[0]:
            return False
    return True
