"""What Barrack offers and what it costs: stock, specifications, regions, prices, balance."""

from __future__ import annotations

import builtins

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource, by_hand, operation

__all__ = ["Balance", "GpuSpecs", "GpuStocks", "Pricing", "Regions"]


class Balance(Resource):
    """Operations of the group Balance."""

    @by_hand("get_credit_balance")
    def get(self) -> m.Balance:
        """Prepaid credits that are left.

        Returns:
            The amount as a Decimal, with its currency.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> client.balance.get().amount
        """
        data: m.Data = self._carry_out_operation("get_credit_balance", {})
        return data.balance


class GpuStocks(Resource):
    """Operations of the group GPU Stocks."""

    @operation("get_gpu_stock")
    def list(self) -> list[m.GPUStockItem]:
        """What is in stock, by region and GPU model.

        Returns:
            One item for each model in each region. `count.at_least` reads `"200+"` as 200.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [s.region for s in client.gpu_stocks.list() if s.count.at_least >= 8]
        """


class GpuSpecs(Resource):
    """Operations of the group GPU Specs."""

    @operation("get_gpu_specs")
    def list(self) -> list[m.GPUSpec]:
        """GPU models and the configurations they come in.

        Returns:
            One item for each model. Memory and disks in GB.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> {g.gpu_model: g.memory_gb for g in client.gpu_specs.list()}
        """


class Regions(Resource):
    """Operations of the group Regions."""

    @operation("list_regions")
    def list(self) -> list[m.Region]:
        """Where instances can run.

        Returns:
            The regions, whose `name` is what other tasks take as `region`.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [r.name for r in client.regions.list()]
        """


class Pricing(Resource):
    """Operations of the group Pricing."""

    @operation("get_pricing")
    def list(self) -> list[m.Price]:
        """All prices, in the account's currency.

        Returns:
            Prices an hour, of a configuration for instances, of one GB for volumes and snapshots.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> {(p.gpu_model, p.gpu_count): p.hourly for p in client.pricing.list()}
        """

    @operation("quote_price")
    def quote(
        self,
        gpu_model: m.GpuModelEnum | str,
        gpu_count: m.GpuCountEnum | int = m.GpuCountEnum.ONE,
        *,
        region: m.RegionEnum | str | None = None,
        tier: m.TierEnum | str | None = None,
        currency: m.CurrencyEnum | str | None = None,
    ) -> builtins.list[m.Price]:
        """What a configuration costs an hour.

        Args:
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
            >>> client.pricing.quote("L40", 2, region="CANADA-1")[0].hourly
        """
