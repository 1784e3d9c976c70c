"""How a plan is shown: on a terminal, as JSON, and as markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, Field

from barrack_tasks.cli.applying import Foreseen, Plan
from barrack_tasks.cli.config.changes import ABSENT, Action, PlannedChange, ValueChange
from barrack_tasks.cli.screen import Screen
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.report import Row, effect_of, escape, money

_SIGNS = {"create": "+", "change": "~", "remove": "-", "keep": "!", "none": " "}
_DID = {
    "create": "is created",
    "change": "is changed",
    "remove": "is removed",
    "keep": "stays as somebody changed it by hand",
}
_COLUMNS = ("instance", "is", "would", "an hour")
_MOST_NAMED = 5


def show(screen: Screen, plan: Plan) -> None:
    """Show a plan on a terminal, or as plain lines where there is none."""
    for one in plan.changes:
        if one.action == "none":
            continue
        screen.print(f"{_SIGNS[one.action]} {_title(plan, one)} {_what(one)}", style="bold")
        for difference in map(_without_secrets, one.differences):
            for line in _difference(one, difference):
                screen.print(f"    {line}")
    for other in plan.others:
        screen.print(f"  {_other(other)}")
    screen.print(_summary(plan))
    for seen in plan.foreseen:
        screen.print("")
        screen.print(f"{seen.title} ({_state(seen)}), if it ran now:", style="bold")
        if seen.report is None:
            screen.print(f"  What it would do is not known: {seen.problem}")
            continue
        if seen.report.rows:
            screen.print_rows("", _COLUMNS, list(_rows(seen)))
            for why in _reasons(seen.report.rows):
                screen.print(f"  {why}")
        screen.print(f"  {_effect(seen)}")
        for note in (*seen.report.told, *seen.report.notes):
            screen.print(f"  {note}")


class ItemView(BaseModel):
    """One item of a list, or one key of a mapping, that is not as it was."""

    sign: Literal["+", "-"]
    value: Any


class DifferenceView(BaseModel):
    """One value that is not as the file says."""

    name: str = Field(description="What differs, such as `parameter select`.")
    old: Any = Field(default=None, description="Its value on the server; null if there is none.")
    new: Any = Field(default=None, description="Its value in the file; null if there is none.")
    by_hand: bool = Field(description="Whether somebody changed it since the last apply.")
    kept: bool = Field(description="Whether an apply leaves it as it is.")
    items: list[ItemView] = Field(
        description="What is added to a list or a mapping, and what is taken away from it."
    )


class ChangeView(BaseModel):
    """What an apply does to one deployment, or to an account's block."""

    name: str = Field(description="Its name in Prefect, or `account` and the name of its block.")
    action: Action
    taken_over: bool = Field(description="Whether no file made it before.")
    deleted_by_hand: bool
    differences: list[DifferenceView]


class NowView(BaseModel):
    """What a flow would do now."""

    name: str = Field(description="The name of the deployment.")
    section: str = Field(description="The section of the file.")
    armed: bool = Field(description="Whether it acts, once the file is applied.")
    problem: str | None = Field(description="Why it is not known what it would do.")
    hourly: Decimal | None = Field(description="How much more the account would cost an hour.")
    monthly: Decimal | None = Field(
        description="The same in a month of 730 hours; at most, if `once` is a number."
    )
    once: Decimal | None = Field(
        description="What a run costs at most, if what it makes ends again; else null."
    )
    currency: str | None
    unknown: int | None = Field(description="Rows of which the price is not known.")
    rows: list[Row] | None
    told: list[str]
    notes: list[str]


class PlanView(BaseModel):
    """What `barrack plan --json` prints. Amounts are texts."""

    file: str = Field(description="The name of the file on the server.")
    differs: bool = Field(description="Whether the server is not as the file says.")
    changes: list[ChangeView]
    others: list[str] = Field(description="Deployments for the same accounts that no file made.")
    now: list[NowView]


def view_of(plan: Plan) -> PlanView:
    """A plan for programs.

    Example:
        >>> view_of(plan).differs
        True
    """
    return PlanView(
        file=plan.config.name,
        differs=plan.differs,
        changes=[
            ChangeView(
                name=_title(plan, one),
                action=one.action,
                taken_over=one.taken_over,
                deleted_by_hand=one.deleted_by_hand,
                differences=[
                    DifferenceView(
                        name=found.name,
                        old=None if found.old is ABSENT else found.old,
                        new=None if found.new is ABSENT else found.new,
                        by_hand=found.by_hand,
                        kept=found.kept,
                        items=[ItemView(sign=i.sign, value=i.value) for i in found.items],
                    )
                    for found in map(_without_secrets, one.differences)
                ],
            )
            for one in plan.changes
            if one.action != "none"
        ],
        others=list(plan.others),
        now=[_now(seen) for seen in plan.foreseen],
    )


def _now(seen: Foreseen) -> NowView:
    report = seen.report
    return NowView(
        name=seen.title,
        section=seen.section,
        armed=seen.armed,
        problem=seen.problem or None,
        hourly=seen.hourly,
        monthly=seen.monthly,
        once=seen.once,
        currency=report.currency if report else None,
        unknown=effect_of(report).unknown if report else None,
        rows=[Row.model_validate(row, from_attributes=True) for row in report.rows]
        if report
        else None,
        told=list(report.told) if report else [],
        notes=list(report.notes) if report else [],
    )


