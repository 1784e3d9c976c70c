"""What `report_costs` returns: the bill in tables, and what is still to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from barrack_tasks.api.models.shown import Chart, Lines, Page, Part, Shown, Table
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.forgotten.owners import Ownership, spent_by
from barrack_tasks.plans.money.bill import Bill
from barrack_tasks.plans.money.budgets import Period
from barrack_tasks.plans.money.burn import Burn
from barrack_tasks.plans.report import money

_MOST_ROWS = 25
_TABLES = (("thing", "by resource"), ("model", "by GPU model"), ("region", "by region"))
_WEEK = timedelta(days=7)
CHART_TITLE = "Spent by day and state"


@dataclass(frozen=True)
class CostReport(Shown):
    """A bill, and what the month comes to if nothing changes.

    Example:
        >>> report = report_costs(days=30)
        >>> report.to_frame().groupby("name")["cost"].sum()
        >>> report.bill.total, report.month_forecast
    """

    bill: Bill
    burn_hourly: Decimal
    month_so_far: Decimal
    month_forecast: Decimal
    unpriced: tuple[str, ...] = ()
    """What has a price that is not known, so the forecast lacks it."""
    week: Decimal | None = None
    """What the last seven days cost."""
    week_before: Decimal | None = None
    """What the seven days before cost; None if the bill does not reach back so far."""
    advice: tuple[str, ...] = ()
    """What could have been saved, and what to do, as sentences."""
    picture: str = ""
    """What was spent by day and state, as SVG."""
    owners: tuple[Ownership, ...] = ()
    """Whose machines are, as far as somebody said so."""
    leases: tuple[Lease, ...] = ()
    """Whose machines are where nobody said so."""

    @classmethod
    def of(
        cls,
        whole: Bill,
        first: datetime,
        month: Period,
        now: datetime,
        burn: Burn,
        advice: tuple[str, ...] = (),
    ) -> CostReport:
        """The report of a bill.

        Args:
            whole: a bill that reaches back to `first` and to the month's beginning.
            first: the moment that the report begins at.
            month: the present month.
            now: zone-aware, by the cloud's clock.
            burn: of the account as it is.
            advice: what could have been saved; see `advice_of`.
        """
        so_far = whole.since(month.start)
        week, both = whole.since(now - _WEEK), whole.since(now - 2 * _WEEK)
        is_long = whole.start <= now - 2 * _WEEK
        return cls(
            bill=whole.from_moment(first),
            burn_hourly=burn.hourly,
            month_so_far=so_far,
            month_forecast=so_far + burn.hourly * month.share_left(now),
            unpriced=burn.unknown,
            week=week if is_long else None,
            week_before=both - week if is_long else None,
            advice=advice,
        )

    def records(self) -> list[dict[str, Any]]:
        """One dict for each day and charge: what a DataFrame is made of."""
        return self.bill.records()

    def by(self, what: str) -> dict[str, Decimal]:
        """Sums by `owner` or `team`, the largest first; `nobody` stands for what is not known.

        Example:
            >>> report_costs(days=30).by("team")
        """
        return spent_by(what, self.bill, self.owners, self.leases)

    def csv(self) -> str:
        """The records as CSV."""
        return self.bill.csv()

    def json(self) -> str:
        """Totals and records as JSON."""
        return self.bill.json()

    def markdown(self) -> str:
        """All tables."""
        return self.page().markdown()

    def artifact(self) -> str:
        """All tables, and the chart, if there is one."""
        return self.page().artifact()

    @property
    def summary(self) -> str:
        """What was spent, what is to come, and what the week before was like."""
        least = "at least " if self.bill.missing else ""
        text = (
            f"This month has cost {least}{self._amount(self.month_so_far)} so far, and comes to "
            f"{least}{self._amount(self.month_forecast)} if nothing changes."
        )
        if self.week is None or self.week_before is None:
            return text
        more = self.week - self.week_before
        compared = (
            "as much as"
            if not more
            else f"{self._amount(abs(more))} {'more' if more > 0 else 'less'} than"
        )
        return (
            f"{text} The last 7 days cost {least}{self._amount(self.week)}, {compared} the 7 days "
            "before."
        )

    def page(self) -> Page:
        """What is shown: the sum first, then what to do, the chart and the tables."""
        bill, amount = self.bill, self._amount
        least = "at least " if bill.missing else ""
        parts: list[Part] = [Lines(self.advice)]
        if self.picture:
            parts.append(Chart(self.picture, CHART_TITLE))
        figures = (
            ("current cost an hour", amount(self.burn_hourly)),
            ("this month so far", f"{least}{amount(self.month_so_far)}"),
            ("this month, if nothing changes", f"{least}{amount(self.month_forecast)}"),
            ("saved by hibernation", amount(bill.saved_by_hibernation)),
            ("wasted by instances that were stopped", amount(bill.wasted_by_stopping)),
        )
        parts += [Table(("what", "amount"), figures), self._table("by state", bill.by("state"))]
        parts += [self._table(title, bill.by(key)) for key, title in _TABLES]
        if self.owners or self.leases:
            parts += [self._table(f"by {key}", self.by(key)) for key in ("owner", "team")]
        parts += [self._table("by day", bill.by("day"), most=None), Lines(tuple(self._notes()))]
        days = "" if bill.zone == "UTC" else f", by the days of {bill.zone}"
        title = (
            f"{least}{amount(bill.total)} spent from {bill.start:%Y-%m-%d %H:%M} to "
            f"{bill.end:%Y-%m-%d %H:%M} UTC{days}"
        )
        return Page(title, self.summary, tuple(parts))

    def _amount(self, value: Decimal) -> str:
        return money(value, self.bill.currency)

    def _notes(self) -> list[str]:
        bill = self.bill
        notes = [f"missing: {name}" for name in bill.missing]
        notes += [
            f"the price of {name} is not known; the savings do not include it"
            for name in bill.unpriced
        ]
        if bill.divided_by_time:
            of_it = self._amount(sum((c.cost for c in bill.divided_by_time), Decimal(0)))
            notes.append(
                f"{of_it} of charges that run over a midnight are divided by time between the "
                "days, for their records do not tell which minutes were billed"
            )
        notes += [
            f"the price of {name} is not known; the forecast does not include it"
            for name in self.unpriced
        ]
        return notes

    def _table(
        self, title: str, sums: Mapping[str, Decimal], most: int | None = _MOST_ROWS
    ) -> Table:
        shown = list(sums.items())[:most]
        rest = sum((value for _, value in list(sums.items())[len(shown) :]), Decimal(0))
        rows = [(name, self._amount(value)) for name, value in shown]
        if rest:
            rows.append((f"{len(sums) - len(shown)} more", self._amount(rest)))
        rows.append(("all", self._amount(sum(sums.values(), Decimal(0)))))
        return Table((title.removeprefix("by "), "spent"), tuple(rows), title)
