"""What an instance costs an hour in a state."""

from __future__ import annotations

from decimal import Decimal

from barrack_tasks.api.models import CurrencyEnum, UserVM, VMStatus

HIBERNATED_HOURLY: dict[CurrencyEnum, Decimal] = {
    CurrencyEnum.USD: Decimal("0.01"),
    CurrencyEnum.EUR: Decimal("0.01"),
    CurrencyEnum.INR: Decimal("1.00"),
}
"""Price of a hibernated instance, an hour [D]."""


def hourly_cost(instance: UserVM, status: VMStatus | None = None) -> Decimal | None:
    """What the instance costs an hour, in its state or another; None if that is not known.

    ACTIVE and SHUTOFF cost the full rate, HIBERNATED next to nothing, states that pass and
    DELETED nothing [D]; ERROR nothing [U].
    """
    match status or instance.status:
        case VMStatus.ACTIVE | VMStatus.SHUTOFF:
            return instance.hourly_price
        case VMStatus.HIBERNATED:
            return HIBERNATED_HOURLY.get(instance.currency) if instance.currency else None
        case other if other.known:
            return Decimal(0)
        case _:
            return None
