"""Credit balance."""

from __future__ import annotations

from barrack_tasks.api.models.base import Answer, Model, Money
from barrack_tasks.api.models.common import CurrencyEnum

__all__ = ["Balance", "CreditBalanceResponse", "Data"]


class Balance(Model):
    """Prepaid credits that are left; printed with two places, such as `99.50 USD`."""

    amount: Money
    currency: CurrencyEnum

    def __str__(self) -> str:
        return f"{self.amount:z.2f} {self.currency}"


class Data(Model):
    """What a balance answer wraps its balance in [I]."""

    balance: Balance


class CreditBalanceResponse(Answer):
    """Answer of `get_credit_balance`."""

    data: Data
