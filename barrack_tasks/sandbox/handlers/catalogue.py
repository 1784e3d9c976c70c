"""Balance, stock, specifications, regions and prices."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from barrack_tasks.api import models as m
from barrack_tasks.sandbox.cloud import catalogue as shop
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.machine import need_offer
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles

OPEN_ENDED = 200
"""From here on the API says "200+" [U]."""


@handles("get_credit_balance")
def get_credit_balance(world: CloudState, call: SandboxCall) -> m.CreditBalanceResponse:
    balance = m.Balance(amount=world.balance(), currency=m.CurrencyEnum(world.currency))
    return m.CreditBalanceResponse(data=m.Data(balance=balance))


@handles("get_gpu_stock")
def get_gpu_stock(world: CloudState, call: SandboxCall) -> m.GPUStocksResponse:
    stocks = [
        m.GPUStockItem(
            region=m.RegionEnum(region),
            gpu_model=m.GpuModelEnum(model),
            available=f"{OPEN_ENDED}+" if free >= OPEN_ENDED else str(free),
            configurations=[
                m.GPUStockConfiguration(gpu_count=m.GpuCountEnum(n), available=free // n)
                for n in shop.OFFERS[model].counts
            ],
        )
        for (region, model), free in world.stock.items()
    ]
    return m.GPUStocksResponse(stocks=stocks)


@handles("get_gpu_specs")
def get_gpu_specs(world: CloudState, call: SandboxCall) -> m.GPUSpecsResponse:
    gpus = [
        m.GPUSpec(
            gpu_model=m.GpuModelEnum(offer.model),
            memory_gb=offer.memory_gb,
            regions=[m.RegionEnum(region) for region in shop.REGIONS],
            specs=[_specs(offer.model, count) for count in offer.counts],
        )
        for offer in shop.OFFERS.values()
    ]
    metadata = m.SpecsMetadata(count=len(gpus), updated_at=world.now)
    return m.GPUSpecsResponse(gpus=gpus, metadata=metadata)


def _specs(gpu_model: str, gpu_count: int) -> m.Specs:
    size = shop.configuration(gpu_model, gpu_count)
    if size is None:
        raise LookupError(f"{gpu_model} is not offered with {gpu_count} GPUs")
    return m.Specs(
        gpu_count=m.GpuCountEnum(gpu_count),
        flavor=size.flavor,
        vcpus=size.vcpus,
        ram_gb=size.ram_gb,
        disk_gb=size.disk_gb,
        ephemeral_gb=size.ephemeral_gb,
        can_hibernate=size.can_hibernate,
    )


@handles("list_regions")
def list_regions(world: CloudState, call: SandboxCall) -> m.RegionsResponse:
    regions = [m.Region(name=m.RegionEnum(n), country=c) for n, c in shop.REGIONS.items()]
    return m.RegionsResponse(regions=regions)


@handles("get_pricing")
def get_pricing(world: CloudState, call: SandboxCall) -> m.PricingResponse:
    return m.PricingResponse(prices=list(_all_prices(world.currency)))


def _all_prices(currency: str) -> Iterator[m.Price]:
    for offer in shop.OFFERS.values():
        for count in offer.counts:
            yield _price(
                m.ResourceTypeEnum.INSTANCE,
                shop.hourly(offer.model, count, currency),
                currency,
                gpu_model=m.GpuModelEnum(offer.model),
                gpu_count=m.GpuCountEnum(count),
                tier=m.TierEnum.ON_DEMAND,
            )
    kinds = m.ResourceTypeEnum
    yield _price(kinds.HIBERNATED_INSTANCE, shop.HIBERNATED_HOURLY[currency], currency)
    for kind, usd in (
        (kinds.VOLUME, shop.VOLUME_GB_HOURLY),
        (kinds.SNAPSHOT, shop.SNAPSHOT_GB_HOURLY),
    ):
        yield _price(kind, shop.per_gb_hourly(usd, currency), currency)


def _price(kind: m.ResourceTypeEnum, hourly: Decimal, currency: str, **about: Any) -> m.Price:
    return m.Price(resource_type=kind, hourly=hourly, currency=m.CurrencyEnum(currency), **about)


@handles("quote_price")
def quote_price(world: CloudState, call: SandboxCall) -> m.PricingResponse:
    ask: m.PricingRequest = call.body
    region = str(ask.region) if ask.region is not None else next(iter(shop.REGIONS))
    size = need_offer(region, str(ask.gpu_model), int(ask.gpu_count), ask.tier)
    currency = str(ask.currency) if ask.currency is not None else world.currency
    if currency not in shop.RATES:
        raise refusals.invalid({"currency": f"must be one of {', '.join(shop.RATES)}"})
    price = _price(
        m.ResourceTypeEnum.INSTANCE,
        shop.hourly(size.gpu_model, size.gpu_count, currency),
        currency,
        gpu_model=ask.gpu_model,
        gpu_count=ask.gpu_count,
        region=ask.region,
        tier=ask.tier or m.TierEnum.ON_DEMAND,
    )
    return m.PricingResponse(prices=[price])
