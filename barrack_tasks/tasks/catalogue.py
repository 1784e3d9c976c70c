"""Tasks of the groups Balance, GPU Stocks, GPU Specs, Regions and Pricing."""

from __future__ import annotations

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task


@barrack_task()
def get_credit_balance(credentials: BarrackCredentials) -> m.Balance:
    """Prepaid credits that are left.

    Args:
        credentials: the account.

    Returns:
        The amount as a Decimal, with its currency.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> get_credit_balance(account).amount

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().balance.get()


@barrack_task()
def get_gpu_stock(credentials: BarrackCredentials) -> list[m.GPUStockItem]:
    """What is in stock, by region and GPU model.

    Args:
        credentials: the account.

    Returns:
        One item for each model in each region. `count.at_least` reads `"200+"` as 200.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [s.region for s in get_gpu_stock(account) if s.count.at_least >= 8]

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().gpu_stocks.list()


@barrack_task()
def get_gpu_specs(credentials: BarrackCredentials) -> list[m.GPUSpec]:
    """GPU models and the configurations they come in.

    Args:
        credentials: the account.

    Returns:
        One item for each model. Memory and disks in GB.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> {g.gpu_model: g.memory_gb for g in get_gpu_specs(account)}

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().gpu_specs.list()


@barrack_task()
def list_regions(credentials: BarrackCredentials) -> list[m.Region]:
    """Where instances can run.

    Args:
        credentials: the account.

    Returns:
        The regions, whose `name` is what other tasks take as `region`.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> [r.name for r in list_regions(account)]

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().regions.list()


@barrack_task()
def get_pricing(credentials: BarrackCredentials) -> list[m.Price]:
    """All prices, in the account's currency.

    Args:
        credentials: the account.

    Returns:
        Prices an hour, of a configuration for instances, of one GB for volumes and snapshots.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> {(p.gpu_model, p.gpu_count): p.hourly for p in get_pricing(account)}

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().pricing.list()


@barrack_task("price of {gpu_count}x {gpu_model}")
def quote_price(
    credentials: BarrackCredentials,
    gpu_model: m.GpuModelEnum | str,
    gpu_count: m.GpuCountEnum | int = m.GpuCountEnum.ONE,
    *,
    region: m.RegionEnum | str | None = None,
    tier: m.TierEnum | str | None = None,
    currency: m.CurrencyEnum | str | None = None,
) -> list[m.Price]:
    """What a configuration costs an hour.

    Args:
        credentials: the account.
        gpu_model: such as `H100-PCIe-80GB`.
        gpu_count: GPUs of one instance: 1, 2, 4, 8 or 10 (upstream).
        region: such as `CANADA-1`; the API's choice, if not given.
        tier: `on-demand` or `spot` (inferred); the API's choice, if not given.
        currency: USD, EUR or INR; the account's, if not given.

    Returns:
        The prices that fit.

    Raises:
        BarrackValidationError: a field breaks a rule, or there is no such configuration.

    Example:
        >>> quote_price(account, "L40", 2, region="CANADA-1")[0].hourly

    Operation: documented; its path and fields: inferred.
    """
    return credentials.get_client().pricing.quote(
        gpu_model, gpu_count, region=region, tier=tier, currency=currency
    )
