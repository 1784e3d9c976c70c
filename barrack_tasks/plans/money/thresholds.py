"""Thresholds of a balance: lines drawn as amounts or as time left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from barrack_tasks.api.models import Balance
from barrack_tasks.api.models.minimums import MINIMUM_BALANCE
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.durations import PositiveSpan, exactly, said
from barrack_tasks.plans.inputs import Given, Several, read_each
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import SelectionError

Action = Literal["alert", "hibernate", "hibernate_all"]
WOBBLE = Decimal("1.05")
"""A line counts as crossed anew only after the value was this much above it."""
_DEFAULT_UNTIL = timedelta(hours=24)


class Threshold(Given):
    """One line: an amount or a runway, and what is done when the balance falls below it.

    Attributes:
        amount: a number in the account's currency, or text such as `"50 USD"`.
        runway: time that the balance lasts at the present burn, such as `"72h"`.
        actions: `alert` tells people, and without it the report and the events alone do;
            `hibernate` instances by priority until the balance lasts for `until`;
            `hibernate_all` that are selected and not protected.
        snapshot: take a snapshot before each hibernation.
        until: how long the balance shall last after `hibernate`; twice the runway of the line,
            or 24 hours for a line that is an amount, if not given.

    Example:
        >>> Threshold(runway="24h", actions=["alert", "hibernate"], until="72h")
    """

    amount: Decimal | None = Field(default=None, ge=0, description="Such as 50, or '50 USD'.")
    currency: str | None = Field(default=None, description="Must be the account's, if given.")
    runway: PositiveSpan | None = Field(
        default=None, description="Time the balance lasts, such as 72h."
    )
    actions: Annotated[tuple[Action, ...], Several] = ("alert",)
    snapshot: bool = Field(default=False, description="Take a snapshot before hibernating.")
    until: PositiveSpan | None = Field(
        default=None, description="How long the balance shall last after `hibernate`."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_amount(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("amount"), str):
            number, _, currency = data["amount"].strip().partition(" ")
            try:
                data = {**data, "amount": Decimal(number)}
            except InvalidOperation:
                raise ValueError(
                    f"amount {data['amount']!r} cannot be read; write 50 or '50 USD'"
                ) from None
            if currency:
                data["currency"] = currency.strip().upper()
        return data

    @model_validator(mode="after")
    def _is_one_line(self) -> Self:
        if (self.amount is None) == (self.runway is None):
            raise ValueError("a threshold is either an amount or a runway: give one of the two")
        if not self.actions:
            raise ValueError("a threshold without an action does nothing; give actions=['alert']")
        if self.runway and self.until and self.until < self.runway:
            raise ValueError(
                f"until is {said(self.until)}, below the line of {said(self.runway)} itself: it "
                "would be crossed again at once"
            )
        return self

    @property
    def key(self) -> str:
        """What the line is called in memory and in messages."""
        if self.runway is not None:
            return f"runway {exactly(self.runway)}"
        return f"amount {self.amount:f}"

    @property
    def goal(self) -> timedelta:
        """How long the balance shall last after `hibernate`."""
        if self.until is not None:
            return self.until
        return self.runway * 2 if self.runway is not None else _DEFAULT_UNTIL


def read_thresholds(value: Any) -> list[Threshold]:
    """Read thresholds, typed or as dicts; the first that cannot be read is named.

    Raises:
        ValueError: which one, and why.
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("thresholds must be a list such as [{'runway': '24h'}], not empty")
    return read_each(Threshold, value, "threshold")


def check_thresholds(thresholds: Sequence[Threshold], balance: Balance) -> None:
    """Refuse thresholds that do not fit the account or each other.

    Raises:
        ValueError: another currency, or lines that are not drawn from the highest to the lowest,
            or that could not be told apart.
    """
    for threshold in thresholds:
        if threshold.currency and threshold.currency != str(balance.currency):
            raise ValueError(
                f"the threshold {threshold.key} is in {threshold.currency}, and the account's "
                f"currency is {balance.currency}; write it in {balance.currency}"
            )
    check_order(thresholds)


def check_order(thresholds: Sequence[Threshold]) -> None:
    """Refuse thresholds that do not fit each other, which needs no balance to be seen.

    Raises:
        ValueError: lines that are not drawn from the highest to the lowest, or that could not be
            told apart.
    """
    for kind in ("amount", "runway"):
        lines = [t for t in thresholds if getattr(t, kind) is not None]
        for above, below in pairwise(lines):
            if getattr(below, kind) >= getattr(above, kind):
                raise ValueError(
                    f"thresholds are in the wrong order: {above.key} comes before {below.key}; "
                    "write them from the highest line to the lowest, each once"
                )
            if below.key == above.key:
                raise ValueError(
                    f"two thresholds are {below.key}: lines must be a second apart or more"
                )


def check_may_act(thresholds: Sequence[Threshold], select: object | None) -> None:
    """Refuse lines that hibernate when it is not said what.

    Raises:
        SelectionError: says what to write.
    """
    acting = [t for t in thresholds if set(t.actions) - {"alert"}]
    if acting and select is None:
        raise SelectionError(
            f"the threshold {acting[0].key} hibernates, and nothing says what: name instances in "
            'select=, or say select=["*"]'
        )


def read_line(
    threshold: Threshold, balance: Balance, lasts: timedelta | None, is_whole: bool = True
) -> Reading:
    """How the balance stands to a line; it may last less if the burn is not known as a whole."""
    if threshold.runway is not None:
        is_over = lasts is not None and lasts < threshold.runway
        is_clear = is_whole and (lasts is None or lasts >= threshold.runway * float(WOBBLE))
        line = exactly(threshold.runway)
    else:
        amount = threshold.amount or Decimal(0)
        is_over = balance.amount < amount
        is_clear = balance.amount >= amount * WOBBLE
        line = money(amount, str(balance.currency))
    how_long = said(lasts) if is_whole or lasts is None else f"at most {said(lasts)}"
    side = "below" if is_over else "above"
    text = (
        f"{money(balance.amount, str(balance.currency))} left, which lasts {how_long}: {side} "
        f"the line of {line}"
    )
    quiet = "alert" not in threshold.actions
    return Reading(threshold.key, is_over, is_clear, text, quiet)


def minimum_note(balance: Balance) -> str | None:
    """One sentence if nothing can be restored or deployed any more."""
    least = MINIMUM_BALANCE.get(balance.currency)
    if least is None or balance.amount >= least:
        return None
    return f"below {money(least, str(balance.currency))} nothing can be restored or deployed"
