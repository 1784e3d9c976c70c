"""Volumes: disks that live on their own, are paid for by size, and are attached to instances."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

from barrack_tasks.api.models import VolumeStatus
from barrack_tasks.api.models.rules import check_growth
from barrack_tasks.sandbox.cloud import catalogue, refusals
from barrack_tasks.sandbox.cloud.account import CloudAccount
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.disk import Disk
from barrack_tasks.sandbox.cloud.refusals import Refused

S = VolumeStatus
FIRST_ID = 2101


class VolumeStore:
    """All volumes of the account.

    A volume grows at once, and only while it is not attached [I].
    """

    def __init__(self, account: CloudAccount) -> None:
        self._account = account
        self._all: dict[str, Disk] = {}
        self._names: set[str] = set()
        self._next_id = FIRST_ID
        self.on_removal: list[Callable[[Disk], None]] = []

    # Looking

    def all(self) -> list[Disk]:
        """Volumes that exist, in order of creation."""
        return list(self._all.values())

    def get(self, id_: str) -> Disk:
        """One volume.

        Raises:
            Refused: 404.
        """
        disk = self._all.get(id_)
        if disk is None:
            raise refusals.not_found("Volume", id_)
        return disk

    def next_name(self) -> str:
        """A name that is free."""
        return next(n for n in (f"volume-{i}" for i in count(1)) if n not in self._names)

    # Acting

    def create(
        self,
        *,
        name: str,
        size_gb: int,
        volume_type: str,
        region: str,
        image_id: str | None,
        source: Disk | None = None,
    ) -> Disk:
        """Begin to make a volume, empty or as a copy. It is paid for from now on.

        Raises:
            Refused: 402, 409.
        """
        account = self._account
        if name in self._names:
            raise refusals.duplicate("Volume", name)
        account.need_balance(Decimal("0.000001"))
        disk = self._add(name, size_gb, volume_type, region, image_id)
        of = f", a copy of {source.id}" if source else ""
        account.record("volume", disk.id, name, f"{S.CREATING}: {size_gb} GB{of}")
        took = account.duration("volume")
        if "vanish" in account.twists:
            account.later(account.twists["vanish"], lambda: self._remove(disk, "vanished"))
        if "stuck" not in account.twists:
            end = S.ERROR if "fail" in account.twists else S.AVAILABLE
            account.later(took, lambda: self._finish(disk, end))
        return disk

    def _add(
        self, name: str, size_gb: int, volume_type: str, region: str, image_id: str | None
    ) -> Disk:
        account = self._account
        disk = Disk(
            id=str(self._next_id),
            name=name,
            size_gb=size_gb,
            volume_type=volume_type,
            status=S.CREATING,
            region=region,
            image_id=image_id,
            serial=account.next_serial(),
            created=account.micros,
            updated=account.micros,
        )
        self._next_id += 1
        self._all[disk.id] = disk
        self._names.add(name)
        self._charge(disk)
        return disk

    def seed(self, *, name: str, size_gb: int, region: str) -> Disk:
        """Put a volume there at once."""
        disk = self._add(name, size_gb, catalogue.VOLUME_TYPES[0], region, None)
        self.enter(disk, S.AVAILABLE, "seeded")
        return disk

    def clone(self, id_: str, name: str) -> Disk:
        """Begin to copy a volume.

        Raises:
            Refused: 402, 404, 409.
        """
        disk = self.get(id_)
        disk.need("clone", S.AVAILABLE, S.IN_USE)
        return self.create(
            name=name,
            size_gb=disk.size_gb,
            volume_type=disk.volume_type,
            region=disk.region,
            image_id=disk.image_id,
            source=disk,
        )

    def resize(self, id_: str, size_gb: int) -> Disk:
        """Let a volume grow, at once.

        Raises:
            Refused: 404, 409.
        """
        disk = self.get(id_)
        disk.need("resize", S.AVAILABLE)
        try:
            check_growth(disk.size_gb, size_gb)
        except ValueError as error:
            message = f"{disk.called()} can only grow"
            raise Refused(409, message, "cannot_shrink", {"size_gb": str(error)}) from None
        before, disk.size_gb, disk.updated = disk.size_gb, size_gb, self._account.micros
        self._charge(disk)
        self._account.record("volume", disk.id, disk.name, f"resized: {before} -> {size_gb} GB")
        return disk

    def delete(self, id_: str) -> Disk:
        """Begin to delete a volume.

        Raises:
            Refused: 404, 409.
        """
        disk = self.get(id_)
        disk.need("delete", S.AVAILABLE, S.ERROR)
        account = self._account
        self.enter(disk, S.DELETING, "delete")
        took = account.duration("delete_volume")
        if "stuck" not in account.twists:
            account.later(took, lambda: self._remove(disk, "delete finished"))
        return disk

    def _charge(self, disk: Disk) -> None:
        account = self._account
        rate = disk.size_gb * catalogue.per_gb_hourly(catalogue.VOLUME_GB_HOURLY, account.currency)
        account.meter.enter(disk.resource, str(disk.size_gb), rate, account.micros)

    def _finish(self, disk: Disk, status: VolumeStatus) -> None:
        if disk.id in self._all and disk.status is S.CREATING:
            self.enter(disk, status, "volume finished")

    def enter(self, disk: Disk, status: VolumeStatus, why: str) -> None:
        """Put a volume into a state."""
        before, disk.status, disk.updated = disk.status, status, self._account.micros
        self._account.record("volume", disk.id, disk.name, f"{before} -> {status}: {why}")

    def _remove(self, disk: Disk, why: str) -> None:
        if self._all.pop(disk.id, None) is not None:
            self._names.discard(disk.name)
            self._account.meter.leave(disk.resource, self._account.micros)
            detail = f"{disk.status} -> {S.DELETED}: {why}"
            self._account.record("volume", disk.id, disk.name, detail)
            for happen in self.on_removal:
                happen(disk)

    # The end of the credits

    def exposed(self) -> bool:
        """Whether the end of the credits would take anything."""
        return self._account.settings.depletion_takes_volumes and bool(self._all)

    def deplete(self) -> None:
        """Take everything away, if the settings say that the end of the credits does."""
        if self._account.settings.depletion_takes_volumes:
            for disk in self.all():
                self._remove(disk, "depleted")

    def dump(self) -> list[dict[str, Any]]:
        """Volumes as JSON values, under the library's own names."""
        return [
            {
                "id": x.id,
                "name": x.name,
                "status": str(x.status),
                "size_gb": x.size_gb,
                "region": x.region,
                "instance_id": x.instance.id if x.instance else None,
                "created_at": to_datetime(x.created).isoformat(),
            }
            for x in self.all()
        ]
