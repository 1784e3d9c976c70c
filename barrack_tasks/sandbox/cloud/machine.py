"""One instance: what it is, and what follows from its state alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from barrack_tasks.api.models import TierEnum, VMSecurityRule, VMStatus, VMVolumeAttachment
from barrack_tasks.sandbox.cloud import catalogue, refusals
from barrack_tasks.sandbox.cloud.catalogue import Configuration
from barrack_tasks.sandbox.cloud.clock import to_datetime

S = VMStatus
WITHOUT_HARDWARE = (S.HIBERNATED, S.DELETED)
FULL_RATE = (S.ACTIVE, S.SHUTOFF)


def need_offer(
    region: str, gpu_model: str, gpu_count: int, tier: TierEnum | None = None
) -> Configuration:
    """The hardware that is asked for.

    Raises:
        Refused: 422 with messages by field.
    """
    errors: dict[str, str] = {}
    if region not in catalogue.REGIONS:
        errors["region"] = f"must be one of {', '.join(catalogue.REGIONS)}"
    if tier is not None and not tier.known:
        errors["tier"] = f"must be one of {', '.join(str(t) for t in TierEnum)}"
    if gpu_model not in catalogue.OFFERS:
        errors["gpu_model"] = f"must be one of {', '.join(catalogue.OFFERS)}"
    configuration = catalogue.configuration(gpu_model, gpu_count)
    if configuration is None and "gpu_model" not in errors:
        counts = ", ".join(str(n) for n in catalogue.OFFERS[gpu_model].counts)
        errors["gpu_count"] = f"{gpu_model} comes with {counts} GPUs"
    if errors or configuration is None:
        raise refusals.invalid(errors)
    return configuration


@dataclass
class Machine:
    """An instance. Moments are microseconds since 1970."""

    id: str
    name: str
    region: str
    configuration: Configuration
    hourly: Decimal
    serial: int
    created: int
    updated: int
    status: VMStatus
    boot_source: str = "image"
    snapshot_id: str | None = None
    address_comes: bool = True
    image_id: str | None = None
    image_name: str | None = None
    wants_public_ip: bool = True
    public_ip: str | None = None
    private_ip: str | None = None
    ssh_key: str | None = None
    hibernated: int | None = None
    can_hibernate: bool = True
    holds_hardware: bool = False
    volumes: list[VMVolumeAttachment] = field(default_factory=list)
    rules: list[VMSecurityRule] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    turn: int = 0
    """Grows with each change of state, so that work that was overtaken knows it."""

    def called(self) -> str:
        """The instance in a sentence."""
        return f"Instance {self.name!r} ({self.id})"

    @property
    def resource(self) -> str:
        """What the meter knows the instance by."""
        return f"instance:{self.id}"

    def rate(self, currency: str) -> Decimal:
        """What an hour costs in the state that the instance is in."""
        if self.status in FULL_RATE:
            return self.hourly
        if self.status is S.HIBERNATED:
            return catalogue.HIBERNATED_HOURLY[currency]
        return Decimal(0)

    def dump(self) -> dict[str, Any]:
        """The instance as JSON values, under the library's own names."""
        return {
            "id": self.id,
            "name": self.name,
            "status": str(self.status),
            "region": self.region,
            "gpu_model": self.configuration.gpu_model,
            "gpu_count": self.configuration.gpu_count,
            "public_ip": self.public_ip,
            "boot_source": self.boot_source,
            "created_at": to_datetime(self.created).isoformat(),
        }
