"""The decision of `watch_balance`: how the balance stands, and whom that puts to rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.api.models.shown import Lines, Part, Table
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.money.burn import Burn, runway
from barrack_tasks.plans.money.shedding import (
    MOST_NAMED,
    Shedding,
    about_stuck,
    about_unpriced,
    acting_of,
    as_sentence,
    candidates,
    named,
    stuck,
    whom_to_rest,
)
from barrack_tasks.plans.money.thresholds import Threshold, minimum_note, read_line
from barrack_tasks.plans.report import Report, about_error, money

UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Outlook:
    """How the balance stands, and what follows from it."""

    balance: Balance
    burn: Burn
    lasts: timedelta | None
    readings: tuple[Reading, ...]
    chosen: tuple[UserVM, ...]
    """Whom the crossed lines put to rest."""
    snapshot: bool
    notes: tuple[str, ...] = ()
    """What stands in the way of acting, for the message and the report."""
    unjudged: tuple[str, ...] = ()
    """Lines that could not be judged, or not be acted on, for something could not be read."""

    @property
    def details(self) -> list[str]:
        """Sentences for a message: what burns, what is going to be done."""
        currency = str(self.balance.currency)
        states = ", ".join(
            f"{state} {money(cost, currency)}" for state, cost in self.burn.by_state().items()
        )
        told = [f"Burning {money(self.burn.hourly, currency)} an hour: {states or 'nothing'}."]
        if self.chosen:
            how = ", a snapshot of each first" if self.snapshot else ""
            told.append(f"Going to hibernate {named(self.chosen, self.burn)}{how}.")
        notes = [*filter(None, [minimum_note(self.balance)]), *self.notes]
        return told + [as_sentence(note) for note in notes]


def unreadable(*why: str) -> Reading:
    """The reading of a balance that cannot be read, and why, or of one that can again."""
    if not why:
        return Reading(UNREADABLE, False, True, "balance and prices can be read again")
    reasons = "; ".join(why[:MOST_NAMED])
    more = f"; and {len(why) - MOST_NAMED} more" if len(why) > MOST_NAMED else ""
    text = f"the balance cannot be watched, because it cannot be read: {reasons}{more}"
    return Reading(UNREADABLE, True, False, text)


def in_part(why: str) -> Reading:
    """The reading of an account of which something cannot be read that no line needs."""
    text = f"not everything can be read, and each line is judged without it: {why}"
    return Reading(UNREADABLE, True, False, text)


def outlook(
    thresholds: Sequence[Threshold],
    balance: Balance,
    burn: Burn,
    selected: Sequence[UserVM],
    protected: Collection[str],
    unable: Collection[tuple[str, int]],
    how: Shedding,
    notes: Sequence[str] = (),
    unread: Mapping[str, object] | None = None,
) -> Outlook:
    """How the balance stands, and whom the lines that are crossed put to rest.

    An amount needs the balance and no more, a time left needs the whole burn, and to put to rest
    needs the instances. What burns as far as it can be read burns at the least: a line that is
    crossed by that is crossed.

    Args:
        thresholds: the lines.
        balance: what is left.
        burn: what is spent an hour.
        selected: the instances that may be put to rest.
        protected: ids of those that must not.
        unable: flavors that cannot hibernate.
        how: who goes first.
        notes: sentences for the message and the report, such as what is named in vain.
        unread: operations that could not be read, besides the balance, and why.
    """
    missing = unread or {}
    lasts = runway(balance.amount, burn.hourly)
    lines = [read_line(threshold, balance, lasts, not missing) for threshold in thresholds]
    crossed = [t for t, line in zip(thresholds, lines, strict=True) if line.is_over]
    ordered = candidates(selected, protected, unable, how, burn)
    chosen, snapshot = whom_to_rest(crossed, ordered, burn, balance)
    unjudged = [
        t.key
        for t, line in zip(thresholds, lines, strict=True)
        if (t.runway is not None and missing and not line.is_over)
        or (line.is_over and acting_of([t]) and "list_instances" in missing)
    ]
    why = "; ".join(about_error(operation, error) for operation, error in missing.items())
    sight = in_part(why) if why and not unjudged else unreadable(*filter(None, [why]))
    readings = (sight, unpriced(burn, str(balance.currency)), *lines)
    told = [*notes]
    if acting_of(crossed):
        told += about_stuck(stuck(selected, protected, unable), burn)
        told += about_unpriced(ordered, burn)
    if missing:
        told.append(sight.text)
    return Outlook(
        balance, burn, lasts, readings, tuple(chosen), snapshot, tuple(told), tuple(unjudged)
    )


def unpriced(burn: Burn, currency: str) -> Reading:
    """The reading of prices that cannot be read, or can again."""
    unknown = burn.unknown
    if not unknown:
        return Reading("prices", False, True, "all prices can be read again")
    names = ", ".join(unknown[:MOST_NAMED])
    more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
    text = (
        f"the price of {names}{more} cannot be read, so more than "
        f"{money(burn.hourly, currency)} an hour is spent"
    )
    return Reading("prices", True, False, text)


class BalanceReport(Report):
    """What `watch_balance` saw and did: rows of the instances it put to rest, and the figures."""

    balance: Decimal | None = None
    account_currency: str | None = None
    burn_hourly: Decimal | None = None
    lasts: timedelta | None = None
    by_state: dict[str, Decimal] = {}

    @property
    def summary(self) -> str:
        """What is left, how fast it is spent, and what was put to rest."""
        currency = self.account_currency
        figures = (
            f"{money(self.balance, currency)} is left; {money(self.burn_hourly, currency)} is "
            f"spent an hour, so it lasts {said(self.lasts)}."
            if self.balance is not None
            else ""
        )
        return " ".join(filter(None, [figures, super().summary if self.rows else ""]))

    def parts(self) -> tuple[Part, ...]:
        """The figures, what was told, and the rows."""
        states = ((k, money(v, self.account_currency)) for k, v in self.by_state.items())
        table = Table(("what", "an hour"), tuple(states))
        return (table, Lines(self.told), *super().parts())


def report_of(view: Outlook, notes: Sequence[str] = (), **more: object) -> BalanceReport:
    """The report of a run that could see."""
    return BalanceReport.model_validate(
        {
            "flow": "watch_balance",
            "rows": (),
            "balance": view.balance.amount,
            "account_currency": str(view.balance.currency),
            "burn_hourly": view.burn.hourly,
            "lasts": view.lasts,
            "by_state": view.burn.by_state(),
            **more,
            "notes": (*view.notes, *notes),
        }
    )
