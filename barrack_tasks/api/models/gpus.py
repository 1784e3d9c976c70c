"""GPU stock, GPU specifications and regions."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from barrack_tasks.api.models.base import Answer, Model, OpenEnum, OpenIntEnum, Timestamp

__all__ = [
    "GPUSpec", "GPUSpecsResponse", "GPUStockConfiguration", "GPUStockItem", "GPUStocksResponse",
    "GpuCountEnum", "GpuModelEnum", "Region", "RegionEnum", "RegionsResponse", "Specs",
    "SpecsMetadata", "StockCount", "TierEnum",
]  # fmt: skip


class GpuModelEnum(OpenEnum):
    """GPU models seen in the documentation's price table [D]. Others may come."""

    H100_SXM5_80GB = "H100-SXM5-80GB"
    H100_PCIE_NVLINK_80GB = "H100-PCIe-NVLink-80GB"
    H100_PCIE_80GB = "H100-PCIe-80GB"
    A100_SXM4_80GB_NVLINK = "A100-SXM4-80GB-NVLink"
    A100_PCIE_80GB = "A100-PCIe-80GB"
    L40 = "L40"
    RTX_A6000 = "RTX-A6000"
    A40 = "A40"


class GpuCountEnum(OpenIntEnum):
    """GPUs of one instance [U]."""

    ONE = 1
    TWO = 2
    FOUR = 4
    EIGHT = 8
    TEN = 10


class RegionEnum(OpenEnum):
    """Regions seen: CANADA-1 [D], NORWAY-1 and US-1 [U]."""

    CANADA_1 = "CANADA-1"
    NORWAY_1 = "NORWAY-1"
    US_1 = "US-1"


class TierEnum(OpenEnum):
    """How an instance is rented [I]."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


class StockCount(str):
    """How many are in stock, as the API words it: `"12"`, or `"200+"` for "at least 200" [U]."""

    @property
    def at_least(self) -> int:
        """The number that is surely there."""
        digits = self.strip().rstrip("+").strip()
        return int(digits) if digits.isdigit() else 0

    @property
    def is_open_ended(self) -> bool:
        """Whether there may be more than `at_least`."""
        return self.strip().endswith("+")


def _as_stock_count(value: object) -> object:
    return StockCount(value) if isinstance(value, str | int) else value


class GPUStockConfiguration(Model):
    """How many instances with this number of GPUs can be deployed."""

    gpu_count: GpuCountEnum
    available: int = 0


class GPUStockItem(Model):
    """Stock of one GPU model in one region."""

    region: RegionEnum
    gpu_model: GpuModelEnum
    available: Annotated[str, BeforeValidator(_as_stock_count)] = "0"
    configurations: list[GPUStockConfiguration] = []

    @property
    def count(self) -> StockCount:
        """`available`, readable as a number."""
        return StockCount(self.available)


class GPUStocksResponse(Answer):
    """Answer of `get_gpu_stock`."""

    stocks: list[GPUStockItem]


class Specs(Model):
    """One configuration in which a GPU model is offered."""

    gpu_count: GpuCountEnum
    flavor: str | None = None
    vcpus: int | None = None
    ram_gb: int | None = None
    disk_gb: int | None = None
    ephemeral_gb: int | None = None
    can_hibernate: bool | None = None


class GPUSpec(Model):
    """A GPU model and the configurations it comes in."""

    gpu_model: GpuModelEnum
    memory_gb: int | None = None
    regions: list[RegionEnum] = []
    specs: list[Specs] = []


class SpecsMetadata(Model):
    """About a list of specifications."""

    count: int | None = None
    updated_at: Timestamp | None = None


class GPUSpecsResponse(Answer):
    """Answer of `get_gpu_specs`."""

    gpus: list[GPUSpec]
    metadata: SpecsMetadata | None = None


class Region(Model):
    """A place where instances run."""

    name: RegionEnum
    country: str | None = None
    description: str | None = None


class RegionsResponse(Answer):
    """Answer of `list_regions`."""

    regions: list[Region]
