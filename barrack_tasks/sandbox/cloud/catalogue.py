"""What the sandbox offers and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

REGIONS: dict[str, str] = {"CANADA-1": "Canada", "NORWAY-1": "Norway", "US-1": "United States"}

RATES: dict[str, Decimal] = {"USD": Decimal(1), "EUR": Decimal(1), "INR": Decimal(85)}
"""What a price in USD is multiplied by, by currency of the account."""
HIBERNATED_HOURLY: dict[str, Decimal] = {
    "USD": Decimal("0.01"),
    "EUR": Decimal("0.01"),
    "INR": Decimal("1.00"),
}
MINIMUM_BALANCE: dict[str, Decimal] = {
    "USD": Decimal("1.00"),
    "EUR": Decimal("1.00"),
    "INR": Decimal("100.00"),
}
SNAPSHOT_GB_HOURLY = Decimal("0.0001")
VOLUME_GB_HOURLY = Decimal("0.0001")
VOLUME_TYPES = ("Cloud-SSD",)
MOST_VOLUME_GB = 1_048_576
"""The largest volume [U]."""


@dataclass(frozen=True)
class Offer:
    """One GPU model. Sizes are per GPU, in GB."""

    model: str
    hourly_usd: Decimal
    memory_gb: int
    vcpus: int
    ram_gb: int
    disk_gb: int
    ephemeral_gb: int
    stock: int
    counts: tuple[int, ...] = (1, 2, 4, 8, 10)
    cannot_hibernate: tuple[int, ...] = ()


@dataclass(frozen=True)
class Configuration:
    """An offer in one size, as an instance has it."""

    flavor: str
    gpu_model: str
    gpu_count: int
    vcpus: int
    ram_gb: int
    disk_gb: int
    ephemeral_gb: int
    can_hibernate: bool


OFFERS: dict[str, Offer] = {
    offer.model: offer
    for offer in (
        # Some flavors cannot hibernate upstream; which ones is not known, so one is picked.
        Offer("H100-SXM5-80GB", Decimal("2.69"), 80, 24, 240, 100, 4000, 64,
              cannot_hibernate=(8,)),
        Offer("H100-PCIe-NVLink-80GB", Decimal("2.29"), 80, 31, 180, 100, 750, 64),
        Offer("H100-PCIe-80GB", Decimal("2.25"), 80, 28, 180, 100, 750, 96),
        Offer("A100-SXM4-80GB-NVLink", Decimal("1.59"), 80, 31, 240, 100, 850, 64),
        Offer("A100-PCIe-80GB", Decimal("1.55"), 80, 28, 120, 100, 750, 96),
        Offer("L40", Decimal("1.19"), 48, 28, 58, 100, 725, 250),
        Offer("RTX-A6000", Decimal("0.69"), 48, 28, 58, 100, 425, 250),
        Offer("A40", Decimal("0.69"), 48, 15, 58, 100, 250, 120),
    )
}  # fmt: skip


@dataclass(frozen=True)
class BaseImage:
    """An image that comes with the cloud. Without a region it is offered everywhere."""

    id: str
    name: str
    system: str
    version: str
    size_gb: int
    description: str | None = None
    region: str | None = None


OS_IMAGES: dict[str, BaseImage] = {
    image.id: image
    for image in (
        BaseImage("1", "Ubuntu 24.04 LTS", "Ubuntu", "24.04", 4),
        BaseImage("2", "Ubuntu 22.04 LTS", "Ubuntu", "22.04", 4),
        BaseImage("3", "Ubuntu 22.04 LTS with CUDA 12.8", "Ubuntu", "22.04", 30,
                "With NVIDIA's driver, CUDA and Docker."),
        BaseImage("4", "Debian 12", "Debian", "12", 3, region="NORWAY-1"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class LanguageModel:
    """A model to chat with. Prices are for a million tokens."""

    id: str
    name: str
    context_length: int
    input_usd: Decimal
    output_usd: Decimal


LANGUAGE_MODELS: dict[str, LanguageModel] = {
    model.id: model
    for model in (
        LanguageModel("llama-3.3-70b-instruct", "Llama 3.3 70B Instruct", 131_072,
                      Decimal("0.60"), Decimal("0.80")),
        LanguageModel("qwen3-8b", "Qwen3 8B", 32_768, Decimal("0.04"), Decimal("0.14")),
    )
}  # fmt: skip


def configuration(gpu_model: str, gpu_count: int) -> Configuration | None:
    """The offer in one size, or None when there is no such thing."""
    offer = OFFERS.get(gpu_model)
    if offer is None or gpu_count not in offer.counts:
        return None
    return Configuration(
        flavor=f"n3-{gpu_model}x{gpu_count}",
        gpu_model=gpu_model,
        gpu_count=gpu_count,
        vcpus=offer.vcpus * gpu_count,
        ram_gb=offer.ram_gb * gpu_count,
        disk_gb=offer.disk_gb,
        ephemeral_gb=offer.ephemeral_gb * gpu_count,
        can_hibernate=gpu_count not in offer.cannot_hibernate,
    )


def hourly(gpu_model: str, gpu_count: int, currency: str) -> Decimal:
    """Price of an hour of a running instance."""
    return OFFERS[gpu_model].hourly_usd * gpu_count * RATES[currency]


def per_gb_hourly(usd: Decimal, currency: str) -> Decimal:
    """Price of an hour of one GB of storage."""
    return usd * RATES[currency]