def as_markdown(plan: Plan) -> str:
    """A plan as markdown. What came from elsewhere is escaped."""
    lines = [f"## barrack plan: {escape(plan.config.name)}", "", escape(_summary(plan)), ""]
    for one in plan.changes:
        if one.action == "none":
            continue
        lines.append(f"- **{escape(_title(plan, one))}** {_what(one)}")
        for difference in map(_without_secrets, one.differences):
            first, *items = _difference(one, difference)
            lines += [f"  - {escape(first)}", *(f"    - {escape(item.strip())}" for item in items)]
    for other in plan.others:
        lines.append(f"- {escape(_other(other))}")
    for seen in plan.foreseen:
        lines += ["", f"### {escape(seen.title)} ({_state(seen)}), if it ran now", ""]
        if seen.report is None:
            lines.append(f"What it would do is not known: {escape(seen.problem)}")
            continue
        if seen.report.rows:
            lines += [f"| {' | '.join(_COLUMNS)} |", f"|{' --- |' * len(_COLUMNS)}"]
            lines += [f"| {' | '.join(map(escape, row))} |" for row in _rows(seen)]
            lines += ["", *(f"- {escape(why)}" for why in _reasons(seen.report.rows)), ""]
        lines.append(escape(_effect(seen)))
        lines += [f"\n{escape(note)}" for note in (*seen.report.told, *seen.report.notes)]
    return "\n".join(lines) + "\n"


def _title(plan: Plan, one: PlannedChange) -> str:
    return plan.titles.get(one.key, one.key)


def _other(name: str) -> str:
    return (
        f"{name} was not made by a file and does the same for the same account; it stays, so "
        f"delete it on the server if it should not run beside this file."
    )


def _what(one: PlannedChange) -> str:
    if one.deleted_by_hand:
        return "was deleted by hand, and is created again"
    if one.taken_over:
        return "was not made by a file, and belongs to this one from now on"
    return _DID[one.action]


_HIDDEN = "(not shown)"


def _without_secrets(found: ValueChange) -> ValueChange:
    """A difference as it may be shown: variables of the environment often hold keys."""
    if found.name != "job variables":
        return found
    return replace(found, old=_hidden(found.old), new=_hidden(found.new))


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden(one) for key, one in value.items()}
    return value if value is ABSENT else _HIDDEN


def _difference(one: PlannedChange, found: ValueChange) -> list[str]:
    """One value in a line; of a list, a line more for each item that is added or taken away."""
    new, old = _value(found.new), _value(found.old)
    items = [f"  {item.sign} {_value(item.value)}" for item in found.items]
    if one.action == "create":
        return [f"{found.name}: {new}"]
    if found.kept:
        if items:
            return [f"{found.name} was set by hand and stays; the file differs in this:", *items]
        return [f"{found.name}: {old} was set by hand and stays; the file says {new}"]
    hand = " (set by hand, and overwritten)" if found.by_hand else ""
    if items:
        return [f"{found.name}{hand}:", *items]
    return [f"{found.name}: {old} -> {new}{hand}"]


def _value(value: Any) -> str:
    if value is ABSENT:
        return "(none)"
    return json.dumps(value, ensure_ascii=False, default=str)


def _summary(plan: Plan) -> str:
    count = dict.fromkeys(_SIGNS, 0)
    for one in plan.changes:
        count[one.action] += 1
    drifted = sum(len(one.drifted) for one in plan.changes)
    if not plan.differs:
        return "The server is as the file says."
    by_hand = {0: "", 1: "; 1 value was changed by hand"}
    more = by_hand.get(drifted, f"; {drifted} values were changed by hand")
    return (
        f"To create: {count['create']}, to change: {count['change']}, to remove: "
        f"{count['remove']}{more}."
    )


def _state(seen: Foreseen) -> str:
    return "armed" if seen.armed else "dry"


def _rows(seen: Foreseen) -> Iterator[tuple[str, ...]]:
    for row in seen.report.rows if seen.report else ():
        did = f"{row.outcome}: {', '.join(row.did)}" if row.did else row.outcome
        before, after = money(row.hourly_before, None), money(row.hourly_now, row.currency)
        cost = after if row.hourly_before == row.hourly_now else f"{before} -> {after}"
        yield row.instance, row.was, did, cost


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    """Each reason once, with the instances that it is about."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row.why:
            names.setdefault(row.why, []).append(row.instance)
    for why, of in names.items():
        more = f" and {len(of) - _MOST_NAMED} more" if len(of) > _MOST_NAMED else ""
        about = f"all {len(of)}" if len(of) == len(rows) > 1 else ", ".join(of[:_MOST_NAMED]) + more
        yield f"{about}: {why}"


def _effect(seen: Foreseen) -> str:
    report = seen.report
    if report is None or seen.hourly is None or seen.monthly is None:
        return ""
    unknown = effect_of(report).unknown
    if not seen.hourly and not unknown:
        return "It would not change what the account costs."
    side = "more" if seen.hourly >= 0 else "less"
    hour, month = (
        money(abs(seen.hourly), report.currency),
        money(abs(seen.monthly), report.currency),
    )
    end = f", not counting {unknown} of unknown price" if unknown else ""
    if seen.lasts is not None and seen.once is not None:
        once = money(seen.once, report.currency)
        often = "once" if seen.runs == 1 else f"{seen.runs} times"
        return (
            f"The account would cost {hour} an hour {side} for {said(seen.lasts)} at most, which "
            f"is {once} a run; it runs {often} a month, so that is {month} a month at most{end}."
        )
    return (
        f"The account would cost {hour} an hour {side}, which is {month} a month if it stays "
        f"so{end}."
    )
