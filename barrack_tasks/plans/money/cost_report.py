"""What `report_costs` returns: the bill in tables, and what is still to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.forgotten.owners import Ownership, spent_by
from barrack_tasks.plans.money.bill import Bill
from barrack_tasks.plans.money.budgets import Period
from barrack_tasks.plans.money.burn import Burn
from barrack_tasks.plans.report import escape, money

_MOST_ROWS = 25
_TABLES = (("thing", "by thing"), ("model", "by GPU model"), ("region", "by region"))


@dataclass(frozen=True)
class CostReport:
    """A bill, and what the month comes to if nothing changes.

    Example:
        >>> report = report_costs(days=30)
        >>> pandas.DataFrame(report.records())
        >>> report.bill.total, report.month_forecast
    """

    bill: Bill
    burn_hourly: Decimal
    month_so_far: Decimal
    month_forecast: Decimal
    unpriced: tuple[str, ...] = ()
    """What has a price that is not known, so the forecast lacks it."""
    owners: tuple[Ownership, ...] = ()
    """Whose machines are, as far as somebody said so."""
    leases: tuple[Lease, ...] = ()
    """Whose machines are where nobody said so."""

    @classmethod
    def of(
        cls, whole: Bill, first: datetime, month: Period, now: datetime, burn: Burn
    ) -> CostReport:
        """The report of a bill.

        Args:
            whole: a bill that reaches back to `first` and to the month's beginning.
            first: the moment that the report begins at.
            month: the present month.
            now: zone-aware.
            burn: of the account as it is.
        """
        so_far = whole.since(month.start)
        return cls(
            bill=whole.from_moment(first),
            burn_hourly=burn.hourly,
            month_so_far=so_far,
            month_forecast=so_far + burn.hourly * month.share_left(now),
            unpriced=burn.unknown,
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

    def markdown(self, chart: str = "") -> str:
        """All tables, and a chart if one is given."""
        bill = self.bill

        def amount(value: Decimal) -> str:
            return escape(money(value, bill.currency))

        least = "at least " if bill.missing else ""
        lines = [
            f"# {least}{amount(bill.total)} spent",
            f"from {bill.start:%Y-%m-%d %H:%M} to {bill.end:%Y-%m-%d %H:%M}, "
            f"days of {escape(bill.zone)}",
            "",
            "| what | amount |",
            "| --- | ---: |",
            f"| burns now, an hour | {amount(self.burn_hourly)} |",
            f"| this month so far | {least}{amount(self.month_so_far)} |",
            f"| this month, if nothing changes | {least}{amount(self.month_forecast)} |",
            f"| saved by hibernation | {amount(bill.saved_by_hibernation)} |",
            f"| wasted by instances that were stopped | {amount(bill.wasted_by_stopping)} |",
            "",
            chart,
            "",
            *_table("by state", bill.by("state"), bill.currency),
        ]
        for key, title in _TABLES:
            lines += _table(title, bill.by(key), bill.currency)
        if self.owners or self.leases:
            for key in ("owner", "team"):
                lines += _table(f"by {key}", self.by(key), bill.currency)
        lines += _table("by day", bill.by("day"), bill.currency, most=None)
        for name in bill.missing:
            lines.append(f"- **missing**: {escape(name)}")
        for name in bill.unpriced:
            lines.append(f"- the price of {escape(name)} is not known; what was saved lacks it")
        if bill.divided_by_time:
            amount_of_it = amount(sum((c.cost for c in bill.divided_by_time), Decimal(0)))
            lines.append(
                f"- {amount_of_it} of charges that run over a midnight are divided by time between "
                "the days, for their records do not tell which minutes were billed"
            )
        for name in self.unpriced:
            lines.append(f"- the price of {escape(name)} is not known; the forecast lacks it")
        return "\n".join(lines)


def _table(
    title: str, sums: Mapping[str, Decimal], currency: str, most: int | None = _MOST_ROWS
) -> list[str]:
    shown = list(sums.items())[:most]
    rest = sum((value for _, value in list(sums.items())[len(shown) :]), Decimal(0))
    rows = [f"| {escape(name)} | {escape(money(value, currency))} |" for name, value in shown]
    if rest:
        rows.append(f"| {len(sums) - len(shown)} more | {escape(money(rest, currency))} |")
    total = escape(money(sum(sums.values(), Decimal(0)), currency))
    head = f"| {title.removeprefix('by ')} | spent |"
    return [f"### {title}", "", head, "| --- | ---: |", *rows, f"| **all** | **{total}** |", ""]
