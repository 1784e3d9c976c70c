"""Least balances, by currency."""

from __future__ import annotations

from decimal import Decimal

from barrack_tasks.api.models.common import CurrencyEnum

MINIMUM_BALANCE: dict[CurrencyEnum, Decimal] = {
    CurrencyEnum.USD: Decimal("1.00"),
    CurrencyEnum.EUR: Decimal("1.00"),
    CurrencyEnum.INR: Decimal("100.00"),
}
"""Least balance with which a snapshot can be restored [D]; the same for deploying [I]."""
