"""What Barrack offers and what it costs: stock, specifications, regions, prices, balance."""

from __future__ import annotations

import builtins

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource


class CreditBalance(Resource):
    """Operations of the group Balance."""

    def get(self) -> m.Balance:
        """Prepaid credits that are left."""
        return self._one(m.Data, "get_credit_balance").balance


class GpuStocks(Resource):
    """Operations of the group GPU Stocks."""

    def list(self) -> list[m.GPUStockItem]:
        """What is in stock, by region and model."""
        return self._list(m.GPUStockItem, "get_gpu_stock")


class GpuSpecs(Resource):
    """Operations of the group GPU Specs."""

    def list(self) -> list[m.GPUSpec]:
        """GPU models and the configurations they come in."""
        return self._list(m.GPUSpec, "get_gpu_specs")


class Regions(Resource):
    """Operations of the group Regions."""

    def list(self) -> list[m.Region]:
        """Where instances can run."""
        return self._list(m.Region, "list_regions")


class Pricing(Resource):
    """Operations of the group Pricing."""

    def list(self) -> list[m.Price]:
        """All prices."""
        return self._list(m.Price, "get_pricing")

    def quote(
        self,
        gpu_model: m.GpuModelEnum | str,
        gpu_count: m.GpuCountEnum | int = m.GpuCountEnum.ONE,
        *,
        region: m.RegionEnum | str | None = None,
        tier: m.TierEnum | str | None = None,
        currency: m.CurrencyEnum | str | None = None,
    ) -> builtins.list[m.Price]:
        """What a configuration costs an hour."""
        return self._list(
            m.Price,
            "quote_price",
            gpu_model=gpu_model,
            gpu_count=gpu_count,
            region=region,
            tier=tier,
            currency=currency,
        )
