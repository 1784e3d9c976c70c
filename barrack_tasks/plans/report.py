"""The typed report that every flow returns: one row an instance."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

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


COLUMNS = ("instance", "was", "done", "now", "snapshot", "before, an hour", "now, an hour", "why")


class Report(BaseModel):
    """What a flow run did. Iterate over `rows`, or show `markdown()`."""

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

    def cells(self) -> list[tuple[str, ...]]:
        """The rows as text, under `COLUMNS`: each cell is one line without control characters."""
        rows = (
            (
                row.instance,
                row.was,
                f"{row.outcome}: {', '.join(row.did)}" if row.did else row.outcome,
                row.now,
                row.snapshot or "",
                money(row.hourly_before, row.currency),
                money(row.hourly_now, row.currency),
                row.why,
            )
            for row in self.rows
        )
        return [tuple(map(one_line, row)) for row in rows]

    def markdown(self) -> str:
        """The report as a markdown table. What came from the API is escaped."""
        title = f"## {self.flow}{' (dry run)' if self.dry_run else ''}"
        head = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
        rows = [f"| {' | '.join(escape(cell) for cell in cells)} |" for cells in self.cells()]
        notes = [f"\n{escape(note)}" for note in self.notes]
        table = [*head, *rows] if rows else ["No instance needed anything."]
        return "\n".join([title, "", *table, *notes])

    def artifact(self) -> str:
        """The markdown that a run leaves in Prefect: the same, and pictures, if there are any."""
        return self.markdown()


_CURRENCY = re.compile(r"[A-Za-z0-9]{1,8}")
_ESCAPED = {ord(sign): f"&#{ord(sign)};" for sign in "\\`*_[]|~#"} | {
    ord(sign): html.escape(sign) for sign in "&<>"
}


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


def escape(text: str) -> str:
    """Text that shows as itself in a markdown table and in the HTML that becomes of it."""
    return one_line(" ".join(text.split())).translate(_ESCAPED)


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
