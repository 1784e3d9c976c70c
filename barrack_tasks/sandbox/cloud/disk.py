"""One volume, as the sandbox keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from barrack_tasks.api.models import VMVolumeAttachment, VolumeStatus
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.machine import Machine

BOOT_DEVICE = "/dev/vda"
DEVICES = tuple(f"/dev/vd{letter}" for letter in "bcdefghijklmnopqrstuvwxyz")


@dataclass
class Disk:
    """A volume. Moments are microseconds since 1970."""

    id: str
    name: str
    size_gb: int
    volume_type: str
    status: VolumeStatus
    region: str
    image_id: str | None
    serial: int
    created: int
    updated: int
    instance: Machine | None = None
    device: str | None = None
    attached: int = 0

    @property
    def resource(self) -> str:
        """What the meter knows the volume by."""
        return f"volume:{self.id}"

    def called(self) -> str:
        """The volume in a sentence."""
        return f"Volume {self.name!r} ({self.id})"

    def as_attached(self) -> VMVolumeAttachment:
        """The volume as the instance that has it shows it."""
        return VMVolumeAttachment(
            id=self.id, name=self.name, size_gb=self.size_gb, status=str(self.status)
        )

    def need(self, what: str, *allowed: VolumeStatus) -> None:
        """Refuse unless the volume is in one of the allowed states.

        Raises:
            Refused: 409.
        """
        if self.status not in allowed:
            needed = " or ".join(str(status) for status in allowed)
            in_use = self.status is VolumeStatus.IN_USE
            raise refusals.conflict(
                f"{self.called()} is {self.status}; to {what} it, it must be {needed}",
                "volume_in_use" if in_use else "wrong_state",
            )
