"""Prices and quotes."""

from __future__ import annotations

from barrack_tasks.api.models.base import Answer, Model, Money, OpenEnum, Request
from barrack_tasks.api.models.common import CurrencyEnum
from barrack_tasks.api.models.gpus import GpuCountEnum, GpuModelEnum, RegionEnum, TierEnum
from barrack_tasks.api.models.rules import OfferedGpuCount

__all__ = ["Price", "PricingRequest", "PricingResponse", "ResourceTypeEnum"]


class ResourceTypeEnum(OpenEnum):
    """What a price is for [I]. Volumes and snapshots are priced per GB and hour."""

    INSTANCE = "instance"
    VOLUME = "volume"
    SNAPSHOT = "snapshot"
    HIBERNATED_INSTANCE = "hibernated_instance"


class Price(Model):
    """An hourly price. Per GPU configuration for instances, per GB for volumes and snapshots."""

    resource_type: ResourceTypeEnum
    hourly: Money
    currency: CurrencyEnum
    gpu_model: GpuModelEnum | None = None
    gpu_count: GpuCountEnum | None = None
    region: RegionEnum | None = None
    tier: TierEnum | None = None


class PricingRequest(Request):
    """A configuration to be priced."""

    gpu_model: GpuModelEnum
    gpu_count: OfferedGpuCount = GpuCountEnum.ONE
    region: RegionEnum | None = None
    tier: TierEnum | None = None
    currency: CurrencyEnum | None = None


class PricingResponse(Answer):
    """Answer of `get_pricing` and `quote_price`."""

    prices: list[Price]
