"""The typed report that every flow returns: one row an instance."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from barrack_tasks.api.models.shown import Lines, Page, Part, Shown, Table
from barrack_tasks.api.models.shown import escape as escape
from barrack_tasks.api.models.text import one_line
from barrack_tasks.plans.steps import Outcome, Reason


class Row(BaseModel):
    """One instance: what was, what was done, what is, why, and what it costs an hour.

    `public_ip` is the address where the instance can be reached, if that is known. `why` is a
    sentence for people; programs read `reason`.
    """

    model_config = ConfigDict(frozen=True)

    instance_id: str
    instance: str
    public_ip: str | None = None
    was: str
    did: tuple[str, ...] = ()
    now: str
    outcome: Outcome
    why: str = ""
    reason: Reason | None = None
    snapshot: str | None = None
    hourly_before: Decimal | None = None
    hourly_now: Decimal | None = None
    currency: str | None = None


COLUMNS = ("instance", "state", "done", "an hour", "why", "snapshot")
"""What a row is shown as; a column that is empty in all rows is left out.

A page that is too narrow cuts off what is last: the longest, and the least needed.
"""


class Report(Shown, BaseModel):
    """What a flow run did. It shows itself in notebooks and when it is printed.

    Iterate over `rows`, or use `records()`, `to_frame()` and `markdown()`. In a notebook cell
    `await flow(...)` gives the report as well as `flow(...)`.
    """

    model_config = ConfigDict(frozen=True)

    flow: str
    dry_run: bool = False
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    """What people were told in the run."""

    @property
    def is_news(self) -> bool:
        """Whether something was done, or would be, or failed, or was told or noted."""
        did = any(row.did or row.outcome == "failed" for row in self.rows)
        return did or bool(self.told or self.notes)

    @property
    def noun(self) -> str:
        """What the rows are about."""
        return "instances"

    @property
    def ok(self) -> bool:
        """Whether no instance failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows of the instances that failed."""
        return tuple(row for row in self.rows if row.outcome == "failed")

    @property
    def currency(self) -> str | None:
        """The account's currency, if any row names it."""
        return next((row.currency for row in self.rows if row.currency), None)

    @property
    def hourly_before(self) -> Decimal | None:
        """What all instances cost an hour before; None if that is not known of one of them."""
        return _sum(row.hourly_before for row in self.rows)

    @property
    def hourly_now(self) -> Decimal | None:
        """What all instances cost an hour now; None if that is not known of one of them."""
        return _sum(row.hourly_now for row in self.rows)

    @property
    def summary(self) -> str:
        """What the rows come to, in one or two sentences for people."""
        return summary_of(self)

    def cells(self) -> list[tuple[str, ...]]:
        """The rows as text, under `COLUMNS`: each cell is one line without control characters."""
        rows = (
            (
                row.instance,
                _from_to(row.was, row.now),
                _done(row),
                _price(row),
                row.why,
                row.snapshot or "",
            )
            for row in self.rows
        )
        return [tuple(map(one_line, row)) for row in rows]

    def records(self) -> list[dict[str, Any]]:
        """One dict for each row, with the fields of `Row`."""
        return [row.model_dump() for row in self.rows]

    def page(self) -> Page:
        """What is shown: the sum first, then the tables, then the notes."""
        mark = "dry run: nothing was changed" if self.dry_run else ""
        parts = self.parts()
        said = {line for part in parts if isinstance(part, Lines) for line in part.lines}
        notes = tuple(note for note in dict.fromkeys(self.notes) if note not in said)
        return Page(self.flow, self.summary, (*parts, Lines(notes)), mark)

    def parts(self) -> tuple[Part, ...]:
        """The tables, lines and charts; a kind of report with more of them adds to these."""
        return (Table(COLUMNS, tuple(self.cells())),) if self.rows else ()

    def markdown(self) -> str:
        """The report as markdown. What came from the API is escaped."""
        return self.page().markdown()

    def artifact(self) -> str:
        """The markdown that a run leaves in Prefect: the same, and charts, if there are any."""
        return self.page().artifact()


def summary_of(report: Report) -> str:
    """What the rows of a report come to, in one or two sentences.

    Example:
        >>> summary_of(report)
        '3 of 4 instances were hibernated, and 1 failed. This saves 25.02 USD an hour.'
    """
    if not report.rows:
        return NOTHING
    count, noun = len(report.rows), report.noun
    outcome = "planned" if report.dry_run else "done"
    worked = Counter(_past(row) for row in report.rows if row.outcome == outcome and row.did)
    failed = len(report.failed)
    said = [f"{number} {verb}" for verb, number in worked.most_common()]
    if not said:
        left = [
            (sum(row.outcome == "already" for row in report.rows), "as wanted already"),
            (sum(row.outcome in ("skipped", "done") for row in report.rows), "left alone"),
            (failed, "in trouble"),
        ]
        what = _joined([f"{number} {_was(number)} {how}" for number, how in left if number])
        changed = "would be changed" if report.dry_run else "was changed"
        return f"Nothing {changed}: of {_number_of(count, noun)}, {what}." if what else NOTHING
    first, *more = said
    number, _, verb = first.partition(" ")
    are = "would be" if report.dry_run else _was(int(number))
    more += [f"{failed} {'would fail' if report.dry_run else 'failed'}"] if failed else []
    whole = f"{number} of {count} {noun}" if count > 1 else _number_of(count, noun)
    text = _joined([f"{whole} {are} {verb}", *more])
    return f"{text}.{_effect_said(report)}"


