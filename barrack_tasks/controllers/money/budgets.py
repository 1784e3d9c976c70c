"""How budgets stand, read from billing records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from barrack_tasks.controllers.money.bills import everything, read_bill
from barrack_tasks.controllers.money.funds import Funds
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.plans.money.budgets import (
    Budget,
    Standing,
    period_of,
    standing,
    with_budgets,
)
from barrack_tasks.server.tables import change_all, read_all


def read_standings(
    credentials: BarrackCredentials,
    funds: Funds,
    budgets: Sequence[Budget],
    zone: str,
) -> tuple[list[Standing], tuple[str, ...]]:
    """How each budget stands by the cloud's clock, and whose bill could not be read.

    What is there is noted, so that it stays on later bills when it is gone.

    Args:
        credentials: the account.
        funds: the account as it is.
        budgets: the budgets.
        zone: whose days and months.
    """
    burn, now = funds.burn(), funds.at
    long = [b for b in budgets if b.per != "hour"]
    bill = None
    if long:
        start = min(period_of(b.per, now, zone).start for b in long)
        names = [n for b in long for n in b.names] if all(b.names for b in long) else []
        bill = read_bill(credentials, funds, start, now, zone, names)
    else:
        everything(credentials, funds, now)
    standings = []
    for budget in budgets:
        spent = burn.hourly
        if bill is not None and budget.per != "hour":
            spent = bill.since(period_of(budget.per, now, zone).start, budget.names)
        standings.append(standing(budget, funds.instances, burn, spent, now, zone))
    return standings, bill.missing if bill is not None else funds.missing


def known_budgets(account: str) -> set[str]:
    """Identities of the budgets whose hard limits were kept before, by any deployment."""
    return set(read_all(_prefix(account)))


def remember_budgets(account: str, budgets: Iterable[Budget], now: datetime) -> None:
    """Note which budgets are kept, so that their limits may act from now on.

    Args:
        account: see `BarrackCredentials.account`.
        budgets: those that are kept, and not those that were refused.
        now: zone-aware.
    """
    kept, today = list(budgets), now.toordinal()
    change_all(_prefix(account), lambda known: with_budgets(known, kept, today))


def _prefix(account: str) -> str:
    return f"barrack_budgets_{account}_"
