"""Tasks of the groups Balance, GPU Stocks, GPU Specs, Regions and Pricing."""

from __future__ import annotations

from typing import Any

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasking import barrack_task


@barrack_task()
def get_credit_balance(credentials: BarrackCredentials) -> m.Balance:
    """Prepaid credits that are left, as a Decimal with its currency.

    Example:
        >>> get_credit_balance(account).amount

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().balance.get()


@barrack_task()
def get_gpu_stock(credentials: BarrackCredentials) -> list[m.GPUStockItem]:
    """What is in stock, by region and GPU model. `count.at_least` reads `"200+"` as 200.

    Example:
        >>> [s.region for s in get_gpu_stock(account) if s.count.at_least >= 8]

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().gpu_stocks.list()


@barrack_task()
def get_gpu_specs(credentials: BarrackCredentials) -> list[m.GPUSpec]:
    """GPU models and the configurations they come in. Memory and disks in GB.

    Example:
        >>> get_gpu_specs(account)[0].specs

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().gpu_specs.list()


@barrack_task()
def list_regions(credentials: BarrackCredentials) -> list[m.Region]:
    """Where instances can run.

    Example:
        >>> [r.name for r in list_regions(account)]

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().regions.list()


@barrack_task()
def get_pricing(credentials: BarrackCredentials) -> list[m.Price]:
    """All prices, an hour, in the account's currency.

    Example:
        >>> {p.gpu_model: p.hourly for p in get_pricing(account)}

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().pricing.list()


@barrack_task("price of {gpu_count}x {gpu_model}")
def quote_price(
    credentials: BarrackCredentials, gpu_model: str, gpu_count: int = 1, **options: Any
) -> list[m.Price]:
    """What a configuration costs an hour.

    Args:
        credentials: the account.
        gpu_model: such as `H100-PCIe-80GB`.
        gpu_count: GPUs of one instance: 1, 2, 4, 8 or 10.
        options: the other fields of `PricingRequest`: `region`, `tier`, `currency`.

    Raises:
        BarrackValidationError: a field breaks a rule; nothing was sent.

    Example:
        >>> quote_price(account, "L40", 2)[0].hourly

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().pricing.quote(gpu_model, gpu_count, **options)
