"""Which volume is attached to which instance."""

from __future__ import annotations

from collections.abc import Sequence

from barrack_tasks.api.models import VMStatus, VolumeStatus
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.account import CloudAccount
from barrack_tasks.sandbox.cloud.disk import BOOT_DEVICE, DEVICES, Disk
from barrack_tasks.sandbox.cloud.machine import FULL_RATE, Machine
from barrack_tasks.sandbox.cloud.machines import Machines
from barrack_tasks.sandbox.cloud.volumes import VolumeStore

S = VolumeStatus


class Attachments:
    """Volumes of instances. Attaching and detaching are done at once.

    A volume that an instance boots from stays with it [I].
    """

    def __init__(self, account: CloudAccount, machines: Machines, volumes: VolumeStore) -> None:
        self._account = account
        self._volumes = volumes
        self._of: dict[str, list[Disk]] = {}
        machines.watchers.append(self._machine_moved)
        volumes.on_removal.append(self._disk_gone)

    def need_attachable(self, ids: Sequence[str], region: str, boot: str | None = None) -> None:
        """Refuse unless all of the volumes can be attached to a new instance in a region.

        `boot` is the one that it is to boot from.

        Raises:
            Refused: 404, 409.
        """
        self._need_room("An instance", (), ids)
        for id_ in (*ids, *filter(None, [boot])):
            disk = self._volumes.get(id_)
            disk.need("attach", S.AVAILABLE)
            if disk.region != region:
                raise refusals.wrong_region(disk.called(), disk.region)
            if id_ == boot and disk.image_id is None:
                raise refusals.conflict(
                    f"{disk.called()} cannot be booted from: it was made without an image",
                    "volume_not_bootable",
                )

    def attach(self, machine: Machine, ids: Sequence[str]) -> list[Disk]:
        """Attach volumes to an instance that is ACTIVE or SHUTOFF: all of them, or none.

        Raises:
            Refused: 404, 409.
        """
        _need_steady(machine, "attached to")
        self._need_room(machine.called(), self._of.get(machine.id, ()), ids)
        self.need_attachable(ids, machine.region)
        return self.join(machine, ids)

    def join(self, machine: Machine, ids: Sequence[str], boot: str | None = None) -> list[Disk]:
        """Attach volumes to an instance that may have them."""
        disks = self._of.setdefault(machine.id, [])
        used = {disk.device for disk in disks}
        free = iter([device for device in DEVICES if device not in used])
        joined = [(boot, BOOT_DEVICE)] if boot is not None else []
        joined += [(id_, next(free)) for id_ in ids]
        for id_, device in joined:
            disk = self._volumes.get(id_)
            disk.instance, disk.device, disk.attached = machine, device, self._account.micros
            disks.append(disk)
            self._volumes.enter(disk, S.IN_USE, f"attached to {machine.id} as {device}")
        self._show(machine)
        return disks[len(disks) - len(joined) :]

    def detach(self, machine: Machine, ids: Sequence[str]) -> None:
        """Detach volumes from an instance that is ACTIVE or SHUTOFF: all of them, or none.

        Raises:
            Refused: 404, 409.
        """
        _need_steady(machine, "detached from")
        disks = [self._volumes.get(id_) for id_ in ids]
        for disk in disks:
            if disk.instance is not machine:
                raise refusals.conflict(
                    f"{disk.called()} is not attached to {machine.called()}", "not_attached"
                )
            if disk.device == BOOT_DEVICE:
                raise refusals.conflict(
                    f"{machine.called()} boots from {disk.called()}", "boot_volume"
                )
        self._part(machine, disks, "detached from")

    def _part(self, machine: Machine, disks: Sequence[Disk], why: str) -> None:
        for disk in disks:
            self._of[machine.id].remove(disk)
            disk.instance = disk.device = None
            self._volumes.enter(disk, S.AVAILABLE, f"{why} {machine.id}")
        self._show(machine)

    def _machine_moved(self, machine: Machine, before: VMStatus, after: VMStatus) -> None:
        if after is VMStatus.DELETED and machine.id in self._of:
            self._part(machine, list(self._of[machine.id]), "outlives")
            del self._of[machine.id]

    def _disk_gone(self, disk: Disk) -> None:
        machine, disk.instance = disk.instance, None
        if machine is not None:
            self._of[machine.id].remove(disk)
            self._show(machine)

    def _show(self, machine: Machine) -> None:
        machine.volumes = [disk.as_attached() for disk in self._of[machine.id]]
        machine.updated = self._account.micros

    def _need_room(self, called: str, there: Sequence[Disk], ids: Sequence[str]) -> None:
        taken = sum(disk.device != BOOT_DEVICE for disk in there)
        if taken + len(ids) > len(DEVICES):
            raise refusals.conflict(
                f"{called} can have {len(DEVICES)} volumes at most", "too_many_volumes"
            )


def _need_steady(machine: Machine, what: str) -> None:
    if machine.status not in FULL_RATE:
        raise refusals.conflict(
            f"{machine.called()} is {machine.status}; volumes can be {what} it while it is "
            "ACTIVE or SHUTOFF"
        )