NOTHING = "Nothing needed to be done."
_PLURAL = re.compile(r"\b(drill|image|instance|snapshot)s\b")


def _number_of(count: int, noun: str) -> str:
    called = _PLURAL.sub(r"\1", noun) if count == 1 else noun
    return f"{count} {called}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _joined(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _effect_said(report: Report) -> str:
    effect, amount = effect_of(report), ""
    if effect.change:
        verb = "saves" if effect.change < 0 else "costs"
        verb = f"would {verb[:-1]}" if report.dry_run else verb
        more = "" if effect.change < 0 else " more"
        amount = f" This {verb} {money(abs(effect.change), report.currency)} an hour{more}."
    if effect.unknown:
        whose = f"The price of {effect.unknown} of them" if report.rows[1:] else "Its price"
        amount += f" {whose} is not known."
    return amount


_PAST = {
    "claim": "claimed",
    "create": "created",
    "delete": "deleted",
    "hibernate": "hibernated",
    "publish": "published",
    "restore": "restored",
    "snapshot": "saved",
    "start": "started",
    "stop": "stopped",
}
_NOW = {"ACTIVE": "brought up", "DELETED": "deleted", "HIBERNATED": "hibernated"}
_NOW |= {"SHUTOFF": "stopped"}


def _past(row: Row) -> str:
    """What was done to a row, or would be, as a participle."""
    found = [_PAST[word] for did in row.did if (word := did.partition(" ")[0]) in _PAST]
    if row.outcome == "planned" or not found or row.did[-1].partition(" ")[0] not in _PAST:
        # What a run does last is told by where it led.
        return found[-1] if found and row.outcome == "planned" else _NOW.get(row.now, "changed")
    others = [word for word in found if word != "saved"]
    return others[-1] if others else found[-1]


def _done(row: Row) -> str:
    """How a row ended, and what was done for it or would be."""
    did = ", ".join(map(_briefly, row.did))
    if row.outcome == "done":
        return did or "done"
    return f"{row.outcome}: {did}" if did else row.outcome


def _briefly(did: str) -> str:
    """What is done, without the name of a snapshot that is to be taken."""
    word, _, _ = did.partition(" ")
    return word if word == "snapshot" else did


def _from_to(was: str, now: str) -> str:
    if now in (was, "-"):
        return was
    return now if was == "-" else f"{was} → {now}"


def _price(row: Row) -> str:
    now = money(row.hourly_now, row.currency)
    if row.hourly_before == row.hourly_now:
        return now
    return f"{money(row.hourly_before, None)} → {now}"


_CURRENCY = re.compile(r"[A-Za-z0-9]{1,8}")


class CostEffect(NamedTuple):
    """What a report's rows change in what an account costs an hour."""

    change: Decimal
    """More, or less than nothing."""
    unknown: int
    """Rows of something that is done or would be, and of which the price is not known."""


def effect_of(report: Report) -> CostEffect:
    """What the work of a run changes in what the account costs an hour, or would in a dry run."""
    change, unknown = Decimal(0), 0
    for row in report.rows:
        if row.hourly_before is not None and row.hourly_now is not None:
            change += row.hourly_now - row.hourly_before
        elif row.did and row.outcome in ("planned", "done"):
            unknown += 1
    return CostEffect(change, unknown)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def money(amount: Decimal | None, currency: str | None) -> str:
    """An amount with its currency; a question mark stands for what is not known.

    This is the one place where it is rounded, and nothing is less than nothing: never `-0.00`.

    A currency comes from the API: what is not 1 to 8 letters and digits is none, and is not shown.

    Example:
        >>> money(Decimal("2.5"), "USD"), money(Decimal("2.5"), "<b>"), money(None, "USD")
        ('2.50 USD', '2.50 ?', '?')
    """
    if amount is None:
        return "?"
    if not currency:
        return f"{amount:z.2f}"
    return f"{amount:z.2f} {currency if _CURRENCY.fullmatch(currency) else '?'}"


def about_error(operation: str, error: object) -> str:
    """One sentence about an operation that failed; most errors name their operation themselves.

    Example:
        >>> about_error("get_pricing", "not found"), about_error("get_pricing", "get_pricing: no")
        ('get_pricing: not found', 'get_pricing: no')
    """
    text = str(error)
    return text if text.startswith(f"{operation}: ") else f"{operation}: {text}"


def failures(rows: Sequence[Row]) -> str:
    """One sentence about the instances that failed."""
    return "; ".join(one_line(f"{row.instance}: {row.why}") for row in rows)
