"""Snapshots: copies of disks, one at a time for each instance."""

from __future__ import annotations

from typing import Any

from barrack_tasks.api.models import SnapshotStatus, VMStatus
from barrack_tasks.sandbox.cloud import catalogue, refusals
from barrack_tasks.sandbox.cloud.account import CloudAccount
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.copy import Copy
from barrack_tasks.sandbox.cloud.images import ImageStore
from barrack_tasks.sandbox.cloud.machine import Machine
from barrack_tasks.sandbox.cloud.machines import Machines

S = SnapshotStatus
FIRST_ID = 4101


class SnapshotStore:
    """All snapshots of the account."""

    def __init__(self, account: CloudAccount, machines: Machines, images: ImageStore) -> None:
        self._account = account
        self._machines = machines
        self._images = images
        self._all: dict[str, Copy] = {}
        self._names: set[str] = set()
        self._under_way: dict[str, Copy] = {}
        self._next_id = FIRST_ID
        machines.watchers.append(self._machine_moved)

    def all(self) -> list[Copy]:
        """Snapshots that exist, in order of creation."""
        return list(self._all.values())

    def get(self, id_: str) -> Copy:
        """One snapshot.

        Raises:
            Refused: 404.
        """
        copy = self._all.get(id_)
        if copy is None:
            raise refusals.not_found("Snapshot", id_)
        return copy

    def get_ready(self, id_: str) -> Copy:
        """One snapshot that can be restored.

        Raises:
            Refused: 404, 409.
        """
        copy = self.get(id_)
        if not copy.status.is_ready:
            raise refusals.conflict(
                f"{copy.called()} is {copy.status}; it must be SUCCESS", "snapshot_not_ready"
            )
        return copy

    def under_way(self, instance_id: str) -> Copy | None:
        """The snapshot of an instance that is being taken."""
        return self._under_way.get(instance_id)

    def create(self, machine: Machine, name: str, description: str | None, is_image: bool) -> Copy:
        """Begin to take a snapshot of an ACTIVE instance.

        Raises:
            Refused: 409 for a wrong state, another snapshot under way, or a name that is taken.
        """
        account = self._account
        if machine.status is not VMStatus.ACTIVE:
            raise refusals.conflict(
                f"{machine.called()} is {machine.status}; to take a snapshot it must be ACTIVE"
            )
        other = self.under_way(machine.id)
        if other is not None:
            raise refusals.conflict(
                f"{other.called()} of {machine.name!r} is being taken; one at a time",
                "snapshot_in_progress",
            )
        if name in self._names:
            raise refusals.duplicate("Snapshot", name)
        if is_image:
            self._images.need_name(name)
        copy = Copy(
            id=str(self._next_id),
            name=name,
            description=description,
            status=S.CREATING,
            size_gb=machine.configuration.disk_gb,
            instance_id=machine.id,
            instance_name=machine.name,
            region=machine.region,
            configuration=machine.configuration,
            ssh_key=machine.ssh_key,
            is_image=is_image,
            serial=account.next_serial(),
            created=account.micros,
            updated=account.micros,
        )
        self._next_id += 1
        self._all[copy.id] = self._under_way[machine.id] = copy
        self._names.add(name)
        account.record("snapshot", copy.id, name, f"CREATING: of {machine.id}")
        rate = copy.size_gb * catalogue.per_gb_hourly(
            catalogue.SNAPSHOT_GB_HOURLY, account.currency
        )
        account.meter.enter(f"snapshot:{copy.id}", "", rate, account.micros)
        if is_image:
            self._images.promise(copy)
        took = account.duration("snapshot")
        if "vanish" in account.twists:
            account.later(account.twists["vanish"], lambda: self.remove(copy, "vanished"))
        if "stuck" not in account.twists:
            end = S.FAILED if "fail" in account.twists else S.SUCCESS
            account.later(took, lambda: self._finish(copy, end))
        return copy

    def delete(self, id_: str) -> Copy:
        """Begin to delete a snapshot.

        Raises:
            Refused: 404, 409.
        """
        copy = self.get(id_)
        if copy.status in (S.CREATING, S.DELETING):
            raise refusals.conflict(f"{copy.called()} is {copy.status} and cannot be deleted now")
        account = self._account
        images = self._images.of(id_)
        if images:
            named = ", ".join(repr(image.name) for image in images)
            raise refusals.conflict(
                f"{copy.called()} cannot be deleted: it has images that depend on it: {named}",
                "snapshot_in_use",
            )
        self._enter(copy, S.DELETING, "delete")
        took = account.duration("delete_snapshot")
        if "stuck" not in account.twists:
            account.later(took, lambda: self.remove(copy, "delete finished"))
        return copy

    def remove(self, copy: Copy, why: str) -> None:
        """Take a snapshot out of the account at once."""
        if self._all.pop(copy.id, None) is not None:
            self._names.discard(copy.name)
            if copy.status is S.CREATING:
                self._under_way.pop(copy.instance_id, None)
            self._account.meter.leave(f"snapshot:{copy.id}", self._account.micros)
            self._account.record("snapshot", copy.id, copy.name, f"{copy.status} -> DELETED: {why}")
            self._images.snapshot_lost(copy.id, why)
            self._machines.lose_snapshot(copy.id)

    def exposed(self) -> bool:
        """Whether the end of the credits would take anything."""
        return self._account.settings.depletion_takes_snapshots and bool(self._all)

    def deplete(self) -> None:
        """Take everything away, if the settings say that the end of the credits does."""
        if self._account.settings.depletion_takes_snapshots:
            for copy in self.all():
                self.remove(copy, "depleted")

    def _finish(self, copy: Copy, status: SnapshotStatus) -> None:
        if copy.id in self._all and copy.status is S.CREATING:
            self._enter(copy, status, "snapshot finished")

    def _enter(self, copy: Copy, status: SnapshotStatus, why: str) -> None:
        account = self._account
        before, copy.status, copy.updated = copy.status, status, account.micros
        if before is S.CREATING:
            self._under_way.pop(copy.instance_id, None)
        account.record("snapshot", copy.id, copy.name, f"{before} -> {status}: {why}")
        if status is S.FAILED:
            account.meter.leave(f"snapshot:{copy.id}", account.micros)
            self._images.snapshot_lost(copy.id, "its snapshot failed")
        elif status.is_ready:
            self._images.snapshot_ready(copy.id)

    def _machine_moved(self, machine: Machine, before: VMStatus, after: VMStatus) -> None:
        """A disk that is being copied must not be pulled away: the copy is lost."""
        if before is VMStatus.ACTIVE and after is not VMStatus.ACTIVE:
            copy = self.under_way(machine.id)
            if copy is not None:
                self._enter(copy, S.FAILED, f"{machine.id} is {after}")

    def dump(self) -> list[dict[str, Any]]:
        """Snapshots as JSON values, under the library's own names."""
        return [
            {
                "id": c.id,
                "name": c.name,
                "status": str(c.status),
                "size_gb": c.size_gb,
                "instance_id": c.instance_id,
                "is_image": c.is_image,
                "created_at": to_datetime(c.created).isoformat(),
            }
            for c in self.all()
        ]
